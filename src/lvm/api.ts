/**
 * The LVM API: the whole of what a library OS can ask of the outside ("LVM" is the paper's
 * lightweight virtual machine, not Logical Volume Manager). `Lvm` is implemented by a host
 * (src/host) and by interposers (src/interpose) that wrap another `Lvm`; `LvmClient` by the
 * library OS, and by an interposer towards the `Lvm` that it wraps. Nothing else touches the
 * outside.
 *
 * Rules for all calls: synchronous, never blocking (but `quiesce`, bounded); results that the guest
 * could see as an error are negative errno values, never exceptions; a call's class
 * (src/lvm/classes.ts) says what a checkpointer does about it. Byte arrays handed in are the
 * caller's again on return. Times are nanoseconds of the guest's clocks as numbers.
 */
import type { GuestAddress, Handle, Tid } from '../base/ids.ts';

/** A system call that a guest thread waits in until it is answered. Valid during `trapped` only. */
export interface TrappedCall {
  readonly thread: Tid;
  readonly number: number;
  /** The six arguments as the registers held them: 48 bytes, little-endian. */
  readonly args: Uint8Array;
}

/** What is mapped of the area that brk(2) moves the program break in; `growHeap` maps more. */
export interface HeapArea {
  readonly start: GuestAddress;
  readonly end: GuestAddress;
}

/** How a guest is started; byte strings, one character a byte, as all paths here. */
export interface LaunchSpec {
  /** Path in the root of the program to start; `argv[0]` may differ. */
  readonly program: string;
  readonly argv: readonly string[];
  /** `NAME=value`. */
  readonly env: readonly string[];
}

/** How a guest ended. */
export type ExitStatus =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signaled'; readonly signal: number };

export type ClockName = 'monotonic' | 'realtime' | 'boottime' | 'process-cpu' | 'thread-cpu';

/** What the guest may know of the machine; the same on every replica. */
export interface MachineInfo {
  readonly cpuCount: number;
  readonly memoryBytes: number;
  readonly hostname: string;
  /** Text of /proc/cpuinfo that the guest sees. */
  readonly cpuinfo: string;
}

export type FileType = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'char' | 'block';

/** lstat of a path in the read-only root. Times are nanoseconds since 1970. */
export interface RootStat {
  readonly type: FileType;
  /** Permission bits, 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly links: number;
  /** Stable within a root; not the host's device. */
  readonly inode: number;
  readonly atimeNs: number;
  readonly mtimeNs: number;
  readonly ctimeNs: number;
  /** Device numbers of a char or block device. */
  readonly rdev: number;
}

export interface RootEntry {
  readonly name: string;
  readonly type: FileType;
  readonly inode: number;
}

/** An address of a stream's end. `host` is numeric. */
export interface StreamAddress {
  readonly family: 4 | 6;
  readonly host: string;
  readonly port: number;
}

/** Bits of `ready` and of what a stream is ready for. */
export const READY = { in: 1, out: 2, hup: 4, error: 8 } as const;

/**
 * What a private mapping of a file is made from. `fd` is the guest's descriptor in the trapped
 * mmap.
 */
export type MapSource =
  | { readonly kind: 'root'; readonly file: Handle }
  | {
      readonly kind: 'bytes';
      readonly name: string;
      readonly content: Uint8Array;
      /**
       * The mapping that was asked for is a shared one. It becomes a private copy, with zeros
       * beyond the content; the library OS keeps it up to date.
       */
      readonly isShared: boolean;
    };

/** One mapping of the guest's address space. */
export interface MemoryRegion {
  readonly start: GuestAddress;
  readonly end: GuestAddress;
  /** PROT_READ 1 | PROT_WRITE 2 | PROT_EXEC 4. */
  readonly protection: number;
  /** MAP_SHARED; false is private. */
  readonly shared: boolean;
  /** Shown as the last column of the guest's /proc/self/maps. */
  readonly name: string;
  /** Of `start` in the file that `name` is; 0 for other names. */
  readonly fileOffset: number;
  /**
   * Whether a page that was never written can hold anything but zeros (a file stands behind it).
   */
  readonly backed: boolean;
}

/** A guest's memory at one moment, as the guest is told of it. */
export interface MemoryUse {
  readonly regions: readonly MemoryRegion[];
  /** Of all of them together, what is in memory. */
  readonly residentBytes: number;
}

/** One thread as the processor and the kernel hold it. */
export interface ThreadContext {
  readonly thread: Tid;
  /** struct user_regs_struct (sys/user.h), 216 bytes on x86-64. */
  readonly registers: Uint8Array;
  /** The XSAVE area as PTRACE_GETREGSET(NT_X86_XSTATE) gives it. */
  readonly extendedState: Uint8Array;
  readonly signalMask: bigint;
  /** siginfo_t of each signal pending for the thread alone, 128 bytes each. */
  readonly pendingSignals: readonly Uint8Array[];
}

/** All that is the machine's part (not the library OS's) of a stopped guest. */
export interface ProcessContext {
  /** siginfo_t of each signal pending for the whole process, 128 bytes each. */
  readonly pendingSignals: readonly Uint8Array[];
  readonly threads: readonly ThreadContext[];
}

/**
 * Facts about a thread that the kernel holds and a host can't read back: the library OS keeps them.
 */
export interface ThreadSetup {
  readonly thread: Tid;
  readonly clearChildTid: GuestAddress;
  readonly robustList: GuestAddress;
  readonly robustListSize: number;
  /** stack_t of sigaltstack(2), 24 bytes; empty when none is set. */
  readonly alternateStack: Uint8Array;
  /** prctl(PR_SET_NAME). */
  readonly name: string;
}

/** Facts about the process, likewise. `struct kernel_sigaction` is 32 bytes on x86-64. */
export interface ProcessSetup {
  readonly signalActions: ReadonlyMap<number, Uint8Array>;
  readonly threads: readonly ThreadSetup[];
}

/** What a host needs to bring a guest to life from a checkpoint. */
export interface GuestImage {
  readonly context: ProcessContext;
  readonly setup: ProcessSetup;
  readonly regions: readonly MemoryRegion[];
  /**
   * Host descriptor of a sparse file whose offset is the guest's address; holes are zero pages.
   * The host maps it privately and does not change it; it must not change any more either.
   */
  readonly memoryFd: number;
  /** Clocks of the guest at the checkpoint: they must not go back. */
  readonly monotonicNs: number;
}

/** A run of pages: address and count of 4096-byte pages. */
export type PageVisitor = (start: GuestAddress, pageCount: number) => void;

/** Takes the records of a save. `part` 0 is the object itself; others are its pages. */
export interface RecordSink {
  /** `bytes` is the caller's again on return. */
  put(object: number, part: number, bytes: Uint8Array): void;
  remove(object: number, part: number): void;
  /** The object and all its parts. */
  removeObject(object: number): void;
}

/** All records of a saved library OS. */
export interface RecordSource {
  objects(): Iterable<number>;
  /** Part numbers of one object, any order. */
  parts(object: number): Iterable<number>;
  get(object: number, part: number): Uint8Array | null;
}

export interface Lvm {
  /* --- life of the guest --------------------------------------------------------------------- */

  /** Binds the client; once, before anything else. Upcalls begin with `launch` or `instantiate`. */
  attach(client: LvmClient): void;
  /** Starts the first program; returns -errno when it can't (ENOENT, EACCES, ENOEXEC). */
  launch(spec: LaunchSpec): number;
  /** Brings a guest back from a checkpoint, stopped; `resume` lets it go. Throws if it can't. */
  instantiate(image: GuestImage): void;
  /** Ends all threads of the guest at once (exit_group). `exited` follows. */
  exit(status: ExitStatus): void;

  /* --- trapped calls: each is answered once, by one of these ---------- */

  /**
   * Ends the call with a value or -errno. No effect if the thread has been interrupted meanwhile.
   */
  answer(thread: Tid, value: number): void;
  /** Lets Linux run the call as it stands. Only for calls whose pointers need no checking. */
  answerNative(thread: Tid): void;
  /**
   * Answers mmap of a file: puts `source` behind the descriptor `fd` for this call, then native.
   * Returns 0, or the address if the mapping was asked to be shared; -errno: it is still to be
   * answered.
   */
  answerMap(thread: Tid, fd: number, source: MapSource): number;
  /**
   * Answers clone/clone3 of a thread: lets it run; the new thread is `child` to the guest, whose
   * id is also written to the addresses in `tidTargets`. False: there is no new thread (the caller
   * has got the error, or asks again).
   */
  answerClone(thread: Tid, child: Tid, tidTargets: readonly GuestAddress[]): boolean;
  /**
   * Answers execve: `program` takes the place of the guest's program. All threads end but the
   * calling one, which becomes `leader` and keeps its signal mask and what is pending; signals in
   * `actions` (struct kernel_sigaction) keep those, all others their default. Returns the new heap,
   * or -errno: then nothing has changed, and the call is still to be answered.
   */
  answerExec(
    thread: Tid,
    leader: Tid,
    spec: LaunchSpec,
    program: MapSource,
    actions: ReadonlyMap<number, Uint8Array>,
  ): HeapArea | number;
  /**
   * Maps more of the heap, from `start` to `end`, in the calling thread, which then asks its call
   * (brk) again. False: there is no room; the call is asked again all the same.
   */
  growHeap(thread: Tid, start: GuestAddress, end: GuestAddress): boolean;
  /**
   * Gives back the content of heap pages in the calling thread, and answers its call with `value`.
   */
  dropHeap(thread: Tid, start: GuestAddress, end: GuestAddress, value: number): void;
  /**
   * Ends the call with `value` and sends a signal, to one thread or to the process (null), as one:
   * a thread that signals itself gets it before it goes on. When it can't be sent, the call ends
   * with -errno instead.
   */
  answerSignal(
    thread: Tid,
    value: number,
    target: Tid | null,
    number: number,
    info: Uint8Array,
  ): void;
  /**
   * Sends a signal to one thread or to the process (null). `info` is a siginfo_t (128 bytes) as the
   * receiver sees it. The kernel delivers it; a trapped call that it interrupts is asked about
   * (`interrupted`).
   */
  signal(target: Tid | null, number: number, info: Uint8Array): number;

  /* --- guest memory ---------- */

  /** Copies from the guest; returns the bytes copied, fewer when memory ends, or -EFAULT. */
  memoryRead(address: GuestAddress, target: Uint8Array): number;
  /**
   * Copies into the guest; returns the bytes copied, fewer when memory ends, or -EFAULT.
   * `isForced`: whatever the protection of a private mapping.
   */
  memoryWrite(address: GuestAddress, source: Uint8Array, isForced?: boolean): number;

  /* --- stopping and looking (the paper's exceptions): what checkpoints are made with --- */

  /**
   * Stops every thread. Calls that threads wait in are withdrawn (`withdrawn`) and asked again.
   * False: the guest ended meanwhile, nothing is stopped, and `exited` follows.
   */
  quiesce(): boolean;
  /**
   * Lets all threads go on. False: the guest ended while it was stopped, so what was seen of it may
   * be wrong; `exited` follows.
   */
  resume(): boolean;
  /** Stopped only. The buffers in it are reused by the next call. */
  context(): ProcessContext;
  /** Stopped only. All mappings in address order, without the kernel's own. */
  regions(): readonly MemoryRegion[];
  /** Whether `regions` could differ from what it last returned. */
  regionsChanged(): boolean;
  /**
   * Stopped only. Reports ranges whose earlier content became void since the last call (unmapped,
   * mapped anew, MADV_DONTNEED): what is there now is what `populatedPages` tells, and zeros.
   */
  takeDroppedRanges(visit: PageVisitor): void;
  /** Stopped only. Reports pages written since the last call and watches them again. */
  takeWrittenPages(visit: PageVisitor): void;
  /** Pages of a region that hold something, written or not; may also be asked while it runs. */
  populatedPages(region: MemoryRegion, visit: PageVisitor): void;

  /** Stopped or running: how things are now, for /proc. `regionsChanged` stays as it is. */
  memoryUse(): MemoryUse;
  /** Stopped or running: copies pages whatever their protection; returns the bytes copied. */
  pageRead(address: GuestAddress, target: Uint8Array): number;

  /* --- time and chance ---------- */

  /**
   * Those of processor time count from zero at `launch` and at `instantiate`; `thread` says whose
   * 'thread-cpu' is.
   */
  clock(name: ClockName, thread?: Tid): number;
  /** Asks for `alarm` at a monotonic time; replaces the one before. Infinity: none. */
  setAlarm(deadlineNs: number): void;
  random(target: Uint8Array): void;
  machine(): MachineInfo;

  /* --- the read-only root ---------- */

  /** lstat; -errno. `path` is absolute in the root, its directories without symlinks. */
  rootStat(path: string): RootStat | number;
  rootReadlink(path: string): string | number;
  rootList(path: string): readonly RootEntry[] | number;
  /** Opens a regular file for reading; -errno. */
  rootOpen(path: string): Handle | number;
  rootRead(file: Handle, offset: number, target: Uint8Array): number;
  rootClose(file: Handle): void;

  /* --- streams (TCP) ---------- */

  /** Takes connections for a published guest port; -EADDRNOTAVAIL when it is not published. */
  streamListen(port: number): Handle | number;
  /** The next connection, or -EAGAIN. */
  streamAccept(
    listener: Handle,
  ): { stream: Handle; peer: StreamAddress; local: StreamAddress } | number;
  /** Bytes read, 0 at the end, -EAGAIN, -ECONNRESET. */
  streamRead(stream: Handle, target: Uint8Array): number;
  /** Bytes taken, -EAGAIN (then `ready` says when), -EPIPE, -ECONNRESET. */
  streamWrite(stream: Handle, source: Uint8Array): number;
  /** Ends the sending side after what was written. */
  streamShutdown(stream: Handle): void;
  /** Closes a stream or listener; `reset` drops what was not sent and resets the connection. */
  streamClose(stream: Handle, reset: boolean): void;

  /* --- console ---------- */

  /** Standard output (1) or error (2); bytes taken or -EAGAIN. */
  consoleWrite(stream: 1 | 2, source: Uint8Array): number;
  /**
   * How many of the bytes that `consoleWrite` took here have reached whoever reads them, who will
   * not lose them when this process dies. `ready` of handle 0 tells of more.
   */
  consoleDelivered(stream: 1 | 2): number;
  /** Standard input: bytes read, 0 at the end, -EAGAIN. */
  consoleRead(target: Uint8Array): number;

  /* --- diagnostics ---------- */

  /** Something a person should know once, such as an unsupported call. */
  report(event: string, detail: string): void;
}

/** What an `Lvm` tells its client. Each runs to its end before the next. */
export interface LvmClient {
  /** The first thread is about to start; its id to the guest is `first`. */
  launched(first: Tid, heap: HeapArea): void;
  /** A call to answer, now or later. Asked again after `withdrawn`. */
  trapped(call: TrappedCall): void;
  /**
   * The thread's unanswered call was interrupted by `quiesce` and is asked again after `resume`.
   */
  withdrawn(thread: Tid): void;
  /**
   * A signal that it does not block is about to interrupt the thread's unanswered call, which it
   * may have asked, or been about to ask, for the first time or again. Returns
   * what the call ends with, or null: it is made again, as after `withdrawn`.
   */
  interrupted(thread: Tid, signal: number): number | null;
  /** A stream, listener or the console (handle 0) became ready: READY bits, edge-triggered. */
  ready(handle: Handle, events: number): void;
  /** The time of `setAlarm` has come. */
  alarm(): void;
  /** Nothing more is to be served now: the loop is about to wait. */
  settled(): void;
  /** The guest is gone: by `exit`, a fatal signal or from outside. The last upcall. */
  exited(status: ExitStatus): void;

  /** What `instantiate` needs of the client's knowledge. */
  setup(): ProcessSetup;
  /** Writes its state: all of it, or what changed since the last `save` of either kind. */
  save(sink: RecordSink, scope: 'all' | 'changes'): void;
  /** Takes a saved state; before `instantiate`, once. */
  load(source: RecordSource): void;
}
