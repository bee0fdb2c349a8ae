/**
 * SimHost: the LVM API without Linux: memory, clock, chance, root, network and console are plain
 * data, and a test plays the guest and the outside. Used by tests of the library OS and of interposers.
 *
 * Upcalls are queued and served when the test acts (`call`, `advance`, a peer's `send`, `settle`, ...),
 * one after the other, as a real host's loop does; no LVM call makes one, but `launch` (`launched`)
 * and `quiesce` (`withdrawn`). Must not be lenient: a call answered twice, or a handle that is not
 * open, is an assertion failure where a real host could do harm.
 */
import { E } from '../../abi/errno.ts';
import { SYS, type SyscallName } from '../../abi/syscalls.ts';
import { assert, present } from '../../base/assert.ts';
import {
  type GuestAddress,
  guestAddress,
  type Handle,
  handle,
  type Tid,
  tid,
} from '../../base/ids.ts';
import { Prng } from '../../base/prng.ts';
import type {
  ClockName,
  ExitStatus,
  GuestImage,
  LaunchSpec,
  Lvm,
  LvmClient,
  MachineInfo,
  MapSource,
  MemoryRegion,
  PageVisitor,
  ProcessContext,
  ProcessSetup,
  RootEntry,
  RootStat,
  StreamAddress,
} from '../../lvm/api.ts';
import { SimConsole } from './console.ts';
import { SimGuest } from './guest-memory.ts';
import { type PageStore, SimMemory } from './memory.ts';
import { type RootSpec, SimRoot } from './root.ts';
import { SimNetwork, type SimPeer } from './streams.ts';
import { type SimAnswer, SimThread } from './thread.ts';

export interface SimOptions {
  readonly root?: RootSpec;
  /** Guest ports that the outside can reach. */
  readonly published?: readonly number[];
  readonly seed?: number;
  /** Clocks at the start. */
  readonly monotonicNs?: number;
  readonly realtimeNs?: number;
  readonly machine?: Partial<MachineInfo>;
  /** Whether `launch` looks for the program in the root; else it takes any. */
  readonly checksProgram?: boolean;
}

/** A signal that the library OS sent. */
export interface SentSignal {
  readonly thread: Tid;
  readonly number: number;
  readonly info: Buffer;
}

const START_NS = 1_000e9;
const REALTIME_NS = 1_800_000_000e9;
/** Upcalls that one action of the test may cause; beyond it is a loop. */
const UPCALLS_MAX = 100_000;
/** Kept reports and signals. */
const RECORDS_MAX = 10_000;

export class SimHost implements Lvm {
  readonly memory = new SimMemory();
  /** Allocates and fills guest memory for a test. */
  readonly guest = new SimGuest(this.memory);
  readonly root: SimRoot;
  readonly network: SimNetwork;
  readonly console = new SimConsole();
  readonly threads = new Map<Tid, SimThread>();
  /** Memory of checkpoints by the number that stands for GuestImage's `memoryFd`. */
  readonly stores = new Map<number, PageStore>();
  readonly reports: { readonly event: string; readonly detail: string }[] = [];
  readonly signals: SentSignal[] = [];
  readonly #machine: MachineInfo;
  readonly #random: Prng;
  readonly #checksProgram: boolean;
  readonly #files = new Map<Handle, Buffer>();
  readonly #upcalls: (() => void)[] = [];
  #client: LvmClient | null = null;
  #nextHandle = 1;
  #monotonicNs: number;
  readonly #realtimeOffsetNs: number;
  #cpuNs = 0;
  #alarmNs = Infinity;
  #isPumping = false;
  #isStopped = false;
  #launched: LaunchSpec | null = null;
  #exited: ExitStatus | null = null;

  constructor(options: SimOptions = {}) {
    this.root = new SimRoot(options.root ?? {});
    this.#random = new Prng(options.seed ?? 1);
    this.#monotonicNs = options.monotonicNs ?? START_NS;
    this.#realtimeOffsetNs = (options.realtimeNs ?? REALTIME_NS) - this.#monotonicNs;
    this.#checksProgram = options.checksProgram ?? false;
    this.#machine = {
      cpuCount: 2,
      memoryBytes: 1024 ** 3,
      hostname: 'guest',
      cpuinfo: 'processor\t: 0\nmodel name\t: Simulated\n',
      ...options.machine,
    };
    this.network = new SimNetwork(
      {
        readyLater: (target, bits) => this.#readyLater(target, bits),
        pump: () => this.settle(),
        newHandle: () => this.#newHandle(),
      },
      options.published ?? [],
    );
  }

  get client(): LvmClient {
    return present(this.#client, 'client');
  }

  /** How the guest was started. */
  get launchSpec(): LaunchSpec | null {
    return this.#launched;
  }

  /** How the guest ended, as told to the client; null while it lives. */
  get exitStatus(): ExitStatus | null {
    return this.#exited;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  get alarmNs(): number {
    return this.#alarmNs;
  }

  /* --- the test's side: the guest --------------------------------------------------------------- */

  /** The thread with this id; made when it isn't there (the client must know it). */
  thread(id: number): SimThread {
    const known = this.threads.get(tid(id));
    if (known !== undefined) return known;
    const made = new SimThread(tid(id));
    this.threads.set(made.tid, made);
    return made;
  }

  /** The thread makes a call. Gives the answer if it came at once; later ones: `takeAnswer`. */
  call(id: number, name: SyscallName | number, ...args: readonly (number | bigint)[]): SimAnswer {
    assert(!this.#isStopped, 'a stopped guest makes no calls');
    this.settle();
    assert(args.length <= 6, 'a call has six arguments');
    const bytes = Buffer.alloc(48);
    args.forEach((value, index) => {
      bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), index * 8);
    });
    const thread = this.thread(id);
    thread.begin(typeof name === 'number' ? name : SYS[name], bytes);
    this.#ask(thread);
    this.settle();
    return this.takeAnswer(id) ?? 'blocked';
  }

  /** The answer that came since it was last asked for; null if none. */
  takeAnswer(id: number): SimAnswer | null {
    this.settle();
    const thread = this.threads.get(tid(id));
    if (thread === undefined) return { kind: 'gone' };
    const answer = thread.answer;
    thread.answer = null;
    return answer;
  }

  /** A signal handler interrupts the thread's call, which is not asked again by itself. */
  interrupt(id: number): void {
    const thread = this.thread(id);
    assert(thread.state === 'waiting', `thread ${id} waits in a call`);
    thread.state = 'running';
    thread.isInterrupted = true;
  }

  /** The guest ends from outside or by a fatal signal. */
  end(status: ExitStatus): void {
    this.exit(status);
    this.settle();
  }

  /** Serves all upcalls that are due. */
  settle(): void {
    if (this.#isPumping || this.#isStopped) return;
    this.#isPumping = true;
    try {
      for (let left = UPCALLS_MAX; this.#upcalls.length > 0 && !this.#isStopped; ) {
        while (this.#upcalls.length > 0 && !this.#isStopped) {
          assert(left > 0, `more than ${UPCALLS_MAX} upcalls by one action`);
          left -= 1;
          (this.#upcalls.shift() as () => void)();
        }
        if (this.#exited === null) this.client.settled();
      }
    } finally {
      this.#isPumping = false;
    }
  }

  #ask(thread: SimThread): void {
    this.#upcalls.push(() => {
      if (thread.state !== 'waiting' || this.threads.get(thread.tid) !== thread) return;
      this.client.trapped({ thread: thread.tid, number: thread.callNumber, args: thread.args });
    });
  }

  /* --- the test's side: the outside ------------------------------------------------------------- */

  /** Lets time pass, with each alarm at its time. */
  advance(durationNs: number): void {
    assert(durationNs >= 0, 'time does not go back');
    this.settle();
    const end = this.#monotonicNs + durationNs;
    let left = UPCALLS_MAX;
    while (this.#alarmNs <= end && this.#exited === null) {
      assert(left > 0, `more than ${UPCALLS_MAX} alarms in one step`);
      left -= 1;
      this.#monotonicNs = Math.max(this.#monotonicNs, this.#alarmNs);
      this.#alarmNs = Infinity;
      this.#upcalls.push(() => this.client.alarm());
      this.settle();
    }
    this.#monotonicNs = end;
  }

  /** Processor time of the guest goes on; the other clocks don't. */
  burn(durationNs: number): void {
    this.#cpuNs += durationNs;
  }

  connect(port: number, host?: string): SimPeer {
    return this.network.connect(port, host);
  }

  /** What the guest wrote to standard output or error since this was last asked. */
  output(stream: 1 | 2 = 1): string {
    this.settle();
    const { bytes, freed } = this.console.take(stream);
    if (freed) this.#consoleReady();
    return bytes.toString();
  }

  /** Types into the guest's standard input; returns the bytes for which there was room. */
  input(data: string | Uint8Array): number {
    const count = this.console.feed(typeof data === 'string' ? Buffer.from(data) : data);
    this.#consoleReady();
    return count;
  }

  endInput(): void {
    this.console.endInput();
    this.#consoleReady();
  }

  #consoleReady(): void {
    this.#readyLater(handle(0), () => this.console.readyBits());
    this.settle();
  }

  #readyLater(target: Handle, bits: () => number): void {
    this.#upcalls.push(() => {
      const events = bits();
      if (events !== 0 && this.#exited === null) this.client.ready(target, events);
    });
  }

  #newHandle(): Handle {
    const value = handle(this.#nextHandle);
    this.#nextHandle += 1;
    return value;
  }

  /* --- Lvm: life of the guest ------------------------------------------------------------------- */

  attach(client: LvmClient): void {
    assert(this.#client === null, 'a client is attached once');
    this.#client = client;
  }

  launch(spec: LaunchSpec): number {
    assert(this.threads.size === 0 && this.#exited === null, 'a host starts one guest');
    if (this.#checksProgram) {
      const stat = this.root.stat(spec.program);
      if (typeof stat === 'number') return stat;
      if (stat.type !== 'file' || (stat.mode & 0o111) === 0) return E.EACCES;
      if ((this.root.content(spec.program) as Buffer).length === 0) return E.ENOEXEC;
    }
    this.#launched = spec;
    const heap = this.guest.mapInitial();
    const first = this.thread(1);
    this.client.launched(first.tid, heap);
    return 0;
  }

  instantiate(image: GuestImage): void {
    assert(this.threads.size === 0 && this.#exited === null, 'a host starts one guest');
    const store = present(this.stores.get(image.memoryFd), `store ${image.memoryFd}`);
    this.#checkSetup(image.setup, image.context);
    this.memory.load(image.regions, store);
    for (const context of image.context.threads) {
      const thread = SimThread.from(context);
      this.threads.set(thread.tid, thread);
    }
    this.guest.keepBelow();
    this.#monotonicNs = Math.max(this.#monotonicNs, image.monotonicNs);
    this.#isStopped = true;
  }

  #checkSetup(setup: ProcessSetup, context: ProcessContext): void {
    const known = new Set(setup.threads.map((thread) => thread.thread));
    for (const { thread } of context.threads) assert(known.has(thread), `no setup of ${thread}`);
    assert(known.size === context.threads.length, 'setup and context have the same threads');
    for (const [signal, action] of setup.signalActions) {
      assert(action.length === 32, `action of signal ${signal} has its size`);
    }
  }

  exit(status: ExitStatus): void {
    for (const thread of this.threads.values()) thread.isInterrupted = true;
    this.threads.clear();
    this.network.resetAll();
    this.#alarmNs = Infinity;
    this.#upcalls.push(() => {
      if (this.#exited !== null) return;
      this.#exited = status;
      this.client.exited(status);
    });
    this.#isStopped = false;
  }

  /* --- Lvm: trapped calls ----------------------------------------------------------------------- */

  /** The thread that waits for an answer, or null if it was interrupted or is gone. */
  #answering(id: Tid): SimThread | null {
    const thread = this.threads.get(id);
    if (thread === undefined || thread.isInterrupted || thread.state === 'withdrawn') return null;
    assert(thread.state === 'waiting', `thread ${id} has its answer already`);
    return thread;
  }

  answer(thread: Tid, value: number): void {
    assert(Number.isSafeInteger(value), `${value} is not an integer`);
    this.#answering(thread)?.finish(value);
  }

  answerNative(id: Tid): void {
    const thread = this.#answering(id);
    if (thread === null) return;
    thread.finish({ kind: 'native' });
    if (thread.callNumber === SYS.exit) this.threads.delete(id);
    if (thread.callNumber === SYS.exit_group) {
      this.exit({ kind: 'exited', code: thread.args.readUInt8(0) });
    }
  }

  answerMap(id: Tid, fd: number, source: MapSource): number {
    const content = source.kind === 'bytes' ? source.content : this.#files.get(source.file);
    if (content === undefined) return E.EBADF;
    const thread = this.#answering(id);
    if (thread === null) return 0;
    const name = source.kind === 'bytes' ? source.name : `root ${source.file}`;
    const address = this.guest.mapFile(thread.args, content, name);
    if (address < 0) return address;
    thread.finish({ kind: 'map', fd, source, address: guestAddress(address) });
    return 0;
  }

  answerClone(id: Tid, child: Tid): void {
    const thread = this.#answering(id);
    if (thread === null) return;
    assert(!this.threads.has(child), `thread ${child} is new`);
    this.thread(child).signalMask = thread.signalMask;
    thread.finish({ kind: 'clone', child });
  }

  signal(id: Tid, number: number, info: Uint8Array): number {
    assert(number >= 1 && number <= 64, `${number} is a signal`);
    assert(info.length === 128, 'siginfo_t has 128 bytes');
    assert(this.signals.length < RECORDS_MAX, `at most ${RECORDS_MAX} signals`);
    const thread = this.threads.get(id);
    if (thread === undefined) return E.ESRCH;
    this.signals.push({ thread: id, number, info: Buffer.from(info) });
    const isMasked = ((thread.signalMask >> BigInt(number - 1)) & 1n) === 1n;
    if (isMasked) thread.pendingSignals.push(Buffer.from(info));
    return 0;
  }

  /* --- Lvm: guest memory ------------------------------------------------------------------------ */

  memoryRead(address: GuestAddress, target: Uint8Array): number {
    return this.memory.read(address, target);
  }

  memoryWrite(address: GuestAddress, source: Uint8Array): number {
    return this.memory.write(address, source);
  }

  /* --- Lvm: stopping and looking ---------------------------------------------------------------- */

  quiesce(): void {
    assert(!this.#isStopped, 'the guest runs');
    this.#isStopped = true;
    for (const thread of this.threads.values()) {
      if (thread.state !== 'waiting') continue;
      thread.state = 'withdrawn';
      this.client.withdrawn(thread.tid);
    }
  }

  resume(): void {
    assert(this.#isStopped, 'the guest is stopped');
    this.#isStopped = false;
    for (const thread of this.threads.values()) {
      if (thread.state !== 'withdrawn') continue;
      thread.state = 'waiting';
      this.#ask(thread);
    }
  }

  context(): ProcessContext {
    assert(this.#isStopped, 'context is for a stopped guest');
    return {
      pendingSignals: [],
      threads: [...this.threads.values()].map((thread) => thread.context()),
    };
  }

  regions(): readonly MemoryRegion[] {
    assert(this.#isStopped, 'regions is for a stopped guest');
    return this.memory.takeRegions();
  }

  regionsChanged(): boolean {
    return this.memory.isChanged;
  }

  takeDroppedRanges(visit: PageVisitor): void {
    assert(this.#isStopped, 'dropped ranges are for a stopped guest');
    this.memory.takeDroppedRanges(visit);
  }

  takeWrittenPages(visit: PageVisitor): void {
    assert(this.#isStopped, 'written pages are for a stopped guest');
    this.memory.takeWrittenPages(visit);
  }

  populatedPages(region: MemoryRegion, visit: PageVisitor): void {
    this.memory.populatedPages(region, visit);
  }

  /* --- Lvm: time, chance, machine --------------------------------------------------------------- */

  clock(name: ClockName): number {
    switch (name) {
      case 'monotonic':
      case 'boottime':
        return this.#monotonicNs;
      case 'realtime':
        return this.#monotonicNs + this.#realtimeOffsetNs;
      case 'process-cpu':
      case 'thread-cpu':
        return this.#cpuNs;
    }
  }

  setAlarm(deadlineNs: number): void {
    this.#alarmNs = deadlineNs;
  }

  random(target: Uint8Array): void {
    this.#random.fill(target);
  }

  machine(): MachineInfo {
    return this.#machine;
  }

  /* --- Lvm: root, streams, console: see root.ts, streams.ts, console.ts ---------------------------- */

  rootStat(path: string): RootStat | number {
    return this.root.stat(path);
  }

  rootReadlink(path: string): string | number {
    return this.root.readlink(path);
  }

  rootList(path: string): readonly RootEntry[] | number {
    return this.root.list(path);
  }

  rootOpen(path: string): Handle | number {
    const content = this.root.content(path);
    if (typeof content === 'number') return content;
    const file = this.#newHandle();
    this.#files.set(file, content);
    return file;
  }

  rootRead(file: Handle, offset: number, target: Uint8Array): number {
    const content = this.#files.get(file);
    if (content === undefined) return E.EBADF;
    const part = content.subarray(offset, offset + target.length);
    target.set(part);
    return part.length;
  }

  rootClose(file: Handle): void {
    assert(this.#files.delete(file), `root file ${file} is open`);
  }

  /** Root files that are open to the guest. */
  get openFileCount(): number {
    return this.#files.size;
  }

  streamListen(port: number): Handle | number {
    return this.network.listen(port);
  }

  streamAccept(
    listener: Handle,
  ): { stream: Handle; peer: StreamAddress; local: StreamAddress } | number {
    return this.network.accept(listener);
  }

  streamRead(stream: Handle, target: Uint8Array): number {
    return this.network.read(stream, target);
  }

  streamWrite(stream: Handle, source: Uint8Array): number {
    return this.network.write(stream, source);
  }

  streamShutdown(stream: Handle): void {
    this.network.shutdown(stream);
  }

  streamClose(streamOrListener: Handle, reset: boolean): void {
    this.network.close(streamOrListener, reset);
  }

  consoleWrite(stream: 1 | 2, source: Uint8Array): number {
    return this.console.write(stream, source);
  }

  consoleRead(target: Uint8Array): number {
    return this.console.read(target);
  }

  report(event: string, detail: string): void {
    assert(this.reports.length < RECORDS_MAX, `at most ${RECORDS_MAX} reports`);
    this.reports.push({ event, detail });
  }
}
