/**
 * Finds what `PROGRAM [ARG...]` will start in the guest's root, as execvp(3) and execve(2) would,
 * and checks it before anything is started: there, executable, for this machine, its loader or
 * script interpreter there too. Throws a program error otherwise. Reads files of the root, nothing
 * else. All but the root are byte strings (base/byte-string.ts).
 */
import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import { byteString, shown } from '../base/byte-string.ts';
import { TardigradeError } from '../base/errors.ts';
import { checkElf, parseScript, type ReadAt, SCRIPT_LINE_BYTES_MAX } from './elf.ts';
import { MissingProgramError } from './exit-codes.ts';
import { type Found, findInRoot } from './root-path.ts';

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Scripts whose interpreter is a script: as many as Linux follows. */
const SCRIPT_DEPTH_MAX = 5;
const ANY_EXECUTE = 0o111;

/** What execve is called with. */
export interface GuestProgram {
  /** Absolute in the root, as it was found (a symbolic link stays one). */
  readonly program: string;
  readonly argv: readonly string[];
}

export interface ProgramRequest {
  readonly root: string;
  readonly cwd: string;
  readonly name: string;
  readonly args: readonly string[];
  /** `PATH` of the guest. */
  readonly path: string;
}

type Place = Extract<Found, { kind: 'found' }>;

/** `message` and `remedy` quote byte strings, and nothing else that is not ASCII. */
function refuse(message: string, remedy: string): TardigradeError {
  return new TardigradeError('program', shown(message), shown(remedy));
}

function missing(message: string, remedy: string): TardigradeError {
  return new MissingProgramError('program', shown(message), remedy);
}

const inRoot = (root: string): string => (root === '/' ? '' : ` in the root ${byteString(root)}`);

export function resolveProgram(request: ProgramRequest): GuestProgram {
  const { root, cwd, name, args } = request;
  checkDirectory(root, cwd);
  const { path, place } = name.includes('/') ? byPath(request) : bySearch(request);
  let program = path;
  let file = place;
  let argv: readonly string[] = [name, ...args];
  for (let depth = 0; depth <= SCRIPT_DEPTH_MAX; depth += 1) {
    const script = checkFile(root, program, file);
    if (script === null) return { program, argv };
    const prefix = script.argument === null ? [] : [script.argument];
    argv = [script.interpreter, ...prefix, program, ...argv.slice(1)];
    file = interpreterOf(root, cwd, program, script.interpreter);
    program = posix.resolve(cwd, script.interpreter);
  }
  throw refuse(`${name} is a script of a script of a script`, 'start its interpreter directly');
}

/** That there is a root, and in it a directory to start in. */
export function checkDirectory(root: string, cwd: string): void {
  checkRoot(root);
  const found = findInRoot(root, '/', cwd);
  if (found.kind === 'found' && found.isDirectory) return;
  const what = found.kind === 'found' ? 'is not a directory' : 'is not there';
  const remedy = 'give a directory of the root with --cwd';
  const message = `the working directory ${cwd}${inRoot(root)} ${what}`;
  throw new TardigradeError('usage', shown(message), remedy);
}

function checkRoot(root: string): void {
  const remedy = 'give a directory that this user can read with --root';
  let why = 'is not a directory';
  try {
    if (statSync(root).isDirectory()) {
      accessSync(root, constants.R_OK | constants.X_OK);
      return;
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    why = code === 'ENOENT' ? 'is not there' : `can't be read (${code})`;
  }
  throw new TardigradeError('usage', `the root ${root} ${why}`, remedy);
}

function byPath({ root, cwd, name }: ProgramRequest): { path: string; place: Place } {
  const found = findInRoot(root, cwd, name);
  const isPlain = found.kind !== 'found' || !name.split('/').includes('..');
  const path = isPlain ? posix.resolve(cwd, name) : found.path;
  if (found.kind === 'found') return { path, place: executable(path, found) };
  if (found.kind === 'failed') {
    throw refuse(`${path} can't be read (${found.why})`, 'give a program that this user can read');
  }
  throw missing(`${path} is not there${inRoot(root)}`, MISSING);
}

const MISSING = 'check the name, or install the program';

function bySearch({ root, cwd, name, path }: ProgramRequest): { path: string; place: Place } {
  let denied: TardigradeError | null = null;
  for (const folder of path.split(':')) {
    const candidate = posix.resolve(cwd, folder, name);
    const found = findInRoot(root, '/', candidate);
    if (found.kind !== 'found' || !found.isFile) continue;
    if ((found.mode & ANY_EXECUTE) !== 0) return { path: candidate, place: found };
    denied ??= notExecutable(candidate);
  }
  if (denied !== null) throw denied;
  const message = `the program ${name} was not found${inRoot(root)} (PATH is ${path})`;
  throw missing(message, MISSING);
}

function notExecutable(path: string): TardigradeError {
  return refuse(`${path} is not executable`, `make it so with chmod +x ${path}`);
}

function executable(path: string, found: Place): Place {
  if (found.isDirectory) throw refuse(`${path} is a directory`, 'give the program in it');
  if (!found.isFile) throw refuse(`${path} is not a regular file`, 'give a program');
  if ((found.mode & ANY_EXECUTE) === 0) throw notExecutable(path);
  return found;
}

function interpreterOf(root: string, cwd: string, script: string, interpreter: string): Place {
  const remedy = 'correct the first line of the script, or install the interpreter';
  if (interpreter === '') {
    throw refuse(`the first line of the script ${script} names no interpreter`, remedy);
  }
  const found = findInRoot(root, cwd, interpreter);
  if (found.kind === 'found') return executable(interpreter, found);
  const message = `the script ${script} needs ${interpreter}, which is not there${inRoot(root)}`;
  throw missing(message, remedy);
}

/** Null for a program that can be run here, the `#!` line for a script. */
function checkFile(root: string, path: string, place: Place): ReturnType<typeof parseScript> {
  return withFile(path, place.hostPath, (readAt) => {
    const script = parseScript(readAt(0, SCRIPT_LINE_BYTES_MAX));
    if (script !== null) return script;
    const elf = checkElf(readAt);
    if (elf.kind === 'not-elf') {
      const remedy = 'give an x86-64 program, or a script that starts with #!';
      throw refuse(`${path} is neither an ELF program nor a script with #!`, remedy);
    }
    if (elf.kind === 'refused') throw refuse(`${path} ${elf.why}`, 'give an x86-64 program');
    const loader = elf.interpreter;
    if (loader !== null && findInRoot(root, '/', loader).kind !== 'found') {
      const message = `${path} needs the loader ${loader}, which is not there${inRoot(root)}`;
      throw missing(message, 'install the C library that it was built for');
    }
    return null;
  });
}

function withFile<T>(path: string, hostPath: Buffer, use: (readAt: ReadAt) => T): T {
  let fd: number;
  try {
    fd = openSync(hostPath, 'r');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw refuse(`${path} can't be read (${code})`, 'give a program that this user can read');
  }
  try {
    return use((offset, size) => {
      const bytes = Buffer.alloc(size);
      // A position that is no proper file offset fails: then there is nothing to be read there.
      if (offset > Number.MAX_SAFE_INTEGER - size) return bytes.subarray(0, 0);
      return bytes.subarray(0, readSync(fd, bytes, 0, size, offset));
    });
  } finally {
    closeSync(fd);
  }
}
