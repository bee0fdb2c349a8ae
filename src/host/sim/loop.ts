/**
 * SimLoop: the queue of upcalls of a simulated host: one runs to its end before the next, none
 * while the guest is stopped, and `settled` follows when nothing is left. Used by SimHost.
 */
import { assert, present } from '../../base/assert.ts';
import type { LvmClient } from '../../lvm/api.ts';

/** Upcalls that one action of a test may cause; beyond it is a loop. */
const UPCALLS_MAX = 100_000;

export class SimLoop {
  readonly #upcalls: ((client: LvmClient) => void)[] = [];
  #client: LvmClient | null = null;
  #isServing = false;
  #isOver = false;
  isStopped = false;

  get client(): LvmClient {
    return present(this.#client, 'client');
  }

  attach(client: LvmClient): void {
    assert(this.#client === null, 'a client is attached once');
    this.#client = client;
  }

  /** After the last upcall. */
  end(): void {
    this.#isOver = true;
    this.#upcalls.length = 0;
  }

  later(upcall: (client: LvmClient) => void): void {
    if (!this.#isOver) this.#upcalls.push(upcall);
  }

  /**
   * Serves what is queued, and what that queues; nothing if an upcall runs or the guest is stopped.
   */
  serve(): void {
    if (this.#isServing) return;
    this.#isServing = true;
    try {
      let left = UPCALLS_MAX;
      while (this.#upcalls.length > 0 && !this.isStopped) {
        for (let next = this.#upcalls.shift(); next !== undefined; next = this.#upcalls.shift()) {
          assert(left > 0, `more than ${UPCALLS_MAX} upcalls by one action`);
          left -= 1;
          next(this.client);
          if (this.isStopped) return;
        }
        if (!this.#isOver) this.client.settled();
      }
    } finally {
      this.#isServing = false;
    }
  }
}
