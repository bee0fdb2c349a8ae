/**
 * Signals that the library OS sends. Linux queues and delivers them; this sees to it that they look
 * as if the guest had sent them (Linux lets a thread claim that of what it sends itself), and that
 * no call is interrupted behind the library OS's back: a thread that waits in a trapped call is
 * stopped first, and the library OS is asked what the call ends with.
 */
import { readFileSync } from 'node:fs';
import { E } from '../../abi/errno.ts';
import { REGISTERS_BYTES } from '../../abi/ptrace.ts';
import { SYS } from '../../abi/syscalls.ts';
import { present } from '../../base/assert.ts';
import type { Tid } from '../../base/ids.ts';
import * as native from '../../ffi/native.ts';
import type { ProcessMemory } from '../../guest/memory.ts';
import { endCall, interruptedCall, rewind, TraceeGone } from '../../guest/tracee.ts';
import type { Listener } from '../../sandbox/listener.ts';
import { GATE_SCRATCH } from '../../sandbox/skeleton-elf.ts';
import type { HostThread, Threads } from './threads.ts';

const SI_TKILL = -6;
const CODE_AT = 8;

/** What the client is told; see LvmClient. */
export interface SignalClient {
  withdrawn(thread: Tid): void;
  interrupted(thread: Tid, signal: number): number | null;
}

/** The guest that gets the signals. */
export interface SignalGuest {
  readonly hostPid: number;
  readonly memory: ProcessMemory;
  readonly listener: Listener;
}

/** A signal on its way. */
interface Signal {
  readonly number: number;
  /** siginfo_t. */
  readonly info: Uint8Array;
  /** Null: pending for the process, as every thread blocks it. */
  readonly receiver: HostThread | null;
}

export class Signals {
  readonly #threads: Threads;
  readonly #client: SignalClient;
  readonly #nativeNumbers: ReadonlySet<number>;
  readonly #registers = Buffer.alloc(REGISTERS_BYTES);

  /** `nativeNumbers`: of the calls that run untrapped. */
  constructor(threads: Threads, client: SignalClient, nativeNumbers: readonly number[]) {
    this.#threads = threads;
    this.#client = client;
    this.#nativeNumbers = new Set(nativeNumbers);
  }

  /** To one thread, or to the process (null); -errno. */
  send(guest: SignalGuest, target: Tid | null, number: number, info: Uint8Array): number {
    const receiver = this.#receiver(guest, target, number);
    if (receiver === undefined) return E.ESRCH;
    return this.#deliver(guest, { number, info, receiver }, null, 0);
  }

  /**
   * The same, by a thread that waits in a call, which ends with `value`: a signal to the caller is
   * delivered before it goes on.
   */
  answer(
    guest: SignalGuest,
    caller: HostThread,
    value: number,
    target: Tid | null,
    number: number,
    info: Uint8Array,
  ): void {
    const receiver = this.#receiver(guest, target, number);
    const result =
      receiver === undefined
        ? E.ESRCH
        : this.#deliver(guest, { number, info, receiver }, caller, value);
    if (caller.notification === 0n) return;
    guest.listener.answer(caller.notification, result < 0 ? result : value);
    caller.notification = 0n;
  }

  /**
   * The thread that takes a signal: Linux prefers the first one, then any that does not block it.
   * Undefined: there is no such thread.
   */
  #receiver(guest: SignalGuest, target: Tid | null, number: number): HostThread | null | undefined {
    if (target !== null) return this.#threads.find(target);
    for (const thread of this.#threads.all()) {
      if (!isBlocked(blockedMask(guest.hostPid, thread), number)) return thread;
    }
    return null;
  }

  #deliver(guest: SignalGuest, signal: Signal, caller: HostThread | null, value: number): number {
    const { receiver } = signal;
    const first = present(this.#threads.ofHost(guest.hostPid), 'the first thread');
    const sender = looksLikeOwn(signal.info) ? (receiver ?? first) : null;
    const stopped = new Set<HostThread>();
    if (sender !== null) stopped.add(sender);
    // It may have just begun a call that nobody has received yet.
    if (receiver !== null) stopped.add(receiver);
    try {
      for (const thread of stopped) this.#threads.stopOne(thread);
      return this.#send(guest, signal, sender, stopped, caller, value);
    } catch (error) {
      if (error instanceof TraceeGone) return E.ESRCH;
      throw error;
    } finally {
      for (const thread of stopped) thread.tracee.detach();
    }
  }

  #send(
    guest: SignalGuest,
    signal: Signal,
    sender: HostThread | null,
    stopped: ReadonlySet<HostThread>,
    caller: HostThread | null,
    value: number,
  ): number {
    const { receiver, number } = signal;
    const ends = new Map<HostThread, number>();
    let isLeftToLinux = false;
    for (const thread of stopped) {
      if (thread === caller) continue;
      const isKnown = thread.notification !== 0n;
      thread.notification = 0n;
      const call = isKnown ? null : this.#callOf(thread);
      // It takes the signal itself.
      if (call === SYS.rt_sigtimedwait) makeAgain(thread);
      else if (thread !== receiver || isBlocked(thread.tracee.signalMask(), number)) {
        if (isKnown) this.#client.withdrawn(thread.tid);
      } else if (isKnown || (call !== null && !this.#nativeNumbers.has(call))) {
        const end = this.#client.interrupted(thread.tid, number);
        if (end !== null) ends.set(thread, end);
        else if (!isKnown) makeAgain(thread);
      } else isLeftToLinux = true;
    }
    // In a call that Linux serves: Linux says how it ends, by what its registers hold.
    isLeftToLinux &&= sender !== null && sender === receiver;
    if (isLeftToLinux && sender !== null) sender.tracee.registers(this.#registers);
    const result = this.#queue(guest, signal, sender);
    if (isLeftToLinux && sender !== null && result >= 0) {
      sender.tracee.setRegisters(this.#registers);
    }
    if (caller !== null && stopped.has(caller)) {
      caller.notification = 0n;
      ends.set(caller, result < 0 ? result : value);
    }
    for (const [thread, end] of ends) endCall(thread.tracee, end);
    return result;
  }

  /** Number of the call that the stop interrupted, if it was in one; else null. */
  #callOf({ tracee }: HostThread): number | null {
    tracee.registers(this.#registers);
    return interruptedCall(this.#registers);
  }

  #queue(guest: SignalGuest, signal: Signal, sender: HostThread | null): number {
    const { number, info, receiver } = signal;
    const { hostPid, memory, listener } = guest;
    if (sender === null) {
      return receiver === null
        ? native.rtSigqueueinfo(hostPid, number, info)
        : native.rtTgsigqueueinfo(hostPid, receiver.hostTid, number, info);
    }
    memory.writeForced(GATE_SCRATCH, info);
    const { injector } = this.#threads;
    if (receiver === null) {
      const args = [hostPid, number, GATE_SCRATCH];
      return injector.inject(sender.tracee, listener, 'rt_sigqueueinfo', args);
    }
    const args = [hostPid, receiver.hostTid, number, GATE_SCRATCH];
    return injector.inject(sender.tracee, listener, 'rt_tgsigqueueinfo', args);
  }
}

/** The call begins anew after the signal's handler, as if the signal had come before it. */
function makeAgain({ tracee }: HostThread): void {
  const registers = Buffer.alloc(REGISTERS_BYTES);
  tracee.registers(registers);
  rewind(registers);
  tracee.setRegisters(registers);
}

/** Whether it looks like one of kill(2), tgkill(2) or the kernel: no outsider may send that. */
function looksLikeOwn(info: Uint8Array): boolean {
  const code = Buffer.from(info.buffer, info.byteOffset, info.length).readInt32LE(CODE_AT);
  return code >= 0 || code === SI_TKILL;
}

const isBlocked = (mask: bigint, signal: number): boolean =>
  ((mask >> BigInt(signal - 1)) & 1n) === 1n;

/** Of a thread that may run. */
function blockedMask(hostPid: number, thread: HostThread): bigint {
  try {
    const status = readFileSync(`/proc/${hostPid}/task/${thread.hostTid}/status`, 'latin1');
    return BigInt(`0x${present(/^SigBlk:\s*([0-9a-f]+)$/m.exec(status)?.[1], 'SigBlk')}`);
  } catch {
    // It is ending: it takes nothing.
    return -1n;
  }
}
