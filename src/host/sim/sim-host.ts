/**
 * SimHost: the LVM API without Linux: memory, clock, chance, root, network and console are plain
 * data, and a test plays the guest and the outside. Used by tests of the library OS and of
 * interposers.
 *
 * Upcalls are queued and served when the test acts (`call`, `advance`, a peer's `send`, `settle`,
 * ...), one after the other, as a real host's loop does; no LVM call makes one, but `launch`
 * (`launched`) and `quiesce` (`withdrawn`). Must not be lenient: a call answered twice, or a handle
 * that is not open, is an assertion failure where a real host could do harm.
 */
import { E } from '../../abi/errno.ts';
import { SYS, type SyscallName } from '../../abi/syscalls.ts';
import { assert, present } from '../../base/assert.ts';
import { type GuestAddress, guestAddress, type Handle, handle, type Tid } from '../../base/ids.ts';
import { Prng } from '../../base/prng.ts';
import type {
  ClockName,
  ExitStatus,
  GuestImage,
  HeapArea,
  LaunchSpec,
  Lvm,
  LvmClient,
  MachineInfo,
  MapSource,
  MemoryRegion,
  MemoryUse,
  PageVisitor,
  ProcessContext,
  RootEntry,
  RootStat,
  StreamAddress,
} from '../../lvm/api.ts';
import { SimConsole } from './console.ts';
import { SimGuest } from './guest-memory.ts';
import { SimLoop } from './loop.ts';
import { type PageStore, SimMemory } from './memory.ts';
import { REALTIME_NS, type SentSignal, type SimOptions, START_NS, simMachine } from './options.ts';
import { SimRoot } from './root.ts';
import { SimNetwork, type SimPeer } from './streams.ts';
import type { SimAnswer, SimThread } from './thread.ts';
import { SimThreads } from './threads.ts';

/** Alarms in one step of time; beyond it is a loop. */
const ALARMS_MAX = 100_000;
/** Kept reports and signals. */
const RECORDS_MAX = 10_000;

export type { SimOptions } from './options.ts';

export class SimHost implements Lvm {
  readonly memory = new SimMemory();
  /** Allocates and fills guest memory for a test. */
  readonly guest = new SimGuest(this.memory);
  readonly root: SimRoot;
  readonly network: SimNetwork;
  readonly console = new SimConsole();
  readonly threads: SimThreads;
  /** Memory of checkpoints by the number that stands for GuestImage's `memoryFd`. */
  readonly stores = new Map<number, PageStore>();
  readonly reports: { readonly event: string; readonly detail: string }[] = [];
  readonly signals: SentSignal[] = [];
  /** Set by a test: the guest ends in this way during the next `quiesce`. */
  endsInQuiesce: ExitStatus | null = null;
  /** Set by a test: -errno that clone gives; 0 for none. */
  cloneError = 0;
  readonly #machine: MachineInfo;
  readonly #random: Prng;
  readonly #checksProgram: boolean;
  readonly #loop = new SimLoop();
  #nextHandle = 1;
  #monotonicNs: number;
  readonly #realtimeOffsetNs: number;
  #cpuNs = 0;
  #alarmNs = Infinity;
  #launched: LaunchSpec | null = null;
  #exited: ExitStatus | null = null;

  constructor(options: SimOptions = {}) {
    this.threads = new SimThreads(this.#loop);
    this.root = new SimRoot(options.root ?? {}, () => this.#newHandle());
    this.#random = new Prng(options.seed ?? 1);
    this.#monotonicNs = options.monotonicNs ?? START_NS;
    this.#realtimeOffsetNs = (options.realtimeNs ?? REALTIME_NS) - this.#monotonicNs;
    this.#checksProgram = options.checksProgram ?? false;
    this.#machine = simMachine(options);
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
    return this.#loop.client;
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
    return this.#loop.isStopped;
  }

  get alarmNs(): number {
    return this.#alarmNs;
  }

  /* --- the test's side: the guest ------------------------------------------------------------- */

  /** The thread with this id; made when it isn't there (the client must know it). */
  thread(id: number): SimThread {
    return this.threads.get(id);
  }

  /** The thread makes a call. Gives the answer if it came at once; later ones: `takeAnswer`. */
  call(id: number, name: SyscallName | number, ...args: readonly (number | bigint)[]): SimAnswer {
    assert(!this.isStopped, 'a stopped guest makes no calls');
    this.settle();
    this.threads.begin(id, name, args);
    this.settle();
    return this.threads.takeAnswer(id) ?? 'blocked';
  }

  /** The answer that came since it was last asked for; null if none. */
  takeAnswer(id: number): SimAnswer | null {
    this.settle();
    return this.threads.takeAnswer(id);
  }

  /** A signal handler interrupts the thread's call, which is not asked again by itself. */
  interrupt(id: number): void {
    this.threads.interrupt(id);
  }

  /** The guest ends from outside or by a fatal signal. */
  end(status: ExitStatus): void {
    this.exit(status);
    this.settle();
  }

  /** Serves all upcalls that are due. */
  settle(): void {
    this.#loop.serve();
  }

  /* --- the test's side: the outside ----------------------------------------------------------- */

  /** Lets time pass, with each alarm at its time. */
  advance(durationNs: number): void {
    assert(durationNs >= 0, 'time does not go back');
    this.settle();
    const end = this.#monotonicNs + durationNs;
    let left = ALARMS_MAX;
    while (this.#alarmNs <= end && this.#exited === null) {
      assert(left > 0, `more than ${ALARMS_MAX} alarms in one step`);
      left -= 1;
      this.#monotonicNs = Math.max(this.#monotonicNs, this.#alarmNs);
      this.#loop.later((client) => this.#ringIfDue(client));
      this.settle();
      // A stopped guest gets its alarm when it goes on.
      if (this.isStopped) break;
    }
    this.#monotonicNs = end;
  }

  #ringIfDue(client: LvmClient): void {
    if (this.#alarmNs > this.#monotonicNs) return;
    this.#alarmNs = Infinity;
    client.alarm();
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
    this.#loop.later((client) => {
      const events = bits();
      if (events !== 0) client.ready(target, events);
    });
  }

  #newHandle(): Handle {
    const value = handle(this.#nextHandle);
    this.#nextHandle += 1;
    return value;
  }

  /* --- Lvm: life of the guest ----------------------------------------------------------------- */

  attach(client: LvmClient): void {
    this.#loop.attach(client);
  }

  launch(spec: LaunchSpec): number {
    assert(this.threads.size === 0 && this.#exited === null, 'a host starts one guest');
    if (this.#checksProgram) {
      const problem = this.root.programProblem(spec.program);
      if (problem < 0) return problem;
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
    this.memory.load(image.regions, store);
    this.threads.load(image.context.threads, image.setup);
    this.guest.keepBelow();
    this.#monotonicNs = Math.max(this.#monotonicNs, image.monotonicNs);
    this.#loop.isStopped = true;
  }

  exit(status: ExitStatus): void {
    this.threads.clear();
    this.network.resetAll();
    this.#alarmNs = Infinity;
    this.#loop.isStopped = false;
    this.#loop.later((client) => {
      this.#exited = status;
      this.#loop.end();
      client.exited(status);
    });
  }

  /* --- Lvm: trapped calls --------------------------------------------------------------------- */

  answer(thread: Tid, value: number): void {
    assert(Number.isSafeInteger(value), `${value} is not an integer`);
    this.threads.answering(thread)?.finish(value);
  }

  answerNative(id: Tid): void {
    const thread = this.threads.answering(id);
    if (thread === null) return;
    thread.finish({ kind: 'native' });
    if (thread.callNumber === SYS.exit) this.threads.delete(id);
    if (thread.callNumber === SYS.exit_group) {
      this.exit({ kind: 'exited', code: thread.args.readUInt8(0) });
    }
  }

  answerMap(id: Tid, fd: number, source: MapSource): number {
    const content = source.kind === 'bytes' ? source.content : this.root.contentOf(source.file);
    if (content === null) return E.EBADF;
    const thread = this.threads.answering(id);
    if (thread === null) return 0;
    const name = source.kind === 'bytes' ? source.name : `root ${source.file}`;
    const address = this.guest.mapFile(thread.args, content, name);
    if (address < 0) return address;
    thread.finish({ kind: 'map', fd, source, address: guestAddress(address) });
    return 0;
  }

  answerClone(id: Tid, child: Tid, tidTargets: readonly GuestAddress[]): boolean {
    const thread = this.threads.answering(id);
    if (thread === null) return false;
    if (this.cloneError !== 0) {
      thread.finish(this.cloneError);
      return false;
    }
    assert(!this.threads.has(child), `thread ${child} is new`);
    this.thread(child).signalMask = thread.signalMask;
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(child);
    for (const target of tidTargets) this.memory.write(target, bytes);
    thread.finish({ kind: 'clone', child });
    return true;
  }

  answerExec(
    id: Tid,
    leader: Tid,
    spec: LaunchSpec,
    program: MapSource,
    actions: ReadonlyMap<number, Uint8Array>,
  ): HeapArea | number {
    const thread = this.threads.answering(id);
    if (thread === null) return E.EINTR;
    const content = program.kind === 'bytes' ? program.content : this.root.contentOf(program.file);
    if (content === null) return E.EBADF;
    if (Buffer.from(content.subarray(0, 4)).toString('latin1') !== '\x7fELF') return E.ENOEXEC;
    for (const action of actions.values()) assert(action.length === 32, 'an action has its size');
    const { signalMask, pendingSignals } = thread;
    this.threads.clear();
    for (const { start, end } of [...this.memory.regions]) this.memory.unmap(start, end);
    this.#launched = spec;
    const first = this.thread(leader);
    first.signalMask = signalMask;
    first.pendingSignals.push(...pendingSignals);
    return this.guest.mapInitial();
  }

  growHeap(id: Tid, start: GuestAddress, end: GuestAddress): boolean {
    const thread = this.threads.answering(id);
    if (thread === null) return false;
    const isFree = this.memory.regions.every(
      (region) => region.end <= start || region.start >= end,
    );
    if (isFree) this.guest.mapHeap(start, end);
    this.threads.repeat(thread);
    return isFree;
  }

  dropHeap(id: Tid, start: GuestAddress, end: GuestAddress, value: number): void {
    if (this.threads.answering(id) === null) return;
    this.memory.drop(start, end);
    this.answer(id, value);
  }

  answerSignal(id: Tid, value: number, target: Tid | null, number: number, info: Uint8Array): void {
    if (this.threads.answering(id) === null) return;
    const result = this.signal(target, number, info);
    this.answer(id, result < 0 ? result : value);
  }

  signal(target: Tid | null, number: number, info: Uint8Array): number {
    assert(number >= 1 && number <= 64, `${number} is a signal`);
    assert(info.length === 128, 'siginfo_t has 128 bytes');
    assert(this.signals.length < RECORDS_MAX, `at most ${RECORDS_MAX} signals`);
    const id = target ?? this.threads.firstId();
    const thread = this.threads.find(id);
    if (thread === null) return E.ESRCH;
    this.signals.push({ thread: id, number, info: Buffer.from(info) });
    const isMasked = ((thread.signalMask >> BigInt(number - 1)) & 1n) === 1n;
    if (isMasked) thread.pendingSignals.push(Buffer.from(info));
    return 0;
  }

  /* --- Lvm: guest memory ---------------------------------------------------------------------- */

  memoryRead(address: GuestAddress, target: Uint8Array): number {
    return this.memory.read(address, target);
  }

  memoryWrite(address: GuestAddress, source: Uint8Array, isForced = false): number {
    return isForced ? this.memory.writeForced(address, source) : this.memory.write(address, source);
  }

  /* --- Lvm: stopping and looking -------------------------------------------------------------- */

  quiesce(): boolean {
    assert(!this.isStopped, 'the guest runs');
    if (this.endsInQuiesce !== null) this.exit(this.endsInQuiesce);
    // Nothing is stopped when the guest is gone; `exited` is on its way, or was.
    if (this.threads.size === 0) return false;
    this.#loop.isStopped = true;
    this.threads.withdraw();
    return true;
  }

  resume(): boolean {
    assert(this.isStopped, 'the guest is stopped');
    this.#loop.isStopped = false;
    this.threads.askAgain();
    return this.threads.size > 0;
  }

  context(): ProcessContext {
    assert(this.isStopped, 'context is for a stopped guest');
    return {
      pendingSignals: [],
      threads: [...this.threads.all()].map((thread) => thread.context()),
    };
  }

  regions(): readonly MemoryRegion[] {
    assert(this.isStopped, 'regions is for a stopped guest');
    return this.memory.takeRegions();
  }

  regionsChanged(): boolean {
    return this.memory.isChanged;
  }

  takeDroppedRanges(visit: PageVisitor): void {
    assert(this.isStopped, 'dropped ranges are for a stopped guest');
    this.memory.takeDroppedRanges(visit);
  }

  takeWrittenPages(visit: PageVisitor): void {
    assert(this.isStopped, 'written pages are for a stopped guest');
    this.memory.takeWrittenPages(visit);
  }

  populatedPages(region: MemoryRegion, visit: PageVisitor): void {
    this.memory.populatedPages(region, visit);
  }

  memoryUse(): MemoryUse {
    return { regions: this.memory.regions, residentBytes: this.memory.populatedBytes };
  }

  pageRead(address: GuestAddress, target: Uint8Array): number {
    return this.memory.pageRead(address, target);
  }

  /* --- Lvm: time, chance, machine ------------------------------------------------------------- */

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
    if (deadlineNs <= this.#monotonicNs) this.#loop.later((client) => this.#ringIfDue(client));
  }

  random(target: Uint8Array): void {
    this.#random.fill(target);
  }

  machine(): MachineInfo {
    return this.#machine;
  }

  /* --- Lvm: root, streams, console: see root.ts, streams.ts, console.ts ----------------------- */

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
    return this.root.open(path);
  }

  rootRead(file: Handle, offset: number, target: Uint8Array): number {
    return this.root.read(file, offset, target);
  }

  rootClose(file: Handle): void {
    this.root.close(file);
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

  consoleDelivered(stream: 1 | 2): number {
    return this.console.delivered(stream);
  }

  consoleRead(target: Uint8Array): number {
    return this.console.read(target);
  }

  report(event: string, detail: string): void {
    assert(this.reports.length < RECORDS_MAX, `at most ${RECORDS_MAX} reports`);
    this.reports.push({ event, detail });
  }
}
