/**
 * SimThreads: the threads of a simulated guest and their trapped calls. Used by SimHost.
 */
import { SYS, type SyscallName } from '../../abi/syscalls.ts';
import { assert } from '../../base/assert.ts';
import { type Tid, tid } from '../../base/ids.ts';
import type { ProcessSetup, ThreadContext } from '../../lvm/api.ts';
import type { SimLoop } from './loop.ts';
import { type SimAnswer, SimThread } from './thread.ts';

export class SimThreads {
  readonly #loop: SimLoop;
  readonly #byId = new Map<Tid, SimThread>();

  constructor(loop: SimLoop) {
    this.#loop = loop;
  }

  get size(): number {
    return this.#byId.size;
  }

  all(): Iterable<SimThread> {
    return this.#byId.values();
  }

  has(id: Tid): boolean {
    return this.#byId.has(id);
  }

  find(id: number): SimThread | null {
    return this.#byId.get(tid(id)) ?? null;
  }

  /** The thread with this id; made when it isn't there. */
  get(id: number): SimThread {
    const known = this.#byId.get(tid(id));
    if (known !== undefined) return known;
    const made = new SimThread(tid(id));
    this.#byId.set(made.tid, made);
    return made;
  }

  delete(id: Tid): void {
    this.#byId.delete(id);
  }

  clear(): void {
    this.#byId.clear();
  }

  load(contexts: readonly ThreadContext[], setup: ProcessSetup): void {
    const known = new Set(setup.threads.map((thread) => thread.thread));
    for (const { thread } of contexts) assert(known.has(thread), `no setup of ${thread}`);
    assert(known.size === contexts.length, 'setup and context have the same threads');
    for (const [signal, action] of setup.signalActions) {
      assert(action.length === 32, `action of signal ${signal} has its size`);
    }
    for (const context of contexts) this.#byId.set(context.thread, SimThread.from(context));
  }

  /** The thread begins a call, which is asked at the next turn of the loop. */
  begin(id: number, name: SyscallName | number, args: readonly (number | bigint)[]): void {
    assert(args.length <= 6, 'a call has six arguments');
    const bytes = Buffer.alloc(48);
    args.forEach((value, index) => {
      bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), index * 8);
    });
    const thread = this.get(id);
    thread.begin(typeof name === 'number' ? name : SYS[name], bytes);
    this.#ask(thread);
  }

  #ask(thread: SimThread): void {
    this.#loop.later((client) => {
      if (thread.state !== 'waiting' || this.#byId.get(thread.tid) !== thread) return;
      thread.isAsked = true;
      client.trapped({ thread: thread.tid, number: thread.callNumber, args: thread.args });
    });
  }

  /** The answer that came since it was last asked for; null if none. */
  takeAnswer(id: number): SimAnswer | null {
    const thread = this.find(id);
    if (thread === null) return { kind: 'gone' };
    const answer = thread.answer;
    thread.answer = null;
    return answer;
  }

  /** The thread that waits for an answer, or null if it was interrupted or is gone. */
  answering(id: Tid): SimThread | null {
    const thread = this.#byId.get(id);
    if (thread === undefined || thread.isInterrupted) return null;
    assert(thread.state === 'waiting' && thread.isAsked, `thread ${id} waits for no answer`);
    return thread;
  }

  interrupt(id: number): void {
    const thread = this.get(id);
    assert(thread.state === 'waiting', `thread ${id} waits in a call`);
    thread.state = 'running';
    thread.isInterrupted = true;
  }

  /** The thread that the process is named by, or the first that is left. */
  firstId(): Tid {
    return this.#byId.keys().next().value ?? tid(0);
  }

  /** A signal that it does not block interrupts the call that the thread waits in. */
  signalled(thread: SimThread, signal: number): void {
    if (thread.state !== 'waiting' || !thread.isAsked) return;
    const value = this.#loop.client.interrupted(thread.tid, signal);
    if (value === null) this.repeat(thread);
    else thread.finish(value);
  }

  /** For quiesce: all unanswered calls are withdrawn. */
  withdraw(): void {
    for (const thread of this.#byId.values()) {
      if (thread.state !== 'waiting') continue;
      thread.state = 'withdrawn';
      thread.isInterrupted = true;
      // One that was not asked yet is not known to the client either.
      if (thread.isAsked) this.#loop.client.withdrawn(thread.tid);
      thread.isAsked = false;
    }
  }

  /** The thread makes its call again, as a new one. */
  repeat(thread: SimThread): void {
    thread.state = 'waiting';
    thread.isAsked = false;
    this.#ask(thread);
  }

  /** For resume: withdrawn calls are asked again. */
  askAgain(): void {
    for (const thread of this.#byId.values()) {
      if (thread.state !== 'withdrawn') continue;
      thread.state = 'waiting';
      thread.isInterrupted = false;
      this.#ask(thread);
    }
  }
}
