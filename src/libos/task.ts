/**
 * Task: one thread of the guest, as the library OS knows it: its ids, the call that it waits in,
 * and what the kernel holds of it that can't be read back. Handlers get the calling task.
 */
import type { Decoder, Encoder } from '../base/codec.ts';
import { type GuestAddress, guestAddress, type ObjectId, type Tid, tid } from '../base/ids.ts';
import { Args } from './args.ts';
import type { FdTable } from './fd-table.ts';
import type { Kernel } from './kernel.ts';
import { KIND } from './kinds-ids.ts';
import type { GuestMemory } from './memory.ts';
import { KernelObject, type Objects } from './object.ts';
import { type Blocked, blocked } from './outcome.ts';
import { Process } from './process.ts';
import { CpuTime } from './time/cpu-time.ts';
import { Deadline } from './time/deadlines.ts';
import type { Waiter, WaitQueue } from './wait-queue.ts';

/**
 * `idle` runs guest code; `waiting` is in a call not yet answered; `withdrawn` will ask it again.
 */
export type CallState = 'idle' | 'waiting' | 'withdrawn';

export class Task extends KernelObject implements Waiter {
  readonly kind = KIND.task;
  tid: Tid = tid(0);
  #process: Process | null = null;

  /** set_tid_address(2) and CLONE_CHILD_CLEARTID. */
  clearChildTid: GuestAddress = guestAddress(0);
  robustList: GuestAddress = guestAddress(0);
  robustListSize = 0;
  alternateStack: Uint8Array = new Uint8Array(0);
  name = '';
  readonly #cpu = new CpuTime();

  state: CallState = 'idle';
  callNumber = -1;
  readonly args = new Args();
  /**
   * When the call times out; kept when it is withdrawn, so that asking again does not prolong it.
   */
  #deadlineNs = Number.NaN;
  readonly #deadline = new Deadline(() => this.wake());
  /**
   * What a call that moves bytes piece by piece (a blocking send, MSG_WAITALL) has moved so far.
   * It is kept while the call blocks, and over a restore, and starts at 0 with each new call.
   */
  #progress = 0;
  readonly #queues: WaitQueue[] = [];
  /** In the kernel's list of those to run again. */
  isRunnable = false;

  constructor(objects: Objects, id?: ObjectId) {
    super(objects, id);
  }

  get kernel(): Kernel {
    return this.process.kernel;
  }

  get process(): Process {
    return this.#process as Process;
  }

  set process(process: Process) {
    this.#process = process;
    this.touch();
  }

  get files(): FdTable {
    return this.process.files;
  }

  get memory(): GuestMemory {
    return this.kernel.memory;
  }

  /** Processor time of this thread; never more than its process was told. */
  tellCpuNs(): number {
    this.process.tellCpuNs();
    this.touch();
    return this.#cpu.tell(this.kernel.lvm.clock('thread-cpu', this.tid));
  }

  /**
   * The absolute deadline of the running call for a relative `timeoutNs`. The first asking fixes
   * it; a handler that runs again, and a call that is asked again, get the same.
   */
  deadline(timeoutNs: number): number {
    return this.deadlineAt(this.kernel.monotonicNs() + timeoutNs);
  }

  /** Like `deadline`, for an absolute monotonic time. */
  deadlineAt(atNs: number): number {
    if (Number.isNaN(this.#deadlineNs)) {
      this.#deadlineNs = atNs;
      this.touch();
    }
    return this.#deadlineNs;
  }

  get progress(): number {
    return this.#progress;
  }

  set progress(count: number) {
    this.#progress = count;
    this.touch();
  }

  /** The running call has a deadline and it has passed. */
  get isTimedOut(): boolean {
    return this.kernel.monotonicNs() >= this.#deadlineNs;
  }

  /** How long the running call may still wait, or null if it waits without a limit. */
  get remainingNs(): number | null {
    if (Number.isNaN(this.#deadlineNs)) return null;
    return Math.max(0, this.#deadlineNs - this.kernel.monotonicNs());
  }

  /**
   * Waits on `queue` (and on those of earlier calls in this handler), until the deadline if one is
   * set.
   */
  waitOn(queue: WaitQueue): Blocked {
    queue.add(this);
    this.#queues.push(queue);
    return blocked;
  }

  /** Waits for the deadline alone. */
  sleep(): Blocked {
    return blocked;
  }

  /** What it waited on may have changed: its handler runs again soon. */
  wake(): void {
    this.kernel.makeRunnable(this);
  }

  /** For the dispatcher: the handler returned `blocked`. */
  armDeadline(): void {
    if (!Number.isNaN(this.#deadlineNs))
      this.kernel.deadlines.set(this.#deadline, this.#deadlineNs);
  }

  /** execve(2): what Linux held for the thread is gone with the old program. */
  startProgram(leader: Tid, program: string): void {
    this.tid = leader;
    this.clearChildTid = guestAddress(0);
    this.robustList = guestAddress(0);
    this.robustListSize = 0;
    this.alternateStack = new Uint8Array(0);
    this.name = program.split('/').at(-1) ?? '';
    this.touch();
  }

  /** For the dispatcher: before the handler runs again. */
  stopWaiting(): void {
    for (const queue of this.#queues) queue.remove(this);
    this.#queues.length = 0;
    if (this.#deadline.index >= 0) this.kernel.deadlines.set(this.#deadline, Infinity);
  }

  /** For the dispatcher: the call is answered. */
  endCall(): void {
    this.stopWaiting();
    this.state = 'idle';
    if (!Number.isNaN(this.#deadlineNs) || this.#progress !== 0) {
      this.#deadlineNs = Number.NaN;
      this.#progress = 0;
      this.touch();
    }
  }

  override save(encoder: Encoder): void {
    encoder.u32(this.tid).u32(this.process.id);
    encoder.u53(this.clearChildTid).u53(this.robustList).u53(this.robustListSize);
    encoder.bytes(this.alternateStack).string(this.name);
    this.#cpu.save(encoder);
    encoder.f64(this.#deadlineNs).u53(this.#progress).i32(this.callNumber).raw(this.args.bytes);
  }

  override load(decoder: Decoder): void {
    this.tid = tid(decoder.u32());
    this.#process = this.objects.get(decoder.u32(), Process);
    this.clearChildTid = guestAddress(decoder.u53());
    this.robustList = guestAddress(decoder.u53());
    this.robustListSize = decoder.u53();
    this.alternateStack = Uint8Array.from(decoder.bytes());
    this.name = decoder.string();
    this.#cpu.load(decoder);
    this.#deadlineNs = decoder.f64();
    this.#progress = decoder.u53();
    this.callNumber = decoder.i32();
    this.args.set(decoder.raw(48));
    const isUnderway = this.#progress !== 0 || !Number.isNaN(this.#deadlineNs);
    this.state = isUnderway ? 'withdrawn' : 'idle';
  }
}
