/**
 * Calls that take paths: open, and what makes, removes and renames names; with their table rows.
 */
import { E } from '../../abi/errno.ts';
import { AT, O, OPEN_HOW, PATH_MAX, RENAME, RESOLVE, S } from '../../abi/fs.ts';
import type { GuestAddress } from '../../base/ids.ts';
import type { FileType } from '../../lvm/api.ts';
import { ADDRESS_LIMIT, type Args } from '../args.ts';
import { create, createSymlink, link, rmdir, unlink } from '../fs/mutate.ts';
import type { FsNode } from '../fs/node.ts';
import { nodeOf } from '../fs/node-of.ts';
import { checkFlags, type OpenRequest, openPath } from '../fs/open.ts';
import { rename } from '../fs/rename.ts';
import type { Found } from '../fs/walk.ts';
import type { Handler, Outcome } from '../outcome.ts';
import { full, partial, type Row, refused } from '../table-row.ts';
import type { Task } from '../task.ts';
import * as attribute from './attribute.ts';
import { install } from './descriptor.ts';
import { readPath } from './path-argument.ts';
import * as stat from './stat.ts';

/* --- open --- */

function openAt(
  task: Task,
  dirfd: number,
  address: GuestAddress,
  flags: number,
  mode: number,
  resolve = 0,
): Outcome {
  const path = readPath(task, address);
  if (typeof path === 'number') return path;
  const wrong = checkFlags(flags);
  if (wrong < 0) return wrong;
  const { fs } = task.kernel;
  // BENEATH and IN_ROOT need the directory even for an absolute path.
  const isScoped = (resolve & (RESOLVE.BENEATH | RESOLVE.IN_ROOT)) !== 0;
  const start = fs.start(task, dirfd, isScoped ? '.' : path);
  if (typeof start === 'number') return path === '' ? E.ENOENT : start;
  const request: OpenRequest = { start, path, flags, mode, resolve };
  const file = openPath(fs.context, task, request);
  if (typeof file === 'number' || !('queue' in file)) return file;
  return install(task, file, (flags & O.CLOEXEC) !== 0);
}

/** A 64-bit process opens all files as large, and F_GETFL shows it; openat2 only when asked. */
const large = (flags: number): number => flags | O.LARGEFILE;

const open: Handler = (task, args) =>
  openAt(task, AT.FDCWD, args.pointer(0), large(args.uint(1)), args.uint(2));

const openat: Handler = (task, args) =>
  openAt(task, args.int(0), args.pointer(1), large(args.uint(2)), args.uint(3));

const creat: Handler = (task, args) =>
  openAt(task, AT.FDCWD, args.pointer(0), large(O.CREAT | O.WRONLY | O.TRUNC), args.uint(1));

const OPEN_FLAGS =
  O.ACCMODE |
  O.CREAT |
  O.EXCL |
  O.NOCTTY |
  O.TRUNC |
  O.APPEND |
  O.NONBLOCK |
  O.SYNC |
  O.ASYNC |
  O.DIRECT |
  O.LARGEFILE |
  O.DIRECTORY |
  O.NOFOLLOW |
  O.NOATIME |
  O.CLOEXEC |
  O.PATH |
  O.TMPFILE_BIT;
const PATH_FLAGS = O.PATH | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC;
const RESOLVE_FLAGS =
  RESOLVE.NO_XDEV |
  RESOLVE.NO_MAGICLINKS |
  RESOLVE.NO_SYMLINKS |
  RESOLVE.BENEATH |
  RESOLVE.IN_ROOT |
  RESOLVE.CACHED;

/** Stricter than openat: what it doesn't know it refuses. */
const openat2: Handler = (task, args) => {
  const size = args.size(3);
  if (size < OPEN_HOW.sizeBytes) return E.EINVAL;
  if (size > PATH_MAX) return E.E2BIG;
  const how = task.memory.read(args.pointer(2), size);
  if (how.subarray(OPEN_HOW.sizeBytes).some((byte) => byte !== 0)) return E.E2BIG;
  const wideFlags = how.readBigUInt64LE(OPEN_HOW.flags);
  const mode = Number(how.readBigUInt64LE(OPEN_HOW.mode));
  const wideResolve = how.readBigUInt64LE(OPEN_HOW.resolve);
  if (wideFlags > 0xffff_ffffn || wideResolve & ~BigInt(RESOLVE_FLAGS)) return E.EINVAL;
  const flags = Number(wideFlags);
  const resolve = Number(wideResolve);
  if (flags & ~OPEN_FLAGS || (flags & O.PATH && flags & ~PATH_FLAGS)) return E.EINVAL;
  if (mode !== 0 && ((flags & (O.CREAT | O.TMPFILE_BIT)) === 0 || mode & ~0o7777)) return E.EINVAL;
  if (resolve & RESOLVE.BENEATH && resolve & RESOLVE.IN_ROOT) return E.EINVAL;
  if (resolve & RESOLVE.CACHED && flags & (O.CREAT | O.TRUNC | O.TMPFILE_BIT)) return E.EAGAIN;
  return openAt(task, args.int(0), args.pointer(1), flags, mode, resolve);
};

/* --- names --- */

/** Where a name is to be made or taken away; -errno. */
function findName(task: Task, dirfd: number, address: GuestAddress): Found | number {
  const path = readPath(task, address);
  if (typeof path === 'number') return path;
  return task.kernel.fs.walk(task, dirfd, path, { follow: false, isName: true });
}

function mkdirOn(task: Task, dirfd: number, address: GuestAddress, mode: number): number {
  const found = findName(task, dirfd, address);
  if (typeof found === 'number') return found;
  const bits = mode & 0o1777 & ~task.process.umask;
  const made = create(task.kernel.fs.context, found, 'directory', bits);
  return typeof made === 'number' ? made : 0;
}

const mkdir: Handler = (task, args) => mkdirOn(task, AT.FDCWD, args.pointer(0), args.uint(1));

const mkdirat: Handler = (task, args) => mkdirOn(task, args.int(0), args.pointer(1), args.uint(2));

/** What mknod makes, by the type bits of its mode. */
const NODE_TYPES: ReadonlyMap<number, FileType> = new Map([
  [0, 'file'],
  [S.IFREG, 'file'],
  [S.IFIFO, 'fifo'],
  [S.IFSOCK, 'socket'],
]);
const DEVICES: ReadonlySet<number> = new Set([S.IFCHR, S.IFBLK]);

function mknodOn(task: Task, dirfd: number, address: GuestAddress, mode: number): number {
  const kind = mode & S.IFMT;
  const type = NODE_TYPES.get(kind);
  if (type === undefined && !DEVICES.has(kind)) return kind === S.IFDIR ? E.EPERM : E.EINVAL;
  const found = findName(task, dirfd, address);
  if (typeof found === 'number') return found;
  if (type === undefined) return found.node !== null ? E.EEXIST : E.EPERM;
  const bits = mode & 0o7777 & ~task.process.umask;
  const made = create(task.kernel.fs.context, found, type, bits);
  return typeof made === 'number' ? made : 0;
}

const mknod: Handler = (task, args) => mknodOn(task, AT.FDCWD, args.pointer(0), args.uint(1));

const mknodat: Handler = (task, args) => mknodOn(task, args.int(0), args.pointer(1), args.uint(2));

function symlinkOn(task: Task, target: GuestAddress, dirfd: number, address: GuestAddress): number {
  const text = readPath(task, target);
  if (typeof text === 'number') return text;
  if (text === '') return E.ENOENT;
  const found = findName(task, dirfd, address);
  if (typeof found === 'number') return found;
  const made = createSymlink(task.kernel.fs.context, found, text);
  return typeof made === 'number' ? made : 0;
}

const symlink: Handler = (task, args) =>
  symlinkOn(task, args.pointer(0), AT.FDCWD, args.pointer(1));

const symlinkat: Handler = (task, args) =>
  symlinkOn(task, args.pointer(0), args.int(1), args.pointer(2));

/** The file that gets another name: a path, or with AT_EMPTY_PATH an open file. */
function linkSource(task: Task, dirfd: number, address: GuestAddress, flags: number) {
  const path = readPath(task, address);
  if (typeof path === 'number') return path;
  const { fs } = task.kernel;
  if (path !== '' || (flags & AT.EMPTY_PATH) === 0) {
    return fs.walkTo(task, dirfd, path, { follow: (flags & AT.SYMLINK_FOLLOW) !== 0 });
  }
  if (dirfd === AT.FDCWD) return fs.workingDirectory(task);
  const file = task.files.get(dirfd);
  if (file === null) return E.EBADF;
  return nodeOf(file) ?? E.EXDEV;
}

const linkat: Handler = (task, args) => {
  const flags = args.uint(4);
  if (flags & ~(AT.SYMLINK_FOLLOW | AT.EMPTY_PATH)) return E.EINVAL;
  const source: FsNode | number = linkSource(task, args.int(0), args.pointer(1), flags);
  if (typeof source === 'number') return source;
  const found = findName(task, args.int(2), args.pointer(3));
  return typeof found === 'number' ? found : link(task.kernel.fs.context, source, found);
};

const linkCall: Handler = (task, args) => {
  const source: FsNode | number = linkSource(task, AT.FDCWD, args.pointer(0), 0);
  if (typeof source === 'number') return source;
  const found = findName(task, AT.FDCWD, args.pointer(1));
  return typeof found === 'number' ? found : link(task.kernel.fs.context, source, found);
};

type Remover = typeof unlink;

function removeOn(task: Task, dirfd: number, address: GuestAddress, remove: Remover): number {
  const found = findName(task, dirfd, address);
  return typeof found === 'number' ? found : remove(task.kernel.fs.context, found);
}

const unlinkCall: Handler = (task, args) => removeOn(task, AT.FDCWD, args.pointer(0), unlink);

const rmdirCall: Handler = (task, args) => removeOn(task, AT.FDCWD, args.pointer(0), rmdir);

const unlinkat: Handler = (task, args) => {
  const flags = args.uint(2);
  if (flags & ~AT.REMOVEDIR) return E.EINVAL;
  return removeOn(task, args.int(0), args.pointer(1), flags === 0 ? unlink : rmdir);
};

function renameOn(
  task: Task,
  from: readonly [number, GuestAddress],
  to: readonly [number, GuestAddress],
  flags: number,
): number {
  if (flags & ~(RENAME.NOREPLACE | RENAME.EXCHANGE)) return E.EINVAL;
  if (flags === (RENAME.NOREPLACE | RENAME.EXCHANGE)) return E.EINVAL;
  const source = findName(task, ...from);
  if (typeof source === 'number') return source;
  const target = findName(task, ...to);
  if (typeof target === 'number') return target;
  return rename(task.kernel.fs.context, source, target, flags);
}

const renameCall: Handler = (task, args) =>
  renameOn(task, [AT.FDCWD, args.pointer(0)], [AT.FDCWD, args.pointer(1)], 0);

const renameat: Handler = (task, args) =>
  renameOn(task, [args.int(0), args.pointer(1)], [args.int(2), args.pointer(3)], 0);

const renameat2: Handler = (task, args) =>
  renameOn(task, [args.int(0), args.pointer(1)], [args.int(2), args.pointer(3)], args.uint(4));

/* --- readlink and the working directory --- */

function readlinkOn(task: Task, dirfd: number, args: Args, first: number): number {
  const size = args.int(first + 2);
  if (size <= 0) return E.EINVAL;
  const path = readPath(task, args.pointer(first));
  if (typeof path === 'number') return path;
  let node: FsNode | number;
  if (path === '' && dirfd !== AT.FDCWD) {
    const file = task.files.get(dirfd);
    if (file === null) return E.EBADF;
    node = nodeOf(file) ?? E.ENOENT;
    if (typeof node !== 'number' && node.type !== 'symlink') return E.ENOENT;
  } else node = task.kernel.fs.walkTo(task, dirfd, path, { follow: false });
  if (typeof node === 'number') return node;
  const target = node.readlink(task);
  if (typeof target === 'number') return target;
  const bytes = Buffer.from(target.slice(0, size), 'latin1');
  task.memory.write(args.pointer(first + 1), bytes);
  return bytes.length;
}

const readlink: Handler = (task, args) => readlinkOn(task, AT.FDCWD, args, 0);

const readlinkat: Handler = (task, args) => readlinkOn(task, args.int(0), args, 1);

function enter(task: Task, node: FsNode | number): number {
  if (typeof node === 'number') return node;
  if (node.type !== 'directory') return E.ENOTDIR;
  task.process.cwd = node.path();
  task.process.touch();
  return 0;
}

const chdir: Handler = (task, args) => {
  const path = readPath(task, args.pointer(0));
  if (typeof path === 'number') return path;
  return enter(task, task.kernel.fs.walkTo(task, AT.FDCWD, path, { follow: true }));
};

const fchdir: Handler = (task, args) => {
  const file = task.files.get(args.int(0));
  if (file === null) return E.EBADF;
  return enter(task, nodeOf(file) ?? E.ENOTDIR);
};

const getcwd: Handler = (task, args) => {
  const { cwd } = task.process;
  if (typeof task.kernel.fs.workingDirectory(task) === 'number') return E.ENOENT;
  const bytes = Buffer.from(`${cwd}\0`, 'latin1');
  if (args.size(1) < bytes.length) return E.ERANGE;
  if (args.pointer(0) >= ADDRESS_LIMIT) return E.EFAULT;
  task.memory.write(args.pointer(0), bytes);
  return bytes.length;
};

const umask: Handler = (task, args) => {
  const { process } = task;
  const old = process.umask;
  process.umask = args.uint(0) & 0o777;
  process.touch();
  return old;
};

const NO_MOUNTS = 'the guest has one file system';

export const pathRows: readonly Row[] = [
  full('open', open),
  full('openat', openat),
  partial('openat2', openat2, 'RESOLVE_CACHED is as without it where nothing is made'),
  full('creat', creat),
  full('stat', stat.stat),
  full('lstat', stat.lstat),
  full('fstat', stat.fstat),
  full('newfstatat', stat.newfstatat),
  partial('statx', stat.statx, 'no attributes, no DIO alignment'),
  full('statfs', stat.statfs),
  full('fstatfs', stat.fstatfs),
  full('access', stat.access),
  full('faccessat', stat.faccessat),
  full('faccessat2', stat.faccessat2),
  full('readlink', readlink),
  full('readlinkat', readlinkat),
  full('mkdir', mkdir),
  full('mkdirat', mkdirat),
  full('rmdir', rmdirCall),
  full('unlink', unlinkCall),
  full('unlinkat', unlinkat),
  full('rename', renameCall),
  full('renameat', renameat),
  partial('renameat2', renameat2, 'no RENAME_WHITEOUT'),
  full('link', linkCall),
  full('linkat', linkat),
  full('symlink', symlink),
  full('symlinkat', symlinkat),
  partial('mknod', mknod, 'no devices'),
  partial('mknodat', mknodat, 'no devices'),
  full('chmod', attribute.chmod),
  full('fchmod', attribute.fchmod),
  full('fchmodat', attribute.fchmodat),
  full('fchmodat2', attribute.fchmodat2),
  full('chown', attribute.chown),
  full('lchown', attribute.lchown),
  full('fchown', attribute.fchown),
  full('fchownat', attribute.fchownat),
  full('utime', attribute.utime),
  full('utimes', attribute.utimes),
  full('utimensat', attribute.utimensat),
  full('futimesat', attribute.futimesat),
  full('truncate', attribute.truncate),
  full('umask', umask),
  full('chdir', chdir),
  full('fchdir', fchdir),
  full('getcwd', getcwd),
  partial('setxattr', attribute.xattr.set, 'user, trusted and security names only'),
  partial('lsetxattr', attribute.xattr.lset, 'user, trusted and security names only'),
  partial('fsetxattr', attribute.xattr.fset, 'user, trusted and security names only'),
  partial('getxattr', attribute.xattr.get, 'those of the root are not shown'),
  partial('lgetxattr', attribute.xattr.lget, 'those of the root are not shown'),
  partial('fgetxattr', attribute.xattr.fget, 'those of the root are not shown'),
  partial('listxattr', attribute.xattr.list, 'those of the root are not shown'),
  partial('llistxattr', attribute.xattr.llist, 'those of the root are not shown'),
  partial('flistxattr', attribute.xattr.flist, 'those of the root are not shown'),
  full('removexattr', attribute.xattr.remove),
  full('lremovexattr', attribute.xattr.lremove),
  full('fremovexattr', attribute.xattr.fremove),
  refused('chroot', E.EPERM, 'the root is what the guest was given'),
  refused('mount', E.EPERM, NO_MOUNTS),
  refused('umount2', E.EPERM, NO_MOUNTS),
  refused('pivot_root', E.EPERM, NO_MOUNTS),
  refused('name_to_handle_at', E.EOPNOTSUPP, 'files have no handles'),
  refused('open_by_handle_at', E.EOPNOTSUPP, 'files have no handles'),
  refused('quotactl', E.ENOSYS, NO_MOUNTS),
];
