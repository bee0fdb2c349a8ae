/** Tests of byte-ring.ts: against a plain list of bytes, also across saves and loads. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Records } from '../../../test/support/records.ts';
import { Decoder, Encoder } from '../../base/codec.ts';
import { ByteRing } from './byte-ring.ts';

const OWNER = 7;

/** Saves a ring's changes and loads what the records then hold. */
function saveAndLoad(ring: ByteRing, records: Records, scope: 'all' | 'changes'): ByteRing {
  const encoder = new Encoder();
  ring.save(encoder);
  records.put(OWNER, 0, encoder.view());
  ring.savePages(OWNER, records, scope);
  const loaded = new ByteRing(4096);
  loaded.load(new Decoder(records.get(OWNER, 0) ?? new Uint8Array(0)));
  for (const part of records.parts(OWNER)) {
    if (part > 0) loaded.loadPage(part, records.get(OWNER, part) ?? new Uint8Array(0));
  }
  return loaded;
}

test('bytes leave in the order in which they came, whatever is saved and loaded between', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('push' as const), count: fc.nat(12_000) }),
    fc.record({ kind: fc.constant('take' as const), count: fc.nat(12_000) }),
    fc.record({ kind: fc.constant('save' as const), count: fc.constant(0) }),
    fc.record({ kind: fc.constant('load' as const), count: fc.constant(0) }),
  );
  const property = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    let ring = new ByteRing(32_768);
    let model = Buffer.alloc(0);
    const records = new Records();
    let next = 0;
    let scope: 'all' | 'changes' = 'all';
    for (const { kind, count } of steps) {
      if (kind === 'push') {
        const data = Buffer.from(Array.from({ length: count }, (_, at) => (next + at) & 0xff));
        next += count;
        const taken = ring.push(data);
        assert.equal(taken, Math.min(count, 32_768 - model.length));
        model = Buffer.concat([model, data.subarray(0, taken)]);
      } else if (kind === 'take') {
        const target = Buffer.alloc(count);
        const got = ring.shift(target);
        assert.deepEqual(target.subarray(0, got), model.subarray(0, count));
        model = model.subarray(got);
      } else {
        const loaded = saveAndLoad(ring, records, scope);
        scope = 'changes';
        if (kind === 'load') ring = loaded;
        const all = Buffer.alloc(model.length);
        assert.equal(loaded.peek(all), model.length);
        assert.deepEqual(all, model);
      }
      assert.equal(ring.length, model.length);
      assert.equal(ring.room, 32_768 - model.length);
    }
  });
  fc.assert(property, { numRuns: 200 });
});

test('a save writes only pages that changed, and an empty ring leaves none', () => {
  const ring = new ByteRing(65_536);
  const records = new Records();
  ring.push(Buffer.alloc(40_000, 1));
  saveAndLoad(ring, records, 'all');
  records.clearCounts();
  ring.push(Buffer.alloc(10, 2));
  saveAndLoad(ring, records, 'changes');
  assert.equal(records.counts.put, 2, 'the record and one page');
  ring.drop(ring.length);
  saveAndLoad(ring, records, 'changes');
  assert.deepEqual([...records.parts(OWNER)], [0]);
});

test('a smaller capacity keeps what is inside', () => {
  const ring = new ByteRing(65_536);
  ring.push(Buffer.from('x'.repeat(20_000)));
  ring.drop(19_990);
  ring.push(Buffer.from('tail'));
  ring.capacity = 4096;
  const all = Buffer.alloc(14);
  ring.shift(all);
  assert.equal(all.toString(), `${'x'.repeat(10)}tail`);
  assert.equal(ring.push(Buffer.alloc(5000)), 4096);
});
