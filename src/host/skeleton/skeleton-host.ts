/**
 * SkeletonHost: the template of a port to another system: an `Lvm` that refuses everything with one
 * clear error. Copy it, and replace the body of each method by what its comment says.
 * src/lvm/api.ts is the contract; test/conformance/lvm.ts checks what can be checked without a
 * guest.
 */
import { TardigradeError } from '../../base/errors.ts';
import type { GuestAddress, Handle, Tid } from '../../base/ids.ts';
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

function refuse(call: keyof Lvm): never {
  throw new TardigradeError(
    'kernel',
    `this host can't run guests: ${call} is not implemented`,
    'run tardigrade on Linux for x86-64, or port src/host/skeleton to this system',
  );
}

export class SkeletonHost implements Lvm {
  /**
   * Keep the client; all upcalls go to it, from one loop, never from inside a call but `quiesce`.
   */
  attach(_client: LvmClient): void {
    refuse('attach');
  }

  /** Start the program confined: every call trapped but the native ones; then `launched`. */
  launch(_spec: LaunchSpec): number {
    return refuse('launch');
  }

  /** Make a stopped guest: map the memory privately, make the threads, set contexts and setup. */
  instantiate(_image: GuestImage): void {
    refuse('instantiate');
  }

  /** Kill all threads at once, wait until they are gone, then `exited` from the loop. */
  exit(_status: ExitStatus): void {
    refuse('exit');
  }

  /** Complete the call that the thread waits in; do nothing if it waits in none. */
  answer(_thread: Tid, _value: number): void {
    refuse('answer');
  }

  /** Let the system run the trapped call unchanged. */
  answerNative(_thread: Tid): void {
    refuse('answerNative');
  }

  /**
   * Give the thread a descriptor of the content under the number `fd`, let it map, take it back.
   */
  answerMap(_thread: Tid, _fd: number, _source: MapSource): number {
    return refuse('answerMap');
  }

  /** Let the thread clone, and learn which new thread goes by the id `child`. */
  answerClone(_thread: Tid, _child: Tid, _tidTargets: readonly GuestAddress[]): boolean {
    return refuse('answerClone');
  }

  /**
   * End all threads but the one that waits, and let that one start another program, as execve(2)
   * does; -errno with nothing changed when the program can't be started.
   */
  answerExec(
    _thread: Tid,
    _leader: Tid,
    _spec: LaunchSpec,
    _program: MapSource,
    _actions: ReadonlyMap<number, Uint8Array>,
  ): HeapArea | number {
    return refuse('answerExec');
  }

  /** Map anonymous memory there in the thread that waits, and have it make its call again. */
  growHeap(_thread: Tid, _start: GuestAddress, _end: GuestAddress): boolean {
    return refuse('growHeap');
  }

  /**
   * Give back these pages (MADV_DONTNEED) in the thread that waits, and end its call with a value.
   */
  dropHeap(_thread: Tid, _start: GuestAddress, _end: GuestAddress, _value: number): void {
    refuse('dropHeap');
  }

  /** Have the thread that waits send the signal by itself, and end its call with 0. */
  answerSignal(
    _thread: Tid,
    _value: number,
    _target: Tid | null,
    _number: number,
    _info: Uint8Array,
  ): void {
    refuse('answerSignal');
  }

  /**
   * Queue the signal to the thread with its siginfo, as rt_tgsigqueueinfo(2) does; -ESRCH if gone.
   */
  signal(_target: Tid | null, _number: number, _info: Uint8Array): number {
    return refuse('signal');
  }

  /** Copy out of the guest as far as it is readable; -EFAULT if nothing is. */
  memoryRead(_address: GuestAddress, _target: Uint8Array): number {
    return refuse('memoryRead');
  }

  /** Copy into the guest as far as it is writable; -EFAULT if nothing is. Counts as written. */
  memoryWrite(_address: GuestAddress, _source: Uint8Array): number {
    return refuse('memoryWrite');
  }

  /**
   * Stop all threads, those being made too; `withdrawn` for each unanswered call; false if it
   * ended.
   */
  quiesce(): boolean {
    return refuse('quiesce');
  }

  /** Let all threads run; withdrawn calls are `trapped` again. */
  resume(): boolean {
    return refuse('resume');
  }

  /** Read registers, extended state, masks and pending signals of all threads. */
  context(): ProcessContext {
    return refuse('context');
  }

  /** List the mappings in address order, without those that the system brings itself. */
  regions(): readonly MemoryRegion[] {
    return refuse('regions');
  }

  /** Tell whether a call that changes mappings may have run; true is always allowed. */
  regionsChanged(): boolean {
    return refuse('regionsChanged');
  }

  /** Report what was unmapped, mapped anew or discarded since the last time. */
  takeDroppedRanges(_visit: PageVisitor): void {
    refuse('takeDroppedRanges');
  }

  /** Report pages written since the last time and arm the detection again, in one step. */
  takeWrittenPages(_visit: PageVisitor): void {
    refuse('takeWrittenPages');
  }

  /** Report the pages of a region that are present or swapped. */
  populatedPages(_region: MemoryRegion, _visit: PageVisitor): void {
    refuse('populatedPages');
  }

  /** Tell of a guest that may run what is mapped and how much of it is in memory. */
  memoryUse(): MemoryUse {
    return refuse('memoryUse');
  }

  /** Copy out of the guest what is mapped, whatever its protection. */
  pageRead(_address: GuestAddress, _target: Uint8Array): number {
    return refuse('pageRead');
  }

  /** Read a clock of the guest: monotonic never goes back, a takeover included. */
  clock(_name: ClockName, _thread?: Tid): number {
    return refuse('clock');
  }

  /** Arm one timer; `alarm` from the loop at or after its time. */
  setAlarm(_deadlineNs: number): void {
    refuse('setAlarm');
  }

  /** Fill with bytes fit for keys. */
  random(_target: Uint8Array): void {
    refuse('random');
  }

  /** Tell what the service was configured with, never what this machine has. */
  machine(): MachineInfo {
    return refuse('machine');
  }

  /** lstat below the root; no path, symlink or mount leads out of it. */
  rootStat(_path: string): RootStat | number {
    return refuse('rootStat');
  }

  /** Read a symlink; -EINVAL if it isn't one. */
  rootReadlink(_path: string): string | number {
    return refuse('rootReadlink');
  }

  /** List a directory without `.` and `..`. */
  rootList(_path: string): readonly RootEntry[] | number {
    return refuse('rootList');
  }

  /** Open a regular file read-only; nothing else can be opened. */
  rootOpen(_path: string): Handle | number {
    return refuse('rootOpen');
  }

  /** Read at an offset; 0 at the end. */
  rootRead(_file: Handle, _offset: number, _target: Uint8Array): number {
    return refuse('rootRead');
  }

  /** Close; the handle's number is not used again. */
  rootClose(_file: Handle): void {
    refuse('rootClose');
  }

  /** Begin to take connections of a published port; `ready` when one waits. */
  streamListen(_port: number): Handle | number {
    return refuse('streamListen');
  }

  /** Take the next connection, non-blocking, with edge-triggered readiness from now on. */
  streamAccept(
    _listener: Handle,
  ): { stream: Handle; peer: StreamAddress; local: StreamAddress } | number {
    return refuse('streamAccept');
  }

  /** recv(2) without waiting. */
  streamRead(_stream: Handle, _target: Uint8Array): number {
    return refuse('streamRead');
  }

  /** send(2) without waiting and without SIGPIPE. */
  streamWrite(_stream: Handle, _source: Uint8Array): number {
    return refuse('streamWrite');
  }

  /** shutdown(2) of the sending side. */
  streamShutdown(_stream: Handle): void {
    refuse('streamShutdown');
  }

  /**
   * Close a stream, by a reset if so asked, or a listener, whose port stays taken by the service.
   */
  streamClose(_stream: Handle, _reset: boolean): void {
    refuse('streamClose');
  }

  /** Take what the console has room for; `ready` of handle 0 when it has room again. */
  consoleWrite(_stream: 1 | 2, _source: Uint8Array): number {
    return refuse('consoleWrite');
  }

  /** Count the bytes of a console stream that are safe with whoever reads them. */
  consoleDelivered(_stream: 1 | 2): number {
    return refuse('consoleDelivered');
  }

  /** Read what was typed, without waiting. */
  consoleRead(_target: Uint8Array): number {
    return refuse('consoleRead');
  }

  /** Log it once; not to the guest's output. */
  report(_event: string, _detail: string): void {
    refuse('report');
  }
}
