/**
 * Tracee: one host thread of the guest under ptrace(2): seize, stop, look, set, let go.
 * All calls must come from the thread that seized it. Seized only while needed: between checkpoints
 * the guest is detached, so that Linux delivers its signals without our help.
 */
import { readFileSync } from 'node:fs';
import { E, errnoName } from '../abi/errno.ts';
import {
  ERESTART,
  NT_X86_XSTATE,
  PTRACE,
  PTRACE_EVENT,
  PTRACE_PEEKSIGINFO_SHARED,
  REG,
  REGISTERS_BYTES,
  SIGINFO_BYTES,
  WALL,
  WNOHANG,
} from '../abi/ptrace.ts';
import { SYS } from '../abi/syscalls.ts';
import { assert } from '../base/assert.ts';
import { type Arena, allocateArena, ptrace, ptraceBytes, syscall, waitpid } from '../ffi/native.ts';

/** The thread, and with it the guest, ended while it was looked at. */
export class TraceeGone extends Error {
  override readonly name = 'TraceeGone';
}

/** What a stopped thread stopped for. */
export type Stop =
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'event'; readonly event: number }
  | { readonly kind: 'syscall' }
  /** About to get a signal, which `detach` or `resume` must hand on. */
  | { readonly kind: 'signal'; readonly signal: number };

const XSTATE_BYTES_MAX = 16 * 1024;
const IOVEC_AT = XSTATE_BYTES_MAX;
const SIGNALS_AT = IOVEC_AT + 64;
const SIGNALS_MAX = 64;

const SYSCALL_INSTRUCTION_BYTES = 2n;

/** Shared by all tracees of a thread: memory with a known address for GETREGSET. */
let arena: Arena | null = null;
const status = new Int32Array(1);

function shared(): Arena {
  arena ??= allocateArena(SIGNALS_AT + SIGNALS_MAX * SIGINFO_BYTES);
  return arena;
}

function must(what: string, tid: number, result: number): number {
  if (result === E.ESRCH || result === E.ECHILD) throw new TraceeGone(`${what}: thread ${tid}`);
  assert(result >= 0, `${what}: ${errnoName(result)}`);
  return result;
}

export class Tracee {
  readonly hostTid: number;
  /** The signal that the thread had been about to get when it stopped, or 0. */
  #signal = 0;
  /** How the thread ended, as wait(2) has it, if that was told to us; null until then. */
  end: number | null = null;

  constructor(hostTid: number) {
    this.hostTid = hostTid;
  }

  seize(options: number): void {
    const result = ptrace(PTRACE.SEIZE, this.hostTid, 0, options);
    if (result === E.EPERM && this.#isDead()) throw new TraceeGone(`thread ${this.hostTid} ended`);
    must('PTRACE_SEIZE', this.hostTid, result);
  }

  /** Ended but not reaped: Linux says EPERM for those. */
  #isDead(): boolean {
    try {
      const stat = readFileSync(`/proc/${this.hostTid}/stat`, 'latin1');
      const state = stat.charAt(stat.lastIndexOf(')') + 2);
      return state === 'Z' || state === 'X';
    } catch {
      return true;
    }
  }

  interrupt(): void {
    must('PTRACE_INTERRUPT', this.hostTid, ptrace(PTRACE.INTERRUPT, this.hostTid, 0, 0));
  }

  /** Waits for the next stop of this thread. */
  wait(): Stop {
    let result = waitpid(this.hostTid, status, WALL);
    while (result === E.EINTR) result = waitpid(this.hostTid, status, WALL);
    return this.#stop(must('waitpid', this.hostTid, result));
  }

  /**
   * Looks for a stop `tries` times, for one that comes at once or not at all; null if none came.
   */
  poll(tries: number): Stop | null {
    for (let left = tries; left > 0; left -= 1) {
      const result = waitpid(this.hostTid, status, WALL | WNOHANG);
      if (result === 0 || result === E.EINTR) {
        // It was woken on this very processor.
        syscall(SYS.sched_yield);
        continue;
      }
      return this.#stop(must('waitpid', this.hostTid, result));
    }
    return null;
  }

  #stop(_hostTid: number): Stop {
    const word = status[0] as number;
    if ((word & 0xff) !== 0x7f) {
      this.end = word;
      throw new TraceeGone(`thread ${this.hostTid} ended`);
    }
    const event = word >> 16;
    const signal = (word >> 8) & 0xff;
    if (event === PTRACE_EVENT.STOP) return { kind: 'interrupted' };
    if (event !== 0) return { kind: 'event', event };
    if (signal === 0x85) return { kind: 'syscall' };
    this.#signal = signal;
    return { kind: 'signal', signal };
  }

  resume(signal = 0): void {
    this.#signal = 0;
    must('PTRACE_CONT', this.hostTid, ptrace(PTRACE.CONT, this.hostTid, 0, signal));
  }

  /** Forgets the signal that the thread stopped for: it was ours. */
  dropSignal(): void {
    this.#signal = 0;
  }

  /** Goes on to the next entry or exit of a system call. */
  resumeToSyscall(): void {
    must('PTRACE_SYSCALL', this.hostTid, ptrace(PTRACE.SYSCALL, this.hostTid, 0, 0));
  }

  /**
   * Lets the thread go, with the signal that it had been about to get. One that runs is stopped
   * first: Linux detaches from no other. One that is dying is waited for: its end, if nobody takes
   * it, keeps that of the whole guest from us. False: it is gone.
   */
  detach(): boolean {
    if (this.#tryDetach()) return true;
    ptrace(PTRACE.INTERRUPT, this.hostTid, 0, 0);
    try {
      this.wait();
      return this.#tryDetach();
    } catch (error) {
      if (!(error instanceof TraceeGone)) throw error;
      return false;
    }
  }

  #tryDetach(): boolean {
    const signal = this.#signal;
    const result = ptrace(PTRACE.DETACH, this.hostTid, 0, signal);
    if (result === E.ESRCH) return false;
    this.#signal = 0;
    must('PTRACE_DETACH', this.hostTid, result);
    return true;
  }

  eventMessage(): number {
    const message = Buffer.alloc(8);
    must('GETEVENTMSG', this.hostTid, ptraceBytes(PTRACE.GETEVENTMSG, this.hostTid, 0, message));
    return Number(message.readBigUInt64LE());
  }

  /** Fills `target`, REGISTERS_BYTES long, with struct user_regs_struct. */
  registers(target: Buffer): void {
    assert(target.length === REGISTERS_BYTES, 'size of user_regs_struct');
    must('GETREGS', this.hostTid, ptraceBytes(PTRACE.GETREGS, this.hostTid, 0, target));
  }

  setRegisters(source: Uint8Array): void {
    assert(source.length === REGISTERS_BYTES, 'size of user_regs_struct');
    must('SETREGS', this.hostTid, ptraceBytes(PTRACE.SETREGS, this.hostTid, 0, source));
  }

  /** A view of the XSAVE area, valid until the next call of any tracee. */
  extendedState(): Buffer {
    const memory = shared();
    setIovec(memory, XSTATE_BYTES_MAX);
    const iovec = memory.address + IOVEC_AT;
    const result = ptrace(PTRACE.GETREGSET, this.hostTid, NT_X86_XSTATE, iovec);
    must('GETREGSET', this.hostTid, result);
    const size = Number(memory.bytes.readBigUInt64LE(IOVEC_AT + 8));
    return memory.bytes.subarray(0, size);
  }

  setExtendedState(source: Uint8Array): void {
    assert(source.length <= XSTATE_BYTES_MAX, 'the XSAVE area fits');
    const memory = shared();
    memory.bytes.set(source, 0);
    setIovec(memory, source.length);
    const iovec = memory.address + IOVEC_AT;
    const result = ptrace(PTRACE.SETREGSET, this.hostTid, NT_X86_XSTATE, iovec);
    must('SETREGSET', this.hostTid, result);
  }

  signalMask(): bigint {
    const mask = Buffer.alloc(8);
    must('GETSIGMASK', this.hostTid, ptraceBytes(PTRACE.GETSIGMASK, this.hostTid, 8, mask));
    return mask.readBigUInt64LE();
  }

  setSignalMask(value: bigint): void {
    const mask = Buffer.alloc(8);
    mask.writeBigUInt64LE(value);
    must('SETSIGMASK', this.hostTid, ptraceBytes(PTRACE.SETSIGMASK, this.hostTid, 8, mask));
  }

  /**
   * siginfo_t of each pending signal: of the thread, with the one that it is about to get first.
   */
  pendingSignals(): Uint8Array[] {
    const pending = this.#peek(0);
    if (this.#signal !== 0) {
      const info = Buffer.alloc(SIGINFO_BYTES);
      must('GETSIGINFO', this.hostTid, ptraceBytes(PTRACE.GETSIGINFO, this.hostTid, 0, info));
      pending.unshift(info);
    }
    return pending;
  }

  /** siginfo_t of each signal pending for the process. */
  sharedPendingSignals(): Uint8Array[] {
    return this.#peek(PTRACE_PEEKSIGINFO_SHARED);
  }

  #peek(flags: number): Uint8Array[] {
    const memory = shared();
    const request = Buffer.alloc(16); // off u64, flags u32, nr s32
    request.writeUInt32LE(flags, 8);
    request.writeInt32LE(SIGNALS_MAX, 12);
    request.copy(memory.bytes, IOVEC_AT);
    const count = must(
      'PEEKSIGINFO',
      this.hostTid,
      ptrace(
        PTRACE.PEEKSIGINFO,
        this.hostTid,
        memory.address + IOVEC_AT,
        memory.address + SIGNALS_AT,
      ),
    );
    return Array.from({ length: count }, (_, index) => {
      const at = SIGNALS_AT + index * SIGINFO_BYTES;
      return Buffer.from(memory.bytes.subarray(at, at + SIGINFO_BYTES));
    });
  }
}

function setIovec(memory: Arena, sizeBytes: number): void {
  memory.bytes.writeBigUInt64LE(BigInt(memory.address), IOVEC_AT);
  memory.bytes.writeBigUInt64LE(BigInt(sizeBytes), IOVEC_AT + 8);
}

/**
 * rt_sigtimedwait without a timeout ends with EINTR when its thread is stopped: unlike other calls,
 * Linux does not make it again, though no signal came.
 */
export function isEndedWait(registers: Buffer): boolean {
  return (
    registers.readBigInt64LE(REG.orig_rax) === BigInt(SYS.rt_sigtimedwait) &&
    registers.readBigInt64LE(REG.rax) === BigInt(E.EINTR) &&
    registers.readBigInt64LE(REG.rdx) === 0n
  );
}

/** Number of the system call that a stop has interrupted; null: in none. */
export function interruptedCall(registers: Buffer): number | null {
  const number = Number(registers.readBigInt64LE(REG.orig_rax));
  const result = registers.readBigInt64LE(REG.rax);
  const isWait = number === SYS.rt_sigtimedwait && result === BigInt(E.EINTR);
  return number >= 0 && (isWait || ERESTART.includes(result)) ? number : null;
}

/**
 * Makes registers of a thread that was stopped inside a system call such that it makes the call
 * again when it is brought back elsewhere; on this machine Linux would do the same by itself.
 */
export function restartCall(registers: Buffer): void {
  if (registers.readBigInt64LE(REG.orig_rax) < 0n) return;
  if (!ERESTART.includes(registers.readBigInt64LE(REG.rax)) && !isEndedWait(registers)) return;
  rewind(registers);
}

/** Back to before the system call that was interrupted. */
export function rewind(registers: Buffer): void {
  const rip = registers.readBigUInt64LE(REG.rip) - SYSCALL_INSTRUCTION_BYTES;
  registers.writeBigUInt64LE(rip, REG.rip);
  registers.writeBigInt64LE(registers.readBigInt64LE(REG.orig_rax), REG.rax);
  registers.writeBigInt64LE(-1n, REG.orig_rax);
}

/** Ends the call that a stopped thread was interrupted in with a value or -errno. */
export function endCall(tracee: Tracee, value: number): void {
  const registers = Buffer.alloc(REGISTERS_BYTES);
  tracee.registers(registers);
  // One that is to be made again stands before its instruction.
  if (registers.readBigInt64LE(REG.orig_rax) < 0n) {
    const rip = registers.readBigUInt64LE(REG.rip) + SYSCALL_INSTRUCTION_BYTES;
    registers.writeBigUInt64LE(rip, REG.rip);
  }
  registers.writeBigInt64LE(-1n, REG.orig_rax);
  registers.writeBigInt64LE(BigInt(value), REG.rax);
  tracee.setRegisters(registers);
}
