/**
 * SimMemory: a simulated guest's address space: regions and sparse pages, with the written ones
 * known. Used by SimHost for the guest-memory and checkpoint calls, and by tests to play the
 * guest's own loads and stores. Protection is obeyed as Linux obeys it for process_vm_readv.
 */
import { E } from '../../abi/errno.ts';
import { assert } from '../../base/assert.ts';
import { type GuestAddress, guestAddress } from '../../base/ids.ts';
import type { MemoryRegion, PageVisitor } from '../../lvm/api.ts';

export const PAGE_BYTES = 4096;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
/** For `#reach`: whatever the protection. */
const ANY_PROTECTION = -1;
/** Ranges dropped between two looks; a test makes far fewer. */
const DROPPED_MAX = 100_000;

/** Pages by page number (address / 4096); an absent one is all zeros. */
export type PageStore = ReadonlyMap<number, Uint8Array>;

/** Calls `visit` for each run of neighbouring page numbers. */
function visitRuns(pages: Iterable<number>, visit: PageVisitor): void {
  const sorted = [...pages].sort((left, right) => left - right);
  let start = 0;
  while (start < sorted.length) {
    const first = sorted[start] as number;
    let end = start + 1;
    while (end < sorted.length && sorted[end] === first + (end - start)) end += 1;
    visit(guestAddress(first * PAGE_BYTES), end - start);
    start = end;
  }
}

function allows(region: MemoryRegion, protection: number): boolean {
  return protection === ANY_PROTECTION || (region.protection & protection) !== 0;
}

export class SimMemory {
  #regions: MemoryRegion[] = [];
  readonly #pages = new Map<number, Buffer>();
  readonly #written = new Set<number>();
  /** Start and end of each range whose earlier content became void. */
  readonly #dropped: (readonly [number, number])[] = [];
  #isChanged = true;

  get isChanged(): boolean {
    return this.#isChanged;
  }

  /** The mappings in address order; they count as seen. */
  takeRegions(): readonly MemoryRegion[] {
    this.#isChanged = false;
    return this.#regions;
  }

  get regions(): readonly MemoryRegion[] {
    return this.#regions;
  }

  /** Of pages that hold something. */
  get populatedBytes(): number {
    return this.#pages.size * PAGE_BYTES;
  }

  /** Maps a region, replacing what is there (MAP_FIXED). */
  map(region: MemoryRegion): void {
    assert(region.start % PAGE_BYTES === 0 && region.end % PAGE_BYTES === 0, 'whole pages');
    assert(region.start < region.end, 'a region is not empty');
    this.unmap(region.start, region.end);
    this.#regions.push(region);
    this.#regions.sort((left, right) => left.start - right.start);
    this.#isChanged = true;
  }

  unmap(start: number, end: number): void {
    this.#cut(start, end, () => null);
    this.drop(start, end);
  }

  protect(start: number, end: number, protection: number): void {
    this.#cut(start, end, (region) => ({ ...region, protection }));
  }

  /** Replaces the part of each region between `start` and `end` by what `change` makes of it. */
  #cut(start: number, end: number, change: (inner: MemoryRegion) => MemoryRegion | null): void {
    const after: MemoryRegion[] = [];
    for (const region of this.#regions) {
      if (region.end <= start || region.start >= end) {
        after.push(region);
        continue;
      }
      if (region.start < start) after.push({ ...region, end: guestAddress(start) });
      const inner = change({
        ...region,
        start: guestAddress(Math.max(start, region.start)),
        end: guestAddress(Math.min(end, region.end)),
      });
      if (inner !== null) after.push(inner);
      if (region.end > end) after.push({ ...region, start: guestAddress(end) });
    }
    this.#regions = after;
    this.#isChanged = true;
  }

  /** Bytes from `address` on that may be accessed so, at most `count`. */
  #reach(address: number, count: number, protection: number): number {
    let at = address;
    for (const region of this.#regions) {
      if (region.end <= at) continue;
      if (region.start > at || !allows(region, protection)) break;
      at = region.end;
      if (at >= address + count) break;
    }
    return Math.min(at - address, count);
  }

  read(address: GuestAddress, target: Uint8Array): number {
    if (target.length === 0) return 0;
    const count = this.#reach(address, target.length, PROT_READ);
    if (count <= 0) return E.EFAULT;
    this.#copyOut(address, target.subarray(0, count));
    return count;
  }

  /** Reads whatever the protection; fewer bytes, or 0, where nothing is mapped. */
  pageRead(address: GuestAddress, target: Uint8Array): number {
    const count = this.#reach(address, target.length, ANY_PROTECTION);
    this.#copyOut(address, target.subarray(0, count));
    return count;
  }

  #copyOut(address: number, target: Uint8Array): void {
    const count = target.length;
    for (let done = 0; done < count; ) {
      const at = address + done;
      const offset = at % PAGE_BYTES;
      const part = Math.min(PAGE_BYTES - offset, count - done);
      const page = this.#pages.get(Math.floor(at / PAGE_BYTES));
      if (page === undefined) target.fill(0, done, done + part);
      else target.set(page.subarray(offset, offset + part), done);
      done += part;
    }
  }

  /** Whatever the protection. */
  writeForced(address: GuestAddress, source: Uint8Array): number {
    return this.write(address, source, ANY_PROTECTION);
  }

  write(address: GuestAddress, source: Uint8Array, protection = PROT_WRITE): number {
    if (source.length === 0) return 0;
    const count = this.#reach(address, source.length, protection);
    if (count <= 0) return E.EFAULT;
    this.#store(address, source.subarray(0, count), true);
    return count;
  }

  /**
   * Puts content behind a mapping, as a file's pages or a checkpoint's: not written by the guest.
   */
  fill(address: number, source: Uint8Array): void {
    this.#store(address, source, false);
  }

  #store(address: number, source: Uint8Array, isWritten: boolean): void {
    for (let done = 0; done < source.length; ) {
      const at = address + done;
      const number = Math.floor(at / PAGE_BYTES);
      const offset = at % PAGE_BYTES;
      const part = Math.min(PAGE_BYTES - offset, source.length - done);
      let page = this.#pages.get(number);
      if (page === undefined) {
        page = Buffer.alloc(PAGE_BYTES);
        this.#pages.set(number, page);
      }
      page.set(source.subarray(done, done + part), offset);
      if (isWritten) this.#written.add(number);
      done += part;
    }
  }

  /** MADV_DONTNEED of private memory: the pages are zeros again. */
  drop(start: number, end: number): void {
    for (const page of [...this.#pages.keys()]) {
      if (page * PAGE_BYTES >= start && page * PAGE_BYTES < end) {
        this.#pages.delete(page);
        this.#written.delete(page);
      }
    }
    this.#dropped.push([start, end]);
    assert(this.#dropped.length <= DROPPED_MAX, `at most ${DROPPED_MAX} dropped ranges`);
  }

  takeDroppedRanges(visit: PageVisitor): void {
    for (const [start, end] of this.#dropped) {
      visit(guestAddress(start), (end - start) / PAGE_BYTES);
    }
    this.#dropped.length = 0;
  }

  takeWrittenPages(visit: PageVisitor): void {
    visitRuns(this.#written, visit);
    this.#written.clear();
  }

  populatedPages(region: MemoryRegion, visit: PageVisitor): void {
    const first = region.start / PAGE_BYTES;
    const end = region.end / PAGE_BYTES;
    visitRuns(
      [...this.#pages.keys()].filter((page) => page >= first && page < end),
      visit,
    );
  }

  /** Takes an address space from a checkpoint; nothing counts as written. */
  load(regions: readonly MemoryRegion[], store: PageStore): void {
    assert(this.#regions.length === 0, 'a checkpoint is loaded into an empty address space');
    for (const region of regions) this.map(region);
    for (const [page, bytes] of store) {
      assert(bytes.length === PAGE_BYTES, `page ${page} has ${bytes.length} bytes`);
      const isMapped = regions.some(
        (region) => page * PAGE_BYTES >= region.start && page * PAGE_BYTES < region.end,
      );
      if (isMapped) this.fill(page * PAGE_BYTES, bytes);
    }
    this.#dropped.length = 0;
  }
}
