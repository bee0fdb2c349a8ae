/**
 * The small sections of a frame and their bytes: process, thread context, setup, regions. Written
 * by the delta writer, read by the delta reader and, from the bytes that an image keeps, by the
 * image. Every `read` checks all bounds and limits and throws DecodeError.
 */
import { assert } from '../base/assert.ts';
import { DecodeError, type Decoder } from '../base/codec.ts';
import { type GuestAddress, guestAddress, type Tid, tid } from '../base/ids.ts';
import type {
  MemoryRegion,
  ProcessContext,
  ProcessSetup,
  ThreadContext,
  ThreadSetup,
} from '../lvm/api.ts';
import {
  ADDRESS_END,
  EXTENDED_STATE_BYTES_MAX,
  PAGE_BYTES,
  PENDING_SIGNALS_MAX,
  REGION_NAME_BYTES_MAX,
  REGIONS_MAX,
  REGISTERS_BYTES_MAX,
  SIGINFO_BYTES,
  SIGNAL_STRUCT_BYTES_MAX,
  SIGNALS_MAX,
  THREAD_NAME_BYTES_MAX,
  THREADS_MAX,
} from './limits.ts';
import type { Slab } from './slab.ts';

/** What a delta says of the process apart from its threads' contexts. */
export interface ProcessState {
  readonly pendingSignals: readonly Buffer[];
  /** All living threads. */
  readonly threads: readonly Tid[];
}

const ZEROS = Buffer.alloc(256);

/** Size of `bytes` without the zeros at its end; by blocks, as most of an XSAVE area is zeros. */
export function strippedSize(bytes: Uint8Array): number {
  let size = bytes.length;
  while (size >= ZEROS.length) {
    if (ZEROS.compare(bytes, size - ZEROS.length, size) !== 0) break;
    size -= ZEROS.length;
  }
  while (size > 0 && bytes[size - 1] === 0) size -= 1;
  return size;
}

/** A count that must fit its limit and, at `leastBytes` each, what is left of the section. */
export function readCount(
  decoder: Decoder,
  limit: number,
  leastBytes: number,
  what: string,
): number {
  const count = decoder.u32();
  if (count > limit) throw new DecodeError(`${count} ${what}; at most ${limit}`);
  if (count * leastBytes > decoder.remaining) {
    throw new DecodeError(`${count} ${what} don't fit ${decoder.remaining} bytes`);
  }
  return count;
}

/** Bytes with their count before them, at most `limit`. */
export function readBytes(decoder: Decoder, limit: number, what: string): Buffer {
  const bytes = decoder.bytes();
  if (bytes.length > limit) throw new DecodeError(`${bytes.length} bytes of ${what}`);
  return bytes;
}

export function readString(decoder: Decoder, limit: number, what: string): string {
  return readBytes(decoder, limit, what).toString('utf8');
}

/** The start of a page. */
export function readPageAddress(decoder: Decoder, what: string): GuestAddress {
  const address = decoder.u53();
  if (address % PAGE_BYTES !== 0 || address > ADDRESS_END) {
    throw new DecodeError(`${what} 0x${address.toString(16)} is not the address of a page`);
  }
  return guestAddress(address);
}

function writeSignals(slab: Slab, signals: readonly Uint8Array[]): void {
  assert(signals.length <= PENDING_SIGNALS_MAX, 'pending signals are bounded');
  slab.u32(signals.length);
  for (const info of signals) {
    assert(info.length === SIGINFO_BYTES, 'a pending signal is a siginfo_t');
    slab.raw(info);
  }
}

function readSignals(decoder: Decoder): Buffer[] {
  const count = readCount(decoder, PENDING_SIGNALS_MAX, SIGINFO_BYTES, 'pending signals');
  return Array.from({ length: count }, () => decoder.raw(SIGINFO_BYTES));
}

export function writeProcess(slab: Slab, context: ProcessContext): void {
  assert(context.threads.length <= THREADS_MAX, 'threads are bounded');
  writeSignals(slab, context.pendingSignals);
  slab.u32(context.threads.length);
  for (const { thread } of context.threads) slab.u32(thread);
}

export function readProcess(decoder: Decoder): ProcessState {
  const pendingSignals = readSignals(decoder);
  const count = readCount(decoder, THREADS_MAX, 4, 'threads');
  const threads = Array.from({ length: count }, () => tid(decoder.u32()));
  if (new Set(threads).size !== count) throw new DecodeError('a thread is listed twice');
  return { pendingSignals, threads };
}

export function writeContext(slab: Slab, context: ThreadContext): void {
  const { registers, extendedState } = context;
  assert(registers.length <= REGISTERS_BYTES_MAX, 'registers are bounded');
  assert(extendedState.length <= EXTENDED_STATE_BYTES_MAX, 'extended state is bounded');
  slab.u32(context.thread).u64(context.signalMask).bytes(registers);
  slab.u32(extendedState.length);
  slab.bytes(extendedState.subarray(0, strippedSize(extendedState)));
  writeSignals(slab, context.pendingSignals);
}

/** With `expand` false the extended state comes without the zeros at its end. */
export function readContext(decoder: Decoder, expand: boolean): ThreadContext {
  const thread = tid(decoder.u32());
  const signalMask = decoder.u64();
  const registers = readBytes(decoder, REGISTERS_BYTES_MAX, 'registers');
  const fullSize = decoder.u32();
  if (fullSize > EXTENDED_STATE_BYTES_MAX) throw new DecodeError(`extended state of ${fullSize}`);
  const stripped = readBytes(decoder, fullSize, 'extended state');
  const pendingSignals = readSignals(decoder);
  decoder.end();
  let extendedState = stripped;
  if (expand) {
    extendedState = Buffer.alloc(fullSize);
    stripped.copy(extendedState);
  }
  return { thread, registers, extendedState, signalMask, pendingSignals };
}

export function writeSetup(slab: Slab, setup: ProcessSetup): void {
  assert(setup.signalActions.size <= SIGNALS_MAX, 'signal actions are bounded');
  assert(setup.threads.length <= THREADS_MAX, 'threads are bounded');
  slab.u32(setup.signalActions.size);
  for (const [number, action] of setup.signalActions) {
    assert(action.length <= SIGNAL_STRUCT_BYTES_MAX, 'a signal action is bounded');
    slab.u32(number).bytes(action);
  }
  slab.u32(setup.threads.length);
  for (const thread of setup.threads) {
    // What the guest gave may be any 64 bits: as a double it survives whatever it is.
    slab.u32(thread.thread).f64(thread.clearChildTid).f64(thread.robustList);
    slab.f64(thread.robustListSize);
    assert(thread.alternateStack.length <= SIGNAL_STRUCT_BYTES_MAX, 'a stack_t is bounded');
    slab.bytes(thread.alternateStack);
    assert(Buffer.byteLength(thread.name) <= THREAD_NAME_BYTES_MAX, "a thread's name is bounded");
    slab.string(thread.name);
  }
}

function readThreadSetup(decoder: Decoder): ThreadSetup {
  return {
    thread: tid(decoder.u32()),
    clearChildTid: guestAddress(decoder.f64()),
    robustList: guestAddress(decoder.f64()),
    robustListSize: decoder.f64(),
    alternateStack: readBytes(decoder, SIGNAL_STRUCT_BYTES_MAX, 'alternate stack'),
    name: readString(decoder, THREAD_NAME_BYTES_MAX, "a thread's name"),
  };
}

export function readSetup(decoder: Decoder): ProcessSetup {
  const signalActions = new Map<number, Uint8Array>();
  const actionCount = readCount(decoder, SIGNALS_MAX, 8, 'signal actions');
  for (let index = 0; index < actionCount; index += 1) {
    const number = decoder.u32();
    if (number < 1 || number > SIGNALS_MAX) throw new DecodeError(`signal ${number}`);
    if (signalActions.has(number)) throw new DecodeError(`signal ${number} has two actions`);
    signalActions.set(number, readBytes(decoder, SIGNAL_STRUCT_BYTES_MAX, 'signal action'));
  }
  const threadCount = readCount(decoder, THREADS_MAX, 36, 'threads');
  const threads = Array.from({ length: threadCount }, () => readThreadSetup(decoder));
  decoder.end();
  return { signalActions, threads };
}

const REGION_FLAG = { shared: 1, backed: 2 } as const;

export function writeRegions(slab: Slab, regions: readonly MemoryRegion[]): void {
  assert(regions.length <= REGIONS_MAX, 'regions are bounded');
  slab.u32(regions.length);
  for (const region of regions) {
    const flags =
      (region.shared ? REGION_FLAG.shared : 0) | (region.backed ? REGION_FLAG.backed : 0);
    slab.u53(region.start).u53(region.end).u8(region.protection).u8(flags);
    assert(Buffer.byteLength(region.name) <= REGION_NAME_BYTES_MAX, "a region's name is bounded");
    slab.string(region.name).u53(region.fileOffset);
  }
}

function readRegion(decoder: Decoder, after: number): MemoryRegion {
  const start = readPageAddress(decoder, 'start of a region');
  const end = readPageAddress(decoder, 'end of a region');
  if (start < after || end <= start) throw new DecodeError('regions are not in order');
  const protection = decoder.u8();
  if (protection > 7) throw new DecodeError(`protection ${protection}`);
  const flags = decoder.u8();
  if (flags > 3) throw new DecodeError(`region flags ${flags}`);
  return {
    start,
    end,
    protection,
    shared: (flags & REGION_FLAG.shared) !== 0,
    backed: (flags & REGION_FLAG.backed) !== 0,
    name: readString(decoder, REGION_NAME_BYTES_MAX, "a region's name"),
    fileOffset: decoder.u53(),
  };
}

/** In address order, not overlapping. */
export function readRegions(decoder: Decoder): MemoryRegion[] {
  const count = readCount(decoder, REGIONS_MAX, 30, 'regions');
  const regions: MemoryRegion[] = [];
  let after = 0;
  for (let index = 0; index < count; index += 1) {
    const region = readRegion(decoder, after);
    regions.push(region);
    after = region.end;
  }
  decoder.end();
  return regions;
}
