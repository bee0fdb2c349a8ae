/**
 * LibosGuest: a library OS on a simulated host with one thread that makes calls, for tests of
 * handlers and kernel objects. `restore` saves it into records and goes on with a new library OS
 * loaded from them, as a takeover does.
 */
import assert from 'node:assert/strict';
import type { SyscallName } from '../../src/abi/syscalls.ts';
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

  constructor(options: SimOptions = {}) {
    this.#options = { root: {}, ...options };
    this.sim = new SimHost(this.#options);
    this.kernel = new Kernel(this.sim);
    assert.equal(this.kernel.start(PROGRAM), 0);
  }

  /** Memory for arguments and results; each call of this starts it again. */
  area(sizeBytes: number): number {
    if (this.#area === 0) this.#area = this.sim.guest.alloc(1_048_576);
    assert.ok(sizeBytes <= 1_048_576);
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

  /** Writes into the records what changed since the last save; the first time, all. */
  save(scope?: 'all' | 'changes'): void {
    this.kernel.save(this.records, scope ?? (this.#isSaved ? 'changes' : 'all'));
    this.#isSaved = true;
  }

  /** Goes on in a library OS loaded from the records. Connections to the outside are gone. */
  restore(): void {
    this.save();
    const monotonicNs = this.sim.clock('monotonic');
    const realtimeNs = this.sim.clock('realtime');
    this.sim = new SimHost({ ...this.#options, monotonicNs, realtimeNs });
    this.kernel = new Kernel(this.sim);
    this.kernel.load(this.records);
    this.#area = 0;
  }
}
