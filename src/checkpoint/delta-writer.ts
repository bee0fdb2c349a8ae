/**
 * DeltaWriter: writes one frame within the pause, in O(what changed): every value goes straight
 * into the slab, and guest pages are read by the caller straight into views of it. Used by the
 * checkpointer, by the transfer to a joiner and by the checkpoint file. Must not compute the CRC in
 * the pause: `seal` ends the frame, and the sealed delta's `finish` adds the CRC after the guest
 * was resumed.
 *
 *   writer.begin('delta', epoch, parent); writer.clock(...); writer.process(...); ...
 *   view = writer.pageRun(start, count); lvm.pageRead(start, view);
 *   client.save(writer, 'changes');
 *   const delta = writer.seal();            // the pause may end here
 *   send(delta.finish()); ... delta.release();
 */
import { assert, present } from '../base/assert.ts';
import type { Epoch, GuestAddress } from '../base/ids.ts';
import { epoch as toEpoch } from '../base/ids.ts';
import type { MemoryRegion, ProcessContext, ProcessSetup, RecordSink } from '../lvm/api.ts';
import type { DeltaHistory } from './delta-history.ts';
import {
  type FrameKind,
  HEADER_BYTES,
  SECTION_HEADER_BYTES,
  stampFrame,
  TAG,
  writeHeader,
} from './format.ts';
import {
  ADDRESS_END,
  EXTRA_NAME_BYTES_MAX,
  PAGE_BYTES,
  RECORD_BYTES_MAX,
  RUNS_PER_SECTION_MAX,
} from './limits.ts';
import type { PageRuns } from './page-runs.ts';
import { assertPages } from './page-store.ts';
import { writeContext, writeProcess, writeRegions, writeSetup } from './sections.ts';
import { Slab, type SlabPool } from './slab.ts';

/** Operations of a record or handle entry. */
export const RECORD_OP = { put: 1, remove: 2, removeObject: 3 } as const;
/** An entry: op u8, 3 x 0, size u32, object u53, part u53; then `size` bytes. */
export const RECORD_ENTRY_BYTES = 24;
/**
 * A pages section: number of runs u32, 0 u32; each run's address u53, pages u32, 0 u32; the pages.
 */
export const PAGES_TABLE_BYTES = 8;
export const PAGES_RUN_BYTES = 16;

export interface FrameOptions {
  /** FLAG bits. */
  readonly flags?: number;
  readonly sequence?: number;
}

/** A frame whose content is fixed. */
export class SealedDelta {
  readonly kind: FrameKind;
  readonly epoch: Epoch;
  readonly parent: Epoch;
  readonly sizeBytes: number;
  readonly pageCount: number;
  readonly recordCount: number;
  #slab: Slab | null;
  #isStamped = false;

  constructor(slab: Slab, frame: Frame, sizeBytes: number) {
    this.#slab = slab;
    this.kind = frame.kind;
    this.epoch = frame.epoch;
    this.parent = frame.parent;
    this.sizeBytes = sizeBytes;
    this.pageCount = frame.pageCount;
    this.recordCount = frame.recordCount;
  }

  /** The frame without its CRC, for a thread that adds it itself (`stampFrame`). */
  get unstamped(): Buffer {
    return present(this.#slab, 'memory of a delta').buffer.subarray(0, this.sizeBytes);
  }

  /** The whole frame, to be sent; valid until `release`. The CRC is computed the first time. */
  finish(): Buffer {
    const frame = this.unstamped;
    if (!this.#isStamped) stampFrame(frame);
    this.#isStamped = true;
    return frame;
  }

  /** Gives the memory back: once, when it was sent to all. */
  release(): void {
    present(this.#slab, 'memory of a delta').release();
    this.#slab = null;
  }
}

/** What the writer knows of the frame that it is in. */
interface Frame {
  readonly kind: FrameKind;
  readonly epoch: Epoch;
  readonly parent: Epoch;
  flags: number;
  readonly sequence: number;
  sectionCount: number;
  pageCount: number;
  recordCount: number;
}

export class DeltaWriter implements RecordSink {
  readonly #pool: SlabPool;
  #slab: Slab | null = null;
  #frame: Frame | null = null;
  /** History that was changed by this frame. */
  #history: DeltaHistory | null = null;
  /** The open section; 0 when there is none. */
  #sectionTag = 0;
  #sectionAt = 0;
  /** Entries of the open section. */
  #entryCount = 0;
  /** Where the section of the last `pageRun` began; -1 when something came after it. */
  #lastPagesAt = -1;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  get isOpen(): boolean {
    return this.#slab !== null;
  }

  /** Bytes so far. */
  get sizeBytes(): number {
    return this.#slab?.length ?? 0;
  }

  get pageCount(): number {
    return this.#frame?.pageCount ?? 0;
  }

  /** Starts a frame; `parent` is 0 for one that needs nothing before it. */
  begin(kind: FrameKind, epoch: Epoch, parent: Epoch, options: FrameOptions = {}): void {
    assert(this.#slab === null, 'one frame is written at a time');
    assert(kind === 'trailer' || kind === 'chunk' || parent < epoch, 'a parent comes before');
    assert((kind === 'delta') === parent > 0, 'only a delta has a parent');
    this.#slab = new Slab(this.#pool);
    this.#slab.skip(HEADER_BYTES);
    this.#frame = {
      kind,
      epoch,
      parent,
      flags: options.flags ?? 0,
      sequence: options.sequence ?? 0,
      sectionCount: 0,
      pageCount: 0,
      recordCount: 0,
    };
    this.#history = null;
    this.#lastPagesAt = -1;
  }

  /**
   * Drops the frame; what it noted in a history is forgotten, so the next delta holds everything.
   */
  abandon(): void {
    this.#history?.clear();
    this.#history = null;
    this.#slab?.release();
    this.#slab = null;
    this.#frame = null;
    this.#sectionTag = 0;
  }

  /** For what shows only when the content is written. */
  addFlags(flags: number): void {
    this.#current().frame.flags |= flags;
  }

  /** Fixes the frame and leaves the writer free for the next one. */
  seal(): SealedDelta {
    const { slab, frame } = this.#current();
    this.#close();
    writeHeader(slab.buffer, { ...frame, sizeBytes: slab.length });
    const sealed = new SealedDelta(slab, frame, slab.length);
    this.#slab = null;
    this.#frame = null;
    this.#history = null;
    return sealed;
  }

  /** The guest's clocks: nanoseconds. */
  clock(monotonicNs: number, realtimeNs: number): void {
    this.#open(TAG.clock).f64(monotonicNs).f64(realtimeNs);
  }

  /** All living threads; contexts only of those that differ from what `history` knows. */
  process(context: ProcessContext, history: DeltaHistory): void {
    this.#history = history;
    writeProcess(this.#open(TAG.process), context);
    for (const thread of context.threads) {
      if (history.takeContext(thread)) writeContext(this.#open(TAG.context), thread);
    }
    history.keepThreads(context.threads);
  }

  /** Left out when it is as `history` knows it; returns whether it was written. */
  setup(setup: ProcessSetup, history: DeltaHistory): boolean {
    this.#history = history;
    this.#close();
    const { slab } = this.#current();
    const before = slab.length;
    const from = before + SECTION_HEADER_BYTES;
    writeSetup(this.#open(TAG.setup), setup);
    if (history.takeSetup(slab.buffer.subarray(from, slab.length))) return true;
    slab.rewind(before);
    this.#sectionTag = 0;
    return false;
  }

  /** All mappings, in address order; to be left out when they did not change. */
  regions(regions: readonly MemoryRegion[]): void {
    writeRegions(this.#open(TAG.regions), regions);
  }

  /**
   * Old content of the range reads as zeros before any page of this frame is applied: for what was
   * unmapped, freshly mapped or given back (MADV_DONTNEED).
   */
  removedRange(start: GuestAddress, end: GuestAddress): void {
    assertPages(start, end);
    if (start < end) this.#append(TAG.removed).u53(start).u53(end);
  }

  /**
   * Makes room for pages to come, so that views of `pageRun` stay valid until those are written.
   */
  reservePages(runCount: number, pageCount: number): void {
    const overhead = SECTION_HEADER_BYTES + PAGES_TABLE_BYTES + PAGES_RUN_BYTES;
    this.#current().slab.ensure(runCount * overhead + pageCount * PAGE_BYTES);
  }

  /** The view to read `pageCount` pages of the guest into; valid until the next call. */
  pageRun(start: GuestAddress, pageCount: number): Buffer {
    this.#checkRun(start, pageCount);
    const slab = this.#openPages(1, pageCount);
    slab.u53(start).u32(pageCount).u32(0);
    return slab.reserve(pageCount * PAGE_BYTES);
  }

  /** One view for `count` runs of the list from `first` on, their pages one after the other. */
  pageRuns(runs: PageRuns, first: number, count: number): Buffer {
    assert(count >= 1 && count <= RUNS_PER_SECTION_MAX, 'runs of a section are bounded');
    let pageCount = 0;
    for (let index = first; index < first + count; index += 1) {
      this.#checkRun(runs.start(index), runs.count(index));
      pageCount += runs.count(index);
    }
    const slab = this.#openPages(count, pageCount);
    for (let index = first; index < first + count; index += 1) {
      slab.u53(runs.start(index)).u32(runs.count(index)).u32(0);
    }
    return slab.reserve(pageCount * PAGE_BYTES);
  }

  /** Takes back the last `pageRun` or `pageRuns`, whose pages could not be read. */
  undoPages(): void {
    const { slab, frame } = this.#current();
    assert(this.#lastPagesAt >= 0 && this.#sectionTag === TAG.pages, 'pages were the last thing');
    frame.pageCount -= this.#entryCount;
    slab.rewind(this.#lastPagesAt);
    this.#sectionTag = 0;
    this.#lastPagesAt = -1;
  }

  /** A record of the library OS. */
  put(object: number, part: number, bytes: Uint8Array): void {
    this.#entry(TAG.records, RECORD_OP.put, object, part, bytes);
  }

  remove(object: number, part: number): void {
    this.#entry(TAG.records, RECORD_OP.remove, object, part, null);
  }

  removeObject(object: number): void {
    this.#entry(TAG.records, RECORD_OP.removeObject, object, 0, null);
  }

  /** A row of the checkpointer's handle table. */
  handlePut(handle: number, bytes: Uint8Array): void {
    this.#entry(TAG.handles, RECORD_OP.put, handle, 0, bytes);
  }

  handleRemove(handle: number): void {
    this.#entry(TAG.handles, RECORD_OP.remove, handle, 0, null);
  }

  /**
   * Output of the guest that is held; `offset` counts the stream's bytes since the guest's start.
   */
  console(stream: 1 | 2, offset: number, bytes: Uint8Array): void {
    this.#open(TAG.console).u32(stream).u53(offset).bytes(bytes);
  }

  /** What comes before `offset` has been released: nobody needs to keep it. */
  consoleReleased(stream: 1 | 2, offset: number): void {
    this.#open(TAG.consoleReleased).u32(stream).u53(offset);
  }

  /** A named value that the image keeps until another of the name comes. */
  extra(name: string, bytes: Uint8Array): void {
    assert(Buffer.byteLength(name) <= EXTRA_NAME_BYTES_MAX, 'the name of an extra is bounded');
    assert(bytes.length <= RECORD_BYTES_MAX, 'an extra is bounded');
    this.#open(TAG.extra).string(name).bytes(bytes);
  }

  /** Only for a trailer: what the file holds before it. */
  fileEnd(frameCount: number, sizeBytes: number, crcOfCrcs: number): void {
    this.#open(TAG.fileEnd).u32(frameCount).u53(sizeBytes).u32(crcOfCrcs);
  }

  #current(): { slab: Slab; frame: Frame } {
    const slab = present(this.#slab, 'a frame that was begun');
    return { slab, frame: present(this.#frame, 'a frame that was begun') };
  }

  #checkRun(start: number, pageCount: number): void {
    assert(Number.isSafeInteger(pageCount) && pageCount >= 1, 'a run has pages');
    assert(start % PAGE_BYTES === 0, 'a run begins at a page');
    assert(start + pageCount * PAGE_BYTES <= ADDRESS_END, 'a run is in the address space');
  }

  /** Begins a section, ending the one before. */
  #open(tag: number): Slab {
    this.#close();
    const slab = present(this.#slab, 'a frame that was begun');
    this.#sectionTag = tag;
    this.#sectionAt = slab.skip(SECTION_HEADER_BYTES);
    this.#entryCount = 0;
    this.#lastPagesAt = -1;
    return slab;
  }

  #openPages(runCount: number, pageCount: number): Slab {
    const slab = this.#open(TAG.pages);
    slab.u32(runCount).u32(0);
    present(this.#frame, 'a frame that was begun').pageCount += pageCount;
    this.#entryCount = pageCount;
    this.#lastPagesAt = this.#sectionAt;
    return slab;
  }

  /** Goes on with a section of entries, or begins it; its number of entries stands in front. */
  #append(tag: number): Slab {
    if (this.#sectionTag !== tag) this.#open(tag).u32(0);
    this.#entryCount += 1;
    return present(this.#slab, 'a frame that was begun');
  }

  #entry(tag: number, op: number, object: number, part: number, bytes: Uint8Array | null): void {
    const size = bytes?.length ?? 0;
    assert(size <= RECORD_BYTES_MAX, `record of object ${object} has ${size} bytes`);
    const slab = this.#append(tag);
    slab.u32(op).u32(size).u53(object).u53(part);
    if (bytes !== null) slab.raw(bytes);
    if (tag === TAG.records) present(this.#frame, 'a frame that was begun').recordCount += 1;
  }

  /** Ends the open section. */
  #close(): void {
    if (this.#sectionTag === 0) return;
    const { slab, frame } = this.#current();
    const at = this.#sectionAt;
    const tag = this.#sectionTag;
    slab.patchU32(at, tag);
    slab.patchU32(at + 4, slab.length - at - SECTION_HEADER_BYTES);
    const hasEntries = tag === TAG.removed || tag === TAG.records || tag === TAG.handles;
    if (hasEntries) slab.patchU32(at + SECTION_HEADER_BYTES, this.#entryCount);
    frame.sectionCount += 1;
    this.#sectionTag = 0;
  }
}

/** The parent of a frame that needs nothing before it. */
export const NO_PARENT: Epoch = toEpoch(0);
