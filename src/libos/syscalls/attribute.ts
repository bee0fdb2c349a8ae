/** Changes of a file's attributes: mode, owner, times, extended attributes, size by path. */
import { E } from '../../abi/errno.ts';
import { IN } from '../../abi/event.ts';
import { AT, O, SEAL, UTIME } from '../../abi/fs.ts';
import type { GuestAddress } from '../../base/ids.ts';
import type { Args } from '../args.ts';
import type { Inode } from '../fs/inode.ts';
import type { FsNode } from '../fs/node.ts';
import { nodeOf } from '../fs/node-of.ts';
import type { FileTime } from '../fs/stat.ts';
import type { Handler } from '../outcome.ts';
import type { Task } from '../task.ts';
import { readPath } from './path-argument.ts';

/** Does something to an inode; 0 or -errno. */
type Change = (inode: Inode) => number;

function change(task: Task, node: FsNode | number, apply: Change): number {
  if (typeof node === 'number') return node;
  const inode = task.kernel.fs.writable(node);
  return typeof inode === 'number' ? inode : apply(inode);
}

/** By path, or by descriptor with an empty path and AT_EMPTY_PATH. */
function changeAt(
  task: Task,
  dirfd: number,
  address: GuestAddress,
  flags: number,
  apply: Change,
): number {
  const path = readPath(task, address);
  if (typeof path === 'number') return path;
  if (path === '' && flags & AT.EMPTY_PATH && dirfd !== AT.FDCWD) {
    return changeFile(task, dirfd, apply, true);
  }
  const { fs } = task.kernel;
  const node =
    path === '' && flags & AT.EMPTY_PATH
      ? fs.workingDirectory(task)
      : fs.walkTo(task, dirfd, path, { follow: (flags & AT.SYMLINK_NOFOLLOW) === 0 });
  return change(task, node, apply);
}

/** Of pipes and sockets nothing is kept: their attributes are nobody's. */
function changeFile(task: Task, fd: number, apply: Change, evenPath = false): number {
  const file = task.files.get(fd);
  if (file === null || (file.flags & O.PATH && !evenPath)) return E.EBADF;
  const node = nodeOf(file);
  return node === null ? 0 : change(task, node, apply);
}

/* --- mode and owner --- */

const setMode =
  (mode: number): Change =>
  (inode) => {
    if (inode.type === 'symlink') return E.EOPNOTSUPP;
    if (inode.seals & SEAL.exec && (inode.mode ^ mode) & 0o111) return E.EPERM;
    inode.mode = mode & 0o7777;
    inode.changed();
    inode.fs.notifier.happened(inode, IN.attrib);
    return 0;
  };

export const chmod: Handler = (task, args) =>
  changeAt(task, AT.FDCWD, args.pointer(0), 0, setMode(args.uint(1)));

export const fchmod: Handler = (task, args) => changeFile(task, args.int(0), setMode(args.uint(1)));

export const fchmodat: Handler = (task, args) =>
  changeAt(task, args.int(0), args.pointer(1), 0, setMode(args.uint(2)));

export const fchmodat2: Handler = (task, args) => {
  const flags = args.uint(3);
  if (flags & ~(AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH)) return E.EINVAL;
  return changeAt(task, args.int(0), args.pointer(1), flags, setMode(args.uint(2)));
};

const UNCHANGED = 0xffff_ffff;

const setOwner =
  (uid: number, gid: number): Change =>
  (inode) => {
    if (uid !== UNCHANGED) inode.uid = uid;
    if (gid !== UNCHANGED) inode.gid = gid;
    if (inode.type !== 'directory') inode.dropSetId();
    inode.changed();
    if (uid !== UNCHANGED || gid !== UNCHANGED) inode.fs.notifier.happened(inode, IN.attrib);
    return 0;
  };

export const chown: Handler = (task, args) =>
  changeAt(task, AT.FDCWD, args.pointer(0), 0, setOwner(args.uint(1), args.uint(2)));

export const lchown: Handler = (task, args) => {
  const apply = setOwner(args.uint(1), args.uint(2));
  return changeAt(task, AT.FDCWD, args.pointer(0), AT.SYMLINK_NOFOLLOW, apply);
};

export const fchown: Handler = (task, args) =>
  changeFile(task, args.int(0), setOwner(args.uint(1), args.uint(2)));

export const fchownat: Handler = (task, args) => {
  const flags = args.uint(4);
  if (flags & ~(AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH)) return E.EINVAL;
  const apply = setOwner(args.uint(2), args.uint(3));
  return changeAt(task, args.int(0), args.pointer(1), flags, apply);
};

/* --- times --- */

/** null leaves a time as it is; 'now' is the time of the change. */
type NewTime = FileTime | 'now' | null;

const setTimes =
  (atime: NewTime, mtime: NewTime): Change =>
  (inode) => {
    const now = inode.fs.now();
    if (atime !== null) inode.atime = atime === 'now' ? now : atime;
    if (mtime !== null) inode.mtime = mtime === 'now' ? now : mtime;
    if (atime === null && mtime === null) return 0;
    inode.changed();
    // One time alone looks to inotify as if the file had been read or written.
    let told: number = IN.attrib;
    if (mtime === null) told = IN.access;
    else if (atime === null) told = IN.modify;
    inode.fs.notifier.happened(inode, told);
    return 0;
  };

/** struct timespec with UTIME_NOW and UTIME_OMIT; -EINVAL. */
function newTime(bytes: Buffer, at: number): NewTime | number {
  const nanoseconds = Number(bytes.readBigInt64LE(at + 8));
  if (nanoseconds === UTIME.NOW) return 'now';
  if (nanoseconds === UTIME.OMIT) return null;
  if (nanoseconds < 0 || nanoseconds > 999_999_999) return E.EINVAL;
  return { seconds: Number(bytes.readBigInt64LE(at)), nanoseconds };
}

export const utimensat: Handler = (task, args) => {
  const flags = args.uint(3);
  if (flags & ~(AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH)) return E.EINVAL;
  const address = args.pointer(2);
  let times: [NewTime, NewTime] = ['now', 'now'];
  if (address !== 0) {
    const bytes = task.memory.read(address, 32);
    const [atime, mtime] = [newTime(bytes, 0), newTime(bytes, 16)];
    if (typeof atime === 'number' || typeof mtime === 'number') return E.EINVAL;
    times = [atime, mtime];
  }
  const apply = setTimes(...times);
  const path = args.pointer(1);
  if (path !== 0) return changeAt(task, args.int(0), path, flags, apply);
  if (flags !== 0) return E.EINVAL;
  return changeFile(task, args.int(0), apply);
};

/** Two struct timeval; null is "now"; -EINVAL. */
function timevals(task: Task, address: GuestAddress): [NewTime, NewTime] | number {
  if (address === 0) return ['now', 'now'];
  const bytes = task.memory.read(address, 32);
  const times = [0, 16].map((at) => ({
    seconds: Number(bytes.readBigInt64LE(at)),
    nanoseconds: Number(bytes.readBigInt64LE(at + 8)) * 1000,
  }));
  const [atime, mtime] = times as [FileTime, FileTime];
  for (const time of times) {
    if (time.nanoseconds < 0 || time.nanoseconds > 999_999_999) return E.EINVAL;
  }
  return [atime, mtime];
}

export const utimes: Handler = (task, args) => {
  const times = timevals(task, args.pointer(1));
  if (typeof times === 'number') return times;
  return changeAt(task, AT.FDCWD, args.pointer(0), 0, setTimes(...times));
};

export const futimesat: Handler = (task, args) => {
  const times = timevals(task, args.pointer(2));
  if (typeof times === 'number') return times;
  const apply = setTimes(...times);
  const path = args.pointer(1);
  if (path === 0) return changeFile(task, args.int(0), apply);
  return changeAt(task, args.int(0), path, 0, apply);
};

export const utime: Handler = (task, args) => {
  const address = args.pointer(1);
  let apply = setTimes('now', 'now');
  if (address !== 0) {
    const bytes = task.memory.read(address, 16);
    const [atime, mtime] = [0, 8].map((at) => ({
      seconds: Number(bytes.readBigInt64LE(at)),
      nanoseconds: 0,
    })) as [FileTime, FileTime];
    apply = setTimes(atime, mtime);
  }
  return changeAt(task, AT.FDCWD, args.pointer(0), 0, apply);
};

/* --- size --- */

export const truncate: Handler = (task, args) => {
  const size = args.long(1);
  if (size < 0) return E.EINVAL;
  const path = readPath(task, args.pointer(0));
  if (typeof path === 'number') return path;
  const node = task.kernel.fs.walkTo(task, AT.FDCWD, path, { follow: true });
  if (typeof node === 'number') return node;
  if (node.type === 'directory') return E.EISDIR;
  if (node.type !== 'file') return E.EINVAL;
  return change(task, node, (inode) => {
    const failed = inode.truncate(size);
    if (failed === 0) inode.fs.notifier.happened(inode, IN.modify);
    return failed;
  });
};

/* --- extended attributes --- */

const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
const XATTR_NAME_MAX = 255;
const XATTR_SIZE_MAX = 65_536;
/** Of all attributes of one file together; they are saved whole with it. */
const XATTR_TOTAL_MAX = 131_072;
const NAMESPACES = ['user.', 'trusted.', 'security.'];

/** The file that an xattr call is about, by path or by descriptor. */
type Finder = (task: Task, args: Args) => FsNode | number;

const byPath =
  (follow: boolean): Finder =>
  (task, args) => {
    const path = readPath(task, args.pointer(0));
    if (typeof path === 'number') return path;
    return task.kernel.fs.walkTo(task, AT.FDCWD, path, { follow });
  };

const byFd: Finder = (task, args) => {
  const file = task.files.get(args.int(0));
  if (file === null || file.flags & O.PATH) return E.EBADF;
  return nodeOf(file) ?? E.EOPNOTSUPP;
};

function attributeName(task: Task, args: Args): string | number {
  const name = task.memory.readCString(args.pointer(1), XATTR_NAME_MAX + 1);
  if (name === null || name === '') return E.ERANGE;
  return NAMESPACES.some((space) => name.startsWith(space) && name !== space) ? name : E.EOPNOTSUPP;
}

/** user.* is for files and directories only. */
const takesUser = (node: FsNode): boolean => node.type === 'file' || node.type === 'directory';

const isInode = (node: FsNode): node is Inode => 'attributes' in node;

const setxattr =
  (find: Finder): Handler =>
  (task, args) => {
    const flags = args.uint(4);
    if (flags & ~(XATTR_CREATE | XATTR_REPLACE)) return E.EINVAL;
    const name = attributeName(task, args);
    if (typeof name === 'number') return name;
    if (args.size(3) > XATTR_SIZE_MAX) return E.E2BIG;
    const value = task.memory.read(args.pointer(2), args.size(3));
    const node = find(task, args);
    if (typeof node === 'number') return node;
    if (name.startsWith('user.') && !takesUser(node)) return E.EPERM;
    return change(task, node, (inode) => {
      const has = inode.attributes.has(name);
      if (has && flags & XATTR_CREATE) return E.EEXIST;
      if (!has && flags & XATTR_REPLACE) return E.ENODATA;
      let total = name.length + value.length;
      for (const [other, bytes] of inode.attributes) {
        if (other !== name) total += other.length + bytes.length;
      }
      if (total > XATTR_TOTAL_MAX) return E.ENOSPC;
      inode.attributes.set(name, value);
      inode.changed();
      inode.fs.notifier.happened(inode, IN.attrib);
      return 0;
    });
  };

/** Gives `bytes` to the guest, or only their count when it asks with size 0. */
function give(task: Task, address: GuestAddress, size: number, bytes: Uint8Array): number {
  if (size === 0) return bytes.length;
  if (bytes.length > size) return E.ERANGE;
  task.memory.write(address, bytes);
  return bytes.length;
}

const getxattr =
  (find: Finder): Handler =>
  (task, args) => {
    const name = attributeName(task, args);
    if (typeof name === 'number') return name;
    const node = find(task, args);
    if (typeof node === 'number') return node;
    const value = isInode(node) ? node.attributes.get(name) : undefined;
    if (value === undefined) return E.ENODATA;
    return give(task, args.pointer(2), args.size(3), value);
  };

const listxattr =
  (find: Finder): Handler =>
  (task, args) => {
    const node = find(task, args);
    if (typeof node === 'number') return node;
    const names = isInode(node) ? [...node.attributes.keys()] : [];
    const bytes = Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1');
    return give(task, args.pointer(1), args.size(2), bytes);
  };

const removexattr =
  (find: Finder): Handler =>
  (task, args) => {
    const name = attributeName(task, args);
    if (typeof name === 'number') return name;
    const node = find(task, args);
    if (typeof node === 'number') return node;
    if (name.startsWith('user.') && !takesUser(node)) return E.EPERM;
    if (!isInode(node) || !node.attributes.delete(name)) return E.ENODATA;
    node.changed();
    node.fs.notifier.happened(node, IN.attrib);
    return 0;
  };

export const xattr = {
  set: setxattr(byPath(true)),
  lset: setxattr(byPath(false)),
  fset: setxattr(byFd),
  get: getxattr(byPath(true)),
  lget: getxattr(byPath(false)),
  fget: getxattr(byFd),
  list: listxattr(byPath(true)),
  llist: listxattr(byPath(false)),
  flist: listxattr(byFd),
  remove: removexattr(byPath(true)),
  lremove: removexattr(byPath(false)),
  fremove: removexattr(byFd),
} as const;
