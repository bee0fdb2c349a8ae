/**
 * Trigger: when an epoch ends. Not by a fixed timer: a lone reply should wait for nothing but its
 * own checkpoint. Used by the checkpointer, which asks whenever nothing more is to be served.
 */

/** A reply waits no longer than this for others to join it. */
const OUTPUT_WAIT_NS = 1e6;
/** Without output an epoch ends after this, so that a takeover loses little work. */
const EPOCH_NS_MAX = 100e6;
const EPOCH_NS_MIN = 2e6;
/**
 * Checkpoint capping: epochs get shorter when deltas get larger than this, which bounds the pause
 * and breaks the spiral of long checkpoint, long epoch, more dirt.
 */
const DELTA_BYTES_TARGET = 4 << 20;

export class Trigger {
  /** A thread that may have said something waits now: nothing is gained by waiting longer. */
  #isThreadWaiting = false;
  #startedNs = 0;
  #firstOutputNs = Infinity;
  #epochNs = EPOCH_NS_MAX;

  threadWaits(): void {
    this.#isThreadWaiting = true;
  }

  /** Whether to capture now; `hasOutput`: the open epoch has said something. */
  isDue(nowNs: number, hasOutput: boolean): boolean {
    if (hasOutput && this.#firstOutputNs === Infinity) this.#firstOutputNs = nowNs;
    if (hasOutput && this.#isThreadWaiting) return true;
    return nowNs >= this.deadlineNs(hasOutput);
  }

  /** When it is due at the latest. */
  deadlineNs(hasOutput: boolean): number {
    const byAge = this.#startedNs + this.#epochNs;
    return hasOutput ? Math.min(byAge, this.#firstOutputNs + OUTPUT_WAIT_NS) : byAge;
  }

  captured(startNs: number, endNs: number, deltaBytes: number): void {
    const lastedNs = Math.max(1, startNs - this.#startedNs);
    const wantedNs = lastedNs * (DELTA_BYTES_TARGET / Math.max(1, deltaBytes));
    this.#epochNs = Math.min(EPOCH_NS_MAX, Math.max(EPOCH_NS_MIN, wantedNs));
    this.#startedNs = endNs;
    this.#firstOutputNs = Infinity;
    this.#isThreadWaiting = false;
  }
}
