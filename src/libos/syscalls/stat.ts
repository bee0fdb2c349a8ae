/** The stat family, statfs, access and getdents. */
import { E } from '../../abi/errno.ts';
import { IN } from '../../abi/event.ts';
import {
  ACCESS,
  AT,
  DIRENT,
  DIRENT64,
  DT,
  FS_MAGIC,
  NAME_MAX,
  O,
  S,
  STAT,
  STATFS,
  STATX,
  STATX_RESERVED,
} from '../../abi/fs.ts';
import type { GuestAddress } from '../../base/ids.ts';
import type { FileType } from '../../lvm/api.ts';
import { ADDRESS_LIMIT, type Args } from '../args.ts';
import { DirectoryFile } from '../fs/directory-file.ts';
import type { Listed } from '../fs/node.ts';
import { DEVICE, encodeStat, encodeStatx, type FileStat } from '../fs/stat.ts';
import type { Handler } from '../outcome.ts';
import type { Task } from '../task.ts';
import { readPath } from './path-argument.ts';

function putStat(task: Task, stat: FileStat | number, address: GuestAddress): number {
  if (typeof stat === 'number') return stat;
  const bytes = task.kernel.fs.context.scratch.subarray(0, STAT.sizeBytes);
  encodeStat(stat, bytes);
  task.memory.write(address, bytes);
  return 0;
}

/** What a path (or, with AT_EMPTY_PATH, a descriptor) tells; -errno. */
function statAt(task: Task, dirfd: number, path: string, flags: number): FileStat | number {
  if (path === '' && flags & AT.EMPTY_PATH && dirfd !== AT.FDCWD) {
    return task.files.get(dirfd)?.stat() ?? E.EBADF;
  }
  const { fs } = task.kernel;
  const node =
    path === '' && flags & AT.EMPTY_PATH
      ? fs.workingDirectory(task)
      : fs.walkTo(task, dirfd, path, { follow: (flags & AT.SYMLINK_NOFOLLOW) === 0 });
  return typeof node === 'number' ? node : node.stat();
}

function statPath(task: Task, args: Args, flags: number): number {
  const path = readPath(task, args.pointer(0));
  if (typeof path === 'number') return path;
  return putStat(task, statAt(task, AT.FDCWD, path, flags), args.pointer(1));
}

export const stat: Handler = (task, args) => statPath(task, args, 0);

export const lstat: Handler = (task, args) => statPath(task, args, AT.SYMLINK_NOFOLLOW);

export const fstat: Handler = (task, args) => {
  const file = task.files.get(args.int(0));
  return file === null ? E.EBADF : putStat(task, file.stat(), args.pointer(1));
};

export const newfstatat: Handler = (task, args) => {
  const flags = args.uint(3);
  if (flags & ~(AT.SYMLINK_NOFOLLOW | AT.NO_AUTOMOUNT | AT.EMPTY_PATH)) return E.EINVAL;
  const path = readPath(task, args.pointer(1));
  if (typeof path === 'number') return path;
  return putStat(task, statAt(task, args.int(0), path, flags), args.pointer(2));
};

const STATX_FLAGS = AT.SYMLINK_NOFOLLOW | AT.NO_AUTOMOUNT | AT.EMPTY_PATH | AT.STATX_SYNC_TYPE;

export const statx: Handler = (task, args) => {
  const flags = args.uint(2);
  const sync = flags & AT.STATX_SYNC_TYPE;
  if ((args.uint(3) & STATX_RESERVED) !== 0 || sync === AT.STATX_SYNC_TYPE) return E.EINVAL;
  if (flags & ~STATX_FLAGS) return E.EINVAL;
  const path = readPath(task, args.pointer(1));
  if (typeof path === 'number') return path;
  const found = statAt(task, args.int(0), path, flags);
  if (typeof found === 'number') return found;
  const bytes = task.kernel.fs.context.scratch.subarray(0, STATX.sizeBytes);
  encodeStatx(found, bytes);
  task.memory.write(args.pointer(4), bytes);
  return 0;
};

/* --- statfs --- */

function putStatfs(task: Task, device: number, address: GuestAddress): number {
  const bytes = task.kernel.fs.context.scratch.subarray(0, STATFS.sizeBytes).fill(0);
  const put = (at: number, value: number): void => {
    bytes.writeBigUInt64LE(BigInt(value), at);
  };
  const { budget, inodeCount, inodeLimit } = task.kernel.fs.context;
  const magics = new Map<number, number>([
    [DEVICE.root, FS_MAGIC.overlay],
    [DEVICE.proc, FS_MAGIC.proc],
    [DEVICE.sys, FS_MAGIC.sysfs],
  ]);
  put(STATFS.f_type, magics.get(device) ?? FS_MAGIC.anonymous);
  put(STATFS.f_bsize, 4096);
  if (device === DEVICE.root) {
    const free = Math.max(0, Math.floor((budget.limitBytes - budget.usedBytes) / 4096));
    put(STATFS.f_blocks, Math.floor(budget.limitBytes / 4096));
    put(STATFS.f_bfree, free);
    put(STATFS.f_bavail, free);
    put(STATFS.f_files, inodeLimit);
    put(STATFS.f_ffree, Math.max(0, inodeLimit - inodeCount));
  }
  put(STATFS.f_fsid, device);
  put(STATFS.f_namelen, NAME_MAX);
  put(STATFS.f_frsize, 4096);
  // ST_VALID | ST_RELATIME.
  put(STATFS.f_flags, 0x1020);
  task.memory.write(address, bytes);
  return 0;
}

export const statfs: Handler = (task, args) => {
  const path = readPath(task, args.pointer(0));
  if (typeof path === 'number') return path;
  const node = task.kernel.fs.walkTo(task, AT.FDCWD, path, { follow: true });
  return typeof node === 'number' ? node : putStatfs(task, node.stat().device, args.pointer(1));
};

export const fstatfs: Handler = (task, args) => {
  const file = task.files.get(args.int(0));
  return file === null ? E.EBADF : putStatfs(task, file.stat().device, args.pointer(1));
};

/* --- access --- */

/** The guest is its own root: it may do all but execute what has no execute bit. */
function accessAt(task: Task, dirfd: number, address: GuestAddress, mode: number, flags: number) {
  if (mode & ~(ACCESS.R | ACCESS.W | ACCESS.X)) return E.EINVAL;
  const path = readPath(task, address);
  if (typeof path === 'number') return path;
  const found = statAt(task, dirfd, path, flags);
  if (typeof found === 'number') return found;
  const isDirectory = (found.mode & S.IFMT) === S.IFDIR;
  if (mode & ACCESS.X && !isDirectory && (found.mode & 0o111) === 0) return E.EACCES;
  if (mode & ACCESS.W && found.device === DEVICE.sys && !isDirectory) return E.EACCES;
  return 0;
}

export const access: Handler = (task, args) =>
  accessAt(task, AT.FDCWD, args.pointer(0), args.uint(1), 0);

export const faccessat: Handler = (task, args) =>
  accessAt(task, args.int(0), args.pointer(1), args.uint(2), 0);

export const faccessat2: Handler = (task, args) => {
  const flags = args.uint(3);
  if (flags & ~(AT.EACCESS | AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH)) return E.EINVAL;
  return accessAt(task, args.int(0), args.pointer(1), args.uint(2), flags);
};

/* --- getdents --- */

const D_TYPES: Readonly<Record<FileType, number>> = {
  file: DT.file,
  directory: DT.directory,
  symlink: DT.symlink,
  fifo: DT.fifo,
  socket: DT.socket,
  char: DT.char,
  block: DT.block,
};

const align8 = (size: number): number => Math.ceil(size / 8) * 8;

/** Writes one record at `at`; returns its size, or 0 when it doesn't fit. */
type RecordWriter = (bytes: Buffer, at: number, listed: Listed) => number;

function putHead(bytes: Buffer, at: number, listed: Listed, size: number): void {
  bytes.fill(0, at, at + size);
  bytes.writeBigUInt64LE(BigInt(listed.inode), at + DIRENT64.d_ino);
  bytes.writeBigUInt64LE(BigInt(listed.next), at + DIRENT64.d_off);
  bytes.writeUInt16LE(size, at + DIRENT64.d_reclen);
}

const putDirent64: RecordWriter = (bytes, at, listed) => {
  const size = align8(DIRENT64.d_name + listed.name.length + 1);
  if (at + size > bytes.length) return 0;
  putHead(bytes, at, listed, size);
  bytes[at + DIRENT64.d_type] = D_TYPES[listed.type];
  bytes.write(listed.name, at + DIRENT64.d_name, 'latin1');
  return size;
};

const putDirent: RecordWriter = (bytes, at, listed) => {
  const size = align8(DIRENT.d_name + listed.name.length + 2);
  if (at + size > bytes.length) return 0;
  putHead(bytes, at, listed, size);
  bytes.write(listed.name, at + DIRENT.d_name, 'latin1');
  bytes[at + size - 1] = D_TYPES[listed.type];
  return size;
};

function list(task: Task, args: Args, put: RecordWriter): number {
  const file = task.files.get(args.int(0));
  if (file === null || file.flags & O.PATH) return E.EBADF;
  if (!(file instanceof DirectoryFile)) return E.ENOTDIR;
  const names = file.list();
  if (typeof names === 'number') return names;
  file.notify(IN.access);
  const { scratch } = task.kernel.fs.context;
  const bytes = scratch.subarray(0, Math.min(args.uint(2), scratch.length));
  let used = 0;
  let next = file.offset;
  for (const listed of names) {
    const size = put(bytes, used, listed);
    if (size === 0) {
      if (used === 0) return E.EINVAL;
      break;
    }
    used += size;
    next = listed.next;
  }
  if (args.pointer(1) >= ADDRESS_LIMIT) return E.EFAULT;
  task.memory.write(args.pointer(1), bytes.subarray(0, used));
  file.moveTo(next);
  return used;
}

export const getdents64: Handler = (task, args) => list(task, args, putDirent64);

export const getdents: Handler = (task, args) => list(task, args, putDirent);
