/**
 * Entries: the names of one overlay directory. A name leads to an inode, or is a whiteout that
 * hides a name of the read-only root. Each entry has a slot that never changes, which makes
 * positions of getdents stable and a save of few changes small: slots are saved in pages of 64.
 */
import { present } from '../../base/assert.ts';
import { Decoder, Encoder } from '../../base/codec.ts';
import type { RecordSink } from '../../lvm/api.ts';

const PAGE_SLOTS = 64;

export interface Entry<Child> {
  readonly name: string;
  readonly slot: number;
  /** null is a whiteout. */
  child: Child | null;
}

export class Entries<Child extends { readonly id: number }> {
  readonly #byName = new Map<string, Entry<Child>>();
  /** Live entries of each page; pages in ascending order, since new ones come at the end. */
  readonly #pages = new Map<number, Map<number, Entry<Child>>>();
  readonly #dirtyPages = new Set<number>();
  #nextSlot = 0;
  #childCount = 0;

  /** Names that lead somewhere. */
  get childCount(): number {
    return this.#childCount;
  }

  get whiteoutCount(): number {
    return this.#byName.size - this.#childCount;
  }

  get nextSlot(): number {
    return this.#nextSlot;
  }

  /** Before pages are loaded. */
  setNextSlot(slot: number): void {
    this.#nextSlot = slot;
  }

  /** The child, null for a whiteout, undefined when the name isn't here. */
  get(name: string): Child | null | undefined {
    return this.#byName.get(name)?.child;
  }

  /** Lets a name lead to `child` (null: nowhere); keeps its slot when it is there. */
  set(name: string, child: Child | null): void {
    const entry = this.#byName.get(name);
    if (entry === undefined) {
      this.#insert({ name, slot: this.#nextSlot, child });
      this.#nextSlot += 1;
      return;
    }
    this.#childCount += (child === null ? 0 : 1) - (entry.child === null ? 0 : 1);
    entry.child = child;
    this.#dirtyPages.add(Math.floor(entry.slot / PAGE_SLOTS));
  }

  #insert(entry: Entry<Child>): void {
    const number = Math.floor(entry.slot / PAGE_SLOTS);
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = new Map();
      this.#pages.set(number, page);
    }
    page.set(entry.slot, entry);
    this.#byName.set(entry.name, entry);
    if (entry.child !== null) this.#childCount += 1;
    this.#dirtyPages.add(number);
  }

  delete(name: string): void {
    const entry = this.#byName.get(name);
    if (entry === undefined) return;
    const number = Math.floor(entry.slot / PAGE_SLOTS);
    const page = present(this.#pages.get(number), 'page of an entry');
    page.delete(entry.slot);
    if (page.size === 0) this.#pages.delete(number);
    this.#byName.delete(name);
    if (entry.child !== null) this.#childCount -= 1;
    this.#dirtyPages.add(number);
  }

  all(): Iterable<Entry<Child>> {
    return this.#byName.values();
  }

  /** Entries from `slot` on in the order of their slots, whiteouts included. */
  *from(slot: number): Iterable<Entry<Child>> {
    for (let next = slot; next < this.#nextSlot; ) {
      const number = Math.floor(next / PAGE_SLOTS);
      const page = this.#pages.get(number);
      if (page === undefined) {
        next = this.#nextPage(number) * PAGE_SLOTS;
        continue;
      }
      const end = (number + 1) * PAGE_SLOTS;
      for (; next < end; next += 1) {
        const entry = page.get(next);
        if (entry !== undefined) yield entry;
      }
    }
  }

  #nextPage(after: number): number {
    for (let number = after + 1; number < after + PAGE_SLOTS; number += 1) {
      if (this.#pages.has(number)) return number;
    }
    for (const number of this.#pages.keys()) if (number > after) return number;
    return Infinity;
  }

  /** Page n is part n + 1. */
  savePages(object: number, sink: RecordSink, scope: 'all' | 'changes'): void {
    const numbers = scope === 'all' ? this.#pages.keys() : this.#dirtyPages;
    const encoder = new Encoder(1024);
    for (const number of numbers) {
      const page = this.#pages.get(number);
      if (page === undefined) {
        sink.remove(object, number + 1);
        continue;
      }
      encoder.reset();
      encoder.u8(page.size);
      for (const { name, slot, child } of page.values()) {
        encoder
          .u8(slot % PAGE_SLOTS)
          .string(name)
          .u32(child?.id ?? 0);
      }
      sink.put(object, number + 1, encoder.view());
    }
    this.#dirtyPages.clear();
  }

  loadPage(part: number, bytes: Uint8Array, find: (id: number) => Child | null): void {
    const decoder = new Decoder(bytes);
    for (let left = decoder.u8(); left > 0; left -= 1) {
      const slot = (part - 1) * PAGE_SLOTS + decoder.u8();
      this.#insert({ name: decoder.string(), slot, child: find(decoder.u32()) });
    }
    decoder.end();
  }

  /** All pages are loaded, in whatever order they came. */
  loaded(): void {
    const pages = [...this.#pages].sort(([left], [right]) => left - right);
    this.#pages.clear();
    for (const [number, page] of pages) this.#pages.set(number, page);
    this.#dirtyPages.clear();
  }
}
