/**
 * Transfer: brings the whole state to somebody while the guest runs: a base, then pages in chunks
 * and the deltas of the epochs meanwhile, in one order. A sink is a joiner's connection or a
 * checkpoint file. Used by primary-state.ts.
 */
import { type Epoch, epoch } from '../base/ids.ts';
import { JoinTransfer } from '../checkpoint/join.ts';
import type { SlabPool } from '../checkpoint/slab.ts';
import type { Base, Checkpointer } from '../interpose/checkpointer.ts';

/** Takes frames in order; each is the transfer's again on return. */
export interface TransferSink {
  /** How much more it takes now, in bytes. */
  room(): number;
  frame(frame: Buffer): void;
  /** The state is whole with the last frame; only for sinks that don't find out themselves. */
  done(last: Epoch): void;
}

/**
 * Deltas up to the size that the trigger aims at leave room for pages between them; each larger one
 * must be followed by as many bytes of pages before the next, or a guest that writes much would
 * keep its joiner waiting for ever.
 */
const DELTA_BYTES_FREE = 4 << 20;

export class Transfer {
  readonly #sink: TransferSink;
  readonly #pages: JoinTransfer;
  /** Bytes of pages that are due before the next delta. */
  #owedBytes = 0;
  /** The last chunk has been sent: the next delta makes the state whole. */
  #isSettling = false;

  constructor(checkpointer: Checkpointer, pool: SlabPool, base: Base, sink: TransferSink) {
    this.#sink = sink;
    sink.frame(base.frame.finish());
    base.frame.release();
    this.#pages = new JoinTransfer(checkpointer, pool, {
      base: base.epoch,
      regions: base.regions,
    });
  }

  /**
   * Sends up to `chunks` chunks. True: the last was among them, so that an epoch should end now.
   */
  pump(chunks: number): boolean {
    for (let left = chunks; left > 0 && !this.#isSettling && this.#sink.room() > 0; left -= 1) {
      const chunk = this.#pages.next();
      if (chunk === null) break;
      const frame = chunk.finish();
      this.#owedBytes -= frame.length;
      this.#sink.frame(frame);
      chunk.release();
      this.#isSettling = this.#pages.isDone;
    }
    return this.#isSettling;
  }

  /** The sink takes no more now. */
  get isLagging(): boolean {
    return this.#sink.room() <= 0;
  }

  get isSettling(): boolean {
    return this.#isSettling;
  }

  /** No epoch should end now: pages come first. */
  get isBehind(): boolean {
    return this.#owedBytes > 0 && !this.#isSettling;
  }

  /** A delta was captured. True: the sink has the whole state with it. */
  delta(frame: Buffer, number: number): boolean {
    this.#owedBytes = frame.length > DELTA_BYTES_FREE ? frame.length : 0;
    this.#sink.frame(frame);
    if (!this.#isSettling) return false;
    this.#sink.done(epoch(number));
    return true;
  }
}
