/**
 * Signals that the library OS sends. Linux queues and delivers them; this sees to it that they look
 * as if the guest had sent them (Linux lets a thread claim that of what it sends itself), and that
 * no call is interrupted behind the library OS's back: a thread that waits in a trapped call is
 * stopped first, and the library OS is asked what the call ends with.
 */
import { readFileSync } from 'node:fs';
import { E } from '../../abi/errno.ts';
import { REGISTERS_BYTES } from '../../abi/ptrace.ts';
import { present } from '../../base/assert.ts';
import type { Tid } from '../../base/ids.ts';
import * as native from '../../ffi/native.ts';
import type { ProcessMemory } from '../../guest/memory.ts';
import { endCall, TraceeGone } from '../../guest/tracee.ts';
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
  readonly #registers = Buffer.alloc(REGISTERS_BYTES);

  constructor(threads: Threads, client: SignalClient) {
    this.#threads = threads;
    this.#client = client;
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
    // One that runs, or waits in a call that Linux serves, is interrupted as Linux does it.
    if (receiver !== null && receiver.notification !== 0n) stopped.add(receiver);
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
    // In a call that Linux serves: Linux says how it ends, by what its registers hold.
    const isLeftToLinux =
      sender !== null &&
      sender === receiver &&
      sender.notification === 0n &&
      !isBlocked(sender.tracee.signalMask(), number);
    const ends = new Map<HostThread, number>();
    for (const thread of stopped) {
      if (thread.notification === 0n || thread === caller) continue;
      thread.notification = 0n;
      if (thread !== receiver || isBlocked(thread.tracee.signalMask(), number)) {
        this.#client.withdrawn(thread.tid);
      } else {
        const end = this.#client.interrupted(thread.tid, number);
        if (end !== null) ends.set(thread, end);
      }
    }
    if (isLeftToLinux) sender.tracee.registers(this.#registers);
    const result = this.#queue(guest, signal, sender);
    if (isLeftToLinux && result >= 0) sender.tracee.setRegisters(this.#registers);
    if (caller !== null && stopped.has(caller)) {
      caller.notification = 0n;
      ends.set(caller, result < 0 ? result : value);
    }
    for (const [thread, end] of ends) endCall(thread.tracee, end);
    return result;
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
