/**
 * The runtime directory: where the admin sockets of running services are, one directory a user. A
 * service's name is claimed by a file lock, which the kernel drops with the process that held it,
 * so a name never stays taken and no two services share one. Used by run and by the admin commands.
 */
import {
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { SYS } from '../abi/syscalls.ts';
import { TardigradeError } from '../base/errors.ts';

const SOCKET = '.sock';
const LOCK = '.lock';
const OTHERS = 0o077;
const LOCK_EX_NB = 2 | 4;
/** Somebody removes the lock file between our open and our lock: rare, and never twice in a row. */
const CLAIM_ATTEMPTS = 10;
/** sun_path holds 108 bytes with the zero at its end. */
const SOCKET_PATH_BYTES_MAX = 107;

function serviceError(message: string, remedy: string): TardigradeError {
  return new TardigradeError('service', message, remedy);
}

/** Where it is for this user, whether it exists or not. */
export function runtimePath(env: NodeJS.ProcessEnv = process.env): string {
  const base = env.XDG_RUNTIME_DIR;
  if (base?.startsWith('/')) return join(base, 'tardigrade');
  return join(tmpdir(), `tardigrade-${userInfo().uid}`);
}

/** Makes the directory if it is missing, and checks that it is this user's alone. */
export function openRuntimeDirectory(path: string = runtimePath()): string {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST') {
      const remedy = 'set XDG_RUNTIME_DIR to a directory that this user may write to';
      throw serviceError(`the runtime directory ${path} can't be made (${code})`, remedy);
    }
  }
  const stat = lstatSync(path);
  const remedy = `remove ${path}, or set XDG_RUNTIME_DIR to a directory of your own`;
  if (!stat.isDirectory()) throw serviceError(`${path} is not a directory`, remedy);
  if (stat.uid !== userInfo().uid) throw serviceError(`${path} belongs to another user`, remedy);
  if ((stat.mode & OTHERS) !== 0) throw serviceError(`${path} is open to other users`, remedy);
  return path;
}

export function socketPath(directory: string, name: string): string {
  const path = join(directory, `${name}${SOCKET}`);
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return path;
  throw serviceError(
    `the path of the admin socket is too long: ${path}`,
    'give a shorter --name, or set XDG_RUNTIME_DIR to a shorter path',
  );
}

/** Names that have a socket or a lock; some of their services may be dead. */
export function listNames(directory: string = runtimePath()): readonly string[] {
  let entries: readonly string[];
  try {
    entries = readdirSync(directory);
  } catch {
    return [];
  }
  const ends = [SOCKET, LOCK];
  const names = entries.flatMap((entry) => {
    const end = ends.find((suffix) => entry.endsWith(suffix));
    return end === undefined ? [] : [entry.slice(0, -end.length)];
  });
  return [...new Set(names)].sort();
}

/** A name that is this process's until it is released or the process ends. */
export class NameClaim {
  readonly socket: string;
  readonly #lock: string;
  readonly #fd: number;

  private constructor(socket: string, lock: string, fd: number) {
    this.socket = socket;
    this.#lock = lock;
    this.#fd = fd;
  }

  /** Null when a living process has it. A socket that a dead one left is removed. */
  static async tryTake(directory: string, name: string): Promise<NameClaim | null> {
    // Loaded here, so that commands which need no lock do without the native library.
    const native = await import('../ffi/native.ts');
    const socket = socketPath(directory, name);
    const lock = join(directory, `${name}${LOCK}`);
    for (let attempt = 0; attempt < CLAIM_ATTEMPTS; attempt += 1) {
      const fd = openSync(lock, 'w', 0o600);
      if (native.syscall(SYS.flock, fd, LOCK_EX_NB) < 0) {
        closeSync(fd);
        return null;
      }
      if (isStillAt(lock, fd)) {
        rmSync(socket, { force: true });
        return new NameClaim(socket, lock, fd);
      }
      closeSync(fd);
    }
    return null;
  }

  /** Removes socket and lock; in this order, as whoever gets the lock next makes a new socket. */
  release(): void {
    rmSync(this.socket, { force: true });
    rmSync(this.#lock, { force: true });
    closeSync(this.#fd);
  }
}

/** Whether `path` still names the open file: a lock on a removed file protects nothing. */
function isStillAt(path: string, fd: number): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat !== undefined && stat.ino === fstatSync(fd).ino;
}

/** Claims the name of a service that is about to run. */
export async function claimName(directory: string, name: string): Promise<NameClaim> {
  const claim = await NameClaim.tryTake(directory, name);
  if (claim !== null) return claim;
  throw serviceError(
    `a service named ${name} is running already`,
    `give another --name, or stop it with: tardigrade stop ${name}`,
  );
}
