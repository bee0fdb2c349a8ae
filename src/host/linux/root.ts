/**
 * Root: the host directory that is the guest's read-only root. Nothing here writes, and no path
 * leads out of it: symlinks are resolved inside, and special files are not opened.
 * Paths are latin1 strings, one character a byte, as the library OS keeps them.
 */
import * as fs from 'node:fs';
import { E } from '../../abi/errno.ts';
import type { FileType, RootEntry, RootStat } from '../../lvm/api.ts';

const O_NOFOLLOW = 0o400000;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const SYMLINKS_MAX = 40;
const PROGRAM_BYTES_MAX = 1 << 30;

export class Root {
  readonly #directory: string;

  /** `directory` is a host path; '/' shows the whole host, read-only. */
  constructor(directory: string) {
    this.#directory = directory === '/' ? '' : directory.replace(/\/+$/, '');
  }

  #host(path: string): Buffer {
    return Buffer.concat([Buffer.from(this.#directory), Buffer.from(path, 'latin1')]);
  }

  stat(path: string): RootStat | number {
    return attempt(() => {
      const stat = fs.lstatSync(this.#host(path), { bigint: true });
      return {
        type: typeOf(stat),
        mode: Number(stat.mode) & 0o7777,
        uid: Number(stat.uid),
        gid: Number(stat.gid),
        sizeBytes: Number(stat.size),
        links: Number(stat.nlink),
        inode: Number(stat.ino),
        atimeNs: Number(stat.atimeNs),
        mtimeNs: Number(stat.mtimeNs),
        ctimeNs: Number(stat.ctimeNs),
        rdev: Number(stat.rdev),
      };
    });
  }

  readlink(path: string): string | number {
    return attempt(() => fs.readlinkSync(this.#host(path), 'buffer').toString('latin1'));
  }

  list(path: string): RootEntry[] | number {
    return attempt(() => {
      const entries: RootEntry[] = [];
      const options = { withFileTypes: true, encoding: 'buffer' } as const;
      for (const entry of fs.readdirSync(this.#host(path), options)) {
        // The buffer encoding gives names that may not be UTF-8, as the guest sees them.
        const name = (entry.name as unknown as Buffer).toString('latin1');
        const stat = this.stat(`${path === '/' ? '' : path}/${name}`);
        if (typeof stat === 'number') continue;
        entries.push({ name, type: stat.type, inode: stat.inode });
      }
      return entries;
    });
  }

  /** A host descriptor of a regular file, or -errno. */
  open(path: string): number {
    const fd = attempt(() => fs.openSync(this.#host(path), O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (fd < 0) return fd;
    if (fs.fstatSync(fd).isFile()) return fd;
    fs.closeSync(fd);
    return E.EACCES;
  }

  /** A descriptor that `open` gave. */
  close(fd: number): void {
    fs.closeSync(fd);
  }

  /** The whole file at `path`, with symlinks followed inside the root; -errno as execve(2). */
  readProgram(path: string): Buffer | number {
    const real = this.#resolve(path);
    if (typeof real === 'number') return real;
    const stat = this.stat(real);
    if (typeof stat === 'number') return stat;
    if (stat.type !== 'file' || (stat.mode & 0o111) === 0) return E.EACCES;
    if (stat.sizeBytes > PROGRAM_BYTES_MAX) return E.ENOMEM;
    return attempt(() => fs.readFileSync(this.#host(real)));
  }

  #resolve(path: string): string | number {
    let todo = path.split('/').filter((part) => part !== '' && part !== '.');
    let done: string[] = [];
    for (let links = 0; todo.length > 0; ) {
      const [part = '', ...rest] = todo;
      todo = rest;
      if (part === '..') {
        done = done.slice(0, -1);
        continue;
      }
      const here = `/${[...done, part].join('/')}`;
      const stat = this.stat(here);
      if (typeof stat === 'number') return stat;
      if (stat.type !== 'symlink') {
        done = [...done, part];
        continue;
      }
      links += 1;
      if (links > SYMLINKS_MAX) return E.ELOOP;
      const target = this.readlink(here);
      if (typeof target === 'number') return target;
      if (target.startsWith('/')) done = [];
      todo = [...target.split('/').filter((name) => name !== '' && name !== '.'), ...todo];
    }
    return `/${done.join('/')}`;
  }
}

function typeOf(stat: fs.BigIntStats): FileType {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isFIFO()) return 'fifo';
  if (stat.isSocket()) return 'socket';
  return stat.isCharacterDevice() ? 'char' : 'block';
}

/** The value, or -errno of the system call that failed. */
function attempt<T>(action: () => T): T | number {
  try {
    return action();
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    if (errno === undefined) throw error;
    return errno;
  }
}
