/**
 * LibosGuest: a library OS on a simulated host with one thread that makes calls, for tests of
 * handlers and kernel objects. `restore` saves it into records and goes on with a new library OS
 * loaded from them, as a takeover does.
 */
import assert from 'node:assert/strict';
import { E } from '../../src/abi/errno.ts';
import type { SyscallName } from '../../src/abi/syscalls.ts';
import { tid } from '../../src/base/ids.ts';
import { SimHost, type SimOptions } from '../../src/host/sim/sim-host.ts';
import type { SimAnswer } from '../../src/host/sim/thread.ts';
import { Kernel } from '../../src/libos/kernel.ts';
import { Records } from '../support/records.ts';

const PROGRAM = { program: '/bin/guest', argv: ['guest'], env: [], cwd: '/' };

export class LibosGuest {
  sim: SimHost;
  kernel: Kernel;
  readonly #options: SimOptions;
  readonly records = new Records();
  #isSaved = false;
  #area = 0;
  /** Where the memory begins that tests allocate. */
  readonly #start: number;

  constructor(options: SimOptions = {}) {
    this.#options = { root: {}, ...options };
    this.sim = new SimHost(this.#options);
    this.kernel = new Kernel(this.sim);
    assert.equal(this.kernel.start(PROGRAM), 0);
    this.#start = this.sim.guest.alloc(16);
  }

  /** A megabyte for arguments and results. */
  area(): number {
    if (this.#area === 0) this.#area = this.sim.guest.alloc(1_048_576);
    return this.#area;
  }

  /** A call by thread 1 that must not block. */
  call(name: SyscallName, ...args: readonly (number | bigint)[]): number {
    const answer = this.sim.call(1, name, ...args);
    assert.equal(typeof answer, 'number', `${name} gives ${JSON.stringify(answer)}`);
    return answer as number;
  }

  /** A call that may block. */
  ask(name: SyscallName, ...args: readonly (number | bigint)[]): SimAnswer {
    return this.sim.call(1, name, ...args);
  }

  /** Bytes in memory of their own. */
  bytes(data: string | Uint8Array): number {
    return this.sim.guest.bytes(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
  }

  /** What a call filled. */
  peek(address: number, count: number): string {
    return this.sim.guest.peek(address, count).toString('latin1');
  }

  /** Another thread of the process, which can make calls. */
  addThread(id: number): void {
    this.kernel.addTask(this.kernel.state.process, tid(id), `thread ${id}`);
    this.sim.thread(id);
  }

  /** Writes into the records what changed since the last save; the first time, all. */
  save(scope?: 'all' | 'changes'): void {
    this.kernel.save(this.records, scope ?? (this.#isSaved ? 'changes' : 'all'));
    this.#isSaved = true;
  }

  /**
   * Goes on in a library OS loaded from the records, with the same memory. Threads that were in a
   * call ask again when the test says so. Connections to the outside are gone.
   */
  restore(): void {
    this.save();
    const memory = this.sim.guest.peek(this.#start, this.sim.guest.alloc(16) - this.#start);
    const monotonicNs = this.sim.clock('monotonic');
    const realtimeNs = this.sim.clock('realtime');
    this.sim = new SimHost({ ...this.#options, monotonicNs, realtimeNs });
    this.kernel = new Kernel(this.sim);
    // What a checkpointer answers for connections that were lost.
    this.sim.streamRead = () => E.ECONNRESET;
    this.sim.streamWrite = () => E.ECONNRESET;
    this.kernel.load(this.records);
    for (const id of this.kernel.tasks.keys()) this.sim.thread(id);
    assert.equal(this.sim.guest.bytes(memory), this.#start, 'memory is where it was');
  }
}
