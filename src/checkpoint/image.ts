/**
 * Image: the state of a backup, kept ready to run: pages in a PageStore, all else here. `apply`
 * takes a delta whole or not at all: it is checked against the state before anything changes. Used
 * by the backup, by restore and by the checkpoint file. Costs what the delta carries, never the
 * guest's size.
 */
import { crc32 } from 'node:zlib';
import { assert, present } from '../base/assert.ts';
import { Decoder } from '../base/codec.ts';
import { TardigradeError } from '../base/errors.ts';
import { type Epoch, epoch, guestAddress, type Tid } from '../base/ids.ts';
import type {
  GuestImage,
  MemoryRegion,
  ProcessContext,
  ProcessSetup,
  RecordSource,
} from '../lvm/api.ts';
import type { Clocks, DeltaReader } from './delta-reader.ts';
import { FLAG, formatError } from './format.ts';
import { HeldConsole } from './held-console.ts';
import { EXTRAS_MAX, HANDLES_MAX, OBJECTS_MAX, PAGE_BYTES } from './limits.ts';
import type { PageStore } from './page-store.ts';
import { copyOf, type RecordKeeper, RecordTable, sorted } from './record-table.ts';
import { type ProcessState, readContext, readSetup, strippedSize } from './sections.ts';

/**
 * empty: nothing applied. receiving: a base, with chunks to come. settling: all chunks are here,
 * but of a guest that ran meanwhile; the next delta makes it whole. complete: can be run.
 */
export type ImageStage = 'empty' | 'receiving' | 'settling' | 'complete';

const NO_CLOCKS: Clocks = { monotonicNs: 0, realtimeNs: 0 };

export class Image {
  readonly pages: PageStore;
  readonly records: RecordKeeper;
  readonly console: HeldConsole = new HeldConsole();
  readonly #handles = new Map<number, Buffer>();
  readonly #extras = new Map<string, Buffer>();
  /** Encoded contexts of the living threads. */
  readonly #contexts = new Map<Tid, Buffer>();
  #stage: ImageStage = 'empty';
  #epoch: Epoch = epoch(0);
  /** Epoch of the base that chunks belong to. */
  #base: Epoch = epoch(0);
  /** The base is of a guest that runs on. */
  #isMoving = false;
  #nextChunk = 0;
  #clocks: Clocks = NO_CLOCKS;
  #process: ProcessState | null = null;
  #setup: Buffer | null = null;
  #regions: readonly MemoryRegion[] = [];
  #isBroken = false;

  constructor(pages: PageStore, records: RecordKeeper = new RecordTable()) {
    this.pages = pages;
    this.records = records;
  }

  get stage(): ImageStage {
    return this.#stage;
  }

  /** 0 while it is empty. */
  get epoch(): Epoch {
    return this.#epoch;
  }

  get regions(): readonly MemoryRegion[] {
    return this.#regions;
  }

  get clocks(): Clocks {
    return this.#clocks;
  }

  /** The checkpointer's handle table, opaque here. */
  get handles(): ReadonlyMap<number, Buffer> {
    return this.#handles;
  }

  get extras(): ReadonlyMap<string, Buffer> {
    return this.#extras;
  }

  get threadCount(): number {
    return this.#contexts.size;
  }

  /** Why a frame can't be applied now, or null. Changes nothing. */
  problem(frame: DeltaReader): string | null {
    const { kind, epoch: number, parent, sequence } = frame.header;
    const here = `this image is ${this.#stage} at epoch ${this.#epoch}`;
    if (this.#isBroken) return 'an earlier frame could not be stored whole';
    if (kind === 'trailer') return 'a trailer belongs to a file';
    if (kind === 'whole' || kind === 'join-base') {
      if (this.#stage !== 'empty') return `a ${kind} frame needs an empty image; ${here}`;
      return this.#stateProblem(frame);
    }
    if (kind === 'chunk') {
      if (this.#stage !== 'receiving') return `no chunk is expected; ${here}`;
      if (number !== this.#base) return `a chunk of base ${number}; the base is ${this.#base}`;
      if (sequence !== this.#nextChunk) return `chunk ${sequence}; ${this.#nextChunk} is next`;
      if (frame.recordCount > 0 && this.#epoch !== this.#base) {
        return 'records of the base come after a delta, which may have changed them';
      }
      return null;
    }
    if (parent !== this.#epoch || this.#stage === 'empty') {
      return `a delta from epoch ${parent} to ${number} can't be applied; ${here}`;
    }
    // A delta in between would be lost: the frames behind such a base are those of one instant.
    if (this.#stage === 'receiving' && !this.#isMoving) return `a delta among chunks; ${here}`;
    return this.#stateProblem(frame);
  }

  /** What a frame takes for granted of the state before it. */
  #stateProblem(frame: DeltaReader): string | null {
    for (const thread of frame.process?.threads ?? []) {
      if (!frame.contexts.has(thread) && !this.#contexts.has(thread)) {
        return `thread ${thread} is said to be unchanged, but is not known`;
      }
    }
    return this.console.problem(frame.consoleReleased, frame.console);
  }

  /**
   * Applies one frame. Throws a format error before anything changed if it doesn't belong here. If
   * the page store fails half-way the image is of no more use, and says so from then on.
   */
  apply(frame: DeltaReader): void {
    const problem = this.problem(frame);
    if (problem !== null) {
      throw formatError(problem, 'join the service again to get the state afresh');
    }
    try {
      this.#applyContent(frame);
    } catch (error) {
      this.#isBroken = true;
      const text = error instanceof Error ? error.message : String(error);
      throw new TardigradeError(
        'replica',
        `epoch ${frame.header.epoch} could not be stored: ${text}`,
        'free memory on this machine; the replica joins again by itself',
        error,
      );
    }
    this.#advance(frame);
  }

  #applyContent(frame: DeltaReader): void {
    frame.visitRemoved((start, end) => this.pages.zero(start, end));
    frame.visitPages((start, _pageCount, bytes) => this.pages.write(start, bytes));
    frame.visitRecords(this.records);
    assert(this.records.objectCount <= OBJECTS_MAX, 'objects are bounded');
    frame.visitHandles({
      handlePut: (handle, bytes) => this.#handles.set(handle, copyOf(bytes)),
      handleRemove: (handle) => this.#handles.delete(handle),
    });
    assert(this.#handles.size <= HANDLES_MAX, 'handles are bounded');
    for (const [name, bytes] of frame.extras) this.#extras.set(name, copyOf(bytes));
    assert(this.#extras.size <= EXTRAS_MAX, 'extras are bounded');
    this.console.apply(frame.consoleReleased, frame.console);
    this.#clocks = frame.clock ?? this.#clocks;
    this.#regions = frame.regions ?? this.#regions;
    if (frame.setup !== null) this.#setup = copyOf(frame.setup);
    if (frame.process !== null) this.#applyProcess(frame.process, frame.contexts);
  }

  #applyProcess(process: ProcessState, contexts: ReadonlyMap<Tid, Buffer>): void {
    const living = new Set(process.threads);
    for (const thread of this.#contexts.keys()) {
      if (!living.has(thread)) this.#contexts.delete(thread);
    }
    for (const [thread, bytes] of contexts) this.#contexts.set(thread, copyOf(bytes));
    this.#process = { ...process, pendingSignals: process.pendingSignals.map(copyOf) };
  }

  #advance(frame: DeltaReader): void {
    const { kind, flags, epoch: number } = frame.header;
    if (kind === 'chunk') {
      this.#nextChunk += 1;
      if ((flags & FLAG.last) !== 0) this.#stage = this.#isMoving ? 'settling' : 'complete';
      return;
    }
    this.#epoch = number;
    if (kind === 'delta') {
      if (this.#stage === 'settling') this.#stage = 'complete';
      return;
    }
    this.#base = number;
    this.#isMoving = kind === 'join-base';
    const isReceiving = this.#isMoving || (flags & FLAG.more) !== 0;
    this.#stage = isReceiving ? 'receiving' : 'complete';
  }

  /** The library OS's records. Valid until the next `apply`. */
  recordSource(): RecordSource {
    return this.records;
  }

  context(): ProcessContext {
    const process = present(this.#process, 'process of an image');
    return {
      pendingSignals: process.pendingSignals,
      threads: process.threads.map((thread) => {
        const bytes = present(this.#contexts.get(thread), `context of thread ${thread}`);
        return readContext(new Decoder(bytes), true);
      }),
    };
  }

  setup(): ProcessSetup {
    return readSetup(new Decoder(present(this.#setup, 'setup of an image')));
  }

  /** What a host needs to run the guest; the image must not change any more. */
  guestImage(memoryFd: number = this.pages.fd): GuestImage {
    assert(this.#stage === 'complete' && !this.#isBroken, 'only a complete image can be run');
    return {
      context: this.context(),
      setup: this.setup(),
      regions: this.#regions,
      memoryFd,
      monotonicNs: this.#clocks.monotonicNs,
    };
  }

  /**
   * CRC-32 over everything, the same for equal states however they came about. Reads all of the
   * memory: for tests, and to check a restored guest against what was captured.
   */
  digest(): number {
    const small = JSON.stringify([
      this.#epoch,
      this.#clocks,
      this.#process,
      [...this.#contexts].sort(([one], [other]) => one - other),
      this.#setup,
      this.#regions,
      sorted(this.#handles.keys()).map((handle) => [handle, this.#handles.get(handle)]),
      [...this.#extras].sort(([one], [other]) => (one < other ? -1 : 1)),
      this.console.held(),
    ]);
    let crc = crc32(small);
    for (const object of sorted(this.records.objects())) {
      for (const part of sorted(this.records.parts(object))) {
        const bytes = this.records.get(object, part) as Uint8Array;
        crc = crc32(`${object} ${part} ${bytes.length} `, crc);
        // crc32 of a buffer without memory is 0, whatever the seed.
        if (bytes.length > 0) crc = crc32(bytes, crc);
      }
    }
    for (const region of this.#regions) crc = this.#digestRegion(region, crc);
    return crc;
  }

  #digestRegion(region: MemoryRegion, seed: number): number {
    const page = Buffer.alloc(PAGE_BYTES);
    let crc = seed;
    this.pages.populated(region.start, region.end, (start, pageCount) => {
      for (let index = 0; index < pageCount; index += 1) {
        const address = guestAddress(start + index * PAGE_BYTES);
        this.pages.read(address, page);
        // A page of zeros and a hole are the same state.
        if (strippedSize(page) > 0) crc = crc32(page, crc32(`${address} `, crc));
      }
    });
    return crc;
  }
}
