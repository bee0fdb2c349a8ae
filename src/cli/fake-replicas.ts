/**
 * Replicas and time for tests of the supervisor: processes that do only what the test says.
 * Imported by tests only.
 */
import type { ReplicaOptions, SentryCommand } from '../replica/messages.ts';
import type { Reporter, ServiceEvent } from './service-events.ts';
import type {
  ReplicaListener,
  ReplicaProcess,
  Scheduler,
  SupervisorOptions,
} from './supervisor-types.ts';

export class FakeTime implements Scheduler {
  #now = 0;
  #timers: { readonly at: number; readonly action: () => void }[] = [];

  nowMs(): number {
    return this.#now;
  }

  after(delayMs: number, action: () => void): () => void {
    const timer = { at: this.#now + delayMs, action };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Lets time pass, with everything that falls due in it. */
  pass(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#now = Math.max(this.#now, due.at);
      this.#timers = this.#timers.filter((timer) => timer !== due);
      due.action();
    }
    this.#now = end;
  }
}

export class FakeReplica implements ReplicaProcess {
  readonly pid: number;
  readonly options: ReplicaOptions;
  readonly listener: ReplicaListener;
  readonly commands: SentryCommand[] = [];
  isAlive = true;
  isFrozen = false;
  wasKilled = false;

  constructor(options: ReplicaOptions, listener: ReplicaListener) {
    this.options = options;
    this.listener = listener;
    this.pid = 1000 + options.replica;
  }

  get id(): number {
    return this.options.replica;
  }

  send(command: SentryCommand): void {
    this.commands.push(command);
    if (command.type === 'stop' && !this.isFrozen) this.end('exit 0');
  }

  ping(): void {
    if (!this.isFrozen) this.listener.alive();
  }

  kill(): void {
    this.wasKilled = true;
    this.end('SIGKILL');
  }

  /** The process ends now. */
  end(how: string, stderr = ''): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.listener.exited(how);
    this.listener.closed(stderr);
  }

  ready(): void {
    this.listener.event({ type: 'ready', port: 5000 + this.id, doorbell: 0 });
  }

  /** Asks the master; what it answered. */
  ask(request: Readonly<Record<string, unknown>>): unknown {
    const sequence = this.commands.length + 1;
    const id = { replica: this.id, sequence };
    this.listener.event({ type: 'master-request', id: sequence, request: { id, ...request } });
    return this.last('master-reply')?.reply;
  }

  /** The latest command of a type. */
  last<T extends SentryCommand['type']>(type: T): Extract<SentryCommand, { type: T }> | undefined {
    const found = this.commands.filter((command) => command.type === type).at(-1);
    return found as Extract<SentryCommand, { type: T }> | undefined;
  }
}

/** Collects what a service shows. */
export class FakeReporter implements Reporter {
  readonly events: ServiceEvent[] = [];
  readonly printed = { 1: '', 2: '' };

  report(event: ServiceEvent): void {
    this.events.push(event);
  }

  output(stream: 1 | 2, _offset: number, bytes: Buffer): void {
    this.printed[stream] += bytes.toString();
  }

  named(name: ServiceEvent['event']): readonly ServiceEvent[] {
    return this.events.filter(({ event }) => event === name);
  }
}

export function supervisorOptions(change: Partial<SupervisorOptions> = {}): SupervisorOptions {
  return {
    replica: {
      service: 'test',
      origin: { kind: 'launch' },
      program: '/bin/true',
      argv: ['true'],
      env: [],
      cwd: '/',
      root: '/',
      published: [],
      token: '00',
      failureTimeoutMs: 250,
      minReplicas: 1,
      interposers: [],
    },
    replicas: 2,
    faults: [],
    keepDeposed: false,
    published: [],
    ...change,
  };
}
