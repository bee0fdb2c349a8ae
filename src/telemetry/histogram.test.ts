/** Tests of Histogram against sorting all values. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Histogram } from './histogram.ts';

const values = fc.array(fc.oneof(fc.nat(200), fc.nat(2 ** 31), fc.nat(2 ** 40 - 1)), {
  minLength: 1,
  maxLength: 300,
});

test('a quantile is the value of that rank, at most 1/32 above it', () => {
  fc.assert(
    fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (recorded, q) => {
      const histogram = new Histogram();
      for (const value of recorded) histogram.record(value);
      const sorted = [...recorded].sort((a, b) => a - b);
      const exact = sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] as number;
      const got = histogram.quantile(q);
      assert.ok(got >= exact && got <= exact * (1 + 1 / 32), `${got} for ${exact}`);
    }),
  );
});

test('the extremes are exact, and values beyond the range count at its end', () => {
  const histogram = new Histogram();
  assert.equal(histogram.quantile(0.5), 0);
  for (const value of [3, 2 ** 60, -1, Number.NaN]) histogram.record(value);
  assert.equal(histogram.count, 4);
  assert.equal(histogram.quantile(0), 0);
  assert.equal(histogram.quantile(1), 2 ** 40 - 1);
  assert.equal(histogram.max, 2 ** 40 - 1);
});

test('reset forgets everything', () => {
  const histogram = new Histogram();
  histogram.record(1000);
  histogram.reset();
  assert.deepEqual([histogram.count, histogram.max, histogram.quantile(0.99)], [0, 0, 0]);
});
