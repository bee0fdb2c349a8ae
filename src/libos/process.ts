/**
 * Process: what all threads of a guest process share: descriptors, working directory, signal
 * dispositions, credentials, limits.
 */
import type { Decoder, Encoder } from '../base/codec.ts';
import { type GuestAddress, guestAddress, type ObjectId, type Pid, pid } from '../base/ids.ts';
import type { HeapArea, LaunchSpec } from '../lvm/api.ts';
import { Credentials } from './credentials.ts';
import { FdTable } from './fd-table.ts';
import { SharedMaps } from './fs/shared-maps.ts';
import type { Kernel } from './kernel.ts';
import { KIND } from './kinds-ids.ts';
import { KernelObject, type Objects } from './object.ts';
import { CpuTime } from './time/cpu-time.ts';
import { ProcessTimers } from './time/process-timers.ts';

/** Handler of an ignored signal, in struct kernel_sigaction. */
const SIG_IGN = 1n;
/** RLIM_INFINITY. */
export const UNLIMITED = 2 ** 53 - 1;

export interface ResourceLimit {
  soft: number;
  hard: number;
}

export class Process extends KernelObject {
  readonly kind = KIND.process;
  kernel!: Kernel;
  pid: Pid = pid(0);
  parentPid: Pid = pid(0);
  processGroup = 0;
  session = 0;
  /** Absolute, in the guest's root. */
  cwd = '/';
  umask = 0o022;
  /** Path of the program (/proc/self/exe) and how it was started. */
  executable = '';
  argv: readonly string[] = [];
  env: readonly string[] = [];
  /** By signal number: struct kernel_sigaction, 32 bytes; absent is the default. */
  readonly signalActions = new Map<number, Uint8Array>();
  readonly credentials = new Credentials();
  readonly sharedMaps = new SharedMaps();
  /** By RLIMIT_ number. */
  readonly limits = new Map<number, ResourceLimit>();
  isDumpable = true;
  /** brk(2): what is mapped for it, and where the program break is now. */
  heapStart: GuestAddress = guestAddress(0);
  heapEnd: GuestAddress = guestAddress(0);
  programBreak: GuestAddress = guestAddress(0);
  /** The heap met another mapping: the break stays where it is. */
  isHeapFull = false;
  readonly #cpu = new CpuTime();
  #files: FdTable | null = null;
  #timers: ProcessTimers | null = null;

  constructor(objects: Objects, id?: ObjectId) {
    super(objects, id);
  }

  get files(): FdTable {
    return this.#files as FdTable;
  }

  set files(files: FdTable) {
    this.#files = files;
    this.touch();
  }

  /** Interval timers and POSIX timers; made when the first is set. */
  get timers(): ProcessTimers {
    if (this.#timers === null) {
      this.#timers = new ProcessTimers(this.kernel, this.objects);
      this.#timers.process = this;
      this.touch();
    }
    return this.#timers;
  }

  /** Processor time of all threads, those that ended too. */
  tellCpuNs(): number {
    this.touch();
    return this.#cpu.tell(this.kernel.lvm.clock('process-cpu'));
  }

  /** More of the heap is mapped, up to `end`; null: no more can be. */
  heapGrown(end: GuestAddress | null): void {
    if (end === null) this.isHeapFull = true;
    else this.heapEnd = end;
    this.touch();
  }

  setHeap(heap: HeapArea): void {
    this.heapStart = heap.start;
    this.heapEnd = heap.end;
    this.programBreak = heap.start;
    this.touch();
  }

  /** Signal actions that another program inherits: what is ignored stays ignored. */
  ignoredSignals(): ReadonlyMap<number, Uint8Array> {
    const isIgnored = (action: Uint8Array) => Buffer.from(action).readBigUInt64LE(0) === SIG_IGN;
    return new Map([...this.signalActions].filter(([, action]) => isIgnored(action)));
  }

  /** execve(2): another program, in the same process. */
  startProgram(
    { argv, env }: LaunchSpec,
    program: string,
    actions: ReadonlyMap<number, Uint8Array>,
    heap: HeapArea,
  ): void {
    this.executable = program;
    this.argv = argv;
    this.env = env;
    this.signalActions.clear();
    for (const [signal, action] of actions) this.signalActions.set(signal, action);
    for (const ids of [this.credentials.user, this.credentials.group]) {
      ids.set(null, null, ids.effective);
    }
    this.isDumpable = true;
    this.isHeapFull = false;
    this.sharedMaps.clear();
    this.#timers?.endPosix();
    for (const [fd, file] of [...this.files.open()]) {
      if (!this.files.closeOnExec(fd)) continue;
      this.kernel.fs.closing(this, file);
      this.files.close(fd);
    }
    this.setHeap(heap);
  }

  override save(encoder: Encoder): void {
    encoder.u32(this.pid).u32(this.parentPid).u32(this.processGroup).u32(this.session);
    encoder.string(this.cwd).u32(this.umask).string(this.executable).bool(this.isDumpable);
    for (const list of [this.argv, this.env]) {
      encoder.u32(list.length);
      for (const text of list) encoder.string(text);
    }
    encoder.u32(this.signalActions.size);
    for (const [signal, action] of this.signalActions) encoder.u8(signal).bytes(action);
    encoder.u32(this.limits.size);
    for (const [number, limit] of this.limits) encoder.u8(number).u53(limit.soft).u53(limit.hard);
    encoder.u53(this.heapStart).u53(this.heapEnd).u53(this.programBreak).bool(this.isHeapFull);
    this.#cpu.save(encoder);
    this.credentials.save(encoder);
    this.sharedMaps.save(encoder);
    encoder.u32(this.files.id).u32(this.#timers?.id ?? 0);
  }

  override load(decoder: Decoder): void {
    this.pid = pid(decoder.u32());
    this.parentPid = pid(decoder.u32());
    this.processGroup = decoder.u32();
    this.session = decoder.u32();
    this.cwd = decoder.string();
    this.umask = decoder.u32();
    this.executable = decoder.string();
    this.isDumpable = decoder.bool();
    const list = () => Array.from({ length: decoder.u32() }, () => decoder.string());
    this.argv = list();
    this.env = list();
    for (let left = decoder.u32(); left > 0; left -= 1) {
      this.signalActions.set(decoder.u8(), Uint8Array.from(decoder.bytes()));
    }
    for (let left = decoder.u32(); left > 0; left -= 1) {
      this.limits.set(decoder.u8(), { soft: decoder.u53(), hard: decoder.u53() });
    }
    this.heapStart = guestAddress(decoder.u53());
    this.heapEnd = guestAddress(decoder.u53());
    this.programBreak = guestAddress(decoder.u53());
    this.isHeapFull = decoder.bool();
    this.#cpu.load(decoder);
    this.credentials.load(decoder);
    this.sharedMaps.load(decoder);
    this.#files = this.objects.get(decoder.u32(), FdTable);
    this.#timers = this.objects.find(decoder.u32(), ProcessTimers);
  }
}
