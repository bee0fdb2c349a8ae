/**
 * Backlog: the deltas that some streamed member has not acknowledged, kept to be sent again, and
 * bounded in bytes. Used by primary-state.ts.
 */
import type { Epoch } from '../base/ids.ts';
import type { SealedDelta } from '../checkpoint/delta-writer.ts';

export class Backlog {
  readonly #bytesMax: number;
  readonly #deltas = new Map<number, SealedDelta>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** No epoch should end now; a delta that is there all the same is taken. */
  get isFull(): boolean {
    return this.#bytes >= this.#bytesMax;
  }

  /** The next one; it is this one's to release. */
  add(delta: SealedDelta): void {
    this.#deltas.set(delta.epoch, delta);
    this.#bytes += delta.sizeBytes;
  }

  /** Frames from this epoch on, in order. */
  *framesFrom(first: Epoch): Iterable<Buffer> {
    for (const [number, delta] of this.#deltas) if (number >= first) yield delta.finish();
  }

  /** Everybody has these. */
  release(upTo: Epoch): void {
    for (const [number, delta] of this.#deltas) {
      if (number > upTo) return;
      this.#deltas.delete(number);
      this.#bytes -= delta.sizeBytes;
      delta.release();
    }
  }
}
