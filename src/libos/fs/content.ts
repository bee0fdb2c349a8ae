/**
 * Content: the bytes of one overlay file: sparse, in pages of 4 KiB, with those written since the
 * last save known. Where a page was never written, a file of the read-only root may show through
 * ("lower"), so that a copy-up copies only the pages that change. Used by Inode; knows no names.
 */
import { E } from '../../abi/errno.ts';
import { assert } from '../../base/assert.ts';
import type { RecordSink } from '../../lvm/api.ts';

export const PAGE_BYTES = 4096;
/** Pages live in chunks, so that a read of many gives few views. Bits of one chunk fit a number. */
const CHUNK_PAGES = 16;
const CHUNK_BYTES = CHUNK_PAGES * PAGE_BYTES;
/** A page's number plus one must fit 32 bits (the part number of its record). As ext4's limit. */
export const FILE_BYTES_MAX = 2 ** 32 * PAGE_BYTES - 2 * PAGE_BYTES;

const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** What all overlay files together may use. */
export class Budget {
  limitBytes: number;
  usedBytes = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** False when it would go over the limit; nothing is taken then. */
  take(bytes: number): boolean {
    if (this.usedBytes + bytes > this.limitBytes) return false;
    this.usedBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.usedBytes -= bytes;
    assert(this.usedBytes >= 0, 'no more is given back than was taken');
  }
}

/** Reads the file below: fills `target` from `offset` on, as far as that goes; -errno. */
export type LowerReader = (offset: number, target: Uint8Array) => number;

/** `present`, `dirty` and `saved` are bit sets of pages. */
interface Chunk {
  readonly index: number;
  /** Whole pages; as many as the highest present one needs, or more. */
  bytes: Buffer;
  present: number;
  /** Written since the last save. */
  dirty: number;
  /** A record of it may stand in the checkpoint. */
  saved: number;
}

/** Bits of pages `first` to `last` of a chunk. */
const pageBits = (first: number, last: number): number => (2 << last) - (1 << first);

export class Content {
  readonly #budget: Budget;
  readonly #changed: (from: number, to: number) => void;
  readonly #chunks = new Map<number, Chunk>();
  readonly #dirtyChunks = new Set<Chunk>();
  /** By chunk: pages gone whose records may stand in the checkpoint. */
  readonly #dropped = new Map<number, number>();
  #sizeBytes = 0;
  #presentPages = 0;
  #lowerBytes = 0;
  #readLower: LowerReader | null = null;
  /** What a read of the lower file gives; valid until the next. */
  #scratch: Buffer | null = null;

  /** `changed` is told of each range that has other bytes. */
  constructor(budget: Budget, changed: (from: number, to: number) => void = () => {}) {
    this.#budget = budget;
    this.#changed = changed;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Bytes of the file below that still show through, counted from the start. */
  get lowerBytes(): number {
    return this.#lowerBytes;
  }

  /** Nothing was written: it is what the file below is, or its start. */
  get isLowerAlone(): boolean {
    return this.#readLower !== null && this.#presentPages === 0;
  }

  /** Blocks of 512 bytes in use. */
  get blocks(): number {
    return this.#presentPages * 8 + Math.ceil(this.#lowerBytes / 512);
  }

  /** Lets a file of `lowerBytes` show through; for a new content, or one about to be loaded. */
  setLower(lowerBytes: number, sizeBytes: number, read: LowerReader | null): void {
    this.#readLower = read;
    this.#lowerBytes = lowerBytes;
    this.#sizeBytes = sizeBytes;
  }

  /* --- reading --- */

  /**
   * A view of bytes from `offset` on: at least one, at most `count`, as many as lie together; empty
   * at the end. Valid until the next call. -errno when the file below can't be read.
   */
  view(offset: number, count: number): Uint8Array | number {
    const left = Math.min(count, this.#sizeBytes - offset);
    if (left <= 0) return ZEROS.subarray(0, 0);
    const index = Math.floor(offset / CHUNK_BYTES);
    const at = offset - index * CHUNK_BYTES;
    const end = Math.min(CHUNK_BYTES, at + left);
    const chunk = this.#chunks.get(index);
    if (chunk === undefined) return this.#absent(offset, end - at);
    const isPresent = ((chunk.present >> (at >> 12)) & 1) === 1;
    let stop = ((at >> 12) + 1) << 12;
    while (stop < end && (((chunk.present >> (stop >> 12)) & 1) === 1) === isPresent) {
      stop += PAGE_BYTES;
    }
    stop = Math.min(stop, end);
    return isPresent ? chunk.bytes.subarray(at, stop) : this.#absent(offset, stop - at);
  }

  /** Bytes of pages that were never written. */
  #absent(offset: number, count: number): Uint8Array | number {
    if (offset >= this.#lowerBytes) return ZEROS.subarray(0, count);
    this.#scratch ??= Buffer.allocUnsafe(CHUNK_BYTES);
    const target = this.#scratch.subarray(0, Math.min(count, this.#lowerBytes - offset));
    const failed = this.#fillFromLower(offset, target);
    return failed < 0 ? failed : target;
  }

  #fillFromLower(offset: number, target: Uint8Array): number {
    assert(this.#readLower !== null, 'a file stands below');
    let done = 0;
    while (done < target.length) {
      const got = this.#readLower(offset + done, target.subarray(done));
      if (got < 0) return got;
      // The root does not change; were it shorter than it was, zeros are what mmap would show.
      if (got === 0) break;
      done += got;
    }
    target.fill(0, done);
    return 0;
  }

  /** Copies `target.length` bytes from `offset` on, zeros past the end; -errno. */
  copyOut(offset: number, target: Uint8Array): number {
    let done = 0;
    while (done < target.length) {
      const view = this.view(offset + done, target.length - done);
      if (typeof view === 'number') return view;
      if (view.length === 0) break;
      target.set(view, done);
      done += view.length;
    }
    target.fill(0, done);
    return 0;
  }

  /** lseek's SEEK_DATA and SEEK_HOLE: where data or a hole begins at or after `offset`; -ENXIO. */
  seek(offset: number, wanted: 'data' | 'hole'): number {
    if (offset < 0 || offset >= this.#sizeBytes) return E.ENXIO;
    if (wanted === 'data') return offset < this.#lowerBytes ? offset : this.#nextData(offset);
    let at = offset;
    while (at < this.#sizeBytes && this.#isData(at)) {
      const next = Math.max(at + 1, this.#lowerBytes);
      at = Math.ceil(next / PAGE_BYTES) * PAGE_BYTES;
    }
    return Math.min(at, this.#sizeBytes);
  }

  #isData(offset: number): boolean {
    if (offset < this.#lowerBytes) return true;
    const index = Math.floor(offset / CHUNK_BYTES);
    const present = this.#chunks.get(index)?.present ?? 0;
    return ((present >> ((offset - index * CHUNK_BYTES) >> 12)) & 1) === 1;
  }

  /** By chunks in use, not by pages: holes can be of any size. */
  #nextData(offset: number): number {
    const first = Math.floor(offset / PAGE_BYTES);
    let best = Infinity;
    for (const { index, present } of this.#chunks.values()) {
      if ((index + 1) * CHUNK_PAGES <= first || index * CHUNK_PAGES >= best) continue;
      for (let page = 0; page < CHUNK_PAGES; page += 1) {
        const number = index * CHUNK_PAGES + page;
        if ((present >> page) & 1 && number >= first) best = Math.min(best, number);
      }
    }
    const at = Math.max(offset, best * PAGE_BYTES);
    return at < this.#sizeBytes ? at : E.ENXIO;
  }

  /* --- writing --- */

  /**
   * A view of the file's own bytes from `offset` on, at most `count`, to be overwritten. The caller
   * then says by `wrote` how far it came. -ENOSPC, -EFBIG.
   */
  writable(offset: number, count: number): Uint8Array | number {
    if (offset >= FILE_BYTES_MAX) return E.EFBIG;
    const index = Math.floor(offset / CHUNK_BYTES);
    const at = offset - index * CHUNK_BYTES;
    const end = Math.min(CHUNK_BYTES, at + count, FILE_BYTES_MAX - index * CHUNK_BYTES);
    const chunk = this.#chunkFor(index, end);
    if (chunk === null) return E.ENOSPC;
    const first = at >> 12;
    const last = (end - 1) >> 12;
    const bits = pageBits(first, last);
    const missing = bits & ~chunk.present;
    if (missing !== 0) {
      const failed = this.#bringUp(chunk, missing);
      if (failed < 0) return failed;
    }
    chunk.dirty |= bits;
    this.#dirtyChunks.add(chunk);
    return chunk.bytes.subarray(at, end);
  }

  /** `count` bytes at `offset` of a `writable` view hold what they shall. */
  wrote(offset: number, count: number): void {
    this.#sizeBytes = Math.max(this.#sizeBytes, offset + count);
    this.#changed(offset, offset + count);
  }

  /** Writes all of `data`, or as much as there is room for; bytes written or -errno. */
  write(offset: number, data: Uint8Array): number {
    let done = 0;
    while (done < data.length) {
      const view = this.writable(offset + done, data.length - done);
      if (typeof view === 'number') return done > 0 ? done : view;
      view.set(data.subarray(done, done + view.length));
      this.wrote(offset + done, view.length);
      done += view.length;
    }
    return done;
  }

  /** The chunk, with room up to `endBytes` in it; null when the budget is used up. */
  #chunkFor(index: number, endBytes: number, isLoading = false): Chunk | null {
    const old = this.#chunks.get(index);
    const has = old?.bytes.length ?? 0;
    if (old !== undefined && has >= endBytes) return old;
    // Small files take little; what grows past its first chunk is likely to go on.
    let size = index === 0 ? PAGE_BYTES : CHUNK_BYTES;
    while (size < endBytes) size *= 2;
    if (!this.#budget.take(size - has)) {
      if (!isLoading) return null;
      // What was once allowed comes back, whatever the limit is now.
      this.#budget.usedBytes += size - has;
    }
    const bytes = Buffer.alloc(size);
    if (old !== undefined) {
      old.bytes.copy(bytes);
      old.bytes = bytes;
      return old;
    }
    const chunk = { index, bytes, present: 0, dirty: 0, saved: 0 };
    this.#chunks.set(index, chunk);
    return chunk;
  }

  /** Makes pages present: what was below them, zeros elsewhere (absent pages hold zeros). */
  #bringUp(chunk: Chunk, missing: number): number {
    for (let page = 0; page < CHUNK_PAGES; page += 1) {
      if (((missing >> page) & 1) === 0) continue;
      const offset = chunk.index * CHUNK_BYTES + page * PAGE_BYTES;
      const lower = Math.min(PAGE_BYTES, this.#lowerBytes - offset);
      if (lower > 0) {
        const at = page * PAGE_BYTES;
        const failed = this.#fillFromLower(offset, chunk.bytes.subarray(at, at + lower));
        if (failed < 0) return failed;
      }
      chunk.present |= 1 << page;
      this.#presentPages += 1;
    }
    return 0;
  }

  /** Sets the size; what is beyond it is gone, what is new reads as zeros. 0 or -errno. */
  truncate(sizeBytes: number): number {
    if (sizeBytes > FILE_BYTES_MAX) return E.EFBIG;
    const before = this.#sizeBytes;
    if (sizeBytes < this.#sizeBytes) {
      // The rest of the last page first: it can fail, and then nothing has changed.
      const partEnd = Math.ceil(sizeBytes / PAGE_BYTES) * PAGE_BYTES;
      const failed = this.#zeroWithin(sizeBytes, Math.min(partEnd, this.#sizeBytes));
      if (failed < 0) return failed;
      this.#dropPages(partEnd / PAGE_BYTES, Infinity);
      this.#lowerBytes = Math.min(this.#lowerBytes, sizeBytes);
    }
    this.#sizeBytes = sizeBytes;
    if (sizeBytes < before) this.#changed(sizeBytes, before);
    return 0;
  }

  /** Makes a range read as zeros, freeing whole pages where nothing shows through; 0 or -errno. */
  punch(start: number, end: number): number {
    const stop = Math.min(end, this.#sizeBytes);
    if (start >= stop) return 0;
    const failed = this.#punch(start, stop);
    this.#changed(start, stop);
    return failed;
  }

  #punch(start: number, stop: number): number {
    const firstPage = Math.ceil(start / PAGE_BYTES);
    const endPage = stop === this.#sizeBytes ? Infinity : Math.floor(stop / PAGE_BYTES);
    if (firstPage > Math.floor(stop / PAGE_BYTES)) return this.#zeroWithin(start, stop);
    let failed = this.#zeroWithin(start, Math.min(firstPage * PAGE_BYTES, stop));
    if (failed < 0) return failed;
    if (endPage !== Infinity) {
      failed = this.#zeroWithin(endPage * PAGE_BYTES, stop);
      if (failed < 0) return failed;
    }
    // A page over the file below can't be absent: it must hide it.
    const lowerEnd = Math.min(stop, this.#lowerBytes);
    if (endPage === Infinity && lowerEnd === this.#lowerBytes) {
      this.#lowerBytes = Math.min(this.#lowerBytes, start);
    } else if (firstPage * PAGE_BYTES < lowerEnd) {
      const pagesEnd = Math.ceil(lowerEnd / PAGE_BYTES) * PAGE_BYTES;
      failed = this.#zeroRange(firstPage * PAGE_BYTES, Math.min(stop, pagesEnd));
      if (failed < 0) return failed;
    }
    this.#dropPages(Math.max(firstPage, Math.ceil(this.#lowerBytes / PAGE_BYTES)), endPage);
    return 0;
  }

  /** Zeros where something is there; `start` and `end` lie within one page. */
  #zeroWithin(start: number, end: number): number {
    if (start >= end || !this.#isData(start)) return 0;
    return this.#zeroRange(start, end);
  }

  #zeroRange(start: number, end: number): number {
    let at = start;
    while (at < end) {
      const view = this.writable(at, end - at);
      if (typeof view === 'number') return view;
      view.fill(0);
      at += view.length;
    }
    return 0;
  }

  /** Reserves a range (fallocate): its pages become present, so that writing can't fail; -errno. */
  reserve(start: number, end: number): number {
    let at = start;
    while (at < end) {
      const view = this.writable(at, end - at);
      if (typeof view === 'number') return view;
      at += view.length;
    }
    return 0;
  }

  /** Drops present pages from `first` up to `end` (page numbers). */
  #dropPages(first: number, end: number): void {
    if (this.#presentPages === 0) return;
    for (const chunk of this.#chunksBetween(first, end)) {
      const base = chunk.index * CHUNK_PAGES;
      const from = Math.max(0, first - base);
      const to = Math.min(CHUNK_PAGES, end - base) - 1;
      if (from > to) continue;
      const bits = pageBits(from, to) & chunk.present;
      if (bits === 0) continue;
      for (let page = from; page <= to; page += 1) {
        if (((bits >> page) & 1) === 0) continue;
        chunk.bytes.fill(0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
        this.#presentPages -= 1;
      }
      this.#forget(chunk, bits);
    }
  }

  *#chunksBetween(first: number, end: number): Iterable<Chunk> {
    const start = Math.floor(first / CHUNK_PAGES);
    const stop = Math.ceil(end / CHUNK_PAGES);
    if (stop - start < this.#chunks.size) {
      for (let index = start; index < stop; index += 1) {
        const chunk = this.#chunks.get(index);
        if (chunk !== undefined) yield chunk;
      }
    } else {
      for (const chunk of this.#chunks.values()) {
        if (chunk.index >= start && chunk.index < stop) yield chunk;
      }
    }
  }

  #forget(chunk: Chunk, bits: number): void {
    const saved = chunk.saved & bits;
    if (saved !== 0) {
      this.#dropped.set(chunk.index, (this.#dropped.get(chunk.index) ?? 0) | saved);
    }
    chunk.present &= ~bits;
    chunk.dirty &= ~bits;
    chunk.saved &= ~bits;
    if (chunk.dirty === 0) this.#dirtyChunks.delete(chunk);
    if (chunk.present !== 0) return;
    this.#chunks.delete(chunk.index);
    this.#budget.give(chunk.bytes.length);
  }

  /** Gives everything back; the file is gone. */
  dispose(): void {
    for (const chunk of this.#chunks.values()) this.#budget.give(chunk.bytes.length);
    this.#chunks.clear();
    this.#dirtyChunks.clear();
    this.#sizeBytes = 0;
    this.#presentPages = 0;
  }

  /* --- saving --- */

  /** Page n is part n + 1. The last page ends where the file does. */
  savePages(object: number, sink: RecordSink, scope: 'all' | 'changes'): void {
    if (scope === 'changes') {
      for (const [index, bits] of this.#dropped) {
        const gone = bits & ~(this.#chunks.get(index)?.present ?? 0);
        for (let page = 0; page < CHUNK_PAGES; page += 1) {
          if ((gone >> page) & 1) sink.remove(object, index * CHUNK_PAGES + page + 1);
        }
      }
    }
    this.#dropped.clear();
    const chunks = scope === 'all' ? this.#chunks.values() : this.#dirtyChunks;
    for (const chunk of chunks) {
      const bits = scope === 'all' ? chunk.present : chunk.dirty;
      for (let page = 0; page < CHUNK_PAGES; page += 1) {
        if ((bits >> page) & 1) this.#savePage(object, sink, chunk, page);
      }
      chunk.saved |= bits;
      chunk.dirty = 0;
    }
    this.#dirtyChunks.clear();
  }

  #savePage(object: number, sink: RecordSink, chunk: Chunk, page: number): void {
    const number = chunk.index * CHUNK_PAGES + page;
    const used = Math.min(PAGE_BYTES, Math.max(0, this.#sizeBytes - number * PAGE_BYTES));
    const at = page * PAGE_BYTES;
    sink.put(object, number + 1, chunk.bytes.subarray(at, at + used));
  }

  loadPage(part: number, bytes: Uint8Array): void {
    const number = part - 1;
    const index = Math.floor(number / CHUNK_PAGES);
    const page = number - index * CHUNK_PAGES;
    const chunk = this.#chunkFor(index, (page + 1) * PAGE_BYTES, true);
    assert(chunk !== null && bytes.length <= PAGE_BYTES, 'a saved file fits');
    chunk.bytes.set(bytes, page * PAGE_BYTES);
    chunk.bytes.fill(0, page * PAGE_BYTES + bytes.length, (page + 1) * PAGE_BYTES);
    const bit = 1 << page;
    if ((chunk.present & bit) === 0) this.#presentPages += 1;
    chunk.present |= bit;
    chunk.saved |= bit;
  }
}
