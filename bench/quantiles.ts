/** Quantiles of measured values. Pure. */

export interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** The value below which `part` of all lie (nearest rank). `sorted` is not empty. */
export function quantile(sorted: ArrayLike<number>, part: number): number {
  const rank = Math.ceil(part * sorted.length) - 1;
  return sorted[Math.min(sorted.length - 1, Math.max(0, rank))] as number;
}

export function quantilesOf(values: readonly number[]): Quantiles {
  if (values.length === 0) throw new Error('no values were measured');
  const sorted = Float64Array.from(values).sort();
  return {
    count: sorted.length,
    p50: quantile(sorted, 0.5),
    p95: quantile(sorted, 0.95),
    p99: quantile(sorted, 0.99),
    p999: quantile(sorted, 0.999),
    max: quantile(sorted, 1),
  };
}

export const median = (values: readonly number[]): number => quantilesOf(values).p50;
