/**
 * SimThread: one thread of a simulated guest: the call that it waits in, and its context as bytes
 * in the real layout, so that a checkpoint of a simulated guest can be made and brought back.
 * Used by SimHost and, to look at a thread, by tests.
 */
import { assert } from '../../base/assert.ts';
import { type GuestAddress, type Tid, tid } from '../../base/ids.ts';
import type { MapSource, ThreadContext } from '../../lvm/api.ts';

/** Where each register stands in struct user_regs_struct, as indexes of 8-byte words. */
const WORD = { r10: 7, r9: 8, r8: 9, rax: 10, rdx: 12, rsi: 13, rdi: 14, origRax: 15, rip: 16 };
const ARGUMENT_WORDS = [WORD.rdi, WORD.rsi, WORD.rdx, WORD.r10, WORD.r8, WORD.r9];
const REGISTERS_BYTES = 216;
/** The instruction pointer of a thread that is about to make a call; any other runs guest code. */
const RIP_AT_CALL = 0x40_1000n;
const RIP_RUNNING = 0x40_2000n;
const EXTENDED_STATE_BYTES = 576;

/** What `SimHost.call` gives back when the answer is not a number. */
export type SimAnswer =
  | number
  | 'blocked'
  /** Linux was to run it; the host did what of it is simulated. */
  | { readonly kind: 'native' }
  /** `address` is where the content was mapped. */
  | {
      readonly kind: 'map';
      readonly fd: number;
      readonly source: MapSource;
      readonly address: GuestAddress;
    }
  | { readonly kind: 'clone'; readonly child: Tid }
  /** The thread or the guest ended in the call. */
  | { readonly kind: 'gone' };

/** `withdrawn`: asked, interrupted by quiesce, to be asked again. */
export type SimCallState = 'running' | 'waiting' | 'withdrawn';

export class SimThread {
  readonly tid: Tid;
  state: SimCallState = 'running';
  callNumber = -1;
  readonly args = Buffer.alloc(48);
  /** Not yet collected by the test. */
  answer: SimAnswer | null = null;
  /** The client knows of the call. */
  isAsked = false;
  /** By a signal or quiesce: an answer that comes nevertheless has no effect. */
  isInterrupted = false;
  signalMask = 0n;
  readonly pendingSignals: Uint8Array[] = [];
  readonly registers = Buffer.alloc(REGISTERS_BYTES);
  readonly extendedState = Buffer.alloc(EXTENDED_STATE_BYTES);

  constructor(id: Tid) {
    this.tid = id;
  }

  begin(number: number, args: Uint8Array): void {
    assert(this.state === 'running', `thread ${this.tid} is in a call`);
    this.callNumber = number;
    this.args.set(args);
    this.answer = null;
    this.isAsked = false;
    this.isInterrupted = false;
    this.state = 'waiting';
  }

  finish(answer: SimAnswer): void {
    this.state = 'running';
    this.isAsked = false;
    this.answer = answer;
  }

  context(): ThreadContext {
    const isInCall = this.state !== 'running';
    const word = (index: number, value: bigint) =>
      this.registers.writeBigUInt64LE(value, index * 8);
    word(WORD.rip, isInCall ? RIP_AT_CALL : RIP_RUNNING);
    word(WORD.origRax, BigInt.asUintN(64, -1n));
    if (isInCall) {
      word(WORD.rax, BigInt(this.callNumber));
      ARGUMENT_WORDS.forEach((at, index) => {
        word(at, this.args.readBigUInt64LE(index * 8));
      });
    }
    return {
      thread: this.tid,
      registers: this.registers,
      extendedState: this.extendedState,
      signalMask: this.signalMask,
      pendingSignals: this.pendingSignals,
    };
  }

  /** A thread as `context` described it; in a call, it will ask it again. */
  static from(context: ThreadContext): SimThread {
    const thread = new SimThread(tid(context.thread));
    assert(context.registers.length === REGISTERS_BYTES, 'registers have their size');
    assert(context.extendedState.length === EXTENDED_STATE_BYTES, 'extended state has its size');
    thread.registers.set(context.registers);
    thread.extendedState.set(context.extendedState);
    thread.signalMask = context.signalMask;
    for (const info of context.pendingSignals) thread.pendingSignals.push(Uint8Array.from(info));
    const word = (index: number) => thread.registers.readBigUInt64LE(index * 8);
    if (word(WORD.rip) === RIP_AT_CALL) {
      ARGUMENT_WORDS.forEach((at, index) => {
        thread.args.writeBigUInt64LE(word(at), index * 8);
      });
      thread.callNumber = Number(word(WORD.rax));
      thread.state = 'withdrawn';
    }
    return thread;
  }
}
