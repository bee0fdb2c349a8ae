/**
 * What passes between a replica's main thread (control, master) and its sentry thread (guest,
 * replication), and, as JSON lines, between a replica and the supervisor that started it. Plain
 * data only. Deltas never come this way.
 */
import type { ExitStatus } from '../lvm/api.ts';

/** A published port: the listening socket is inherited as `fd`, so that it outlives any replica. */
export interface PublishedPort {
  readonly address: string;
  readonly port: number;
  readonly guestPort: number;
  readonly fd: number;
}

/** How a replica comes to its state. */
type ReplicaOrigin =
  /** Starts the program, as primary of the first configuration. */
  | { readonly kind: 'launch' }
  /** Goes on from a checkpoint file, as primary of the first configuration. */
  | { readonly kind: 'restore'; readonly path: string }
  /** Gets the state from the primary, as a backup. */
  | { readonly kind: 'join' };

/** Everything that a replica is told at its start; the worker data of its sentry thread. */
export interface ReplicaOptions {
  readonly service: string;
  readonly replica: number;
  readonly origin: ReplicaOrigin;
  /**
   * Path in the root (absolute) of the program, with its arguments and `NAME=value` environment:
   * byte strings (base/byte-string.ts), as is `cwd`.
   */
  readonly program: string;
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  /** Host directory that is the guest's read-only root. */
  readonly root: string;
  readonly published: readonly PublishedPort[];
  /** Hex; a peer must show it before anything else is read from it. */
  readonly token: string;
  readonly failureTimeoutMs: number;
  readonly minReplicas: number;
  /** Fault points to act on, for tests: `POINT[:COUNT]=kill|freeze|fail`. */
  readonly faults: readonly string[];
  /** Interposers to stack around the checkpointer, for tests and diagnosis: `tracer`. */
  readonly interposers: readonly string[];
}

export interface PeerAddress {
  readonly replica: number;
  readonly host: string;
  readonly port: number;
}

export interface ConfigurationView {
  readonly ballot: number;
  readonly version: number;
  readonly primary: number;
  readonly members: readonly number[];
}

export type Role = 'joining' | 'backup' | 'candidate' | 'primary' | 'deposed';

/**
 * Counters since the replica's start and quantiles since the last report; microseconds and bytes.
 */
export interface ReplicaStats {
  readonly epoch: number;
  readonly chosen: number;
  readonly epochsPerSecond: number;
  readonly pauseP50Us: number;
  readonly pauseP99Us: number;
  readonly deltaBytesP50: number;
  readonly deltaBytesP99: number;
  readonly releaseP50Us: number;
  readonly calls: number;
  readonly heldBytes: number;
  readonly guestMemoryBytes: number;
  readonly unsupportedCalls: readonly { readonly name: string; readonly count: number }[];
}

/** Main thread to sentry. */
export type SentryCommand =
  | { readonly type: 'peers'; readonly peers: readonly PeerAddress[] }
  | { readonly type: 'configuration'; readonly configuration: ConfigurationView }
  | { readonly type: 'master-reply'; readonly id: number; readonly reply: unknown }
  | { readonly type: 'checkpoint'; readonly id: number; readonly path: string }
  /** These said that their processes live. */
  | { readonly type: 'pulses'; readonly replicas: readonly number[] }
  | { readonly type: 'console-input'; readonly bytes: string; readonly isEnd: boolean }
  /** The supervisor has a stream's output up to `offset`. */
  | { readonly type: 'console-delivered'; readonly stream: 1 | 2; readonly offset: number }
  | { readonly type: 'signal'; readonly number: number }
  | { readonly type: 'stop' };

/** Sentry to main thread. Bytes are base64. */
export type SentryEvent =
  /** Commands may come from now on; `doorbell` is the eventfd to ring after posting one. */
  | { readonly type: 'ready'; readonly port: number; readonly doorbell: number }
  | { readonly type: 'master-request'; readonly id: number; readonly request: unknown }
  | {
      readonly type: 'role';
      readonly role: Role;
      readonly configuration: ConfigurationView | null;
    }
  | { readonly type: 'stats'; readonly stats: ReplicaStats }
  /** Released output; `offset` counts the stream's bytes since the guest's start. */
  | {
      readonly type: 'console';
      readonly stream: 1 | 2;
      readonly offset: number;
      readonly bytes: string;
    }
  /** The guest read so much of its standard input: there is room for more. */
  | { readonly type: 'console-taken'; readonly bytes: number }
  /** This replica went on as primary. */
  | {
      readonly type: 'takeover';
      readonly ballot: number;
      readonly epoch: number;
      readonly restoreMs: number;
      readonly reason: string;
    }
  | { readonly type: 'joined'; readonly replica: number; readonly epoch: number }
  | { readonly type: 'lost'; readonly replica: number; readonly reason: string }
  | { readonly type: 'checkpoint-done'; readonly id: number; readonly error: string | null }
  | { readonly type: 'report'; readonly event: string; readonly detail: string }
  /** The guest ended, and every member knows it. */
  | { readonly type: 'exited'; readonly status: ExitStatus }
  /** The replica can't go on; `line` is for a person. */
  | { readonly type: 'failed'; readonly code: string; readonly line: string };
