/**
 * FsGuest: a guest without a program, for tests of the file system: it makes file system calls
 * through the whole library OS on a simulated host, and can be saved and loaded at any moment.
 */
import { AT } from '../../src/abi/fs.ts';
import type { SyscallName } from '../../src/abi/syscalls.ts';
import { assert } from '../../src/base/assert.ts';
import type { RootSpec } from '../../src/host/sim/root.ts';
import { SimHost } from '../../src/host/sim/sim-host.ts';
import { Kernel } from '../../src/libos/kernel.ts';
import { KIND } from '../../src/libos/kinds-ids.ts';
import type { Lvm, LvmClient, RecordSource } from '../../src/lvm/api.ts';

/** All records as text, to compare two; but tasks, whose last call is saved only if it waits. */
export function digest(records: RecordSource): string {
  const lines: string[] = [];
  for (const object of records.objects()) {
    const head = Buffer.from(records.get(object, 0) ?? []);
    if (head.readUInt16LE(0) === KIND.task) continue;
    for (const part of records.parts(object)) {
      // A file's last page ends where the file ended when it was written; the rest is zeros.
      const hex = Buffer.from(records.get(object, part) ?? []).toString('hex');
      lines.push(`${object} ${part} ${hex.replace(/(00)+$/, '')}`);
    }
  }
  return lines.sort().join('\n');
}

const UPCALLS = [
  'launched',
  'trapped',
  'withdrawn',
  'ready',
  'alarm',
  'settled',
  'exited',
] as const;
const BUFFER_BYTES = 1 << 20;

export class FsGuest {
  readonly sim: SimHost;
  kernel: Kernel;
  readonly #thread: number;
  readonly #paths: readonly [number, number];
  /** Guest memory for data. */
  readonly buffer: number;

  constructor(root: RootSpec = {}) {
    this.sim = new SimHost({ root });
    // The host has one client for good; behind it, the kernel changes when a state is loaded.
    const client = Object.fromEntries(
      UPCALLS.map((name) => [
        name,
        (...args: never[]) => (this.kernel[name] as (...given: never[]) => void)(...args),
      ]),
    );
    this.sim.attach(client as unknown as LvmClient);
    this.kernel = new Kernel(this.#lvm());
    const failed = this.kernel.start({ program: '/bin/x', argv: ['x'], env: [], cwd: '/' });
    assert(failed === 0, 'the guest starts');
    this.sim.settle();
    this.#thread = this.kernel.state.process.pid;
    this.#paths = [this.sim.guest.alloc(8192), this.sim.guest.alloc(8192)];
    this.buffer = this.sim.guest.alloc(BUFFER_BYTES);
  }

  #lvm(): Lvm {
    return new Proxy(this.sim, {
      get: (sim, key) => {
        if (key === 'attach') return () => {};
        const value = sim[key as keyof SimHost] as unknown;
        return typeof value === 'function' ? value.bind(sim) : value;
      },
    });
  }

  /** Replaces the kernel by one that is loaded from `records`. */
  load(records: RecordSource): void {
    this.kernel = new Kernel(this.#lvm());
    this.kernel.load(records);
  }

  call(name: SyscallName, ...args: readonly (number | bigint)[]): number {
    const answer = this.sim.call(this.#thread, name, ...args);
    assert(typeof answer === 'number', `${name} gives ${JSON.stringify(answer)}`);
    return answer;
  }

  /** A path in guest memory; two can be there at once. */
  path(text: string, index: 0 | 1 = 0): number {
    const address = this.#paths[index];
    this.sim.guest.poke(address, Buffer.from(`${text}\0`, 'latin1'));
    return address;
  }

  open(path: string, flags: number, mode = 0o644): number {
    return this.call('openat', AT.FDCWD, this.path(path), flags, mode);
  }

  read(fd: number, count: number): string | number {
    const got = this.call('read', fd, this.buffer, count);
    return got < 0 ? got : this.sim.guest.peek(this.buffer, got).toString('latin1');
  }

  pread(fd: number, count: number, offset: number): string | number {
    const got = this.call('pread64', fd, this.buffer, count, offset);
    return got < 0 ? got : this.sim.guest.peek(this.buffer, got).toString('latin1');
  }

  write(fd: number, data: string | Uint8Array): number {
    const bytes = Buffer.from(data as string, 'latin1');
    this.sim.guest.poke(this.buffer, bytes);
    return this.call('write', fd, this.buffer, bytes.length);
  }

  pwrite(fd: number, data: Uint8Array, offset: number): number {
    this.sim.guest.poke(this.buffer, data);
    return this.call('pwrite64', fd, this.buffer, data.length, offset);
  }

  /** The whole of a file by path. */
  readFile(path: string): string | number {
    const fd = this.open(path, 0);
    if (fd < 0) return fd;
    let text = '';
    for (;;) {
      const piece = this.read(fd, 65_536);
      if (typeof piece === 'number' || piece === '') break;
      text += piece;
    }
    this.call('close', fd);
    return text;
  }

  writeFile(path: string, data: string): number {
    const fd = this.open(path, 0o1101, 0o644);
    if (fd < 0) return fd;
    const done = this.write(fd, data);
    this.call('close', fd);
    return done;
  }

  /** Names of a directory (without dots), in its order; `sizeBytes` is the buffer's. */
  readdir(path: string, sizeBytes = 4096): string[] | number {
    const fd = this.open(path, 0o200000);
    if (fd < 0) return fd;
    const names: string[] = [];
    for (;;) {
      const piece = this.dents(fd, sizeBytes);
      if (typeof piece === 'number') return piece;
      if (piece.length === 0) break;
      names.push(...piece.map((entry) => entry.name));
    }
    this.call('close', fd);
    return names.filter((name) => name !== '.' && name !== '..');
  }

  /** One getdents64. */
  dents(fd: number, sizeBytes: number): { name: string; type: number; inode: number }[] | number {
    const got = this.call('getdents64', fd, this.buffer, sizeBytes);
    if (got < 0) return got;
    const bytes = this.sim.guest.peek(this.buffer, got);
    const entries = [];
    for (let at = 0; at < got; at += bytes.readUInt16LE(at + 16)) {
      const end = bytes.indexOf(0, at + 19);
      const name = bytes.toString('latin1', at + 19, end);
      entries.push({
        name,
        type: bytes[at + 18] as number,
        inode: Number(bytes.readBigUInt64LE(at)),
      });
    }
    return entries;
  }

  readlink(path: string): string | number {
    const got = this.call('readlink', this.path(path), this.buffer, 4096);
    return got < 0 ? got : this.sim.guest.peek(this.buffer, got).toString('latin1');
  }

  /** What matters of struct stat; -errno. */
  stat(path: string, name: 'stat' | 'lstat' = 'stat'): GuestStat | number {
    const failed = this.call(name, this.path(path), this.buffer);
    return failed < 0 ? failed : this.#decodeStat();
  }

  fstat(fd: number): GuestStat | number {
    const failed = this.call('fstat', fd, this.buffer);
    return failed < 0 ? failed : this.#decodeStat();
  }

  #decodeStat(): GuestStat {
    const bytes = this.sim.guest.peek(this.buffer, 144);
    const big = (at: number): number => Number(bytes.readBigInt64LE(at));
    return {
      device: big(0),
      inode: big(8),
      links: big(16),
      mode: bytes.readUInt32LE(24),
      uid: bytes.readUInt32LE(28),
      size: big(48),
      blocks: big(64),
      mtime: [big(88), big(96)],
    };
  }
}

export interface GuestStat {
  readonly device: number;
  readonly inode: number;
  readonly links: number;
  readonly mode: number;
  readonly uid: number;
  readonly size: number;
  readonly blocks: number;
  readonly mtime: readonly [seconds: number, nanoseconds: number];
}
