/** Tests of cpu-time.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Decoder, Encoder } from '../../base/codec.ts';
import { CpuTime } from './cpu-time.ts';

test('processor time goes on where it was last told, whatever the next host counts', () => {
  const first = new CpuTime();
  assert.equal(first.tell(5e9), 5e9);
  assert.equal(first.tell(4e9), 5e9);
  const encoder = new Encoder();
  first.save(encoder);
  first.tell(9e9);
  const second = new CpuTime();
  second.load(new Decoder(encoder.view()));
  assert.equal(second.tell(0), 5e9);
  assert.equal(second.tell(1e9), 6e9);
});
