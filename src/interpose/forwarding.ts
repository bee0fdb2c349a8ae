/**
 * ForwardingLvm: an interposer that changes nothing: an `Lvm` to the client above and the client of
 * the `Lvm` below. Interposers extend it and override what they care about, calling `super` to pass
 * on. Every method is a direct call, so that a stacked interposer costs a few nanoseconds a call.
 */
import { assert } from '../base/assert.ts';
import type { GuestAddress, Handle, Tid } from '../base/ids.ts';
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
  ProcessSetup,
  RecordSink,
  RecordSource,
  RootEntry,
  RootStat,
  StreamAddress,
  TrappedCall,
} from '../lvm/api.ts';

export class ForwardingLvm implements Lvm, LvmClient {
  protected readonly inner: Lvm;
  #client: LvmClient | null = null;

  constructor(inner: Lvm) {
    this.inner = inner;
  }

  /** The client above. */
  protected get client(): LvmClient {
    return this.#client as LvmClient;
  }

  /* --- Lvm: life of the guest ----------------------------------------------------------------- */

  attach(client: LvmClient): void {
    assert(this.#client === null, 'a client is attached once');
    this.#client = client;
    this.inner.attach(this);
  }

  launch(spec: LaunchSpec): number {
    return this.inner.launch(spec);
  }

  instantiate(image: GuestImage): void {
    this.inner.instantiate(image);
  }

  exit(status: ExitStatus): void {
    this.inner.exit(status);
  }

  /* --- Lvm: trapped calls --------------------------------------------------------------------- */

  answer(thread: Tid, value: number): void {
    this.inner.answer(thread, value);
  }

  answerNative(thread: Tid): void {
    this.inner.answerNative(thread);
  }

  answerMap(thread: Tid, fd: number, source: MapSource): number {
    return this.inner.answerMap(thread, fd, source);
  }

  answerClone(thread: Tid, child: Tid, tidTargets: readonly GuestAddress[]): boolean {
    return this.inner.answerClone(thread, child, tidTargets);
  }

  answerExec(
    thread: Tid,
    leader: Tid,
    spec: LaunchSpec,
    program: MapSource,
    actions: ReadonlyMap<number, Uint8Array>,
  ): HeapArea | number {
    return this.inner.answerExec(thread, leader, spec, program, actions);
  }

  growHeap(thread: Tid, start: GuestAddress, end: GuestAddress): boolean {
    return this.inner.growHeap(thread, start, end);
  }

  dropHeap(thread: Tid, start: GuestAddress, end: GuestAddress, value: number): void {
    this.inner.dropHeap(thread, start, end, value);
  }

  answerSignal(
    thread: Tid,
    value: number,
    target: Tid | null,
    number: number,
    info: Uint8Array,
  ): void {
    this.inner.answerSignal(thread, value, target, number, info);
  }

  signal(target: Tid | null, number: number, info: Uint8Array): number {
    return this.inner.signal(target, number, info);
  }

  /* --- Lvm: guest memory ---------------------------------------------------------------------- */

  memoryRead(address: GuestAddress, target: Uint8Array): number {
    return this.inner.memoryRead(address, target);
  }

  memoryWrite(address: GuestAddress, source: Uint8Array, isForced?: boolean): number {
    return this.inner.memoryWrite(address, source, isForced);
  }

  /* --- Lvm: stopping and looking -------------------------------------------------------------- */

  quiesce(): boolean {
    return this.inner.quiesce();
  }

  resume(): boolean {
    return this.inner.resume();
  }

  context(): ProcessContext {
    return this.inner.context();
  }

  regions(): readonly MemoryRegion[] {
    return this.inner.regions();
  }

  regionsChanged(): boolean {
    return this.inner.regionsChanged();
  }

  takeDroppedRanges(visit: PageVisitor): void {
    this.inner.takeDroppedRanges(visit);
  }

  takeWrittenPages(visit: PageVisitor): void {
    this.inner.takeWrittenPages(visit);
  }

  populatedPages(region: MemoryRegion, visit: PageVisitor): void {
    this.inner.populatedPages(region, visit);
  }

  memoryUse(): MemoryUse {
    return this.inner.memoryUse();
  }

  pageRead(address: GuestAddress, target: Uint8Array): number {
    return this.inner.pageRead(address, target);
  }

  /* --- Lvm: time and chance ------------------------------------------------------------------- */

  clock(name: ClockName, thread?: Tid): number {
    return this.inner.clock(name, thread);
  }

  setAlarm(deadlineNs: number): void {
    this.inner.setAlarm(deadlineNs);
  }

  random(target: Uint8Array): void {
    this.inner.random(target);
  }

  machine(): MachineInfo {
    return this.inner.machine();
  }

  /* --- Lvm: the read-only root ---------------------------------------------------------------- */

  rootStat(path: string): RootStat | number {
    return this.inner.rootStat(path);
  }

  rootReadlink(path: string): string | number {
    return this.inner.rootReadlink(path);
  }

  rootList(path: string): readonly RootEntry[] | number {
    return this.inner.rootList(path);
  }

  rootOpen(path: string): Handle | number {
    return this.inner.rootOpen(path);
  }

  rootRead(file: Handle, offset: number, target: Uint8Array): number {
    return this.inner.rootRead(file, offset, target);
  }

  rootClose(file: Handle): void {
    this.inner.rootClose(file);
  }

  /* --- Lvm: streams --------------------------------------------------------------------------- */

  streamListen(port: number): Handle | number {
    return this.inner.streamListen(port);
  }

  streamAccept(
    listener: Handle,
  ): { stream: Handle; peer: StreamAddress; local: StreamAddress } | number {
    return this.inner.streamAccept(listener);
  }

  streamRead(stream: Handle, target: Uint8Array): number {
    return this.inner.streamRead(stream, target);
  }

  streamWrite(stream: Handle, source: Uint8Array): number {
    return this.inner.streamWrite(stream, source);
  }

  streamShutdown(stream: Handle): void {
    this.inner.streamShutdown(stream);
  }

  streamClose(stream: Handle, reset: boolean): void {
    this.inner.streamClose(stream, reset);
  }

  /* --- Lvm: console and diagnostics ----------------------------------------------------------- */

  consoleWrite(stream: 1 | 2, source: Uint8Array): number {
    return this.inner.consoleWrite(stream, source);
  }

  consoleDelivered(stream: 1 | 2): number {
    return this.inner.consoleDelivered(stream);
  }

  consoleRead(target: Uint8Array): number {
    return this.inner.consoleRead(target);
  }

  report(event: string, detail: string): void {
    this.inner.report(event, detail);
  }

  /* --- LvmClient: what comes from below ------------------------------------------------------- */

  launched(first: Tid, heap: HeapArea): void {
    this.client.launched(first, heap);
  }

  trapped(call: TrappedCall): void {
    this.client.trapped(call);
  }

  withdrawn(thread: Tid): void {
    this.client.withdrawn(thread);
  }

  interrupted(thread: Tid, signal: number): number | null {
    return this.client.interrupted(thread, signal);
  }

  ready(handle: Handle, events: number): void {
    this.client.ready(handle, events);
  }

  alarm(): void {
    this.client.alarm();
  }

  settled(): void {
    this.client.settled();
  }

  exited(status: ExitStatus): void {
    this.client.exited(status);
  }

  setup(): ProcessSetup {
    return this.client.setup();
  }

  save(sink: RecordSink, scope: 'all' | 'changes'): void {
    this.client.save(sink, scope);
  }

  load(source: RecordSource): void {
    this.client.load(source);
  }
}
