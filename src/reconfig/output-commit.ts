/**
 * Output commit: which epochs' output may leave, from the acknowledgements of all that must have
 * them. Owned by the machine, which says whose acknowledgements are required; called on the hot
 * path by the data plane of a primary. Allocates nothing there; sends nothing itself.
 */

import { assert } from '../base/assert.ts';
import { type Epoch, epoch, type ReplicaId } from '../base/ids.ts';

export class OutputCommit {
  /** Required members and their acknowledgements, in step; at most MEMBERS_MAX + JOINERS_MAX. */
  readonly #members: ReplicaId[] = [];
  readonly #acks: Epoch[] = [];
  readonly #windowEpochs: number;
  #captured = epoch(0);
  #chosen = epoch(0);
  #released = epoch(0);
  #open = false;

  constructor(windowEpochs: number) {
    assert(Number.isSafeInteger(windowEpochs) && windowEpochs > 0, 'windowEpochs is positive');
    this.#windowEpochs = windowEpochs;
  }

  /** The last epoch captured. */
  get captured(): Epoch {
    return this.#captured;
  }

  /** Every required member has all deltas up to this one: members may apply them. */
  get chosen(): Epoch {
    return this.#chosen;
  }

  /** Output up to and with this epoch may leave: it is chosen, and members are enough. */
  get released(): Epoch {
    return this.#released;
  }

  /** Whether one more delta fits in the window; a primary that mayn't capture lets output wait. */
  get mayCapture(): boolean {
    return this.#captured - this.#released < this.#windowEpochs;
  }

  /** Everything up to `base` is chosen: the state of an activation. */
  start(base: Epoch): void {
    assert(this.#members.length === 0 && this.#captured === 0, 'output commit starts once');
    this.#captured = base;
    this.#chosen = base;
    this.#released = base;
  }

  /** A delta was captured; returns `released`. */
  capture(next: Epoch): Epoch {
    assert(next === this.#captured + 1, `captured ${next} after ${this.#captured}`);
    assert(this.mayCapture, 'captured beyond the window');
    this.#captured = next;
    return this.#advance();
  }

  /** `member` has all deltas up to `stored` in this ballot; returns `released`. Cumulative. */
  acknowledge(member: ReplicaId, stored: Epoch): Epoch {
    const index = this.#members.indexOf(member);
    if (index < 0) return this.#released;
    assert(stored <= this.#captured, `${member} acknowledged ${stored} before it was captured`);
    if (stored <= Number(this.#acks[index])) return this.#released;
    this.#acks[index] = stored;
    return this.#advance();
  }

  /** From now on nothing is chosen without this member, which has all up to `stored`. */
  require(member: ReplicaId, stored: Epoch): void {
    assert(!this.#members.includes(member), `${member} is required already`);
    assert(stored <= this.#captured, 'a member is ahead of the primary');
    this.#members.push(member);
    this.#acks.push(stored);
  }

  /** The master (or, before it was asked, the machine) goes on without it; returns `released`. */
  drop(member: ReplicaId): Epoch {
    const index = this.#members.indexOf(member);
    assert(index >= 0, `${member} is not required`);
    this.#members.splice(index, 1);
    this.#acks.splice(index, 1);
    return this.#advance();
  }

  /**
   * Closed, nothing more is released, whoever acknowledged: too few members. Returns `released`.
   */
  setOpen(open: boolean): Epoch {
    this.#open = open;
    return this.#advance();
  }

  requires(member: ReplicaId): boolean {
    return this.#members.includes(member);
  }

  /** What `member`, which is required, has acknowledged. */
  acknowledged(member: ReplicaId): Epoch {
    const index = this.#members.indexOf(member);
    assert(index >= 0, `${member} is not required`);
    return this.#acks[index] as Epoch;
  }

  #advance(): Epoch {
    let lowest = this.#captured;
    for (let index = 0; index < this.#acks.length; index++) {
      const stored = this.#acks[index] as Epoch;
      if (stored < lowest) lowest = stored;
    }
    // A member required late may be behind what is chosen: that never goes back.
    if (lowest > this.#chosen) this.#chosen = lowest;
    if (this.#open) this.#released = this.#chosen;
    return this.#released;
  }
}
