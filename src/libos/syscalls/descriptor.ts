/** What is done with descriptors and open files beside reading and writing. */
import { E } from '../../abi/errno.ts';
import { IN } from '../../abi/event.ts';
import { F, FADV_MAX, FALLOC, FD_CLOEXEC, IOCTL, MFD, O, S, SEAL } from '../../abi/fs.ts';
import type { Args } from '../args.ts';
import { openMemory } from '../fs/open.ts';
import { SeekableFile } from '../fs/placed-file.ts';
import { RegularFile } from '../fs/regular-file.ts';
import { PipeEnd } from '../ipc/pipe.ts';
import type { OpenFile } from '../open-file.ts';
import type { Handler, Outcome } from '../outcome.ts';
import type { Task } from '../task.ts';
import { fcntlLock } from './lock.ts';

/** Installs a new file at the lowest free descriptor; closes it again when there is none. */
export function install(task: Task, file: OpenFile, closeOnExec: boolean): number {
  file.retain();
  const fd = task.files.add(file, closeOnExec);
  file.release();
  return fd;
}

export const close: Handler = (task, args) => {
  const fd = args.int(0);
  const file = task.files.get(fd);
  if (file === null) return E.EBADF;
  task.kernel.fs.closing(task.process, file);
  return task.files.close(fd);
};

const CLOSE_RANGE_UNSHARE = 2;
const CLOSE_RANGE_CLOEXEC = 4;

export const closeRange: Handler = (task, args) => {
  const first = args.uint(0);
  const last = args.uint(1);
  const flags = args.uint(2);
  if (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last) return E.EINVAL;
  const end = Math.min(last, task.files.size - 1);
  for (let fd = first; fd <= end; fd += 1) {
    const file = task.files.get(fd);
    if (file === null) continue;
    if (flags & CLOSE_RANGE_CLOEXEC) task.files.setCloseOnExec(fd, true);
    else {
      task.kernel.fs.closing(task.process, file);
      task.files.close(fd);
    }
  }
  return 0;
};

export const dup: Handler = (task, args) => {
  const file = task.files.get(args.int(0));
  return file === null ? E.EBADF : task.files.add(file, false);
};

function replace(task: Task, file: OpenFile, fd: number, closeOnExec: boolean): number {
  const old = task.files.get(fd);
  if (old !== null) task.kernel.fs.closing(task.process, old);
  return task.files.replace(fd, file, closeOnExec);
}

export const dup2: Handler = (task, args) => {
  const fd = args.int(0);
  const target = args.int(1);
  const file = task.files.get(fd);
  if (file === null) return E.EBADF;
  return fd === target ? target : replace(task, file, target, false);
};

export const dup3: Handler = (task, args) => {
  const fd = args.int(0);
  const target = args.int(1);
  const flags = args.uint(2);
  if (flags & ~O.CLOEXEC || fd === target) return E.EINVAL;
  const file = task.files.get(fd);
  return file === null ? E.EBADF : replace(task, file, target, (flags & O.CLOEXEC) !== 0);
};

export const lseek: Handler = (task, args) => {
  const file = task.files.get(args.int(0));
  if (file === null) return E.EBADF;
  return file.seek(args.long(1), args.uint(2));
};

/* --- fcntl --- */

const SETTABLE = O.APPEND | O.NONBLOCK | O.NOATIME | O.ASYNC | O.DIRECT;
/** What an O_PATH descriptor can do. */
const OF_PATH: ReadonlySet<number> = new Set([F.DUPFD, F.DUPFD_CLOEXEC, F.GETFD, F.SETFD, F.GETFL]);

function duplicate(task: Task, file: OpenFile, from: number, closeOnExec: boolean): number {
  if (from < 0 || from >= task.files.limit) return E.EINVAL;
  return task.files.add(file, closeOnExec, from);
}

export const fcntl: Handler = (task, args) => {
  const fd = args.int(0);
  const command = args.uint(1);
  const file = task.files.get(fd);
  if (file === null) return E.EBADF;
  if (file.flags & O.PATH && !OF_PATH.has(command)) return E.EBADF;
  switch (command) {
    case F.DUPFD:
      return duplicate(task, file, args.int(2), false);
    case F.DUPFD_CLOEXEC:
      return duplicate(task, file, args.int(2), true);
    case F.GETFD:
      return task.files.closeOnExec(fd) ? FD_CLOEXEC : 0;
    case F.SETFD:
      task.files.setCloseOnExec(fd, (args.uint(2) & FD_CLOEXEC) !== 0);
      return 0;
    case F.GETFL:
      return (file.flags & ~O.CLOEXEC) | 0;
    case F.SETFL:
      file.setFlags((file.flags & ~SETTABLE) | (args.uint(2) & SETTABLE));
      return 0;
    case F.GETLK:
    case F.SETLK:
    case F.SETLKW:
    case F.OFD_GETLK:
    case F.OFD_SETLK:
    case F.OFD_SETLKW:
      return fcntlLock(task, file, command, args.pointer(2));
    default:
      return fcntlRare(file, command, args);
  }
};

function fcntlRare(file: OpenFile, command: number, args: Args): number {
  switch (command) {
    // Nothing sends SIGIO.
    case F.GETOWN:
    case F.SETOWN:
    case F.GETSIG:
    case F.SETSIG:
    case F.SET_RW_HINT:
    case F.GET_RW_HINT:
      return 0;
    case F.GETPIPE_SZ:
      return file instanceof PipeEnd ? file.pipe.sizeBytes : E.EBADF;
    case F.SETPIPE_SZ:
      return file instanceof PipeEnd ? file.pipe.resize(args.uint(2)) : E.EBADF;
    case F.GET_SEALS:
      return sealable(file)?.seals ?? E.EINVAL;
    case F.ADD_SEALS:
      return addSeals(file, args.uint(2));
    default:
      return E.EINVAL;
  }
}

/** Files in memory have seals; of the overlay, only those without a name. */
function sealable(file: OpenFile) {
  if (!(file instanceof RegularFile)) return null;
  const inode = file.place.inode;
  return inode?.name.startsWith('memfd:') ? inode : null;
}

const CONTENT_SEALS = SEAL.shrink | SEAL.grow | SEAL.write | SEAL.futureWrite;
const ALL_SEALS = CONTENT_SEALS | SEAL.seal | SEAL.exec;

function addSeals(file: OpenFile, seals: number): number {
  const inode = sealable(file);
  if (inode === null) return E.EINVAL;
  if ((file.flags & O.ACCMODE) === O.RDONLY) return E.EPERM;
  if (seals & ~ALL_SEALS) return E.EINVAL;
  if (inode.seals & SEAL.seal) return E.EPERM;
  inode.seals |= seals;
  // What stays executable must stay what it is.
  if (seals & SEAL.exec && inode.mode & 0o111) inode.seals |= CONTENT_SEALS;
  inode.touch();
  return 0;
}

/* --- ioctl --- */

export const ioctl: Handler = (task, args): Outcome => {
  const fd = args.int(0);
  const file = task.files.get(fd);
  if (file === null || file.flags & O.PATH) return E.EBADF;
  switch (args.uint(1)) {
    case IOCTL.FIOCLEX:
      task.files.setCloseOnExec(fd, true);
      return 0;
    case IOCTL.FIONCLEX:
      task.files.setCloseOnExec(fd, false);
      return 0;
    case IOCTL.FIONBIO: {
      const isOn = task.memory.readU32(args.pointer(2)) !== 0;
      file.setFlags(isOn ? file.flags | O.NONBLOCK : file.flags & ~O.NONBLOCK);
      return 0;
    }
    case IOCTL.FIOASYNC:
      return task.memory.readU32(args.pointer(2)) === 0 ? 0 : E.ENOTTY;
    case IOCTL.FIONREAD:
      if (!(file instanceof RegularFile)) return file.ioctl(task, args);
      task.memory.writeU32(args.pointer(2), Math.max(0, file.sizeBytes - file.offset));
      return 0;
    default:
      return file.ioctl(task, args);
  }
};

/* --- size and durability --- */

/** A reply can't leave before its state is on every backup: there is nothing to wait for. */
export const fsync: Handler = (task, args) => {
  const file = task.files.get(args.int(0));
  if (file === null || file.flags & O.PATH) return E.EBADF;
  const type = file.stat().mode & S.IFMT;
  return type === S.IFREG || type === S.IFDIR ? 0 : E.EINVAL;
};

export const syncfs: Handler = (task, args) => {
  const file = task.files.get(args.int(0));
  return file === null || file.flags & O.PATH ? E.EBADF : 0;
};

export const syncFileRange: Handler = (task, args) => {
  const file = task.files.get(args.int(0));
  if (file === null || file.flags & O.PATH) return E.EBADF;
  if (args.long(1) < 0 || args.long(2) < 0 || args.uint(3) & ~7) return E.EINVAL;
  return file instanceof SeekableFile ? 0 : E.ESPIPE;
};

export const sync: Handler = () => 0;

export const ftruncate: Handler = (task, args) => {
  const size = args.long(1);
  if (size < 0) return E.EINVAL;
  const file = task.files.get(args.int(0));
  if (file === null || file.flags & O.PATH) return E.EBADF;
  if (!(file instanceof RegularFile)) return E.EINVAL;
  return (file.flags & O.ACCMODE) === O.RDONLY ? E.EINVAL : file.truncate(size);
};

const FALLOC_KNOWN = FALLOC.KEEP_SIZE | FALLOC.PUNCH_HOLE | FALLOC.ZERO_RANGE;

export const fallocate: Handler = (task, args) => {
  const file = task.files.get(args.int(0));
  if (file === null || file.flags & O.PATH) return E.EBADF;
  const mode = args.uint(1);
  const [start, length] = [args.long(2), args.long(3)];
  if (start < 0 || length <= 0) return E.EINVAL;
  if (mode & ~FALLOC_KNOWN) return E.EOPNOTSUPP;
  const isPunch = (mode & FALLOC.PUNCH_HOLE) !== 0;
  if (isPunch && (mode & FALLOC.ZERO_RANGE || (mode & FALLOC.KEEP_SIZE) === 0)) {
    return E.EOPNOTSUPP;
  }
  if ((file.flags & O.ACCMODE) === O.RDONLY) return E.EBADF;
  if (file instanceof PipeEnd) return E.ESPIPE;
  const inode = file instanceof RegularFile ? file.place.inode : null;
  if (inode === null) return (file.stat().mode & S.IFMT) === S.IFDIR ? E.EISDIR : E.ENODEV;
  const isWriting = isPunch || (mode & FALLOC.ZERO_RANGE) !== 0;
  if (inode.seals & (SEAL.write | SEAL.futureWrite) && isWriting) return E.EPERM;
  const end = start + length;
  const grows = (mode & FALLOC.KEEP_SIZE) === 0 && end > inode.sizeBytes;
  if (grows && inode.seals & SEAL.grow) return E.EPERM;
  const { content } = inode;
  let failed = isWriting ? content.punch(start, end) : 0;
  if (failed === 0 && !isPunch) failed = content.reserve(start, end);
  if (failed === 0 && grows) failed = content.truncate(end);
  if (failed === 0) {
    inode.modified();
    inode.fs.notifier.happened(inode, IN.modify);
  }
  return failed;
};

export const fadvise64: Handler = (task, args) => {
  const file = task.files.get(args.int(0));
  if (file === null || file.flags & O.PATH) return E.EBADF;
  if (file instanceof PipeEnd) return E.ESPIPE;
  return args.uint(3) > FADV_MAX || args.long(2) < 0 ? E.EINVAL : 0;
};

export const readahead: Handler = (task, args) => {
  const file = task.files.get(args.int(0));
  if (file === null || (file.flags & O.ACCMODE) === O.WRONLY || file.flags & O.PATH) return E.EBADF;
  return file instanceof RegularFile ? 0 : E.EINVAL;
};

const MFD_KNOWN = MFD.CLOEXEC | MFD.ALLOW_SEALING | MFD.NOEXEC_SEAL | MFD.EXEC;
/** NAME_MAX without the prefix that Linux puts before it. */
const MEMFD_NAME_MAX = 249;

export const memfdCreate: Handler = (task, args) => {
  const flags = args.uint(1);
  if (flags & ~MFD_KNOWN) return E.EINVAL;
  if (flags & MFD.EXEC && flags & MFD.NOEXEC_SEAL) return E.EINVAL;
  const name = task.memory.readCString(args.pointer(0), MEMFD_NAME_MAX + 1);
  if (name === null) return E.EINVAL;
  const { context } = task.kernel.fs;
  const seals = flags & MFD.ALLOW_SEALING ? 0 : SEAL.seal;
  const file =
    flags & MFD.NOEXEC_SEAL
      ? openMemory(context, name, SEAL.exec, 0o666)
      : openMemory(context, name, seals, 0o777);
  if (typeof file === 'number') return file;
  return install(task, file, (flags & MFD.CLOEXEC) !== 0);
};
