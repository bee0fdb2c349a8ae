/** Tests of bench/quantiles.ts: a benchmark with wrong arithmetic is worse than none. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median, quantile, quantilesOf } from '../../bench/quantiles.ts';

test('quantiles are values that were measured, by nearest rank', () => {
  const values = Array.from({ length: 1000 }, (_, at) => 1000 - at);
  const { count, p50, p95, p99, p999, max } = quantilesOf(values);
  assert.deepEqual([count, p50, p95, p99, p999, max], [1000, 500, 950, 990, 999, 1000]);
  assert.equal(quantile([7], 0.999), 7);
  assert.equal(quantile([1, 2], 0), 1);
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([10, 9]), 9);
  assert.throws(() => quantilesOf([]), /no values/);
});
