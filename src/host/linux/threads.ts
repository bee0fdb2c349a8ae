/**
 * Threads of a guest on the Linux host: their ids to the guest and to the host, the call that each
 * waits in, stopping them all, and what a checkpoint takes of each.
 */

import { E } from '../../abi/errno.ts';
import { PTRACE_EVENT, PTRACE_O, REG, REGISTERS_BYTES, WALL } from '../../abi/ptrace.ts';
import { SYS } from '../../abi/syscalls.ts';
import { assert, present } from '../../base/assert.ts';
import type { Tid } from '../../base/ids.ts';
import * as native from '../../ffi/native.ts';
import { endCall, isEndedWait, restartCall, Tracee, TraceeGone } from '../../guest/tracee.ts';
import type { ProcessContext, ThreadContext } from '../../lvm/api.ts';
import type { Listener } from '../../sandbox/listener.ts';
import { INJECT_OPTIONS, Injector } from './injector.ts';

/** Looks at a clone before asking; each takes a microsecond or so. */
const CLONE_POLLS = 20_000;
/** A millisecond each; exiting takes microseconds, unless the machine is overloaded. */
const LEAVING_NAPS_MAX = 1_000;
const NOTHING = Buffer.alloc(0);

export class HostThread {
  readonly tid: Tid;
  readonly tracee: Tracee;
  /** Of the notification that the thread waits in; 0n when it waits in none. */
  notification = 0n;
  number = -1;
  readonly args = Buffer.alloc(48);
  readonly #registers = Buffer.alloc(REGISTERS_BYTES);
  #extendedState = Buffer.alloc(0);

  constructor(tid: Tid, tracee: Tracee) {
    this.tid = tid;
    this.tracee = tracee;
  }

  get hostTid(): number {
    return this.tracee.hostTid;
  }

  /** Stopped only; the buffers are reused by the next call. */
  context(): ThreadContext {
    const { tracee } = this;
    tracee.registers(this.#registers);
    const mustRestart = isEndedWait(this.#registers);
    restartCall(this.#registers);
    if (mustRestart) tracee.setRegisters(this.#registers);
    const state = tracee.extendedState();
    if (this.#extendedState.length !== state.length) {
      this.#extendedState = Buffer.alloc(state.length);
    }
    state.copy(this.#extendedState);
    return {
      thread: this.tid,
      registers: this.#registers,
      extendedState: this.#extendedState,
      signalMask: tracee.signalMask(),
      pendingSignals: tracee.pendingSignals(),
    };
  }
}

export class Threads {
  readonly injector = new Injector();
  /** Called when a thread is about to be stopped: what it asked, if not received, is withdrawn. */
  onStopped: () => void = () => {};
  #leaving: number[] = [];
  readonly #byHost = new Map<number, HostThread>();
  readonly #byGuest = new Map<Tid, HostThread>();

  add(tid: Tid, tracee: Tracee): HostThread {
    const thread = new HostThread(tid, tracee);
    this.#byHost.set(tracee.hostTid, thread);
    this.#byGuest.set(tid, thread);
    return thread;
  }

  /** The thread is about to make exit(2), its last call. */
  leave(thread: HostThread): void {
    this.#byHost.delete(thread.hostTid);
    this.#byGuest.delete(thread.tid);
    this.#leaving.push(thread.hostTid);
  }

  /**
   * Waits until the threads that left are gone: with its last breath a thread clears its id in the
   * guest's memory and wakes who joins it. A state taken before would keep the joiner waiting.
   */
  #awaitLeaving(hostPid: number): void {
    if (this.#leaving.length === 0) return;
    const isThere = (hostTid: number) => native.syscall(SYS.tgkill, hostPid, hostTid, 0) === 0;
    let left = this.#leaving;
    for (let naps = 0; left.length > 0 && naps < LEAVING_NAPS_MAX; naps += 1) {
      left = left.filter(isThere);
      if (left.length > 0) native.poll(NOTHING, 0, 1);
    }
    this.#leaving = left;
  }

  ofHost(hostTid: number): HostThread | undefined {
    return this.#byHost.get(hostTid);
  }

  find(tid: Tid): HostThread | undefined {
    return this.#byGuest.get(tid);
  }

  all(): Iterable<HostThread> {
    return this.#byGuest.values();
  }

  get count(): number {
    return this.#byGuest.size;
  }

  /**
   * Stops all; false if the guest ended meanwhile (then none is left seized by us). The first
   * thread comes last: Linux tells its end only when the ends of all others have been taken.
   */
  stop(hostPid: number): boolean {
    this.onStopped();
    this.#awaitLeaving(hostPid);
    const seized: Tracee[] = [];
    try {
      for (const { tracee } of [...this.all()].reverse()) {
        tracee.seize(PTRACE_O.TRACECLONE | INJECT_OPTIONS);
        seized.push(tracee);
      }
      for (const tracee of seized) tracee.interrupt();
      for (const tracee of seized) tracee.wait();
      this.injector.forgetEarly(null);
      return true;
    } catch (error) {
      if (!(error instanceof TraceeGone)) throw error;
      for (const tracee of seized) tracee.detach();
      return false;
    }
  }

  /** Stops one thread; throws TraceeGone if it is gone. */
  stopOne({ tracee }: HostThread): void {
    this.onStopped();
    tracee.seize(INJECT_OPTIONS);
    tracee.interrupt();
    tracee.wait();
    this.injector.forgetEarly(tracee.hostTid);
  }

  /** Ends the stopped process. The first thread comes last: its end is told after all others'. */
  endAll(hostPid: number): void {
    const SIGKILL = 9;
    native.kill(hostPid, SIGKILL);
    const word = new Int32Array(1);
    for (const { tracee } of [...this.all()].reverse()) native.waitpid(tracee.hostTid, word, WALL);
    this.#byHost.clear();
    this.#byGuest.clear();
    this.#leaving = [];
  }

  /** Lets all go on; false if the guest has ended. The first thread comes last, as in `stop`. */
  release(): boolean {
    let isAlive = true;
    for (const { tracee } of [...this.all()].reverse()) isAlive = tracee.detach() && isAlive;
    return isAlive;
  }

  context(): ProcessContext {
    const threads = [...this.all()].map((thread) => thread.context());
    const first = present([...this.all()][0], 'a thread');
    return { pendingSignals: first.tracee.sharedPendingSignals(), threads };
  }

  /**
   * Follows one thread through clone(2), which `go` lets run. `born` gets the new thread's tracee,
   * stopped before its first instruction; the caller sees `child` as its result. False: clone
   * failed, or the guest ended.
   */
  clone(parent: HostThread, child: Tid, go: () => void, born: (tracee: Tracee) => void): boolean {
    const { tracee } = parent;
    tracee.seize(PTRACE_O.TRACECLONE | INJECT_OPTIONS);
    go();
    try {
      return this.#followClone(tracee, child, born);
    } catch (error) {
      if (error instanceof TraceeGone) return false;
      throw error;
    } finally {
      tracee.detach();
    }
  }

  /**
   * Runs another call in a thread that waits in one, which then ends with `answer` (or with what
   * the other gave), or is made again (null); `done` comes before it goes on. Returns the result,
   * or -EINTR when the guest ended.
   */
  runInstead(
    thread: HostThread,
    name: keyof typeof SYS,
    args: readonly number[],
    listener: Listener,
    answer: number | 'result' | null,
    done: (result: number) => void = () => {},
  ): number {
    const { tracee } = thread;
    try {
      this.stopOne(thread);
      const result = this.injector.inject(tracee, listener, name, args);
      if (result >= 0) done(result);
      if (answer !== null) endCall(tracee, answer === 'result' ? result : answer);
      return result;
    } catch (error) {
      if (error instanceof TraceeGone) return E.EINTR;
      throw error;
    } finally {
      tracee.detach();
    }
  }

  #followClone(tracee: Tracee, child: Tid, born: (tracee: Tracee) => void): boolean {
    let stop = tracee.poll(CLONE_POLLS);
    if (stop === null) {
      // It failed (it would have stopped by now), or is slow; a stop of our own tells which.
      tracee.interrupt();
      stop = tracee.wait();
    }
    if (stop.kind === 'signal' || stop.kind === 'interrupted') return false;
    assert(
      stop.kind === 'event' && stop.event === PTRACE_EVENT.CLONE,
      `clone stopped by ${JSON.stringify(stop)}`,
    );
    const made = new Tracee(tracee.eventMessage());
    const first = made.wait();
    assert(first.kind !== 'syscall', 'a new thread stops before it runs');
    born(made);
    made.detach();
    // To the exit of the call: the guest must see its own id for the thread, not the host's.
    tracee.resumeToSyscall();
    const exit = tracee.wait();
    if (exit.kind !== 'syscall') return true;
    const registers = Buffer.alloc(REGISTERS_BYTES);
    tracee.registers(registers);
    registers.writeBigInt64LE(BigInt(child), REG.rax);
    tracee.setRegisters(registers);
    return true;
  }
}
