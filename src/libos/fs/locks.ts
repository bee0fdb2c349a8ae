/**
 * FileLocks: all advisory locks of a guest: POSIX record locks (owned by a process), those of open
 * file descriptions, and flock. By file, whatever names or open files lead to it. One saved object.
 * Used by syscalls/lock.ts and by files that are closed.
 */
import { E } from '../../abi/errno.ts';
import { LOCK_TYPE } from '../../abi/fs.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { ObjectId } from '../../base/ids.ts';
import { KIND } from '../kinds-ids.ts';
import { KernelObject, type Objects } from '../object.ts';
import { WaitQueue } from '../wait-queue.ts';
import type { FsContext } from './context.ts';
import type { FileStat } from './stat.ts';

/** One past the last byte of a lock "to the end of the file, however far that goes". */
export const LOCK_END = Number.MAX_SAFE_INTEGER;
/** Ranges in one guest. */
const LOCKS_MAX = 65_536;

export interface RangeLock {
  readonly type: number;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  /** `p` and a process id, or `f` and the id of an open file. */
  readonly owner: string;
  /** What F_GETLK shows; -1 for a lock of an open file. */
  readonly pid: number;
}

interface FileState {
  ranges: RangeLock[];
  /** flock: id of the open file to the type of its lock. */
  readonly whole: Map<number, number>;
}

export const lockKey = (stat: FileStat): string => `${stat.device}:${stat.inode}`;

const conflicts = (left: number, right: number): boolean =>
  left === LOCK_TYPE.write || right === LOCK_TYPE.write;

export class FileLocks extends KernelObject {
  readonly kind = KIND.fileLocks;
  /** Woken when any lock goes: those who wait look again. */
  readonly queue = new WaitQueue();
  readonly #files = new Map<string, FileState>();
  #count = 0;

  constructor(context: FsContext, objects: Objects, id?: ObjectId) {
    super(objects, id);
    context.locks = this;
  }

  get isEmpty(): boolean {
    return this.#files.size === 0;
  }

  #state(key: string): FileState {
    let state = this.#files.get(key);
    if (state === undefined) {
      state = { ranges: [], whole: new Map() };
      this.#files.set(key, state);
    }
    return state;
  }

  /** The first lock that stands in the way of `wanted`, or null. */
  conflict(key: string, wanted: RangeLock): RangeLock | null {
    for (const lock of this.#files.get(key)?.ranges ?? []) {
      if (lock.owner === wanted.owner) continue;
      if (lock.start >= wanted.end || lock.end <= wanted.start) continue;
      if (conflicts(lock.type, wanted.type)) return lock;
    }
    return null;
  }

  /** Sets, changes or (LOCK_TYPE.unlock) removes a range; -EAGAIN when another's is in the way. */
  set(key: string, wanted: RangeLock): number {
    const isUnlock = wanted.type === LOCK_TYPE.unlock;
    if (!isUnlock && this.conflict(key, wanted) !== null) return E.EAGAIN;
    if (!isUnlock && this.#count >= LOCKS_MAX) return E.ENOLCK;
    const state = this.#state(key);
    const before = state.ranges.findIndex((lock) => lock.owner === wanted.owner);
    const own: RangeLock[] = [];
    let { start, end } = wanted;
    for (const lock of state.ranges) {
      if (lock.owner !== wanted.owner) continue;
      if (lock.end < start || lock.start > end) {
        own.push(lock);
      } else if (!isUnlock && lock.type === wanted.type) {
        // Touching ranges of one type become one.
        start = Math.min(start, lock.start);
        end = Math.max(end, lock.end);
      } else {
        if (lock.start < start) own.push({ ...lock, end: Math.min(lock.end, start) });
        if (lock.end > end) own.push({ ...lock, start: Math.max(lock.start, end) });
      }
    }
    if (!isUnlock) own.push({ ...wanted, start, end });
    // The order that Linux has, which F_GETLK shows: by owner, then by start.
    own.sort((left, right) => left.start - right.start);
    const others = state.ranges.filter((lock) => lock.owner !== wanted.owner);
    others.splice(before < 0 ? others.length : before, 0, ...own);
    this.#replace(key, state, others);
    return 0;
  }

  #replace(key: string, state: FileState, ranges: RangeLock[]): void {
    this.#count += ranges.length - state.ranges.length;
    state.ranges = ranges;
    this.#changed(key, state);
  }

  #changed(key: string, state: FileState): void {
    if (state.ranges.length === 0 && state.whole.size === 0) this.#files.delete(key);
    this.touch();
    this.queue.wake();
  }

  /** flock(2) by an open file; -EAGAIN. A failed change of type loses the old lock, as on Linux. */
  setWhole(key: string, file: number, type: number): number {
    const state = this.#state(key);
    const had = state.whole.get(file);
    if (had === type) return 0;
    state.whole.delete(file);
    let result = 0;
    if (type !== LOCK_TYPE.unlock) {
      const isFree = [...state.whole.values()].every((other) => !conflicts(other, type));
      if (isFree) state.whole.set(file, type);
      else result = E.EAGAIN;
    }
    if (had !== undefined || result === 0) this.#changed(key, state);
    else if (state.whole.size === 0 && state.ranges.length === 0) this.#files.delete(key);
    return result;
  }

  /**
   * All that `owner` holds on a file: a process that closes any descriptor of it loses its locks.
   */
  releaseOwner(key: string, owner: string): void {
    const state = this.#files.get(key);
    if (state === undefined) return;
    const kept = state.ranges.filter((lock) => lock.owner !== owner);
    if (kept.length !== state.ranges.length) this.#replace(key, state, kept);
  }

  /** An open file is closed for good. */
  releaseFile(key: string, file: number): void {
    this.releaseOwner(key, `f${file}`);
    const state = this.#files.get(key);
    if (state?.whole.delete(file)) this.#changed(key, state);
  }

  override save(encoder: Encoder): void {
    encoder.u32(this.#files.size);
    for (const [key, { ranges, whole }] of this.#files) {
      encoder.string(key).u32(ranges.length);
      for (const lock of ranges) {
        encoder.u8(lock.type).u53(lock.start).u53(lock.end).string(lock.owner).i32(lock.pid);
      }
      encoder.u32(whole.size);
      for (const [file, type] of whole) encoder.u32(file).u8(type);
    }
  }

  override load(decoder: Decoder): void {
    for (let files = decoder.u32(); files > 0; files -= 1) {
      const state = this.#state(decoder.string());
      for (let left = decoder.u32(); left > 0; left -= 1) {
        const [type, start, end] = [decoder.u8(), decoder.u53(), decoder.u53()];
        state.ranges.push({ type, start, end, owner: decoder.string(), pid: decoder.i32() });
      }
      this.#count += state.ranges.length;
      for (let left = decoder.u32(); left > 0; left -= 1) {
        state.whole.set(decoder.u32(), decoder.u8());
      }
    }
  }
}
