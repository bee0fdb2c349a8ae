/**
 * The two sides of the differential test of the file system: the same operations done by a guest
 * through the library OS (GuestSide) and on a real directory through node:fs (RealSide), with
 * results that can be compared. What is in the guest's read-only root is in the real directory too.
 */
import assert from 'node:assert/strict';
import * as real from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RootSpec } from '../../src/host/sim/root.ts';
import { digest, FsGuest } from './fs-guest.ts';
import { Records } from './records.ts';

const { O_RDWR } = real.constants;

const BIG = Buffer.alloc(70_000, 'root file of more than one chunk. ');

/** The guest sees it in /w, the real side in a fresh directory. */
const INITIAL: RootSpec = {
  '/w/a': 'file a of the root',
  '/w/d/a': { file: BIG, mode: 0o755 },
  '/w/d/b': { link: '../a' },
  '/w/d/d/c': 'deep',
  '/w/c': { link: 'd' },
};

function makeReal(): string {
  const top = real.mkdtempSync(join(tmpdir(), 'tardigrade-fs-'));
  real.chmodSync(top, 0o755);
  real.mkdirSync(join(top, 'd/d'), { recursive: true });
  real.writeFileSync(join(top, 'a'), 'file a of the root');
  real.writeFileSync(join(top, 'd/a'), BIG);
  real.chmodSync(join(top, 'd/a'), 0o755);
  real.symlinkSync('../a', join(top, 'd/b'));
  real.writeFileSync(join(top, 'd/d/c'), 'deep');
  real.symlinkSync('d', join(top, 'c'));
  return top;
}

export type Result = number | string;

/** One operation, done on both sides. `fd` is a place in a table of four. */
export interface Side {
  open(place: number, path: string, flags: number, mode: number): Result;
  close(place: number): Result;
  write(place: number, data: Buffer): Result;
  pwrite(place: number, data: Buffer, offset: number): Result;
  read(place: number, count: number): Result;
  pread(place: number, count: number, offset: number): Result;
  ftruncate(place: number, size: number): Result;
  fstat(place: number): Result;
  fchmod(place: number, mode: number): Result;
  truncate(path: string, size: number): Result;
  mkdir(path: string): Result;
  rmdir(path: string): Result;
  unlink(path: string): Result;
  rename(from: string, to: string): Result;
  link(from: string, to: string): Result;
  symlink(target: string, path: string): Result;
  readlink(path: string): Result;
  chmod(path: string, mode: number): Result;
  utimes(path: string, seconds: number): Result;
  stat(path: string): Result;
  lstat(path: string): Result;
  readdir(path: string): Result;
}

const show = (isDirectory: boolean, mode: number, links: number, size: number): string =>
  `${mode.toString(8)} ${isDirectory ? '-' : `${links} ${size}`}`;

export class GuestSide implements Side {
  guest = new FsGuest(INITIAL);
  readonly #fds: (number | null)[] = [null, null, null, null];
  readonly #records = new Records();
  #hasSaved = false;

  #path(path: string, index: 0 | 1 = 0): number {
    return this.guest.path(path.startsWith('/') ? path : `/w/${path}`, index);
  }

  #on(place: number, act: (fd: number) => Result): Result {
    const fd = this.#fds[place] ?? null;
    return fd === null ? 'closed' : act(fd);
  }

  open(place: number, path: string, flags: number, mode: number): Result {
    this.close(place);
    const fd = this.guest.call('open', this.#path(path), flags, mode);
    if (fd < 0) return fd;
    this.#fds[place] = fd;
    return 0;
  }

  close(place: number): Result {
    return this.#on(place, (fd) => {
      this.#fds[place] = null;
      return this.guest.call('close', fd);
    });
  }

  write(place: number, data: Buffer): Result {
    return this.#on(place, (fd) => this.guest.write(fd, data));
  }

  pwrite(place: number, data: Buffer, offset: number): Result {
    return this.#on(place, (fd) => this.guest.pwrite(fd, data, offset));
  }

  read(place: number, count: number): Result {
    return this.#on(place, (fd) => this.guest.read(fd, count));
  }

  pread(place: number, count: number, offset: number): Result {
    return this.#on(place, (fd) => this.guest.pread(fd, count, offset));
  }

  ftruncate(place: number, size: number): Result {
    return this.#on(place, (fd) => this.guest.call('ftruncate', fd, size));
  }

  fstat(place: number): Result {
    return this.#on(place, (fd) => this.#show(this.guest.fstat(fd)));
  }

  fchmod(place: number, mode: number): Result {
    return this.#on(place, (fd) => this.guest.call('fchmod', fd, mode));
  }

  truncate(path: string, size: number): Result {
    // As node does it, so that the errors are the same.
    const fd = this.guest.call('open', this.#path(path), O_RDWR, 0);
    if (fd < 0) return fd;
    const result = this.guest.call('ftruncate', fd, size);
    this.guest.call('close', fd);
    return result;
  }

  mkdir(path: string): Result {
    return this.guest.call('mkdir', this.#path(path), 0o777);
  }

  rmdir(path: string): Result {
    return this.guest.call('rmdir', this.#path(path));
  }

  unlink(path: string): Result {
    return this.guest.call('unlink', this.#path(path));
  }

  rename(from: string, to: string): Result {
    return this.guest.call('rename', this.#path(from), this.#path(to, 1));
  }

  link(from: string, to: string): Result {
    return this.guest.call('link', this.#path(from), this.#path(to, 1));
  }

  symlink(target: string, path: string): Result {
    return this.guest.call('symlink', this.guest.path(target), this.#path(path, 1));
  }

  readlink(path: string): Result {
    return this.guest.readlink(`/w/${path}`);
  }

  chmod(path: string, mode: number): Result {
    return this.guest.call('chmod', this.#path(path), mode);
  }

  utimes(path: string, seconds: number): Result {
    const times = this.guest.buffer;
    const bytes = Buffer.alloc(32);
    bytes.writeBigInt64LE(BigInt(seconds), 0);
    bytes.writeBigInt64LE(BigInt(seconds), 16);
    this.guest.sim.guest.poke(times, bytes);
    const failed = this.guest.call('utimes', this.#path(path), times);
    if (failed < 0) return failed;
    const stat = this.guest.stat(`/w/${path}`);
    return typeof stat === 'number' ? stat : stat.mtime[0];
  }

  #show(stat: ReturnType<FsGuest['stat']>): Result {
    if (typeof stat === 'number') return stat;
    return show((stat.mode & 0o170000) === 0o040000, stat.mode, stat.links, stat.size);
  }

  stat(path: string): Result {
    return this.#show(this.guest.stat(`/w/${path}`));
  }

  lstat(path: string): Result {
    return this.#show(this.guest.stat(`/w/${path}`, 'lstat'));
  }

  readdir(path: string): Result {
    const names = this.guest.readdir(`/w/${path}`, 64);
    return typeof names === 'number' ? names : names.sort().join(' ');
  }

  /** Saves the changes (first: all) and goes on in a kernel loaded from what was saved so far. */
  reload(): void {
    this.guest.kernel.save(this.#records, this.#hasSaved ? 'changes' : 'all');
    this.#hasSaved = true;
    const whole = new Records();
    this.guest.kernel.save(whole, 'all');
    assert.equal(digest(this.#records), digest(whole), 'changes add up to the whole');
    this.guest.load(this.#records);
  }
}

export class RealSide implements Side {
  readonly top = makeReal();
  readonly #fds: (number | null)[] = [null, null, null, null];

  #path(path: string): string {
    return `${this.top}/${path}`;
  }

  /** What node throws as the -errno that it came from. */
  #try(act: () => Result | undefined): Result {
    try {
      return act() ?? 0;
    } catch (error) {
      const { errno } = error as NodeJS.ErrnoException;
      if (errno === undefined) throw error;
      return errno;
    }
  }

  #on(place: number, act: (fd: number) => Result | undefined): Result {
    const fd = this.#fds[place] ?? null;
    return fd === null ? 'closed' : this.#try(() => act(fd));
  }

  open(place: number, path: string, flags: number, mode: number): Result {
    this.close(place);
    return this.#try(() => {
      this.#fds[place] = real.openSync(this.#path(path), flags, mode);
      return 0;
    });
  }

  close(place: number): Result {
    return this.#on(place, (fd) => {
      this.#fds[place] = null;
      real.closeSync(fd);
      return 0;
    });
  }

  write(place: number, data: Buffer): Result {
    return this.#on(place, (fd) => real.writeSync(fd, data));
  }

  pwrite(place: number, data: Buffer, offset: number): Result {
    return this.#on(place, (fd) => real.writeSync(fd, data, 0, data.length, offset));
  }

  read(place: number, count: number): Result {
    return this.#on(place, (fd) => {
      const bytes = Buffer.alloc(count);
      return bytes.toString('latin1', 0, real.readSync(fd, bytes));
    });
  }

  pread(place: number, count: number, offset: number): Result {
    return this.#on(place, (fd) => {
      const bytes = Buffer.alloc(count);
      return bytes.toString('latin1', 0, real.readSync(fd, bytes, 0, count, offset));
    });
  }

  ftruncate(place: number, size: number): Result {
    return this.#on(place, (fd) => real.ftruncateSync(fd, size) as undefined);
  }

  fstat(place: number): Result {
    return this.#on(place, (fd) => this.#show(real.fstatSync(fd)));
  }

  fchmod(place: number, mode: number): Result {
    return this.#on(place, (fd) => real.fchmodSync(fd, mode) as undefined);
  }

  truncate(path: string, size: number): Result {
    return this.#try(() => real.truncateSync(this.#path(path), size) as undefined);
  }

  mkdir(path: string): Result {
    return this.#try(() => real.mkdirSync(this.#path(path)) as undefined);
  }

  rmdir(path: string): Result {
    return this.#try(() => real.rmdirSync(this.#path(path)) as undefined);
  }

  unlink(path: string): Result {
    return this.#try(() => real.unlinkSync(this.#path(path)) as undefined);
  }

  rename(from: string, to: string): Result {
    return this.#try(() => real.renameSync(this.#path(from), this.#path(to)) as undefined);
  }

  link(from: string, to: string): Result {
    return this.#try(() => real.linkSync(this.#path(from), this.#path(to)) as undefined);
  }

  symlink(target: string, path: string): Result {
    return this.#try(() => real.symlinkSync(target, this.#path(path)) as undefined);
  }

  readlink(path: string): Result {
    return this.#try(() => real.readlinkSync(this.#path(path)));
  }

  chmod(path: string, mode: number): Result {
    return this.#try(() => real.chmodSync(this.#path(path), mode) as undefined);
  }

  utimes(path: string, seconds: number): Result {
    return this.#try(() => {
      real.utimesSync(this.#path(path), seconds, seconds);
      return real.statSync(this.#path(path)).mtimeMs / 1000;
    });
  }

  #show(stat: real.Stats): string {
    return show(stat.isDirectory(), stat.mode, stat.nlink, stat.size);
  }

  stat(path: string): Result {
    return this.#try(() => this.#show(real.statSync(this.#path(path))));
  }

  lstat(path: string): Result {
    return this.#try(() => this.#show(real.lstatSync(this.#path(path))));
  }

  readdir(path: string): Result {
    return this.#try(() => real.readdirSync(this.#path(path)).sort().join(' '));
  }
}
