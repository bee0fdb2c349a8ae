/**
 * The overlay against Linux: random sequences of file operations, made by a guest through the library
 * OS and on a real directory through node:fs, must give the same results and the same tree, also when
 * the guest's state is saved and loaded in between. What is in the read-only root at the start is in
 * the real directory too.
 */
import assert from 'node:assert/strict';
import * as real from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { RootSpec } from '../../host/sim/root.ts';
import { FsGuest, MemoryRecords } from './guest.fixture.ts';

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND } = real.constants;
const { O_DIRECTORY, O_NOFOLLOW } = real.constants;

const base = real.mkdtempSync(join(tmpdir(), 'tardigrade-fs-'));
after(() => real.rmSync(base, { recursive: true, force: true }));
process.umask(0o022);

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
  const top = real.mkdtempSync(join(base, 'run-'));
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

type Result = number | string;

/** One operation, done on both sides. `fd` is a place in a table of four. */
interface Side {
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

class GuestSide implements Side {
  guest = new FsGuest(INITIAL);
  readonly #fds: (number | null)[] = [null, null, null, null];
  readonly #records = new MemoryRecords();
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
    const whole = new MemoryRecords();
    this.guest.kernel.save(whole, 'all');
    assert.equal(this.#records.digest(), whole.digest(), 'changes add up to the whole');
    this.guest.load(this.#records);
  }
}

class RealSide implements Side {
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

/* --- operations ---------------------------------------------------------------------------------- */

type Operation = readonly [keyof Side | 'reload', ...unknown[]];

const name = fc.constantFrom('a', 'b', 'c', 'd');
const path = fc
  .tuple(
    fc.array(
      fc.oneof(
        { weight: 6, arbitrary: name },
        { weight: 1, arbitrary: fc.constantFrom('.', '..', 'x') },
      ),
      {
        minLength: 1,
        maxLength: 4,
      },
    ),
    fc.constantFrom('', '', '', '', '/'),
  )
  // Never out of the directory: what lies above differs between the sides.
  .filter(([names]) => {
    let depth = 0;
    for (const step of names) {
      if (step === '..') depth -= 1;
      else if (step !== '.') depth += 1;
      if (depth < 0) return false;
    }
    return depth > 0 || names.at(-1) === '.';
  })
  .map(([names, slash]) => names.join('/') + slash);

const place = fc.nat(3);
const size = fc.oneof(
  fc.nat(20),
  fc.constantFrom(4095, 4096, 4097, 65_535, 65_536, 65_537, 140_000),
);
/** node asks nobody to read nothing. */
const count = size.map((bytes) => Math.max(1, bytes));
/** How many bytes, and which. */
const data = fc.tuple(
  fc.oneof(fc.nat(30), fc.constantFrom(4096, 5000, 65_600)),
  fc.constantFrom('+', '-', '!', '?'),
);
const openFlags = fc
  .tuple(
    fc.constantFrom(O_RDONLY, O_WRONLY, O_RDWR, O_RDWR),
    fc.subarray([O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW]),
    fc.constantFrom(0, 0, 0, O_DIRECTORY),
  )
  .map(([access, rest, last]) => [...rest, last].reduce((all, flag) => all | flag, access))
  // Kernels differ in what they say to this.
  .filter((flags) => (flags & O_CREAT) === 0 || (flags & O_DIRECTORY) === 0)
  .filter((flags) => (flags & O_EXCL) === 0 || (flags & O_CREAT) !== 0);
/** Only root, which every guest is, keeps set-id bits over writes. */
const setId = process.getuid?.() === 0 ? [0o4755, 0o2755] : [];
const mode = fc.constantFrom(0o644, 0o600, 0o755, 0o640, ...setId);
/** Never up and out: see `path`. */
const target = fc.constantFrom('a', 'd', 'd/a', './b', 'c/d', 'x', 'b/', 'd/../a');

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant('open' as const), place, path, openFlags, mode) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('close' as const), place) },
  { weight: 4, arbitrary: fc.tuple(fc.constant('write' as const), place, data) },
  { weight: 4, arbitrary: fc.tuple(fc.constant('pwrite' as const), place, data, size) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('read' as const), place, count) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('pread' as const), place, count, size) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('ftruncate' as const), place, size) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('fstat' as const), place) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('fchmod' as const), place, mode) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('truncate' as const), path, size) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('mkdir' as const), path) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('rmdir' as const), path) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('unlink' as const), path) },
  { weight: 6, arbitrary: fc.tuple(fc.constant('rename' as const), path, path) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('link' as const), path, path) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('symlink' as const), target, path) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('readlink' as const), path) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('chmod' as const), path, mode) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('utimes' as const), path, fc.nat(2 ** 30)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('stat' as const), path) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('lstat' as const), path) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('readdir' as const), path) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('reload' as const)) },
);

function perform(side: Side, [what, ...args]: Operation): Result {
  const act = side[what as keyof Side] as (...given: unknown[]) => Result;
  const given = args.map((arg) =>
    Array.isArray(arg) ? Buffer.alloc(arg[0] as number, arg[1] as string) : arg,
  );
  return act.apply(side, given);
}

/** All names below `path` with what they are, links unfollowed. */
function* tree(side: Side, directory: string): Iterable<string> {
  const names = side.readdir(directory);
  for (const entry of `${names}`.split(' ').filter((text) => text !== '')) {
    const at = `${directory}/${entry}`;
    const stat = side.lstat(at);
    yield `${at} ${stat}`;
    if (`${stat}`.startsWith('4')) yield* tree(side, at);
    else if (`${stat}`.startsWith('12')) yield `${at} -> ${side.readlink(at)}`;
    else {
      side.open(0, at, O_RDONLY, 0);
      yield `${at} ${side.read(0, 1 << 20)}`;
      side.close(0);
    }
  }
}

/** Long contents told apart by their ends. */
const short = (result: Result): string => {
  const text = `${result}`;
  return text.length <= 80 ? text : `${text.length}: ${text.slice(0, 20)}...${text.slice(-20)}`;
};

function runBoth(operations: readonly Operation[]): void {
  const guest = new GuestSide();
  const linux = new RealSide();
  try {
    for (const [index, step] of operations.entries()) {
      if (step[0] === 'reload') {
        guest.reload();
        continue;
      }
      const expected = perform(linux, step);
      const got = perform(guest, step);
      if (got === expected) continue;
      assert.fail(`step ${index} gives ${short(got)}, on Linux ${short(expected)}`);
    }
    guest.reload();
    const [ours, theirs] = [[...tree(guest, '.')], [...tree(linux, '.')]];
    for (const [index, line] of theirs.entries()) {
      if (ours[index] === line) continue;
      assert.fail(`the tree has ${short(ours[index] ?? 'nothing')}, on Linux ${short(line)}`);
    }
    assert.equal(ours.length, theirs.length);
  } finally {
    for (let fd = 0; fd < 4; fd += 1) linux.close(fd);
    real.rmSync(linux.top, { recursive: true, force: true });
  }
}

const RUNS = Number(process.env.FS_MODEL_RUNS ?? 150);

test('random operations give what Linux gives, over saves and loads', () => {
  const details = fc.check(
    fc.property(fc.array(operation, { minLength: 10, maxLength: 120 }), runBoth),
    { numRuns: RUNS },
  );
  if (!details.failed) return;
  const steps = details.counterexample?.[0].map((step) => JSON.stringify(step)).join('\n');
  const { message, stack } = details.errorInstance as Error;
  assert.fail(
    `seed ${details.seed}, path ${details.counterexamplePath}: ${message}\n${steps}\n${stack}`,
  );
});
