/**
 * JoinTransfer: the pages of a guest, in bounded chunks, while the guest runs. The primary's side
 * of state transfer; the joiner's side is `Image.apply`. Also carries the pages of an image that
 * stands still into a checkpoint file. Pure: it is given what reads the guest, and sends nothing
 * itself.
 *
 * A stream to a joiner is, in order: the join-base of epoch b; the delta of every epoch after b;
 * and among them, anywhere, the chunks. The first delta behind the last chunk, of epoch e, makes
 * the joiner's image equal to the guest's memory at checkpoint e. Why, for each page p of a region
 * at e:
 *
 *   1. p was written, or its content made void, between b and e. The delta of each such epoch
 *      zeroes p or carries it as it was at that epoch's checkpoint. Let d be the last of them, so p
 *      did not change between checkpoints d and e. A chunk with p before d in the stream is
 *      overwritten by d. One behind d was read between checkpoints d and e (rule 1): it carries the
 *      same content.
 *   2. p did not change between b and e. If it held something at b, the scan of its region reports
 *      it, whenever that runs, and a chunk carries it. If it held nothing, it is zero in both.
 *
 * A torn read (the guest writes p while it is read) is case 1: the write is in a delta behind the
 * chunk, at the latest in e. A page that can't be read was unmapped (case 1) or lies beyond the end
 * of a mapped file and holds nothing: it is left out.
 *
 * What the caller must keep to:
 *   1. The stream is in the order of the guest's time: a chunk that is read (`next`) between the
 *      pauses of two checkpoints goes between their deltas.
 *   2. Deltas report every page written and every range made void since the base.
 *   3. The base is the state at checkpoint b itself. With members that follow already, that is:
 *      written in the same pause as delta b, behind it (the library OS saves changes, then all),
 *      with a history of its own. Of a guest that ran on since, those members would miss what it
 *      did.
 *   4. `populatedPages` reports each page that isn't zero, also one that only a file stands behind
 *      and that nobody has touched yet.
 */
import { assert } from '../base/assert.ts';
import { type Epoch, type GuestAddress, guestAddress } from '../base/ids.ts';
import type { MemoryRegion, PageVisitor } from '../lvm/api.ts';
import { DeltaWriter, NO_PARENT, type SealedDelta } from './delta-writer.ts';
import { FLAG } from './format.ts';
import { CHUNK_PAGE_BYTES_MAX, JOIN_CHUNK_BYTES, PAGE_BYTES } from './limits.ts';
import { PageRuns } from './page-runs.ts';
import type { SlabPool } from './slab.ts';

/** What reads the guest, running or not: an `Lvm` is one. */
export interface JoinSource {
  populatedPages(region: MemoryRegion, visit: PageVisitor): void;
  /** Bytes copied whatever the protection of the pages: fewer than wanted where there are none. */
  pageRead(address: GuestAddress, target: Uint8Array): number;
}

export interface JoinOptions {
  /** Epoch of the join-base or whole frame that the chunks belong to. */
  readonly base: Epoch;
  /** All regions at the base. */
  readonly regions: readonly MemoryRegion[];
  /** Sequence of the first chunk: how many record chunks came before. */
  readonly firstSequence?: number;
  readonly chunkBytes?: number;
}

/** A region is scanned in windows: 64 MiB has 16,384 pages, so at most 8,192 runs and 128 KiB. */
const WINDOW_BYTES = 64 * 2 ** 20;
/**
 * Where nothing is found windows double up to this (8 MiB of runs): terabytes are often reserved.
 */
const WINDOW_BYTES_MAX = 4 * 2 ** 30;
/** Scans for one chunk, so that `next` takes bounded time over empty windows. */
const SCANS_PER_CHUNK = 16;

export class JoinTransfer {
  readonly #source: JoinSource;
  readonly #options: JoinOptions;
  readonly #writer: DeltaWriter;
  readonly #chunkPages: number;
  #sequence: number;
  /** Where the next scan begins. */
  #regionIndex = 0;
  #scanned = 0;
  #windowBytes = WINDOW_BYTES;
  /** What the last scan found, and how far it is sent. */
  readonly #runs = new PageRuns();
  #runIndex = 0;
  #pagesOfRun = 0;
  #isDone = false;
  #pagesSent = 0;

  constructor(source: JoinSource, pool: SlabPool, options: JoinOptions) {
    this.#source = source;
    this.#options = options;
    this.#writer = new DeltaWriter(pool);
    const chunkBytes = options.chunkBytes ?? JOIN_CHUNK_BYTES;
    assert(chunkBytes >= PAGE_BYTES && chunkBytes <= CHUNK_PAGE_BYTES_MAX, 'chunks are bounded');
    this.#chunkPages = Math.floor(chunkBytes / PAGE_BYTES);
    this.#sequence = options.firstSequence ?? 0;
  }

  /** The last chunk was returned. */
  get isDone(): boolean {
    return this.#isDone;
  }

  get pagesSent(): number {
    return this.#pagesSent;
  }

  /** The next chunk, to be finished, sent and released; null after the last one. May be empty. */
  next(): SealedDelta | null {
    if (this.#isDone) return null;
    const writer = this.#writer;
    writer.begin('chunk', this.#options.base, NO_PARENT, { sequence: this.#sequence });
    try {
      this.#fill();
    } catch (error) {
      writer.abandon();
      throw error;
    }
    this.#isDone = this.#isAllScanned && this.#runIndex === this.#runs.length;
    if (this.#isDone) writer.addFlags(FLAG.last);
    this.#sequence += 1;
    this.#pagesSent += writer.pageCount;
    return writer.seal();
  }

  /**
   * Reads pages into the frame until it is full, all is read, or enough was scanned for one chunk.
   */
  #fill(): void {
    let scans = 0;
    let left = this.#chunkPages;
    while (left > 0) {
      if (this.#runIndex === this.#runs.length) {
        if (scans === SCANS_PER_CHUNK || !this.#scan()) return;
        scans += 1;
        continue;
      }
      const length = this.#runs.count(this.#runIndex);
      const start = guestAddress(this.#runs.start(this.#runIndex) + this.#pagesOfRun * PAGE_BYTES);
      const taken = Math.min(left, length - this.#pagesOfRun);
      this.#readRun(start, taken);
      left -= taken;
      this.#pagesOfRun += taken;
      if (this.#pagesOfRun === length) {
        this.#runIndex += 1;
        this.#pagesOfRun = 0;
      }
    }
  }

  get #isAllScanned(): boolean {
    return this.#regionIndex === this.#options.regions.length;
  }

  /** Looks at the next window; false when there is none. */
  #scan(): boolean {
    const region = this.#options.regions[this.#regionIndex];
    if (region === undefined) return false;
    const start = guestAddress(region.start + this.#scanned);
    const end = guestAddress(Math.min(region.end, start + this.#windowBytes));
    this.#runs.clear();
    this.#runIndex = 0;
    this.#pagesOfRun = 0;
    this.#source.populatedPages({ ...region, start, end }, (runStart, pageCount) => {
      // A source may answer by larger units than were asked for.
      const from = Math.max(start, runStart);
      const to = Math.min(end, runStart + pageCount * PAGE_BYTES);
      if (from < to) this.#runs.push(from, (to - from) / PAGE_BYTES);
    });
    const isEmpty = this.#runs.length === 0;
    this.#windowBytes = isEmpty ? Math.min(2 * this.#windowBytes, WINDOW_BYTES_MAX) : WINDOW_BYTES;
    this.#scanned = end - region.start;
    if (end === region.end) {
      this.#regionIndex += 1;
      this.#scanned = 0;
    }
    return true;
  }

  /**
   * The run in one read, or if that fails page by page, so that a hole costs its own pages only.
   */
  #readRun(start: GuestAddress, pageCount: number): void {
    const view = this.#writer.pageRun(start, pageCount);
    if (this.#source.pageRead(start, view) === view.length) return;
    this.#writer.undoPages();
    if (pageCount === 1) return;
    for (let index = 0; index < pageCount; index += 1) {
      this.#readRun(guestAddress(start + index * PAGE_BYTES), 1);
    }
  }
}
