/**
 * DeltaReader: one received frame, checked to its last byte before anything of it is used: `open`
 * throws a format error or gives a reader whose methods can't fail. Bulk content (pages, records)
 * is visited in place, never copied: views are valid as long as the frame's memory. Used by Image,
 * inspect and the checkpoint file. Must not know what state it applies to.
 */
import { assert } from '../base/assert.ts';
import { DecodeError, Decoder } from '../base/codec.ts';
import { type GuestAddress, guestAddress, type Tid } from '../base/ids.ts';
import type { MemoryRegion, RecordSink } from '../lvm/api.ts';
import {
  PAGES_RUN_BYTES,
  PAGES_TABLE_BYTES,
  RECORD_ENTRY_BYTES,
  RECORD_OP,
} from './delta-writer.ts';
import {
  asFormat,
  checkFrame,
  FLAG,
  type FrameHeader,
  type FrameKind,
  HEADER_BYTES,
  TAG,
} from './format.ts';
import {
  ADDRESS_END,
  CHUNK_PAGE_BYTES_MAX,
  CONSOLE_BYTES_MAX,
  EXTRA_NAME_BYTES_MAX,
  EXTRAS_MAX,
  PAGE_BYTES,
  RECORD_BYTES_MAX,
  RUNS_PER_SECTION_MAX,
} from './limits.ts';
import {
  type ProcessState,
  readBytes,
  readContext,
  readCount,
  readPageAddress,
  readProcess,
  readRegions,
  readSetup,
  readString,
} from './sections.ts';

export interface Clocks {
  readonly monotonicNs: number;
  readonly realtimeNs: number;
}

export interface ConsoleOutput {
  readonly stream: 1 | 2;
  readonly offset: number;
  readonly bytes: Buffer;
}

export interface ConsoleReleased {
  readonly stream: 1 | 2;
  readonly offset: number;
}

export interface FileEnd {
  readonly frameCount: number;
  readonly sizeBytes: number;
  readonly crcOfCrcs: number;
}

/** `bytes` holds the pages of the run. */
export type PageRunVisitor = (start: GuestAddress, pageCount: number, bytes: Buffer) => void;

export interface HandleSink {
  handlePut(handle: number, bytes: Buffer): void;
  handleRemove(handle: number): void;
}

/** Sections that a frame of a kind may have; each kind has others only by mistake. */
const ALLOWED: Readonly<Record<FrameKind, readonly number[]>> = {
  delta: Object.values(TAG).filter((tag) => tag !== TAG.fileEnd),
  whole: Object.values(TAG).filter((tag) => tag !== TAG.fileEnd),
  'join-base': Object.values(TAG).filter((tag) => tag !== TAG.fileEnd && tag !== TAG.pages),
  chunk: [TAG.pages, TAG.records],
  trailer: [TAG.fileEnd],
};

/** Sections that come at most once a frame. */
const SINGLE: ReadonlySet<number> = new Set([
  TAG.clock,
  TAG.process,
  TAG.setup,
  TAG.regions,
  TAG.fileEnd,
]);

export class DeltaReader {
  readonly header: FrameHeader;
  #clock: Clocks | null = null;
  #process: ProcessState | null = null;
  readonly #contexts = new Map<Tid, Buffer>();
  #setup: Buffer | null = null;
  #regions: readonly MemoryRegion[] | null = null;
  readonly #removed: Buffer[] = [];
  readonly #pages: Buffer[] = [];
  readonly #records: Buffer[] = [];
  readonly #handles: Buffer[] = [];
  readonly #console: ConsoleOutput[] = [];
  readonly #released: ConsoleReleased[] = [];
  readonly #extras = new Map<string, Buffer>();
  #fileEnd: FileEnd | null = null;
  #pageCount = 0;
  #recordCount = 0;

  private constructor(frame: Buffer) {
    this.header = checkFrame(frame);
    const sections = new Decoder(frame.subarray(HEADER_BYTES));
    const seen = new Set<number>();
    for (let index = 0; index < this.header.sectionCount; index += 1) {
      const at = frame.length - sections.remaining;
      asFormat(`section at offset ${at}`, () => this.#readSection(sections, seen));
    }
    asFormat('end of the frame', () => {
      sections.end();
      this.#checkWhole();
    });
  }

  /** Checks exactly one frame; throws a format error. `frame` must not change while it is read. */
  static open(frame: Uint8Array): DeltaReader {
    const bytes = Buffer.isBuffer(frame)
      ? frame
      : Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
    return new DeltaReader(bytes);
  }

  get clock(): Clocks | null {
    return this.#clock;
  }

  get process(): ProcessState | null {
    return this.#process;
  }

  /** Encoded contexts (`readContext`) of the threads that changed. */
  get contexts(): ReadonlyMap<Tid, Buffer> {
    return this.#contexts;
  }

  /** Encoded setup (`readSetup`), or null when it is as before. */
  get setup(): Buffer | null {
    return this.#setup;
  }

  /** All mappings, or null when they are as before. */
  get regions(): readonly MemoryRegion[] | null {
    return this.#regions;
  }

  get console(): readonly ConsoleOutput[] {
    return this.#console;
  }

  get consoleReleased(): readonly ConsoleReleased[] {
    return this.#released;
  }

  get extras(): ReadonlyMap<string, Buffer> {
    return this.#extras;
  }

  get fileEnd(): FileEnd | null {
    return this.#fileEnd;
  }

  get pageCount(): number {
    return this.#pageCount;
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  /** Ranges to be zeroed before any page is applied. */
  visitRemoved(visit: (start: GuestAddress, end: GuestAddress) => void): void {
    for (const content of this.#removed) {
      for (let at = 4; at < content.length; at += 16) {
        visit(addressAt(content, at), addressAt(content, at + 8));
      }
    }
  }

  visitPages(visit: PageRunVisitor): void {
    for (const content of this.#pages) {
      const runCount = content.readUInt32LE(0);
      let dataAt = PAGES_TABLE_BYTES + runCount * PAGES_RUN_BYTES;
      for (let run = 0; run < runCount; run += 1) {
        const at = PAGES_TABLE_BYTES + run * PAGES_RUN_BYTES;
        const pageCount = content.readUInt32LE(at + 8);
        const end = dataAt + pageCount * PAGE_BYTES;
        visit(addressAt(content, at), pageCount, content.subarray(dataAt, end));
        dataAt = end;
      }
    }
  }

  /** Replays the library OS's records in their order. */
  visitRecords(sink: RecordSink): void {
    visitEntries(this.#records, (op, object, part, bytes) => {
      if (op === RECORD_OP.put) sink.put(object, part, bytes);
      else if (op === RECORD_OP.remove) sink.remove(object, part);
      else sink.removeObject(object);
    });
  }

  visitHandles(sink: HandleSink): void {
    visitEntries(this.#handles, (op, handle, _part, bytes) => {
      if (op === RECORD_OP.put) sink.handlePut(handle, bytes);
      else sink.handleRemove(handle);
    });
  }

  #readSection(sections: Decoder, seen: Set<number>): void {
    const tag = sections.u16();
    if (sections.u16() !== 0) throw new DecodeError('reserved bytes are not 0');
    const content = sections.bytes();
    if (!ALLOWED[this.header.kind].includes(tag)) {
      throw new DecodeError(`a ${this.header.kind} frame can't have a section ${tag}`);
    }
    if (SINGLE.has(tag) && seen.has(tag)) throw new DecodeError(`section ${tag} comes twice`);
    seen.add(tag);
    this.#readContent(tag, content);
  }

  #readContent(tag: number, content: Buffer): void {
    const decoder = new Decoder(content);
    switch (tag) {
      case TAG.clock:
        this.#clock = readClocks(decoder);
        return;
      case TAG.process:
        this.#process = readProcess(decoder);
        decoder.end();
        return;
      case TAG.context: {
        const { thread } = readContext(decoder, false);
        if (this.#contexts.has(thread)) throw new DecodeError(`thread ${thread} comes twice`);
        this.#contexts.set(thread, content);
        return;
      }
      case TAG.setup:
        readSetup(decoder);
        this.#setup = content;
        return;
      case TAG.regions:
        this.#regions = readRegions(decoder);
        return;
      case TAG.removed:
        checkRemoved(decoder);
        this.#removed.push(content);
        return;
      case TAG.pages:
        this.#pageCount += checkPages(decoder);
        this.#pages.push(content);
        return;
      case TAG.records:
        this.#recordCount += checkEntries(decoder, RECORD_OP.removeObject);
        this.#records.push(content);
        return;
      case TAG.handles:
        checkEntries(decoder, RECORD_OP.remove);
        this.#handles.push(content);
        return;
      default:
        this.#readRare(tag, decoder);
    }
  }

  #readRare(tag: number, decoder: Decoder): void {
    if (tag === TAG.console) {
      const stream = readStream(decoder);
      const offset = decoder.u53();
      const bytes = readBytes(decoder, CONSOLE_BYTES_MAX, 'console output');
      if (!Number.isSafeInteger(offset + bytes.length)) throw new DecodeError('console offset');
      this.#console.push({ stream, offset, bytes });
    } else if (tag === TAG.consoleReleased) {
      this.#released.push({ stream: readStream(decoder), offset: decoder.u53() });
    } else if (tag === TAG.extra) {
      const name = readString(decoder, EXTRA_NAME_BYTES_MAX, 'name of an extra');
      this.#extras.set(name, readBytes(decoder, RECORD_BYTES_MAX, `extra ${name}`));
      if (this.#extras.size > EXTRAS_MAX) throw new DecodeError('too many extras');
    } else {
      assert(tag === TAG.fileEnd, 'a tag that is allowed is read');
      const frameCount = decoder.u32();
      this.#fileEnd = { frameCount, sizeBytes: decoder.u53(), crcOfCrcs: decoder.u32() };
    }
    decoder.end();
  }

  /** What must hold of all sections together. */
  #checkWhole(): void {
    const { kind, flags, epoch, parent } = this.header;
    if (kind === 'delta' ? parent === 0 || parent >= epoch : parent !== 0) {
      throw new DecodeError(`a ${kind} of epoch ${epoch} can't have parent ${parent}`);
    }
    if (epoch === 0) throw new DecodeError('there is no epoch 0');
    const allowed =
      kind === 'chunk' ? FLAG.last : kind === 'delta' || kind === 'trailer' ? 0 : FLAG.more;
    if ((flags & ~allowed) !== 0) throw new DecodeError(`a ${kind} can't have flags ${flags}`);
    if (kind === 'chunk' && this.#pageCount * PAGE_BYTES > CHUNK_PAGE_BYTES_MAX) {
      throw new DecodeError(`a chunk can't have ${this.#pageCount} pages`);
    }
    if (kind === 'trailer' && this.#fileEnd === null) throw new DecodeError('an empty trailer');
    if (kind === 'chunk' || kind === 'trailer') return;
    if (this.#process === null || this.#clock === null) {
      throw new DecodeError('the process or the clocks are missing');
    }
    const living = new Set(this.#process.threads);
    for (const thread of this.#contexts.keys()) {
      if (!living.has(thread)) throw new DecodeError(`thread ${thread} has a context but no life`);
    }
    if (kind === 'delta') return;
    if (this.#regions === null || this.#setup === null || this.#contexts.size !== living.size) {
      throw new DecodeError(`a ${kind} frame must hold regions, setup and every thread`);
    }
  }
}

function addressAt(bytes: Buffer, at: number): GuestAddress {
  return guestAddress(bytes.readUInt32LE(at + 4) * 2 ** 32 + bytes.readUInt32LE(at));
}

function readClocks(decoder: Decoder): Clocks {
  const monotonicNs = decoder.f64();
  const realtimeNs = decoder.f64();
  decoder.end();
  for (const value of [monotonicNs, realtimeNs]) {
    if (!Number.isFinite(value) || value < 0) throw new DecodeError(`a clock can't show ${value}`);
  }
  return { monotonicNs, realtimeNs };
}

function readStream(decoder: Decoder): 1 | 2 {
  const stream = decoder.u32();
  if (stream !== 1 && stream !== 2) throw new DecodeError(`console stream ${stream}`);
  return stream;
}

function checkRemoved(decoder: Decoder): void {
  const count = readCount(decoder, Number.MAX_SAFE_INTEGER, 16, 'ranges');
  for (let index = 0; index < count; index += 1) {
    const start = readPageAddress(decoder, 'start of a range');
    const end = readPageAddress(decoder, 'end of a range');
    if (end <= start) throw new DecodeError('a range is empty');
  }
  decoder.end();
}

/** Returns the number of pages. */
function checkPages(decoder: Decoder): number {
  const runCount = readCount(decoder, RUNS_PER_SECTION_MAX, PAGES_RUN_BYTES + PAGE_BYTES, 'runs');
  if (decoder.u32() !== 0) throw new DecodeError('reserved bytes are not 0');
  let pageCount = 0;
  for (let run = 0; run < runCount; run += 1) {
    const start = readPageAddress(decoder, 'start of a run');
    const count = decoder.u32();
    if (decoder.u32() !== 0) throw new DecodeError('reserved bytes are not 0');
    if (count === 0 || start + count * PAGE_BYTES > ADDRESS_END) {
      throw new DecodeError(`a run of ${count} pages at 0x${start.toString(16)}`);
    }
    pageCount += count;
  }
  decoder.raw(pageCount * PAGE_BYTES);
  decoder.end();
  return pageCount;
}

/** Returns the number of entries. */
function checkEntries(decoder: Decoder, opMax: number): number {
  const count = readCount(decoder, Number.MAX_SAFE_INTEGER, RECORD_ENTRY_BYTES, 'entries');
  for (let index = 0; index < count; index += 1) {
    const op = decoder.u32();
    const size = decoder.u32();
    if (op < RECORD_OP.put || op > opMax) throw new DecodeError(`operation ${op} is unknown`);
    if (size > (op === RECORD_OP.put ? RECORD_BYTES_MAX : 0)) {
      throw new DecodeError(`an entry of ${size} bytes`);
    }
    decoder.u53();
    decoder.u53();
    decoder.raw(size);
  }
  decoder.end();
  return count;
}

/** Entries that `checkEntries` has checked. */
function visitEntries(
  sections: readonly Buffer[],
  visit: (op: number, object: number, part: number, bytes: Buffer) => void,
): void {
  for (const content of sections) {
    let at = 4;
    while (at < content.length) {
      const op = content.readUInt32LE(at);
      const from = at + RECORD_ENTRY_BYTES;
      const end = from + content.readUInt32LE(at + 4);
      visit(
        op,
        addressAt(content, at + 8),
        addressAt(content, at + 16),
        content.subarray(from, end),
      );
      at = end;
    }
  }
}
