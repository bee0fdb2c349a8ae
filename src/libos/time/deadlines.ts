/**
 * Deadlines: a heap of things to do at a monotonic time, behind the one alarm of the LVM API.
 * Used by blocked calls, timerfds and timers. Not saved: its owners set their deadlines again
 * when loaded.
 */
import { assert, present } from '../../base/assert.ts';

export class Deadline {
  /** Monotonic nanoseconds; Infinity when not set. */
  atNs = Infinity;
  /** Place in the heap, or -1. */
  index = -1;
  readonly fire: () => void;

  constructor(fire: () => void) {
    this.fire = fire;
  }
}

export class Deadlines {
  readonly #heap: Deadline[] = [];
  readonly #changed: (earliestNs: number) => void;

  /** `changed` is told the earliest deadline whenever that changes. */
  constructor(changed: (earliestNs: number) => void) {
    this.#changed = changed;
  }

  get earliestNs(): number {
    return this.#heap[0]?.atNs ?? Infinity;
  }

  /** Sets, moves or (with Infinity) cancels a deadline. */
  set(deadline: Deadline, atNs: number): void {
    const before = this.earliestNs;
    if (deadline.index >= 0) this.#remove(deadline);
    deadline.atNs = atNs;
    if (atNs !== Infinity) this.#insert(deadline);
    if (this.earliestNs !== before) this.#changed(this.earliestNs);
  }

  /**
   * Fires all that are due, earliest first. What they set for the same moment fires the next
   * time.
   */
  run(nowNs: number): void {
    const due: Deadline[] = [];
    for (let top = this.#heap[0]; top !== undefined && top.atNs <= nowNs; top = this.#heap[0]) {
      this.#remove(top);
      top.atNs = Infinity;
      due.push(top);
    }
    for (const deadline of due) deadline.fire();
    this.#changed(this.earliestNs);
  }

  #insert(deadline: Deadline): void {
    deadline.index = this.#heap.length;
    this.#heap.push(deadline);
    this.#up(deadline.index);
  }

  #remove(deadline: Deadline): void {
    const index = deadline.index;
    assert(this.#heap[index] === deadline, 'deadline is in the heap');
    const last = present(this.#heap.pop(), 'last deadline');
    deadline.index = -1;
    if (last === deadline) return;
    this.#place(last, index);
    this.#up(index);
    this.#down(last.index);
  }

  #place(deadline: Deadline, index: number): void {
    this.#heap[index] = deadline;
    deadline.index = index;
  }

  #at(index: number): Deadline {
    return this.#heap[index] as Deadline;
  }

  #up(start: number): void {
    let index = start;
    const moving = this.#at(index);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#at(parent).atNs <= moving.atNs) break;
      this.#place(this.#at(parent), index);
      index = parent;
    }
    this.#place(moving, index);
  }

  #down(start: number): void {
    let index = start;
    const moving = this.#at(index);
    for (;;) {
      let child = index * 2 + 1;
      if (child >= this.#heap.length) break;
      if (child + 1 < this.#heap.length && this.#at(child + 1).atNs < this.#at(child).atNs) {
        child += 1;
      }
      if (moving.atNs <= this.#at(child).atNs) break;
      this.#place(this.#at(child), index);
      index = child;
    }
    this.#place(moving, index);
  }
}
