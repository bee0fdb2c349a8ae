/** Tests of records.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Records } from './records.ts';

test('puts replace, removes take away, and copies are kept', () => {
  const records = new Records();
  const bytes = Buffer.from('one');
  records.put(1, 0, bytes);
  bytes.fill(0);
  records.put(1, 2, Buffer.from('page'));
  records.put(5, 0, Buffer.from('five'));
  records.put(5, 0, Buffer.from('5'));
  assert.equal(Buffer.from(records.get(1, 0) as Uint8Array).toString(), 'one');
  assert.deepEqual([...records.parts(1)], [0, 2]);
  assert.deepEqual(records.dump(), { '1/0': '6f6e65', '1/2': '70616765', '5/0': '35' });

  records.remove(1, 2);
  records.removeObject(5);
  assert.deepEqual([...records.objects()], [1]);
  assert.equal(records.get(5, 0), null);
  assert.deepEqual([...records.parts(5)], []);
  assert.deepEqual(records.counts, { put: 4, putBytes: 12, remove: 1, removeObject: 1 });
});

test('an object goes with its last part, so that a reused id begins empty', () => {
  const records = new Records();
  records.put(3, 0, Buffer.from('x'));
  records.remove(3, 0);
  assert.deepEqual([...records.objects()], []);
});
