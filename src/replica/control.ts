/**
 * The main thread's part of a replica, without the process around it: what comes from the
 * supervisor goes to the sentry and back, the process is named after its role, and the end has a
 * clear code. Composed by main.ts. Sees no delta and no guest, and must not import
 * node:child_process.
 */
import { assert } from '../base/assert.ts';
import type { ReplicaOptions, Role, SentryCommand, SentryEvent } from './messages.ts';

/** From the supervisor; `start` is the first and comes once. */
export type ControlCommand =
  | { readonly type: 'start'; readonly options: ReplicaOptions }
  | { readonly type: 'ping' }
  | SentryCommand;

/** To the supervisor. */
export type ControlEvent = { readonly type: 'alive' } | SentryEvent;

/** How a replica's process ends. */
export const REPLICA_EXIT = {
  /** It was told to stop, the guest ended, or a configuration goes on without it. */
  ok: 0,
  /** The sentry failed; the supervisor was told why. */
  failed: 1,
  /** The supervisor is gone. */
  orphan: 2,
} as const;

export interface Sentry {
  post(command: SentryCommand): void;
}

export interface ControlDeps {
  startSentry(options: ReplicaOptions): Sentry;
  send(event: ControlEvent): void;
  setTitle(title: string): void;
  /** Ends the process once what was sent before has left. */
  exit(code: number): void;
  /** Ends the process soon, whatever happens; for when the sentry does not stop by itself. */
  exitWithin(ms: number, code: number): void;
}

/** Less than the supervisor waits before it kills. */
const STOP_MS_MAX = 2_500;

export function titleOf(service: string, replica: number, role: Role | 'starting'): string {
  return `tardigrade: ${service} replica ${replica} (${role})`;
}

export class ReplicaControl {
  readonly #deps: ControlDeps;
  #options: ReplicaOptions | null = null;
  #sentry: Sentry | null = null;
  #isStopping = false;
  #isOver = false;

  constructor(deps: ControlDeps) {
    this.#deps = deps;
  }

  /** From the supervisor. */
  command(command: ControlCommand): void {
    if (command.type === 'ping') {
      this.#deps.send({ type: 'alive' });
    } else if (command.type === 'start') {
      assert(this.#options === null, 'a replica is started once');
      const { options } = command;
      this.#options = options;
      this.#deps.setTitle(titleOf(options.service, options.replica, 'starting'));
      this.#sentry = this.#deps.startSentry(options);
    } else if (command.type === 'stop') {
      this.stop();
    } else {
      this.#sentry?.post(command);
    }
  }

  /** Ends guest and sentry, and then the process. */
  stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    if (this.#sentry === null || this.#isOver) {
      this.#deps.exit(REPLICA_EXIT.ok);
      return;
    }
    this.#sentry.post({ type: 'stop' });
    this.#deps.exitWithin(STOP_MS_MAX, REPLICA_EXIT.ok);
  }

  /** From the sentry. */
  event(event: SentryEvent): void {
    if (event.type === 'role' && this.#options !== null) {
      this.#deps.setTitle(titleOf(this.#options.service, this.#options.replica, event.role));
    }
    if (event.type === 'failed') this.#fail(event.code, event.line);
    else this.#deps.send(event);
  }

  /** The sentry's thread threw what nobody caught. */
  crashed(error: unknown): void {
    const said = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const where = said.split('\n').slice(0, 4).join(' ').replace(/\s+/g, ' ');
    this.#fail('internal', `the replica failed: ${where}; please report it`);
  }

  /** The sentry's thread ended. */
  ended(code: number): void {
    if (this.#isOver) return;
    if (code === 0) {
      this.#isOver = true;
      this.#deps.exit(REPLICA_EXIT.ok);
      return;
    }
    this.#fail('internal', `the replica's sentry ended with code ${code}; please report it`);
  }

  #fail(code: string, line: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#deps.send({ type: 'failed', code, line });
    this.#deps.exit(REPLICA_EXIT.failed);
  }
}
