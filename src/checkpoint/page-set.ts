/**
 * PageSet: which pages hold something, as bitmaps of 128 MiB each: 4 KiB for every 128 MiB in use.
 * A PageStore that keeps no content, with which inspect reads a file far bigger than memory.
 */
import { assert } from '../base/assert.ts';
import { type GuestAddress, guestAddress } from '../base/ids.ts';
import type { PageVisitor } from '../lvm/api.ts';
import { PAGE_BYTES } from './limits.ts';
import { assertPages, type PageStore } from './page-store.ts';
import { sorted } from './record-table.ts';

/** Pages of one bitmap. */
const GROUP_PAGES = 32_768;

export class PageSet implements PageStore {
  readonly fd = -1;
  readonly #groups = new Map<number, Uint8Array>();

  write(address: GuestAddress, bytes: Uint8Array): void {
    assertPages(address, address + bytes.length);
    const first = address / PAGE_BYTES;
    const beyond = first + bytes.length / PAGE_BYTES;
    for (let page = first; page < beyond; page += 1) {
      const number = Math.floor(page / GROUP_PAGES);
      let group = this.#groups.get(number);
      if (group === undefined) {
        group = new Uint8Array(GROUP_PAGES / 8);
        this.#groups.set(number, group);
      }
      const bit = page % GROUP_PAGES;
      group[bit >> 3] = (group[bit >> 3] as number) | (1 << (bit & 7));
    }
  }

  zero(start: GuestAddress, end: GuestAddress): void {
    assertPages(start, end);
    this.#each(start / PAGE_BYTES, end / PAGE_BYTES, (number, group, from, to) => {
      if (to - from === GROUP_PAGES) {
        this.#groups.delete(number);
        return;
      }
      for (let bit = from; bit < to; bit += 1) {
        group[bit >> 3] = (group[bit >> 3] as number) & ~(1 << (bit & 7));
      }
    });
  }

  /** It has no content to read. */
  read(): void {
    assert(false, 'a page set keeps no content');
  }

  populated(start: GuestAddress, end: GuestAddress, visit: PageVisitor): void {
    assertPages(start, end);
    this.#each(start / PAGE_BYTES, end / PAGE_BYTES, (number, group, from, to) => {
      let run = 0;
      for (let bit = from; bit <= to; bit += 1) {
        const isIn = bit < to && ((group[bit >> 3] as number) & (1 << (bit & 7))) !== 0;
        if (isIn) run += 1;
        else if (run > 0) {
          visit(guestAddress((number * GROUP_PAGES + bit - run) * PAGE_BYTES), run);
          run = 0;
        }
      }
    });
  }

  /** Pages of a range that are in it. */
  count(start: GuestAddress, end: GuestAddress): number {
    let count = 0;
    this.populated(start, end, (_start, pageCount) => {
      count += pageCount;
    });
    return count;
  }

  close(): void {
    this.#groups.clear();
  }

  /** The bitmaps that a range of page numbers touches, in order, each with the bits concerned. */
  #each(
    first: number,
    beyond: number,
    visit: (number: number, group: Uint8Array, from: number, to: number) => void,
  ): void {
    const low = Math.floor(first / GROUP_PAGES);
    const high = Math.ceil(beyond / GROUP_PAGES);
    const isSparse = high - low > this.#groups.size;
    const numbers = isSparse
      ? sorted(this.#groups.keys())
      : Array.from({ length: high - low }, (_, index) => low + index);
    for (const number of numbers) {
      const group = this.#groups.get(number);
      const from = Math.max(0, first - number * GROUP_PAGES);
      const to = Math.min(GROUP_PAGES, beyond - number * GROUP_PAGES);
      if (group !== undefined && from < to) visit(number, group, from, to);
    }
  }
}
