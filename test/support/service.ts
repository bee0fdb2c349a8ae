/**
 * Service: one guest in one of three modes, with the same face to a test: 'native' starts the
 * program itself, 'exec' under the sandbox, 'run' replicated. Ports are those of the host; what the
 * guest binds is its own affair in the last two.
 */

import assert from 'node:assert/strict';
import { cliPath } from './paths.ts';
import type { Program, ProgramSpec } from './program.ts';
import { RunEvents } from './run-events.ts';
import { readStatus, type ServiceStatus } from './status.ts';
import type { World } from './world.ts';

export type Mode = 'native' | 'exec' | 'run';

export interface ServiceSpec {
  readonly mode: Mode;
  readonly program: string;
  readonly args: readonly string[];
  /** Host port -> port that the guest listens on. */
  readonly publish?: { readonly port: number; readonly guestPort: number };
  /** Of 'run': goes on from this checkpoint file instead of starting the program. */
  readonly restore?: string;
  readonly replicas?: number;
  /** `REPLICA_OR_*:POINT[:COUNT]=kill|freeze|fail`. */
  readonly faults?: readonly string[];
  /** Silence that counts as a death; see `patientFailureMs`. */
  readonly failureTimeoutMs?: number;
  /** Leaves a deposed primary running, so that a test can look at it. */
  readonly keepsDeposed?: boolean;
  /** A command before it all, such as `taskset -c 0`: the benchmarks place processes with it. */
  readonly wrapper?: readonly string[];
  /** More options of the command line, before the program. */
  readonly options?: readonly string[];
  readonly more?: Partial<ProgramSpec>;
}

/**
 * Unless a test says otherwise: a death is seen by the connection, and a machine too busy to run a
 * replica for a while is not taken for one.
 */
const patientFailureMs = 2_000;

/** Starting takes well under a second; the machine may be busy. */
const readyTimeoutMs = 30_000;
const stopTimeoutMs = 20_000;

export class Service {
  readonly spec: ServiceSpec;
  readonly world: World;
  readonly name: string;
  readonly program: Program;
  readonly #events: RunEvents;

  constructor(world: World, spec: ServiceSpec) {
    this.world = world;
    this.spec = spec;
    this.#events = new RunEvents(spec.restore !== undefined);
    serviceCount += 1;
    this.name = `${world.mark}-${serviceCount}`;
    const command =
      spec.mode === 'native'
        ? [spec.program, ...spec.args]
        : [process.execPath, cliPath, ...this.#arguments()];
    const [first = '', ...rest] = [...(spec.wrapper ?? []), ...command];
    this.program = world.start(first, rest, spec.more);
    if (spec.mode === 'run') this.program.explain = () => this.events.describe();
  }

  #arguments(): string[] {
    const { mode, publish, restore, replicas, faults = [] } = this.spec;
    const args = [restore === undefined ? mode : 'restore', ...(this.spec.options ?? [])];
    if (publish) args.push('--publish', `127.0.0.1:${publish.port}:${publish.guestPort}`);
    if (mode === 'run') {
      args.push('--name', this.name, '--json');
      if (replicas !== undefined) args.push('--replicas', String(replicas));
      for (const fault of faults) args.push('--fault', fault);
      const failureMs = this.spec.failureTimeoutMs ?? patientFailureMs;
      args.push('--failure-timeout', String(failureMs));
      if (this.spec.keepsDeposed === true) args.push('--keep-deposed');
    }
    if (restore !== undefined) return [...args, restore];
    return [...args, '--', this.spec.program, ...this.spec.args];
  }

  /** What it has told so far. Only in mode 'run'. */
  get events(): RunEvents {
    this.#events.take(this.program.lines('stdout'));
    return this.#events;
  }

  /** Asks the service itself. Only in mode 'run'. */
  status(): Promise<ServiceStatus> {
    return readStatus(this.world, this.name);
  }

  get primary(): number {
    return this.events.configuration?.primary ?? assert.fail('there is no configuration yet');
  }

  get members(): readonly number[] {
    return this.events.configuration?.members ?? [];
  }

  get backups(): readonly number[] {
    return this.members.filter((member) => member !== this.primary);
  }

  pidOf(replica: number): number {
    return this.events.pids.get(replica) ?? assert.fail(`replica ${replica} was never started`);
  }

  isRunning(replica: number): boolean {
    return this.world.isRunning(this.pidOf(replica));
  }

  /** Signals the process of a replica. */
  signal(replica: number, signal: NodeJS.Signals): void {
    this.world.signal(this.pidOf(replica), signal);
  }

  /** Waits until the configuration has `count` members, each of them with a living process. */
  waitForMembers(count: number, timeoutMs = readyTimeoutMs): Promise<readonly number[]> {
    return this.program.until(`${count} members of ${this.name}`, timeoutMs, () => {
      const { members } = this;
      const alive = members.filter((member) => this.isRunning(member));
      return members.length === count && alive.length === count ? members : undefined;
    });
  }

  waitForPrimary(isWanted: (primary: number) => boolean, timeoutMs: number): Promise<number> {
    return this.program.until(`another primary of ${this.name}`, timeoutMs, () => {
      const primary = this.events.configuration?.primary;
      return primary !== undefined && isWanted(primary) ? primary : undefined;
    });
  }

  /** The guest's standard output so far, as complete lines. */
  guestLines(): readonly string[] {
    if (this.spec.mode !== 'run') return this.program.lines('stdout');
    return this.events.output(1).split('\n').slice(0, -1);
  }

  waitForGuestLine(pattern: RegExp, timeoutMs: number): Promise<string> {
    return this.program.until(`the guest's line ${pattern}`, timeoutMs, () => {
      return this.guestLines().find((line) => pattern.test(line));
    });
  }

  /** Ends it as a user does: `tardigrade stop`, or Ctrl-C where there is no name. */
  async stop(): Promise<void> {
    if (this.program.exit === null) {
      this.world.look();
      if (this.spec.mode === 'run') {
        const stop = await this.world.runTardigrade(['stop', this.name], stopTimeoutMs);
        assert.equal(stop.exit?.code, 0, `tardigrade stop\n${stop.describe()}`);
      } else {
        this.program.signal('SIGINT');
      }
    }
    await this.program.waitForExit(stopTimeoutMs);
  }
}

let serviceCount = 0;
