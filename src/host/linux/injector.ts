/**
 * Injector: runs a system call of ours in a stopped thread of the guest, at the gate page, and puts
 * the thread back as it was. For what only the guest itself may do: map its memory, send a signal
 * that looks like its own. The filter traps such a call like any other; notifications of other
 * threads that come first are kept for the host to serve.
 */

import { PTRACE_O, REG, REGISTERS_BYTES } from '../../abi/ptrace.ts';
import { SYS } from '../../abi/syscalls.ts';
import { assert } from '../../base/assert.ts';
import { restartCall, type Tracee } from '../../guest/tracee.ts';
import type { Listener } from '../../sandbox/listener.ts';
import { GATE_SYSCALL } from '../../sandbox/skeleton-elf.ts';

/** What a thread must be seized with before a call is injected. */
export const INJECT_OPTIONS = PTRACE_O.TRACESYSGOOD | PTRACE_O.EXITKILL;

const ALL_SIGNALS = 0xffff_ffff_ffff_ffffn;
const ARGUMENTS = [REG.rdi, REG.rsi, REG.rdx, REG.r10, REG.r8, REG.r9];
const POLL_MS = 100;
/** Of the listener, before we believe that the call never comes. */
const POLLS_MAX = 100;
/** Notifications of other threads: each thread has at most one. */
const EARLY_MAX = 100_000;
const STOPS_MAX = 100;

/** A notification that came while another was waited for. */
export interface EarlyCall {
  readonly hostTid: number;
  readonly id: bigint;
  readonly number: number;
  readonly args: Buffer;
}

export class Injector {
  #early: EarlyCall[] = [];
  readonly #registers = Buffer.alloc(REGISTERS_BYTES);

  takeEarly(): EarlyCall | undefined {
    return this.#early.shift();
  }

  /** A thread, or all (null), was stopped: its call will be asked again. */
  forgetEarly(hostTid: number | null): void {
    this.#early = this.#early.filter((call) => hostTid !== null && call.hostTid !== hostTid);
  }

  /**
   * Runs one call in a thread that is stopped, outside a system call or interrupted in one, which
   * it then makes again. Returns the result or -errno; throws TraceeGone if the guest ends.
   */
  inject(
    tracee: Tracee,
    listener: Listener,
    name: keyof typeof SYS,
    args: readonly number[],
  ): number {
    const before = Buffer.alloc(REGISTERS_BYTES);
    tracee.registers(before);
    const mask = tracee.signalMask();
    // No signal may come between: it would be handled with our registers.
    tracee.setSignalMask(ALL_SIGNALS);
    this.#enterGate(tracee, before, SYS[name], args);
    goToStop(tracee);
    tracee.resumeToSyscall();
    this.#continueOwn(tracee, listener);
    awaitStop(tracee);
    tracee.registers(this.#registers);
    const result = Number(this.#registers.readBigInt64LE(REG.rax));
    restartCall(before);
    tracee.setRegisters(before);
    tracee.setSignalMask(mask);
    return result;
  }

  #enterGate(tracee: Tracee, before: Buffer, number: number, args: readonly number[]): void {
    const registers = this.#registers;
    before.copy(registers);
    registers.writeBigInt64LE(BigInt(GATE_SYSCALL), REG.rip);
    registers.writeBigInt64LE(BigInt(number), REG.rax);
    registers.writeBigInt64LE(-1n, REG.orig_rax);
    for (const [index, place] of ARGUMENTS.entries()) {
      registers.writeBigInt64LE(BigInt(args[index] ?? 0), place);
    }
    tracee.setRegisters(registers);
  }

  /** Lets the call of this thread run. */
  #continueOwn(tracee: Tracee, listener: Listener): void {
    for (let polls = 0; polls < POLLS_MAX; ) {
      if (!listener.isReady(POLL_MS)) {
        // Throws if the thread is gone; a receive would wait for ever.
        tracee.poll(1);
        polls += 1;
        continue;
      }
      if (!listener.receive()) continue;
      if (listener.hostTid === tracee.hostTid) {
        assert(listener.continue(listener.id), 'no signal interrupts an injected call');
        return;
      }
      assert(this.#early.length < EARLY_MAX, 'each thread waits in one call');
      this.#early.push({
        hostTid: listener.hostTid,
        id: listener.id,
        number: listener.number,
        args: Buffer.from(listener.args),
      });
    }
    assert(false, 'an injected call is trapped');
  }
}

/** To the entry of the call. */
function goToStop(tracee: Tracee): void {
  tracee.resumeToSyscall();
  awaitStop(tracee);
}

/** An entry or exit; a stop of the whole guest, which anyone may ask for, may come first. */
function awaitStop(tracee: Tracee): void {
  for (let stops = 0; stops < STOPS_MAX; stops += 1) {
    if (tracee.wait().kind === 'syscall') return;
    tracee.resumeToSyscall();
  }
  assert(false, 'an injected call stops at its entry and its exit');
}
