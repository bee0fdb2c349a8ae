/**
 * Checkpointer: makes a guest's state travel, by interposing on the LVM API: it implements the same
 * interface around another `Lvm`, and neither the library OS above nor the host below knows.
 * An epoch's way: output waits -> trigger -> quiesce -> capture -> resume -> `captured` (ship) ->
 * `release` (what was held goes out). Shipping and acknowledgement are the replica's business.
 */
import { E } from '../abi/errno.ts';
import { assert } from '../base/assert.ts';
import { type FaultPlan, InjectedFault } from '../base/fault-points.ts';
import { type Epoch, epoch, type GuestAddress, type Handle, type Tid } from '../base/ids.ts';
import { DeltaHistory } from '../checkpoint/delta-history.ts';
import type { SealedDelta } from '../checkpoint/delta-writer.ts';
import type { Image } from '../checkpoint/image.ts';
import type { SlabPool } from '../checkpoint/slab.ts';
import {
  type ExitStatus,
  type HeapArea,
  type LaunchSpec,
  type Lvm,
  type MapSource,
  type MemoryRegion,
  READY,
  type StreamAddress,
  type TrappedCall,
} from '../lvm/api.ts';
import { ForwardingLvm } from './forwarding.ts';
import { HandleTable } from './handle-table.ts';
import { OutputGate } from './output-gate.ts';
import { StateWriter } from './state-writer.ts';
import { Trigger } from './trigger.ts';

/** What a capture cost; microseconds and bytes. */
export interface CaptureReport {
  readonly delta: SealedDelta;
  readonly pauseUs: number;
  readonly pageCount: number;
}

/** What the checkpointer needs of the replica around it. */
export interface CheckpointerHost {
  /** Whether one more epoch may be captured now (the window of unacknowledged ones is not full). */
  mayCapture(): boolean;
  /** A delta to be shipped; the guest runs again. */
  captured(report: CaptureReport): void;
}

/** A state that somebody starts from, and the mappings whose pages are still to come. */
export interface Base {
  readonly frame: SealedDelta;
  readonly epoch: Epoch;
  readonly regions: readonly MemoryRegion[];
}

/** What was written while the guest was stopped. */
interface Paused {
  /** Null when nobody followed until now. */
  readonly delta: SealedDelta | null;
  readonly base: Base | null;
}

export class Checkpointer extends ForwardingLvm {
  readonly #host: CheckpointerHost;
  readonly #faults: FaultPlan;
  readonly #handles = new HandleTable();
  readonly #gate: OutputGate;
  readonly #trigger: Trigger;
  readonly #state: StateWriter;
  /** Output is held: somebody follows the guest's state, or soon will. */
  #isProtected = false;
  #epoch: Epoch = epoch(0);
  #clientAlarmNs = Infinity;
  /** The thread whose call is being reported, until it is answered. */
  #current: Tid | null = null;
  #isEnded = false;
  /** From a capture's beginning until all that it made has been handed on. */
  #isCapturing = false;

  constructor(inner: Lvm, host: CheckpointerHost, pool: SlabPool, faults: FaultPlan) {
    super(inner);
    this.#host = host;
    this.#faults = faults;
    this.#trigger = new Trigger();
    this.#gate = new OutputGate(inner, {
      ready: (stream, events) => this.client.ready(stream, events),
      halfReleased: () => faults.at('half-released'),
    });
    this.#state = new StateWriter(inner, this.#handles, this.#gate, pool, faults);
  }

  /** The last epoch captured. */
  get epoch(): Epoch {
    return this.#epoch;
  }

  get heldBytes(): number {
    return this.#gate.heldBytes;
  }

  get isProtected(): boolean {
    return this.#isProtected;
  }

  /* --- epochs ---------- */

  /** From now on output is held until `release`; the guest is in the epoch after the last one. */
  protect(): void {
    if (this.#isProtected) return;
    this.#isProtected = true;
    this.#gate.enter(epoch(this.#epoch + 1));
  }

  /** Nobody follows, and nobody has to: what is held leaves, and nothing is held from now on. */
  unprotect(): void {
    if (!this.#isProtected) return;
    this.#isProtected = false;
    this.#gate.stopHolding();
    this.#setAlarm();
  }

  /** Everything said up to and with this epoch may leave. */
  release(upTo: Epoch): void {
    this.#gate.release(upTo);
    this.#faults.at('after-release');
  }

  /** Captures if something calls for it. Called when nothing more is to be served. */
  #consider(): void {
    if (!this.#isProtected || this.#isEnded) return;
    const now = this.inner.clock('monotonic');
    if (this.#trigger.isDue(now, this.#gate.isWaiting) && this.#host.mayCapture()) {
      this.captureOrRetry();
    }
    this.#setAlarm();
  }

  /** `capture`, but one that fails is tried again at the next occasion; the guest runs on. */
  captureOrRetry(): boolean {
    try {
      return this.capture();
    } catch (error) {
      if (!(error instanceof InjectedFault)) throw error;
      this.inner.report('capture-failed', error.message);
      return false;
    }
  }

  /**
   * The window has room again. Not while a capture is handed on: those who follow must get every
   * epoch, in order.
   */
  reconsider(): void {
    if (!this.#isCapturing) this.#consider();
  }

  /** One epoch ends. False: nothing was captured (the guest is ending). */
  capture(): boolean {
    return this.#capture(() => ({ delta: this.#write(), base: null }));
  }

  /**
   * An epoch ends, and the whole state but for the pages is taken in the same pause, for somebody
   * who joins. `taken` gets it behind the delta of its epoch and before any later one: every delta
   * that is captured from then on is theirs too. False: the guest is ending.
   */
  captureBase(taken: (base: Base) => void): boolean {
    const write = (): Paused => {
      if (!this.#isProtected) return { delta: null, base: this.#writeFirstBase() };
      const delta = this.#write();
      return { delta, base: this.#writeBase(new DeltaHistory()) };
    };
    return this.#capture(write, taken);
  }

  /** One capture, handed on whole before another begins, whatever that brings about. */
  #capture(write: () => Paused, taken?: (base: Base) => void): boolean {
    assert(!this.#isCapturing, 'one capture at a time');
    this.#isCapturing = true;
    try {
      const paused = this.#pause(write);
      if (paused === null) return false;
      if (paused.base !== null) taken?.(paused.base);
    } finally {
      this.#isCapturing = false;
    }
    // Another may be due already; others are served first.
    this.#setAlarm();
    return true;
  }

  /** Runs `write` while the guest is stopped; then hands the delta on. */
  #pause(write: () => Paused): Paused | null {
    const startNs = this.inner.clock('monotonic');
    this.#faults.at('before-quiesce');
    if (!this.inner.quiesce()) return null;
    let paused: Paused;
    try {
      this.#faults.at('during-quiesce');
      paused = write();
    } catch (error) {
      this.#state.failed();
      // What can't be read any more is no failure of ours.
      if (!this.inner.resume()) return null;
      throw error;
    }
    if (!this.inner.resume()) {
      paused.delta?.release();
      paused.base?.frame.release();
      return null;
    }
    const endNs = this.inner.clock('monotonic');
    const pageCount = this.#state.takePages();
    const { delta } = paused;
    this.#trigger.captured(startNs, endNs, delta?.sizeBytes ?? 0);
    if (delta !== null) {
      this.#host.captured({ delta, pauseUs: (endNs - startNs) / 1000, pageCount });
    }
    return paused;
  }

  #write(): SealedDelta {
    const next = epoch(this.#epoch + 1);
    const delta = this.#state.writeDelta(this.client, next, this.#epoch);
    this.#epoch = next;
    this.#gate.enter(epoch(next + 1));
    return delta;
  }

  #writeBase(history: DeltaHistory): Base {
    const { frame, regions } = this.#state.writeBase(this.client, this.#epoch, history);
    return { frame, epoch: this.#epoch, regions };
  }

  /** Nobody followed until now: the state at this moment is an epoch, and deltas begin after it. */
  #writeFirstBase(): Base {
    this.#epoch = epoch(this.#epoch + 1);
    const base = this.#writeBase(this.#state.beginHistory());
    this.protect();
    return base;
  }

  /* --- restore ---------- */

  /**
   * Takes over the state of an image, stopped; `last` is the epoch that it counts as from now on.
   * The client is told of lost connections by `resumeFrom`.
   */
  restore(image: Image, last: Epoch): void {
    this.#epoch = last;
    this.#handles.load(image.handles);
    this.client.load(image.recordSource());
    for (const { stream, offset, bytes } of image.console.held()) {
      this.#gate.restoreConsole(stream, offset, bytes, last);
    }
    this.inner.instantiate(image.guestImage());
  }

  /** The guest goes on: listeners are asked for again, connections appear as reset. */
  resumeFrom(): void {
    for (const [outer, entry] of this.#handles.entries()) {
      if (entry.kind !== 'listener') continue;
      const inner = this.inner.streamListen(entry.port);
      if (typeof inner === 'number' && inner < 0) continue;
      this.#handles.bind(outer, inner as Handle);
    }
    this.inner.resume();
    for (const [outer, entry] of this.#handles.entries()) {
      const lost = READY.in | READY.out | READY.hup | READY.error;
      this.client.ready(outer, entry.kind === 'stream' ? lost : READY.in);
    }
  }

  /* --- Lvm: output is held, handles are ours ---------- */

  override exit(status: ExitStatus): void {
    this.#gate.exit(status);
  }

  override streamListen(port: number): Handle | number {
    const inner = this.inner.streamListen(port);
    if (inner < 0) return inner;
    return this.#handles.add({ kind: 'listener', port, inner: inner as Handle });
  }

  override streamAccept(
    listener: Handle,
  ): { stream: Handle; peer: StreamAddress; local: StreamAddress } | number {
    const { inner } = this.#handles.get(listener);
    if (inner === null) return E.EAGAIN;
    const accepted = this.inner.streamAccept(inner);
    if (typeof accepted === 'number') return accepted;
    const stream = this.#handles.add({ kind: 'stream', inner: accepted.stream });
    this.#gate.add(stream, accepted.stream);
    return { ...accepted, stream };
  }

  override streamRead(stream: Handle, target: Uint8Array): number {
    const { inner } = this.#handles.get(stream);
    return inner === null ? E.ECONNRESET : this.inner.streamRead(inner, target);
  }

  override streamWrite(stream: Handle, source: Uint8Array): number {
    const { inner } = this.#handles.get(stream);
    if (inner === null) return E.EPIPE;
    return this.#gate.write(stream, source);
  }

  override streamShutdown(stream: Handle): void {
    if (this.#handles.get(stream).inner !== null) this.#gate.shutdown(stream);
  }

  override streamClose(stream: Handle, reset: boolean): void {
    const entry = this.#handles.get(stream);
    this.#handles.remove(stream);
    if (entry.inner === null) return;
    if (entry.kind === 'listener') this.inner.streamClose(entry.inner, reset);
    else this.#gate.close(stream, reset);
  }

  override consoleWrite(stream: 1 | 2, source: Uint8Array): number {
    return this.#gate.console(stream, source);
  }

  override consoleDelivered(stream: 1 | 2): number {
    return this.#gate.consoleDelivered(stream);
  }

  override setAlarm(deadlineNs: number): void {
    this.#clientAlarmNs = deadlineNs;
    this.#setAlarm();
  }

  #setAlarm(): void {
    // While none may be captured it is `reconsider` that wakes us, not a time long past.
    const isWanted = this.#isProtected && this.#host.mayCapture();
    const own = isWanted ? this.#trigger.deadlineNs(this.#gate.isWaiting) : Infinity;
    this.inner.setAlarm(Math.min(own, this.#clientAlarmNs));
  }

  override answer(thread: Tid, value: number): void {
    if (thread === this.#current) this.#current = null;
    this.inner.answer(thread, value);
  }

  override answerNative(thread: Tid): void {
    if (thread === this.#current) this.#current = null;
    this.inner.answerNative(thread);
  }

  override answerMap(thread: Tid, fd: number, source: MapSource): number {
    if (thread === this.#current) this.#current = null;
    return this.inner.answerMap(thread, fd, source);
  }

  override answerClone(thread: Tid, child: Tid, tidTargets: readonly GuestAddress[]): boolean {
    if (thread === this.#current) this.#current = null;
    return this.inner.answerClone(thread, child, tidTargets);
  }

  override answerExec(
    thread: Tid,
    leader: Tid,
    spec: LaunchSpec,
    program: MapSource,
    actions: ReadonlyMap<number, Uint8Array>,
  ): HeapArea | number {
    if (thread === this.#current) this.#current = null;
    return this.inner.answerExec(thread, leader, spec, program, actions);
  }

  override growHeap(thread: Tid, start: GuestAddress, end: GuestAddress): boolean {
    if (thread === this.#current) this.#current = null;
    return this.inner.growHeap(thread, start, end);
  }

  override dropHeap(thread: Tid, start: GuestAddress, end: GuestAddress, value: number): void {
    if (thread === this.#current) this.#current = null;
    this.inner.dropHeap(thread, start, end, value);
  }

  override answerSignal(
    thread: Tid,
    value: number,
    target: Tid | null,
    number: number,
    info: Uint8Array,
  ): void {
    if (thread === this.#current) this.#current = null;
    this.inner.answerSignal(thread, value, target, number, info);
  }

  /* --- LvmClient: what calls for an epoch ---------- */

  override trapped(call: TrappedCall): void {
    this.#current = call.thread;
    this.client.trapped(call);
    // Not answered: the thread waits, and so, if it said something, does whoever it said it to.
    if (this.#current !== null && this.#gate.isWaiting) this.#trigger.threadWaits();
    this.#current = null;
  }

  override ready(handle: Handle, events: number): void {
    if (handle === 0) {
      if (events & READY.out) this.#gate.consoleReady();
      this.client.ready(handle, events);
      return;
    }
    const outer = this.#handles.outerOf(handle);
    if (events & READY.out) this.#gate.unclogged(handle);
    if (outer !== undefined) this.client.ready(outer, events);
  }

  override alarm(): void {
    if (this.inner.clock('monotonic') >= this.#clientAlarmNs) {
      this.#clientAlarmNs = Infinity;
      this.client.alarm();
    }
    this.#consider();
  }

  override settled(): void {
    if (this.#isProtected && this.#gate.isWaiting) this.#consider();
    this.client.settled();
  }

  override exited(status: ExitStatus): void {
    this.#isEnded = true;
    this.client.exited(status);
  }

  /** Pages whatever their protection, for the transfer of a state while the guest runs. */
  override pageRead(address: GuestAddress, target: Uint8Array): number {
    assert(!this.#isEnded, 'the guest lives');
    return this.inner.pageRead(address, target);
  }
}
