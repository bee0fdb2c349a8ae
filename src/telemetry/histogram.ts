/**
 * Histogram: counts of values in fixed buckets, for quantiles of pauses, delta sizes and latencies.
 * Used by the sentry on its hot path: `record` allocates nothing and costs some nanoseconds.
 * Not for exact values: a quantile is at most 1/32 above the value that it stands for.
 */

/** Buckets per power of two; the relative error is one part in as many. */
const STEPS = 32;
const STEP_BITS = 5;
/** Values up to here have a bucket of their own. */
const EXACT = 2 * STEPS;
/** What is larger counts as this: 12 days in microseconds, a terabyte in bytes. */
const VALUE_MAX = 2 ** 40 - 1;
const BUCKET_COUNT = (40 - STEP_BITS + 1) * STEPS;

/** The bucket of a value that is an integer from 0 to VALUE_MAX. */
function bucketOf(value: number): number {
  if (value < EXACT) return value;
  // clz32 knows 32 bits only: larger values lose low bits that their bucket ignores anyway.
  const isLarge = value >= 2 ** 31;
  const top = isLarge ? Math.floor(value / 2 ** 20) : value;
  const shift = 31 - Math.clz32(top) - STEP_BITS;
  const step = (top >>> shift) - STEPS;
  return (shift + (isLarge ? 20 : 0) + 1) * STEPS + step;
}

/** The largest value in a bucket. */
function upperEnd(bucket: number): number {
  if (bucket < EXACT) return bucket;
  const shift = Math.floor(bucket / STEPS) - 1;
  return ((bucket % STEPS) + STEPS + 1) * 2 ** shift - 1;
}

export class Histogram {
  readonly #counts = new Float64Array(BUCKET_COUNT);
  #count = 0;
  #max = 0;

  /** How many values were recorded since the last reset. */
  get count(): number {
    return this.#count;
  }

  /** The largest value recorded, exactly; 0 if there is none. */
  get max(): number {
    return this.#max;
  }

  /** Counts one value; what is no number or below 0 counts as 0. */
  record(value: number): void {
    const counted = value > 0 ? Math.min(Math.round(value), VALUE_MAX) : 0;
    const bucket = bucketOf(counted);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#count += 1;
    if (counted > this.#max) this.#max = counted;
  }

  /** The value that a share `q` (0 to 1) of all values does not exceed; 0 if there is none. */
  quantile(q: number): number {
    const wanted = Math.max(1, Math.ceil(Math.min(Math.max(q, 0), 1) * this.#count));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKET_COUNT; bucket += 1) {
      seen += this.#counts[bucket] as number;
      if (seen >= wanted) return Math.min(upperEnd(bucket), this.#max);
    }
    return 0;
  }

  reset(): void {
    this.#counts.fill(0);
    this.#count = 0;
    this.#max = 0;
  }
}
