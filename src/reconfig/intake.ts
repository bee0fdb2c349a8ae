/**
 * A backup's side of the hot path: which deltas it takes, up to where its log is complete and what
 * of it may go into the image. Owned by the machine, which says whom to follow in which ballot;
 * called by the data plane, which keeps the deltas themselves. Log = deltas in (image, last].
 */

import { assert } from '../base/assert.ts';
import { type Ballot, ballot, type Epoch, epoch, type ReplicaId } from '../base/ids.ts';

/** `store`: the next one. `duplicate`: acknowledge `last` again. `gap`: close the connection. */
export type Offer = 'store' | 'duplicate' | 'gap' | 'refuse';

export class Intake {
  #source: ReplicaId | null = null;
  #promised = ballot(0);
  #whole = false;
  #image = epoch(0);
  #last = epoch(0);
  #chosen = epoch(0);
  #limit: Epoch | null = null;

  /** Whose deltas are taken: the primary's, or those of a candidate that is bringing us level. */
  get source(): ReplicaId | null {
    return this.#source;
  }

  /** Nothing older is taken or acknowledged, for good. */
  get promised(): Ballot {
    return this.#promised;
  }

  /** Whether the state is all here; false in a joiner until its transfer ends. */
  get whole(): boolean {
    return this.#whole;
  }

  /** The epoch that the image has. Never truncated, as it is chosen (a joiner's: see `joined`). */
  get image(): Epoch {
    return this.#image;
  }

  /** The last complete delta. */
  get last(): Epoch {
    return this.#last;
  }

  /** What to acknowledge to `source`: `last`, but nothing that its history may not have. */
  get acknowledgeable(): Epoch {
    return this.#limit !== null && this.#limit < this.#last ? this.#limit : this.#last;
  }

  /** Up to where the log may be applied now. */
  get appliable(): Epoch {
    return epoch(Math.max(this.#image, Math.min(this.#chosen, this.#last)));
  }

  /** Whether a delta that begins to come in is wanted. */
  offer(from: ReplicaId, sent: Ballot, next: Epoch): Offer {
    if (sent !== this.#promised || from !== this.#source || !this.#whole) return 'refuse';
    if (this.#limit !== null && next > this.#limit) return 'gap';
    if (next <= this.#last) return 'duplicate';
    return next === this.#last + 1 ? 'store' : 'gap';
  }

  /**
   * A delta is here, whole and verified. True: it is in the log now, acknowledge it. False: what
   * was promised since it began forbids it; drop it.
   */
  store(from: ReplicaId, sent: Ballot, next: Epoch, chosen: Epoch): boolean {
    if (this.offer(from, sent, next) !== 'store') return false;
    this.#last = next;
    this.learnChosen(chosen);
    return true;
  }

  /** The source says that everything up to `chosen` is chosen. */
  learnChosen(chosen: Epoch): void {
    if (chosen > this.#chosen) this.#chosen = chosen;
  }

  /** The image has `upTo` now; the log before it may go. */
  applied(upTo: Epoch): void {
    assert(
      upTo >= this.#image && upTo <= this.appliable,
      `applied ${upTo}, not chosen or not here`,
    );
    this.#image = upTo;
  }

  /**
   * Take nothing older than `next`, and deltas from `source` only. `limit`: the source is a
   * candidate that brings us up to there; what we have beyond stays until it is active. For the
   * machine.
   */
  promise(next: Ballot, source: ReplicaId | null, limit: Epoch | null): void {
    assert(next >= this.#promised, `promised ${next} after ${this.#promised}`);
    this.#promised = next;
    this.#source = source;
    this.#limit = limit;
  }

  /** The source is primary now: its history has no limit. For the machine, after `truncate`. */
  follow(): void {
    this.#limit = null;
  }

  /** The state is here: an image as of `base`, a log after it up to `last`. For the machine. */
  begin(base: Epoch, last: Epoch): void {
    assert(!this.#whole && base <= last, 'a state begins once');
    this.#whole = true;
    this.#image = base;
    this.#last = last;
  }

  /** Forget all after `after`: no history has it. For the machine. */
  truncate(after: Epoch): void {
    assert(after >= this.#image, `truncated to ${after} below the image at ${this.#image}`);
    assert(after >= this.#chosen, `truncated to ${after} below the chosen ${this.#chosen}`);
    if (after < this.#last) this.#last = after;
  }
}
