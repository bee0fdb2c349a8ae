/**
 * PageStore: where an image keeps the guest's memory, by guest address. The real one is a sparse
 * memory file whose offset is the guest's address (ADR 0004); MemoryPageStore serves tests.
 * Addresses and sizes are whole pages everywhere.
 */
import { assert } from '../base/assert.ts';
import { type GuestAddress, guestAddress } from '../base/ids.ts';
import type { PageVisitor } from '../lvm/api.ts';
import { ADDRESS_END, PAGE_BYTES } from './limits.ts';

export interface PageStore {
  /**
   * Throws when there is no room; the image is lost then. `bytes` is the caller's again on return.
   */
  write(address: GuestAddress, bytes: Uint8Array): void;
  /**
   * Drops what a range holds, so that it reads as zeros (punches a hole). Cheap on an empty range.
   */
  zero(start: GuestAddress, end: GuestAddress): void;
  /** Fills `target`; what was never written is zeros. */
  read(address: GuestAddress, target: Uint8Array): void;
  /** Runs that may hold something, in address order; never leaves a page out that isn't zero. */
  populated(start: GuestAddress, end: GuestAddress, visit: PageVisitor): void;
  /** Host descriptor of the memory file; -1 when there is none. */
  readonly fd: number;
  close(): void;
}

/** Throws AssertionError unless the range is whole pages below the end of the address space. */
export function assertPages(start: number, end: number): void {
  assert(start % PAGE_BYTES === 0 && end % PAGE_BYTES === 0, 'a range is whole pages');
  assert(start >= 0 && start <= end && end <= ADDRESS_END, 'a range is in the address space');
}

/** A page store in ordinary memory, a buffer a page. */
export class MemoryPageStore implements PageStore {
  readonly fd = -1;
  readonly #pages = new Map<number, Buffer>();

  write(address: GuestAddress, bytes: Uint8Array): void {
    assertPages(address, address + bytes.length);
    for (let offset = 0; offset < bytes.length; offset += PAGE_BYTES) {
      const number = (address + offset) / PAGE_BYTES;
      const page = this.#pages.get(number) ?? Buffer.alloc(PAGE_BYTES);
      page.set(bytes.subarray(offset, offset + PAGE_BYTES));
      this.#pages.set(number, page);
    }
  }

  zero(start: GuestAddress, end: GuestAddress): void {
    assertPages(start, end);
    for (const number of this.#numbers(start, end)) this.#pages.delete(number);
  }

  read(address: GuestAddress, target: Uint8Array): void {
    assertPages(address, address + target.length);
    for (let offset = 0; offset < target.length; offset += PAGE_BYTES) {
      const page = this.#pages.get((address + offset) / PAGE_BYTES);
      if (page === undefined) target.fill(0, offset, offset + PAGE_BYTES);
      else target.set(page, offset);
    }
  }

  populated(start: GuestAddress, end: GuestAddress, visit: PageVisitor): void {
    assertPages(start, end);
    const numbers = this.#numbers(start, end).sort((one, other) => one - other);
    let from = 0;
    numbers.forEach((number, index) => {
      if (numbers[index + 1] === number + 1) return;
      visit(guestAddress((numbers[from] as number) * PAGE_BYTES), index + 1 - from);
      from = index + 1;
    });
  }

  close(): void {
    this.#pages.clear();
  }

  /** Numbers of the pages held in a range, any order: by the shorter of the two ways. */
  #numbers(start: number, end: number): number[] {
    const first = start / PAGE_BYTES;
    const beyond = end / PAGE_BYTES;
    const found: number[] = [];
    if (beyond - first > this.#pages.size) {
      for (const number of this.#pages.keys()) {
        if (number >= first && number < beyond) found.push(number);
      }
      return found;
    }
    for (let number = first; number < beyond; number += 1) {
      if (this.#pages.has(number)) found.push(number);
    }
    return found;
  }
}
