/**
 * PageRuns: a list of runs of pages (address, count) without an object for each; runs that touch
 * are joined as they come. Filled by PageVisitor callbacks within the pause, drained by the writer.
 */
import { assert } from '../base/assert.ts';
import { type GuestAddress, guestAddress } from '../base/ids.ts';
import type { PageVisitor } from '../lvm/api.ts';
import { PAGE_BYTES } from './limits.ts';

export class PageRuns {
  /** Pairs: address, number of pages. */
  #pairs = new Float64Array(512);
  #length = 0;
  #pageCount = 0;
  /** To be handed to whoever reports pages. */
  readonly visit: PageVisitor = (start, pageCount) => this.push(start, pageCount);

  /** Runs in it. */
  get length(): number {
    return this.#length;
  }

  get pageCount(): number {
    return this.#pageCount;
  }

  clear(): void {
    this.#length = 0;
    this.#pageCount = 0;
  }

  push(start: number, pageCount: number): void {
    const last = this.#length - 1;
    this.#pageCount += pageCount;
    if (last >= 0 && this.end(last) === start) {
      this.#pairs[2 * last + 1] = this.count(last) + pageCount;
      return;
    }
    if (2 * this.#length === this.#pairs.length) {
      const grown = new Float64Array(this.#pairs.length * 2);
      grown.set(this.#pairs);
      this.#pairs = grown;
    }
    this.#pairs[2 * this.#length] = start;
    this.#pairs[2 * this.#length + 1] = pageCount;
    this.#length += 1;
  }

  start(index: number): GuestAddress {
    assert(index >= 0 && index < this.#length, 'run is in the list');
    return guestAddress(this.#pairs[2 * index] as number);
  }

  /** Pages in a run. */
  count(index: number): number {
    assert(index >= 0 && index < this.#length, 'run is in the list');
    return this.#pairs[2 * index + 1] as number;
  }

  end(index: number): GuestAddress {
    return guestAddress(this.start(index) + this.count(index) * PAGE_BYTES);
  }

  forEach(visit: PageVisitor): void {
    for (let index = 0; index < this.#length; index += 1) {
      visit(this.start(index), this.count(index));
    }
  }
}
