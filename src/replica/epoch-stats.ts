/**
 * EpochStats: what epochs cost, for status and the live line: pause, size of a delta, and how long
 * output waits from capture to release. Recorded on the hot path, so nothing is allocated there.
 */
import { Histogram } from '../telemetry/histogram.ts';

/** Captures whose release is awaited; as many as fit in the window. */
const PENDING_MAX = 64;

export class EpochStats {
  readonly pauseUs = new Histogram();
  readonly deltaBytes = new Histogram();
  readonly releaseUs = new Histogram();
  epochs = 0;
  readonly #capturedNs = new Float64Array(PENDING_MAX);
  #released = 0;
  #captured = 0;

  captured(epoch: number, pauseUs: number, sizeBytes: number, nowNs: number): void {
    this.pauseUs.record(pauseUs);
    this.deltaBytes.record(sizeBytes);
    this.epochs += 1;
    this.#capturedNs[epoch % PENDING_MAX] = nowNs;
    this.#captured = epoch;
  }

  released(epoch: number, nowNs: number): void {
    const from = Math.max(this.#released + 1, epoch - PENDING_MAX + 1);
    for (let number = from; number <= Math.min(epoch, this.#captured); number += 1) {
      const since = this.#capturedNs[number % PENDING_MAX] as number;
      if (since > 0) this.releaseUs.record((nowNs - since) / 1000);
    }
    this.#released = epoch;
  }

  /** Begins a new period. */
  reset(): void {
    this.pauseUs.reset();
    this.deltaBytes.reset();
    this.releaseUs.reset();
    this.epochs = 0;
  }
}
