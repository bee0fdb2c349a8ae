/**
 * The `tardigrade` command: parses the command line, does what it says, prints errors in one line
 * and ends with the status that docs/commands.md promises. Imported by bin/tardigrade.mjs. What
 * needs the native library is loaded by the commands that need it, so that help and doctor always
 * work.
 */
import { readFileSync, writeSync } from 'node:fs';
import { argumentText } from '../base/byte-string.ts';
import { TardigradeError } from '../base/errors.ts';
import { type Actions, runCommandLine } from './commands.ts';
import { exitCodeOf, lineOf } from './exit-codes.ts';

/** A sentry's thread that does not end by itself must not keep the command from ending. */
const LINGER_MS_MAX = 2_000;
/** 128 and the signal's number. */
const EXIT_SIGPIPE = 141;

const actions: Actions = {
  run: async (options, name, args) => {
    const { runService } = await import('./run.ts');
    return runService(options, { kind: 'program', name, args });
  },
  exec: async (options, name, args) => {
    const { requireFeatures } = await import('./doctor.ts');
    const { runExec } = await import('./exec.ts');
    return runExec(options, name, args, requireFeatures);
  },
  restore: async (options, path) => {
    const { runService } = await import('./run.ts');
    return runService(options, { kind: 'checkpoint', path });
  },
  status: async (name, isJson) => (await import('./admin-commands.ts')).runStatus(name, isJson),
  stop: async (name) => (await import('./admin-commands.ts')).runStop(name),
  checkpoint: async (name, file) => (await import('./admin-commands.ts')).runCheckpoint(name, file),
  inspect: async (file, isJson) => (await import('./admin-commands.ts')).runInspect(file, isJson),
  doctor: async (isJson) => (await import('./doctor.ts')).runDoctor(isJson),
};

/** The arguments with all their bytes: node's own `argv` has lost those that are no UTF-8. */
function commandLine(): readonly string[] {
  const given = process.argv.slice(2);
  if (!given.some((text) => text.includes('\ufffd'))) return given;
  const bytes = readFileSync('/proc/self/cmdline');
  const all: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0, at);
    all.push(bytes.subarray(at, end));
    at = end + 1;
  }
  return all.slice(-given.length).map(argumentText);
}

function report(error: unknown): void {
  try {
    writeSync(2, `tardigrade: ${lineOf(error)}\n`);
    if (process.env.TARDIGRADE_DEBUG !== undefined) console.error(error);
  } catch {
    // Nobody reads it; the status tells.
  }
}

async function main(): Promise<number> {
  try {
    return await runCommandLine(commandLine(), actions);
  } catch (error) {
    report(error);
    return exitCodeOf(error);
  }
}

/** For what is printed by node's streams: `run` and `exec` write for themselves. */
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  // As the signal would end a program that has no handler for it: nobody reads any more.
  if (code === 'EPIPE') process.exit(EXIT_SIGPIPE);
  const message = `standard output can't be written (${code})`;
  const error = new TardigradeError('format', message, 'give it room');
  report(error);
  process.exit(exitCodeOf(error));
});
process.stderr.on('error', () => {});

process.exitCode = await main();
const { SYS } = await import('../abi/syscalls.ts');
setTimeout(async () => {
  const { syscall } = await import('../ffi/native.ts');
  syscall(SYS.exit_group, Number(process.exitCode));
}, LINGER_MS_MAX).unref();
