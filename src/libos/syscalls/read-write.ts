/**
 * read, write and their relatives. Regular files are served whole, straight between the guest's
 * memory and the pages of the file; all others by what one `read` or `write` of the file gives, and
 * block.
 */
import { E } from '../../abi/errno.ts';
import { IN } from '../../abi/event.ts';
import { O, RWF, S } from '../../abi/fs.ts';
import type { Args } from '../args.ts';
import { ConsoleFile } from '../fs/console.ts';
import { DeviceFile } from '../fs/device-file.ts';
import { DirectoryFile } from '../fs/directory-file.ts';
import { PlacedFile, SeekableFile } from '../fs/placed-file.ts';
import { RegularFile } from '../fs/regular-file.ts';
import { PipeEnd } from '../ipc/pipe.ts';
import { Socket } from '../net/socket.ts';
import type { OpenFile } from '../open-file.ts';
import type { Handler, Outcome } from '../outcome.ts';
import { UNLIMITED } from '../process.ts';
import { sendSignalToTask } from '../signal/send.ts';
import type { Task } from '../task.ts';
import { PtyFile } from '../tty/pty-file.ts';

const RLIMIT_FSIZE = 1;
const SIGXFSZ = 25;
/** The position of the open file, which moves along. */
const CURRENT = -1;

const canRead = (file: OpenFile): boolean =>
  (file.flags & (O.ACCMODE | O.PATH)) !== O.WRONLY && (file.flags & O.PATH) === 0;

const canWrite = (file: OpenFile): boolean =>
  (file.flags & O.ACCMODE) !== O.RDONLY && (file.flags & O.PATH) === 0;

/** Writes to these go on until all is taken; a short write of others (eventfd) is their answer. */
const isStream = (file: OpenFile): boolean =>
  file instanceof PipeEnd ||
  file instanceof Socket ||
  file instanceof ConsoleFile ||
  file instanceof PtyFile;

/* --- reading --- */

/** Reads into the context's vector, which is set. */
function readVector(task: Task, file: OpenFile, offset: number, flags = 0): Outcome {
  if (file.flags & O.PATH) return E.EBADF;
  if (offset !== CURRENT && !(file instanceof PlacedFile)) return E.ESPIPE;
  if (!canRead(file)) return E.EBADF;
  if (file instanceof SeekableFile) return readSeekable(task, file, offset);
  if (file instanceof DeviceFile) return readDevice(task, file);
  if (offset !== CURRENT) return readAt(task, file, offset);
  const { vector } = task.kernel.fs.context;
  const view = file.read(vector.total, task);
  if (typeof view === 'number') {
    if (view !== E.EAGAIN || file.flags & O.NONBLOCK || flags & RWF.NOWAIT) return view;
    if (isTimedOut(task, file, 'receiveTimeoutNs')) return E.EAGAIN;
    return task.waitOn(file.queue);
  }
  const arrived = vector.copyOut(task.kernel.lvm, view);
  if (arrived > 0 && file instanceof PlacedFile) file.notify(IN.access);
  return arrived < view.length ? E.EFAULT : arrived;
}

/** SO_RCVTIMEO and SO_SNDTIMEO hold for read and write too. */
function isTimedOut(
  task: Task,
  file: OpenFile,
  which: 'receiveTimeoutNs' | 'sendTimeoutNs',
): boolean {
  if (!(file instanceof Socket) || file.options[which] === Infinity) return false;
  task.deadline(file.options[which]);
  return task.isTimedOut;
}

function readSeekable(task: Task, file: SeekableFile, offset: number): number {
  const { vector } = task.kernel.fs.context;
  const { lvm } = task.kernel;
  const start = offset === CURRENT ? file.offset : offset;
  let done = 0;
  do {
    const view = file.readAt(start + done, vector.total - done);
    if (typeof view === 'number') {
      if (done > 0) break;
      return view;
    }
    if (view.length === 0) break;
    const arrived = vector.copyOut(lvm, view);
    done += arrived;
    if (arrived < view.length) {
      if (done === 0) return E.EFAULT;
      break;
    }
  } while (done < vector.total);
  if (offset === CURRENT) file.moveTo(start + done);
  if (done > 0) file.notify(IN.access);
  return done;
}

/** A device gives as much as is wanted; so much at most in one call. */
const DEVICE_BYTES_MAX = 32 * 1024 * 1024;

function readDevice(task: Task, file: DeviceFile): number {
  const { vector } = task.kernel.fs.context;
  const wanted = Math.min(vector.total, DEVICE_BYTES_MAX);
  let done = 0;
  while (done < wanted) {
    const view = file.read(wanted - done);
    if (typeof view === 'number') return view;
    if (view.length === 0) break;
    const arrived = vector.copyOut(task.kernel.lvm, view);
    done += arrived;
    if (arrived < view.length) return done > 0 ? done : E.EFAULT;
  }
  if (done > 0) file.notify(IN.access);
  return done;
}

/** pread of what has no position. */
function readAt(task: Task, file: OpenFile, offset: number): number {
  const { vector } = task.kernel.fs.context;
  const view = file.readAt(offset, vector.total);
  if (typeof view === 'number') return view;
  const arrived = vector.copyOut(task.kernel.lvm, view);
  return arrived < view.length ? E.EFAULT : arrived;
}

/* --- writing --- */

/** Writes the context's vector, which is set. */
function writeVector(task: Task, file: OpenFile, offset: number, flags = 0): Outcome {
  if (file.flags & O.PATH) return E.EBADF;
  if (offset !== CURRENT && !(file instanceof PlacedFile)) return E.ESPIPE;
  if (!canWrite(file)) return E.EBADF;
  if (file instanceof RegularFile) return writeRegular(task, file, offset, flags);
  const done =
    offset === CURRENT
      ? writeStream(task, file, flags)
      : writePiece(task, (data) => file.writeAt(offset, data));
  if (typeof done === 'number' && done > 0 && file instanceof PlacedFile) file.notify(IN.modify);
  return done;
}

/** How much of `count` bytes at `start` RLIMIT_FSIZE allows; -EFBIG. */
function withinSizeLimit(task: Task, start: number, count: number): number {
  const limit = task.process.limits.get(RLIMIT_FSIZE)?.soft ?? UNLIMITED;
  if (start + count <= limit) return count;
  if (start < limit) return limit - start;
  sendSignalToTask(task, SIGXFSZ);
  return E.EFBIG;
}

function writeRegular(task: Task, file: RegularFile, offset: number, flags: number): number {
  const { vector } = task.kernel.fs.context;
  const inode = file.place.inode;
  if (inode === null) return E.EBADF;
  if (vector.total === 0) return 0;
  const isAppend = (file.flags & O.APPEND) !== 0 || (flags & RWF.APPEND) !== 0;
  const given = offset === CURRENT ? file.offset : offset;
  const start = isAppend ? inode.sizeBytes : given;
  let count = file.mayWrite(inode, start, vector.total);
  if (count > 0) count = withinSizeLimit(task, start, count);
  if (count < 0) return count;
  const { content } = inode;
  let done = 0;
  let failed = 0;
  while (done < count) {
    const view = content.writable(start + done, count - done);
    if (typeof view === 'number') {
      failed = view;
      break;
    }
    const came = vector.copyIn(task.kernel.lvm, view);
    content.wrote(start + done, came);
    done += came;
    if (came < view.length) {
      failed = E.EFAULT;
      break;
    }
  }
  if (done === 0) return failed;
  inode.modified();
  if (offset === CURRENT) file.moveTo(start + done);
  file.notify(IN.modify);
  return done;
}

function writePiece(task: Task, write: (data: Uint8Array) => number): number {
  const { scratch, vector } = task.kernel.fs.context;
  const piece = scratch.subarray(0, Math.min(vector.total, scratch.length));
  const came = vector.copyIn(task.kernel.lvm, piece);
  if (came === 0 && vector.total > 0) return E.EFAULT;
  return write(piece.subarray(0, came));
}

/** Goes on where it was when the call blocked: `task.progress` bytes were taken. */
function writeStream(task: Task, file: OpenFile, flags: number): Outcome {
  const { scratch, vector } = task.kernel.fs.context;
  let done = task.progress;
  vector.skip(done);
  do {
    const size = Math.min(vector.total - done, scratch.length);
    const piece = scratch.subarray(0, size);
    const came = vector.copyIn(task.kernel.lvm, piece);
    if (came < size) return done > 0 ? done : E.EFAULT;
    const taken = file.write(piece, task);
    if (taken === E.EAGAIN) return wait(task, file, done, flags);
    if (taken < 0) return done > 0 ? done : taken;
    done += taken;
    if (taken < size) return isStream(file) ? wait(task, file, done, flags) : done;
  } while (done < vector.total);
  return done;
}

function wait(task: Task, file: OpenFile, done: number, flags: number): Outcome {
  if (file.flags & O.NONBLOCK || flags & RWF.NOWAIT) return done > 0 ? done : E.EAGAIN;
  if (isTimedOut(task, file, 'sendTimeoutNs')) return done > 0 ? done : E.EAGAIN;
  task.progress = done;
  return task.waitOn(file.queue);
}

/* --- handlers --- */

export const read: Handler = (task, args) => {
  const file = task.files.get(args.int(0));
  if (file === null) return E.EBADF;
  task.kernel.fs.context.vector.set(args.pointer(1), args.size(2));
  return readVector(task, file, CURRENT);
};

export const write: Handler = (task, args) => {
  const file = task.files.get(args.int(0));
  if (file === null) return E.EBADF;
  task.kernel.fs.context.vector.set(args.pointer(1), args.size(2));
  return writeVector(task, file, CURRENT);
};

export const pread64: Handler = (task, args) => {
  const offset = args.long(3);
  if (offset < 0) return E.EINVAL;
  const file = task.files.get(args.int(0));
  if (file === null) return E.EBADF;
  task.kernel.fs.context.vector.set(args.pointer(1), args.size(2));
  return readVector(task, file, offset);
};

export const pwrite64: Handler = (task, args) => {
  const offset = args.long(3);
  if (offset < 0) return E.EINVAL;
  const file = task.files.get(args.int(0));
  if (file === null) return E.EBADF;
  task.kernel.fs.context.vector.set(args.pointer(1), args.size(2));
  return writeVector(task, file, offset);
};

type Mover = typeof readVector;

function vectored(task: Task, args: Args, offset: number, flags: number, move: Mover): Outcome {
  const file = task.files.get(args.int(0));
  if (file === null || file.flags & O.PATH) return E.EBADF;
  if (offset !== CURRENT && !(file instanceof PlacedFile)) return E.ESPIPE;
  // Whether it may be moved at all is asked before the array is looked at.
  if (move === readVector ? !canRead(file) : !canWrite(file)) return E.EBADF;
  const { vector } = task.kernel.fs.context;
  const failed = vector.read(task.memory, args.pointer(1), args.int(2));
  if (failed < 0) return failed;
  return move(task, file, offset, flags);
}

export const readv: Handler = (task, args) => vectored(task, args, CURRENT, 0, readVector);

export const writev: Handler = (task, args) => vectored(task, args, CURRENT, 0, writeVector);

export const preadv: Handler = (task, args) => {
  const offset = args.long(3);
  return offset < 0 ? E.EINVAL : vectored(task, args, offset, 0, readVector);
};

export const pwritev: Handler = (task, args) => {
  const offset = args.long(3);
  return offset < 0 ? E.EINVAL : vectored(task, args, offset, 0, writeVector);
};

const READ_FLAGS = RWF.HIPRI | RWF.NOWAIT;
const WRITE_FLAGS = READ_FLAGS | RWF.DSYNC | RWF.SYNC | RWF.APPEND;

/** Offset -1 is the file's own position, which then moves. */
export const preadv2: Handler = (task, args) => {
  const offset = args.long(3);
  const flags = args.uint(5);
  if (offset < CURRENT) return E.EINVAL;
  if (flags & ~READ_FLAGS) return E.EOPNOTSUPP;
  return vectored(task, args, offset, flags, readVector);
};

export const pwritev2: Handler = (task, args) => {
  const offset = args.long(3);
  const flags = args.uint(5);
  if (offset < CURRENT) return E.EINVAL;
  if (flags & ~WRITE_FLAGS) return E.EOPNOTSUPP;
  return vectored(task, args, offset, flags, writeVector);
};

/* --- from file to file --- */

/** The offset behind a pointer; null without one. */
function offsetAt(task: Task, args: Args, index: number): number | null {
  const address = args.pointer(index);
  return address === 0 ? null : Number(BigInt.asIntN(64, task.memory.readU64(address)));
}

/** Moves bytes of `source` from `position` on into `target`; bytes moved, `blocked` or -errno. */
function pump(
  task: Task,
  source: SeekableFile,
  position: number,
  target: OpenFile,
  count: number,
): Outcome {
  let done = 0;
  while (done < count) {
    const view = source.readAt(position + done, Math.min(count - done, 131_072));
    if (typeof view === 'number') return done > 0 ? done : view;
    if (view.length === 0) break;
    const taken = target.write(view, task);
    if (taken < 0 && done > 0) break;
    if (taken === E.EAGAIN && (target.flags & O.NONBLOCK) === 0) return task.waitOn(target.queue);
    if (taken < 0) return taken;
    done += taken;
    if (taken < view.length) break;
  }
  return done;
}

function notifyBoth(source: PlacedFile, target: OpenFile): void {
  source.notify(IN.access);
  if (target instanceof PlacedFile) target.notify(IN.modify);
}

export const sendfile: Handler = (task, args) => {
  const target = task.files.get(args.int(0));
  const source = task.files.get(args.int(1));
  if (target === null || source === null) return E.EBADF;
  const given = offsetAt(task, args, 2);
  if (!canRead(source)) return E.EBADF;
  if (given !== null && !(source instanceof PlacedFile)) return E.ESPIPE;
  if (given !== null && given < 0) return E.EINVAL;
  if (!canWrite(target)) return E.EBADF;
  if (!(source instanceof SeekableFile) || source instanceof DirectoryFile) return E.EINVAL;
  if (target.flags & O.APPEND && !(target instanceof PipeEnd)) return E.EINVAL;
  const start = given ?? source.offset;
  const moved = pump(task, source, start, target, Math.min(args.size(3), 0x7fff_f000));
  if (typeof moved !== 'number' || moved < 0) return moved;
  if (moved > 0) notifyBoth(source, target);
  if (given === null) source.moveTo(start + moved);
  else task.memory.writeU64(args.pointer(2), BigInt(start + moved));
  return moved;
};

export const copyFileRange: Handler = (task, args) => {
  if (args.uint(5) !== 0) return E.EINVAL;
  const source = task.files.get(args.int(0));
  const target = task.files.get(args.int(2));
  if (source === null || target === null || (source.flags | target.flags) & O.PATH) return E.EBADF;
  for (const file of [source, target]) {
    const type = file.stat().mode & S.IFMT;
    if (type === S.IFDIR) return E.EISDIR;
    if (type !== S.IFREG) return E.EINVAL;
  }
  if (!(source instanceof SeekableFile) || !(target instanceof RegularFile)) return E.EINVAL;
  if (!canRead(source) || !canWrite(target) || target.flags & O.APPEND) return E.EBADF;
  const from = offsetAt(task, args, 1);
  const to = offsetAt(task, args, 3);
  const start = from ?? source.offset;
  const end = to ?? target.offset;
  if (start < 0 || end < 0) return E.EINVAL;
  const count = Math.min(args.size(4), 0x7fff_f000, Math.max(0, source.sizeBytes - start));
  const isSame =
    source instanceof RegularFile &&
    target.place.inode !== null &&
    source.place.inode === target.place.inode;
  if (isSame && start < end + count && end < start + count) return E.EINVAL;
  let done = 0;
  while (done < count) {
    const view = source.readAt(start + done, count - done);
    if (typeof view === 'number' || view.length === 0) {
      if (typeof view === 'number' && done === 0) return view;
      break;
    }
    const taken = target.writeAt(end + done, view);
    if (taken < 0 && done === 0) return taken;
    if (taken > 0) done += taken;
    if (taken < view.length) break;
  }
  if (done > 0) notifyBoth(source, target);
  if (from === null) source.moveTo(start + done);
  else task.memory.writeU64(args.pointer(1), BigInt(start + done));
  if (to === null) target.moveTo(end + done);
  else task.memory.writeU64(args.pointer(3), BigInt(end + done));
  return done;
};
