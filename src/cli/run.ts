/**
 * `tardigrade run` and `restore`: checks everything, claims the name, opens the ports, then runs
 * the supervisor until the guest ends or somebody ends it. Whatever happens, what was taken is
 * given back: processes, sockets, the name.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { byteString, shown } from '../base/byte-string.ts';
import { TardigradeError } from '../base/errors.ts';
import { nodeFiles } from '../checkpoint/files.ts';
import { describe as describeCheckpoint } from '../checkpoint/inspect.ts';
import type { ReplicaOptions } from '../replica/messages.ts';
import type { AdminRequest } from './admin-protocol.ts';
import { AdminServer } from './admin-server.ts';
import { requireFeatures } from './doctor.ts';
import { exitStatusOf } from './exec.ts';
import { exitCodeOf, lineOf } from './exit-codes.ts';
import { checkDirectory, type GuestProgram, resolveProgram } from './guest-program.ts';
import { closePorts, type OpenPort, openPorts } from './listen.ts';
import { guestEnvironment, pathOf, type ServiceOptions } from './options.ts';
import { OutputWriter } from './output-writer.ts';
import { pressed } from './pressed.ts';
import { publishedFor, replicaStarter } from './replica-process.ts';
import {
  JsonReporter,
  PlainReporter,
  QuietReporter,
  type ServiceReporter,
  TerminalReporter,
} from './reporters.ts';
import { claimName, type NameClaim, openRuntimeDirectory } from './runtime-directory.ts';
import type { ServiceEvent } from './service-events.ts';
import { Supervisor } from './supervisor.ts';
import type { Outcome, Scheduler } from './supervisor-types.ts';

const FLUSH_MS_MAX = 1_000;
/** As src/replication/wire.ts wants it. */
const TOKEN_BYTES = 16;
const COLUMNS_DEFAULT = 80;
const EXIT_SIGNALED = 128;
const STOP_SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;

/** What the guest begins with. */
export type Origin =
  | { readonly kind: 'program'; readonly name: string; readonly args: readonly string[] }
  | { readonly kind: 'checkpoint'; readonly path: string };

const scheduler: Scheduler = {
  nowMs: () => Date.now(),
  after: (delayMs, action) => {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Runs a service to its end; resolves with the status to exit with. */
export async function runService(options: ServiceOptions, origin: Origin): Promise<number> {
  const env = guestEnvironment(options.env, process.env.TERM ?? 'dumb').map(byteString);
  const program = prepare(options, origin, env);
  await requireFeatures();
  const claim = await claimName(openRuntimeDirectory(), options.name);
  try {
    const ports = openPorts(options.publish);
    try {
      return await supervise(options, origin, env, program, claim, ports);
    } finally {
      closePorts(ports);
    }
  } finally {
    claim.release();
  }
}

/** Everything about the guest that can be found wrong before anything is started. */
function prepare(
  { root, cwd }: ServiceOptions,
  origin: Origin,
  env: readonly string[],
): GuestProgram {
  if (origin.kind === 'program') {
    const request = { root, cwd: byteString(cwd), name: byteString(origin.name) };
    return resolveProgram({ ...request, args: origin.args.map(byteString), path: pathOf(env) });
  }
  checkDirectory(root, '/');
  // All of it, before anything is started for nothing.
  describeCheckpoint(nodeFiles(String(process.pid)), origin.path);
  return { program: byteString(origin.path), argv: [] };
}

async function supervise(
  options: ServiceOptions,
  origin: Origin,
  env: readonly string[],
  { program, argv }: GuestProgram,
  claim: NameClaim,
  ports: readonly OpenPort[],
): Promise<number> {
  const replica: Omit<ReplicaOptions, 'replica' | 'faults'> = {
    service: options.name,
    origin: origin.kind === 'program' ? { kind: 'launch' } : { kind: 'restore', path: origin.path },
    program,
    argv,
    env,
    cwd: byteString(options.cwd),
    root: options.root,
    published: publishedFor(ports),
    token: randomBytes(TOKEN_BYTES).toString('hex'),
    failureTimeoutMs: options.failureTimeoutMs,
    minReplicas: 1,
    interposers: options.interposers,
  };
  const { replicas, faults, keepDeposed, output } = options;
  const writers = makeWriters();
  // The reporter asks the supervisor for its status, and the supervisor reports to it.
  const reporter: ServiceReporter = makeReporter(output, writers, () => supervisor.status());
  const start = replicaStarter({ ports, sentry: options.sentry });
  const supervisor: Supervisor = new Supervisor(
    { start, scheduler, reporter },
    { replica, replicas, faults, keepDeposed, published: ports },
  );
  const admin = new AdminServer((request) => serveAdmin(supervisor, request));
  await admin.listen(claim.socket);
  const signals = new StopSignals(supervisor);
  try {
    const { name: service } = options;
    reporter.report({
      event: 'started',
      service,
      pid: process.pid,
      program: shown(program),
      replicas,
      published: ports.map(({ address, port, guestPort }) => ({ address, port, guestPort })),
    });
    const outcome = await supervisor.run();
    reporter.report(endOf(outcome, supervisor));
    reporter.close();
    const code = codeOf(outcome, signals.received);
    if (outcome.kind === 'failed') {
      writers.err.write(2, `tardigrade: ${lineOf(outcome.error)}\n`);
    }
    await Promise.all([writers.out.flush(FLUSH_MS_MAX), writers.err.flush(FLUSH_MS_MAX)]);
    return code;
  } finally {
    signals.restore();
    admin.close();
  }
}

interface Writers {
  readonly out: OutputWriter;
  readonly err: OutputWriter;
}

/**
 * One queue where both go to a terminal, so that the order holds; else neither waits for the other.
 */
function makeWriters(): Writers {
  const err = new OutputWriter();
  const isShared = process.stdout.isTTY && process.stderr.isTTY;
  return { err, out: isShared ? err : new OutputWriter() };
}

function makeReporter(
  mode: ServiceOptions['output'],
  { out, err }: Writers,
  status: () => ReturnType<Supervisor['status']>,
): ServiceReporter {
  const writer = {
    write: (fd: number, content: string | Uint8Array) => (fd === 1 ? out : err).write(fd, content),
  };
  const deps = { writer, scheduler, status };
  if (mode === 'json') return new JsonReporter(deps);
  if (mode === 'quiet') return new QuietReporter(deps);
  if (!process.stderr.isTTY) return new PlainReporter(deps);
  const columns = (): number => process.stderr.columns ?? COLUMNS_DEFAULT;
  return new TerminalReporter({ ...deps, columns, isOutputHere: process.stdout.isTTY });
}

/** Says how it ended, and each unsupported call once. */
function endOf(outcome: Outcome, supervisor: Supervisor): ServiceEvent {
  const calls = supervisor.status().unsupportedCalls;
  const names = calls.map(({ name, count }) => `${name} (${count})`).join(', ');
  const unsupported = names === '' ? '' : `; unsupported system calls: ${names}`;
  if (outcome.kind === 'stopped') {
    return { event: 'ended', code: null, signal: null, reason: `stopped${unsupported}` };
  }
  if (outcome.kind === 'failed') {
    return { event: 'ended', code: null, signal: null, reason: `failed${unsupported}` };
  }
  const { status } = outcome;
  if (status.kind === 'exited') {
    const reason = `the program ended with status ${status.code}${unsupported}`;
    return { event: 'ended', code: status.code, signal: null, reason };
  }
  const reason = `the program was ended by signal ${status.signal}${unsupported}`;
  return { event: 'ended', code: null, signal: status.signal, reason };
}

function codeOf(outcome: Outcome, signal: number | null): number {
  switch (outcome.kind) {
    case 'exited':
      return exitStatusOf(outcome.status);
    case 'stopped':
      return signal === null ? 0 : EXIT_SIGNALED + signal;
    case 'failed':
      return exitCodeOf(outcome.error);
  }
}

/** Ctrl-C and its like: the first one stops in peace, a second one kills. */
class StopSignals {
  received: number | null = null;
  readonly #handlers: readonly [NodeJS.Signals, () => void][];

  constructor(supervisor: Supervisor) {
    this.#handlers = Object.entries(STOP_SIGNALS).map(([name, number]) => {
      const first = (): void => {
        // After another kind of signal this one means that the person is out of patience.
        if (this.received === null) supervisor.stop();
        else supervisor.kill();
        this.received ??= number;
      };
      const handler = pressed({ first, second: () => supervisor.kill() });
      return [name as NodeJS.Signals, handler];
    });
    for (const [name, handler] of this.#handlers) process.on(name, handler);
  }

  restore(): void {
    for (const [name, handler] of this.#handlers) process.off(name, handler);
  }
}

async function serveAdmin(supervisor: Supervisor, request: AdminRequest): Promise<unknown> {
  switch (request.command) {
    case 'status':
      return supervisor.status();
    case 'stop':
      supervisor.stop();
      return {};
    case 'checkpoint':
      await writeCheckpoint(supervisor, request.path);
      return {};
  }
}

/**
 * Has it written in a directory of its own beside its place, so that nothing half-written is left
 * even if the replica that writes it is killed.
 */
async function writeCheckpoint(supervisor: Supervisor, path: string): Promise<void> {
  const there = statSync(path, { throwIfNoEntry: false });
  if (there !== undefined && !there.isFile()) {
    const remedy = 'give the name of a new file, or of one to be replaced';
    throw new TardigradeError('format', `${path} is not a regular file`, remedy);
  }
  const scratch = join(dirname(path), `.tardigrade-${randomBytes(6).toString('hex')}`);
  const whole = join(scratch, 'checkpoint');
  try {
    mkdirSync(scratch, { mode: 0o700 });
    await supervisor.checkpoint(whole);
    renameSync(whole, path);
  } catch (error) {
    if (error instanceof TardigradeError) {
      // The scratch file is nobody's business.
      const message = error.message.replaceAll(whole, path);
      throw new TardigradeError(error.code, message, error.remedy, error);
    }
    const { code } = error as NodeJS.ErrnoException;
    const remedy = 'give a file in a directory that this user may write to';
    throw new TardigradeError('format', `${path} can't be written (${code})`, remedy, error);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
