/**
 * `tardigrade exec`: a program in the sandbox and the library OS, without replicas. The sentry is a
 * thread of this process (src/replica/exec-sentry.ts), which writes the program's output by itself;
 * here its standard input and signals are passed on. Must not import node:child_process: the sentry
 * waits for children of this process.
 */
import { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { SYS } from '../abi/syscalls.ts';
import { byteString } from '../base/byte-string.ts';
import { TardigradeError } from '../base/errors.ts';
import type { ExitStatus } from '../lvm/api.ts';
import type { ReplicaOptions, SentryCommand, SentryEvent } from '../replica/messages.ts';
import { eventText } from './event-text.ts';
import { errorFrom, oneLine } from './exit-codes.ts';
import { resolveProgram } from './guest-program.ts';
import { closePorts, openPorts } from './listen.ts';
import { type GuestOptions, guestEnvironment, pathOf } from './options.ts';
import { pressed } from './pressed.ts';
import { formatEndpoint } from './publish.ts';

/** Input that the guest has not read yet: well below what the sentry's console holds. */
const INPUT_BYTES_MAX = 512 * 1024;
const EXIT_SIGNALED = 128;
const SIGINT = 2;
const SIGTERM = 15;
const SIGKILL = 9;

/** The status that a shell would give. */
export function exitStatusOf(status: ExitStatus): number {
  return status.kind === 'exited' ? status.code : EXIT_SIGNALED + status.signal;
}

/** Lines of ours; synchronous, so that they stand where they belong among the guest's. */
function say(text: string): void {
  try {
    writeSync(2, `tardigrade: ${oneLine(text)}\n`);
  } catch {
    // Nobody reads: the program goes on.
  }
}

/** Passes standard input on as fast as the guest reads it. */
class Input {
  readonly #post: (command: SentryCommand) => void;
  #waitingBytes = 0;

  constructor(post: (command: SentryCommand) => void) {
    this.#post = post;
    process.stdin.on('data', (chunk: Buffer) => {
      this.#waitingBytes += chunk.length;
      if (this.#waitingBytes >= INPUT_BYTES_MAX) process.stdin.pause();
      this.#send(chunk, false);
    });
    process.stdin.on('end', () => this.#send(Buffer.alloc(0), true));
    // A closed or unreadable descriptor is an empty input.
    process.stdin.on('error', () => this.#send(Buffer.alloc(0), true));
  }

  taken(bytes: number): void {
    this.#waitingBytes -= bytes;
    if (this.#waitingBytes < INPUT_BYTES_MAX && process.stdin.isPaused()) process.stdin.resume();
  }

  close(): void {
    process.stdin.removeAllListeners('data').pause();
    // A terminal or pipe that stays open must not keep this process alive.
    process.stdin.unref?.();
  }

  #send(bytes: Buffer, isEnd: boolean): void {
    this.#post({ type: 'console-input', bytes: bytes.toString('base64'), isEnd });
  }
}

/** Runs the program; resolves with the status to exit with. */
export async function runExec(
  options: GuestOptions,
  name: string,
  args: readonly string[],
  requireFeatures: () => Promise<void>,
): Promise<number> {
  const { root } = options;
  const cwd = byteString(options.cwd);
  const env = guestEnvironment(options.env, process.env.TERM ?? 'dumb').map(byteString);
  const request = { root, cwd, name: byteString(name), args: args.map(byteString) };
  const { program, argv } = resolveProgram({ ...request, path: pathOf(env) });
  await requireFeatures();
  const ports = openPorts(options.publish);
  for (const { address, port, guestPort } of ports) {
    say(`${formatEndpoint(address, port)} leads to port ${guestPort}`);
  }
  const replica: ReplicaOptions = {
    service: options.name,
    replica: 1,
    origin: { kind: 'launch' },
    program,
    argv,
    env,
    cwd,
    root,
    published: ports,
    token: '',
    failureTimeoutMs: 0,
    minReplicas: 1,
    faults: [],
    interposers: options.interposers,
  };
  try {
    return exitStatusOf(await runSentry(replica));
  } finally {
    closePorts(ports);
  }
}

async function runSentry(options: ReplicaOptions): Promise<ExitStatus> {
  // Here, so that what needs no native library does without.
  const { ringDoorbell } = await import('../ffi/doorbell.ts');
  const { syscall } = await import('../ffi/native.ts');
  const url = new URL('../replica/exec-sentry.js', import.meta.url);
  // Its own output apart: node would pass it on through our standard output, and make that
  // non-blocking for whoever shares it. The sentry writes to the descriptors itself.
  const streams = { stdout: true, stderr: true };
  const worker = new Worker(url, { workerData: options, name: 'sentry', ...streams });
  let doorbell = -1;
  const early: SentryCommand[] = [];
  const post = (command: SentryCommand): void => {
    if (doorbell < 0) {
      early.push(command);
      return;
    }
    worker.postMessage(command);
    // The sentry waits in epoll_wait, where no message wakes it.
    ringDoorbell(doorbell);
  };
  const input = new Input(post);
  const signals = forwardSignals(post, () => {
    // `process.exit` would wait for the sentry's thread. The guest dies with it.
    syscall(SYS.exit_group, EXIT_SIGNALED + SIGKILL);
  });
  try {
    return await new Promise<ExitStatus>((resolve, reject) => {
      worker.on('message', (event: SentryEvent) => {
        if (event.type === 'ready') {
          ({ doorbell } = event);
          for (const command of early.splice(0)) post(command);
        } else if (event.type === 'console-taken') {
          input.taken(event.bytes);
        } else if (event.type === 'report') {
          const { event: what, detail } = event;
          const text = eventText({ event: 'report', replica: 1, what, detail });
          if (text !== null) say(text);
        } else if (event.type === 'exited') {
          resolve(event.status);
        } else if (event.type === 'failed') {
          reject(errorFrom(event.code, oneLine(event.line)));
        }
      });
      worker.on('error', (error) => {
        const message = `the sandbox failed: ${error instanceof Error ? error.message : error}`;
        reject(new TardigradeError('internal', message, 'please report it', error));
      });
      worker.on('exit', (code) => {
        const message = `the sandbox ended without a word (code ${code})`;
        reject(new TardigradeError('internal', message, 'please report it'));
      });
    });
  } finally {
    input.close();
    signals();
  }
}

/** The first Ctrl-C is the guest's, a second one ends it at once. Returns what undoes it. */
function forwardSignals(post: (command: SentryCommand) => void, kill: () => void): () => void {
  const forward = (number: number): (() => void) =>
    pressed({ first: () => post({ type: 'signal', number }), second: kill });
  const handlers = [
    ['SIGINT', forward(SIGINT)],
    ['SIGTERM', forward(SIGTERM)],
    ['SIGHUP', forward(SIGTERM)],
  ] as const;
  for (const [name, handler] of handlers) process.on(name, handler);
  return () => {
    for (const [name, handler] of handlers) process.off(name, handler);
  };
}
