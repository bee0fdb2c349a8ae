/**
 * What the supervisor needs and gives: replicas as processes, time, and how a service can end.
 * Implemented by replica-process.ts and run.ts, by fakes in tests. Types only.
 */
import type { TardigradeError } from '../base/errors.ts';
import type { ExitStatus } from '../lvm/api.ts';
import type {
  PublishedPort,
  ReplicaOptions,
  SentryCommand,
  SentryEvent,
} from '../replica/messages.ts';
import type { FaultOption } from './options.ts';
import type { Reporter } from './service-events.ts';

/** A replica's process, as the supervisor uses it. */
export interface ReplicaProcess {
  readonly pid: number;
  send(command: SentryCommand): void;
  /** Asks whether the process is still scheduled; `alive` follows. */
  ping(): void;
  /** SIGKILL. */
  kill(): void;
}

export interface ReplicaListener {
  event(event: SentryEvent): void;
  alive(): void;
  /**
   * The process is gone; events that it sent before may still follow. `how`: `exit 1`, `SIGKILL`.
   */
  exited(how: string): void;
  /** Nothing follows any more. `stderr` is the end of what it wrote there. */
  closed(stderr: string): void;
}

export type StartReplica = (options: ReplicaOptions, listener: ReplicaListener) => ReplicaProcess;

export interface Scheduler {
  nowMs(): number;
  /** Returns what cancels it. */
  after(delayMs: number, action: () => void): () => void;
}

export interface SupervisorDeps {
  readonly start: StartReplica;
  readonly scheduler: Scheduler;
  readonly reporter: Reporter;
}

export interface SupervisorOptions {
  /** What every replica is told; `origin` is the first one's. */
  readonly replica: Omit<ReplicaOptions, 'replica' | 'faults'>;
  readonly replicas: number;
  readonly faults: readonly FaultOption[];
  readonly keepDeposed: boolean;
  readonly published: readonly Omit<PublishedPort, 'fd'>[];
}

export type Outcome =
  | { readonly kind: 'exited'; readonly status: ExitStatus }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly error: TardigradeError };
