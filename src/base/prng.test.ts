/** Tests of prng.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prng } from './prng.ts';

const first = (seed: number, count = 8): number[] => {
  const prng = new Prng(seed);
  return Array.from({ length: count }, () => prng.u32());
};

test('the same seed gives the same numbers, near seeds give others', () => {
  assert.deepEqual(first(7), first(7));
  const seen = new Set<number>();
  for (let seed = -50; seed < 50; seed += 1) seen.add(first(seed, 1)[0] as number);
  assert.equal(seen.size, 100);
  assert.notDeepEqual(first(1), first(2 ** 32 + 1), 'all 53 bits of the seed count');
  assert.throws(() => new Prng(0.5), /not an integer/);
});

test('numbers stay in their range and reach all of it', () => {
  const prng = new Prng(3);
  const seen = new Set<number>();
  for (let round = 0; round < 1000; round += 1) {
    const value = prng.below(10);
    assert.ok(Number.isInteger(value) && value >= 0 && value < 10);
    seen.add(value);
  }
  assert.equal(seen.size, 10);
  assert.throws(() => prng.below(0), /no number is below 0/);
});

test('chance is about as often as asked', () => {
  const prng = new Prng(11);
  let hits = 0;
  for (let round = 0; round < 10_000; round += 1) if (prng.chance(0.25)) hits += 1;
  assert.ok(hits > 2200 && hits < 2800, `${hits} of 10000`);
  assert.equal(prng.chance(0), false);
  assert.equal(prng.chance(1), true);
});

test('fill fills all bytes', () => {
  const bytes = Buffer.alloc(4096);
  new Prng(5).fill(bytes);
  assert.equal(new Set(bytes).size, 256);
});
