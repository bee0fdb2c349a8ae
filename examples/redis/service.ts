/**
 * redis-server under `tardigrade run`, as the demo starts and watches it: through the command line
 * only, as any user would.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const bin = fileURLToPath(new URL('../../../bin/tardigrade.mjs', import.meta.url));
const GUEST_PORT = 6379;
const STATUS_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 10_000;

/** The part of `tardigrade status --json` that is used here. */
interface Status {
  readonly configuration: { readonly primary: number; readonly members: readonly number[] } | null;
  readonly replicas: readonly { readonly id: number; readonly pid: number }[];
}

export interface Takeover {
  readonly replica: number;
  readonly epoch: number;
  readonly restoreMs: number;
  readonly atMs: number;
}

interface Event {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** Resolves when `look` finds something; fails after `timeoutMs`. */
export async function until<T>(what: string, timeoutMs: number, look: () => T | null): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const found = look();
    if (found !== null) return found;
    if (performance.now() > end) throw new Error(`${what}: not within ${timeoutMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export class RedisService {
  readonly name: string;
  readonly takeovers: Takeover[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #port: number | null = null;
  #members: readonly number[] = [];
  #ending: string | null = null;
  #statistics: Readonly<Record<string, number>> | null = null;

  constructor(name: string, replicas: number) {
    this.name = name;
    const options = ['--name', name, '--replicas', String(replicas), '--json'];
    const publish = ['--publish', `0:${GUEST_PORT}`];
    const redis = ['redis-server', '--save', '', '--appendonly', 'no', '--protected-mode', 'no'];
    const args = [bin, 'run', ...options, ...publish, '--', ...redis];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once('close', (code) => {
        this.#ending ??= `tardigrade run ended with status ${code}`;
        resolve();
      });
    });
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => this.#event(JSON.parse(line) as Event));
  }

  /** The published port of this machine. */
  port(timeoutMs: number): Promise<number> {
    return this.#wait('starting', timeoutMs, () => this.#port);
  }

  /** Waits until so many replicas hold the state. */
  async atStrength(replicas: number, timeoutMs: number): Promise<void> {
    const what = `${replicas} replicas that hold the state`;
    await this.#wait(what, timeoutMs, () => this.#members.length === replicas || null);
  }

  takeover(index: number, timeoutMs: number): Promise<Takeover> {
    return this.#wait('a takeover', timeoutMs, () => this.takeovers[index] ?? null);
  }

  /** The latest figures of the primary, or null. */
  get statistics(): Readonly<Record<string, number>> | null {
    return this.#statistics;
  }

  /** The primary, as `tardigrade status` tells. */
  primary(): { id: number; pid: number } {
    const args = [bin, 'status', this.name, '--json'];
    const options = { encoding: 'utf8', timeout: STATUS_TIMEOUT_MS } as const;
    const { status, stdout, stderr } = spawnSync(process.execPath, args, options);
    if (status !== 0) throw new Error(`tardigrade status failed: ${stderr}`);
    const { configuration, replicas } = JSON.parse(stdout) as Status;
    const primary = replicas.find(({ id }) => id === configuration?.primary);
    if (primary === undefined) throw new Error('there is no primary');
    return primary;
  }

  /** Ends it as Ctrl-C would. */
  async stop(): Promise<void> {
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    if (this.#ending === null) this.#child.kill('SIGINT');
    await this.#ended;
    clearTimeout(kill);
  }

  #wait<T>(what: string, timeoutMs: number, look: () => T | null): Promise<T> {
    return until(what, timeoutMs, () => {
      if (this.#ending !== null) throw new Error(this.#ending);
      return look();
    });
  }

  #event(event: Event): void {
    switch (event.event) {
      case 'started': {
        const [published] = event.published as readonly { port: number }[];
        this.#port = published?.port ?? null;
        return;
      }
      case 'configuration':
        this.#members = event.members as readonly number[];
        return;
      case 'statistics':
        this.#statistics = event.statistics as Readonly<Record<string, number>>;
        return;
      case 'takeover': {
        const { replica, epoch, restoreMs } = event as unknown as Takeover;
        this.takeovers.push({ replica, epoch, restoreMs, atMs: performance.now() });
        return;
      }
      default:
        return;
    }
  }
}
