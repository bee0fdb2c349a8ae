/**
 * Builds a guest process from an image: mappings, signal actions, threads, filter, registers. The
 * one way by which guests come to life, at the first start and at a takeover. All threads are left
 * stopped; the host lets them go. If anything fails, nothing is left running.
 */
import { readFileSync } from 'node:fs';
import { PAGE_BYTES } from '../../abi/memory.ts';
import { assert, present } from '../../base/assert.ts';
import type { Tid } from '../../base/ids.ts';
import * as native from '../../ffi/native.ts';
import type { ProcessMemory } from '../../guest/memory.ts';
import { Skeleton } from '../../guest/skeleton.ts';
import type { Tracee } from '../../guest/tracee.ts';
import type { GuestImage, MemoryRegion, ThreadContext, ThreadSetup } from '../../lvm/api.ts';
import type { Listener } from '../../sandbox/listener.ts';
import type { MemfdStore } from './memfd-store.ts';

export interface Built {
  readonly hostPid: number;
  readonly memory: ProcessMemory;
  readonly listener: Listener;
  readonly uffd: number;
  readonly threads: readonly { readonly tid: Tid; readonly tracee: Tracee }[];
}

const SIGSET_BYTES = 8;
/** struct kernel_sigaction. */
const SIGACTION_BYTES = 32;
const SIGNAL_MAX = 64;
/** Mappings of the image that lie closer than this become one: fewer mappings, faster to build. */
const MERGE_BYTES = 1 << 20;

export function buildGuest(
  image: GuestImage,
  store: MemfdStore,
  filter: Buffer,
  title: readonly string[],
): Built {
  const skeleton = new Skeleton(title, store.fd);
  try {
    return build(skeleton, image, store, filter);
  } catch (error) {
    skeleton.abandon();
    throw error;
  }
}

function build(skeleton: Skeleton, image: GuestImage, store: MemfdStore, filter: Buffer): Built {
  for (const region of image.regions) mapRegion(skeleton, region, store);
  skeleton.closeDescriptor(store.fd);
  const uffd = skeleton.openUserfault();
  resetSignals(skeleton);
  for (const [signal, action] of image.setup.signalActions) {
    skeleton.call('rt_sigaction', signal, skeleton.scratch(action), 0, SIGSET_BYTES);
  }
  const setups = new Map(image.setup.threads.map((setup) => [setup.thread, setup]));
  const threads = image.context.threads.map((context, index) => {
    const setup = present(setups.get(context.thread), `setup of thread ${context.thread}`);
    const tracee = index === 0 ? skeleton.first : skeleton.addThread(setup.clearChildTid);
    setUp(skeleton, tracee, setup);
    return { tid: context.thread, tracee, context };
  });
  const listener = skeleton.installFilter(filter);
  for (const { tracee, context } of threads) setContext(tracee, context);
  requeueSignals(skeleton.hostPid, image, threads);
  return { hostPid: skeleton.hostPid, memory: skeleton.memory, listener, uffd, threads };
}

/** Signals that this process ignores (node: SIGPIPE) must not be ignored by the guest. */
function resetSignals(skeleton: Skeleton): void {
  const status = readFileSync(`/proc/${skeleton.hostPid}/status`, 'latin1');
  const ignored = BigInt(`0x${/^SigIgn:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const byDefault = skeleton.scratch(Buffer.alloc(SIGACTION_BYTES));
  for (let signal = 1; signal <= SIGNAL_MAX; signal += 1) {
    if (((ignored >> BigInt(signal - 1)) & 1n) === 0n) continue;
    skeleton.call('rt_sigaction', signal, byDefault, 0, SIGSET_BYTES);
  }
}

function mapRegion(skeleton: Skeleton, region: MemoryRegion, store: MemfdStore): void {
  const { start, end, protection } = region;
  const isSparse = region.name === '[heap]' || region.name === '[stack]';
  if (!isSparse) {
    skeleton.map(start, end, protection, store.fd, start);
    return;
  }
  // Large areas that are mostly untouched: fresh pages should not go by way of the image.
  let from: number = start;
  for (const piece of pieces(region, store)) {
    if (piece.start > from) skeleton.map(from, piece.start, protection, -1, 0);
    skeleton.map(piece.start, piece.end, protection, store.fd, piece.start);
    from = piece.end;
  }
  if (end > from) skeleton.map(from, end, protection, -1, 0);
}

/** Ranges of a region that hold data, with small gaps closed. */
function pieces(region: MemoryRegion, store: MemfdStore): { start: number; end: number }[] {
  const merged: { start: number; end: number }[] = [];
  store.populated(region.start, region.end, (start, count) => {
    const end = start + count * PAGE_BYTES;
    const last = merged.at(-1);
    if (last !== undefined && start - last.end < MERGE_BYTES) last.end = end;
    else merged.push({ start, end });
  });
  return merged;
}

/** What a thread must tell Linux by itself. */
function setUp(skeleton: Skeleton, tracee: Tracee, setup: ThreadSetup): void {
  if (setup.robustList !== 0) {
    skeleton.callIn(tracee, 'set_robust_list', setup.robustList, setup.robustListSize);
  }
  if (setup.alternateStack.length > 0) {
    skeleton.callIn(tracee, 'sigaltstack', skeleton.scratch(setup.alternateStack), 0);
  }
  skeleton.setThreadName(tracee, setup.name);
}

function setContext(tracee: Tracee, context: ThreadContext): void {
  if (context.extendedState.length > 0) tracee.setExtendedState(context.extendedState);
  tracee.setSignalMask(context.signalMask);
  tracee.setRegisters(context.registers);
}

/** Signals that were pending are sent again; those of one thread to it, the others to the first. */
function requeueSignals(
  hostPid: number,
  image: GuestImage,
  threads: readonly { readonly tracee: Tracee; readonly context: ThreadContext }[],
): void {
  for (const { tracee, context } of threads) {
    for (const info of context.pendingSignals) queueSignal(hostPid, tracee.hostTid, info);
  }
  const first = present(threads[0], 'a thread').tracee.hostTid;
  for (const info of image.context.pendingSignals) queueSignal(hostPid, first, info);
}

function queueSignal(hostPid: number, hostTid: number, info: Uint8Array): void {
  const bytes = Buffer.from(info);
  const signal = bytes.readInt32LE(0);
  const SI_QUEUE = -1;
  const SI_TKILL = -6;
  // Linux lets no process send another what looks like a signal of the kernel or of kill(2).
  const code = bytes.readInt32LE(8);
  if (code >= 0 || code === SI_TKILL) bytes.writeInt32LE(SI_QUEUE, 8);
  const result = native.rtTgsigqueueinfo(hostPid, hostTid, signal, bytes);
  assert(result === 0, `pending signal ${signal} can be sent again`);
}
