/**
 * Wait queues: how a kernel object tells those who wait on it that its readiness may have changed.
 * Waiters are tasks (blocked calls, which then run their handler again) and epoll items. Not
 * saved: a blocked call is asked again after a restore, and epoll sets register themselves anew
 * when loaded.
 */

export interface Waiter {
  /**
   * The object may be ready now, for one of these POLL bits. Must not run guest code or handlers
   * itself.
   */
  wake(events: number): void;
}

export class WaitQueue {
  readonly #waiters = new Set<Waiter>();

  add(waiter: Waiter): void {
    this.#waiters.add(waiter);
  }

  remove(waiter: Waiter): void {
    this.#waiters.delete(waiter);
  }

  get isEmpty(): boolean {
    return this.#waiters.size === 0;
  }

  /**
   * Wakes all who wait, in the order in which they came. Each decides by itself if it goes on.
   * `events` are the POLL bits that may have become ready: an edge-triggered epoll item that does
   * not wait for one of them sees no new edge.
   */
  wake(events = -1): void {
    for (const waiter of this.#waiters) waiter.wake(events);
  }
}
