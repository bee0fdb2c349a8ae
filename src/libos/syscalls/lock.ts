/** Advisory locks: fcntl's record locks, those of open files, and flock. */
import { E } from '../../abi/errno.ts';
import { F, FLOCK, LOCK, LOCK_TYPE, O, SEEK } from '../../abi/fs.ts';
import type { GuestAddress } from '../../base/ids.ts';
import { LOCK_END, lockKey, type RangeLock } from '../fs/locks.ts';
import { SeekableFile } from '../fs/placed-file.ts';
import type { OpenFile } from '../open-file.ts';
import type { Handler, Outcome } from '../outcome.ts';
import type { Task } from '../task.ts';

const isOfd = (command: number): boolean => command >= F.OFD_GETLK;

/** The range that a struct flock tells of, or -errno. */
function wanted(task: Task, file: OpenFile, command: number, raw: Buffer): RangeLock | number {
  const type = raw.readInt16LE(FLOCK.l_type);
  const whence = raw.readInt16LE(FLOCK.l_whence);
  if (type < LOCK_TYPE.read || type > LOCK_TYPE.unlock) return E.EINVAL;
  if (isOfd(command) && raw.readInt32LE(FLOCK.l_pid) !== 0) return E.EINVAL;
  let base = 0;
  if (whence === SEEK.CUR) base = file instanceof SeekableFile ? file.offset : 0;
  else if (whence === SEEK.END) base = file instanceof SeekableFile ? file.sizeBytes : 0;
  else if (whence !== SEEK.SET) return E.EINVAL;
  const length = Number(raw.readBigInt64LE(FLOCK.l_len));
  let start = base + Number(raw.readBigInt64LE(FLOCK.l_start));
  let end = length === 0 ? LOCK_END : start + length;
  if (length < 0) [start, end] = [start + length, start];
  if (start < 0) return E.EINVAL;
  const { pid } = task.process;
  return isOfd(command)
    ? { type, start, end: Math.min(end, LOCK_END), owner: `f${file.id}`, pid: -1 }
    : { type, start, end: Math.min(end, LOCK_END), owner: `p${pid}`, pid };
}

export function fcntlLock(
  task: Task,
  file: OpenFile,
  command: number,
  address: GuestAddress,
): Outcome {
  const raw = task.memory.read(address, FLOCK.sizeBytes);
  const lock = wanted(task, file, command, raw);
  if (typeof lock === 'number') return lock;
  const { locks } = task.kernel.fs.context;
  const key = lockKey(file.stat());
  if (command === F.GETLK || command === F.OFD_GETLK) {
    if (lock.type === LOCK_TYPE.unlock) return E.EINVAL;
    const other = locks.conflict(key, lock);
    if (other === null) raw.writeInt16LE(LOCK_TYPE.unlock, FLOCK.l_type);
    else {
      raw.writeInt16LE(other.type, FLOCK.l_type);
      raw.writeInt16LE(SEEK.SET, FLOCK.l_whence);
      raw.writeBigInt64LE(BigInt(other.start), FLOCK.l_start);
      const length = other.end === LOCK_END ? 0 : other.end - other.start;
      raw.writeBigInt64LE(BigInt(length), FLOCK.l_len);
      raw.writeInt32LE(other.pid, FLOCK.l_pid);
    }
    task.memory.write(address, raw);
    return 0;
  }
  const mode = file.flags & O.ACCMODE;
  if (lock.type === LOCK_TYPE.read && mode === O.WRONLY) return E.EBADF;
  if (lock.type === LOCK_TYPE.write && mode === O.RDONLY) return E.EBADF;
  const result = locks.set(key, lock);
  const waits = command === F.SETLKW || command === F.OFD_SETLKW;
  return result === E.EAGAIN && waits ? task.waitOn(locks.queue) : result;
}

const TYPES: ReadonlyMap<number, number> = new Map([
  [LOCK.SH, LOCK_TYPE.read],
  [LOCK.EX, LOCK_TYPE.write],
  [LOCK.UN, LOCK_TYPE.unlock],
]);

export const flock: Handler = (task, args) => {
  const operation = args.uint(1);
  const type = TYPES.get(operation & ~LOCK.NB);
  const file = task.files.get(args.int(0));
  if (type === undefined) return E.EINVAL;
  if (file === null || file.flags & O.PATH) return E.EBADF;
  const { locks } = task.kernel.fs.context;
  const result = locks.setWhole(lockKey(file.stat()), file.id, type);
  if (result !== E.EAGAIN || operation & LOCK.NB) return result;
  return task.waitOn(locks.queue);
};
