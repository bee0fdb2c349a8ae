/**
 * Pipe: the shared middle of pipe(2) and of FIFOs, and PipeEnd, what descriptors point to.
 * Bytes lie in slots of a page, as Linux keeps them: which small writes share a slot decides when a
 * pipe is full and when it is writable again, and programs can see that.
 */
import { E } from '../../abi/errno.ts';
import { O, SIGNAL } from '../../abi/event.ts';
import { S } from '../../abi/fs.ts';
import { IOCTL } from '../../abi/net.ts';
import { assert, present } from '../../base/assert.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { ObjectId } from '../../base/ids.ts';
import type { RecordSink } from '../../lvm/api.ts';
import type { Args } from '../args.ts';
import { anonymousStat, type FileStat } from '../fs/stat.ts';
import { KIND } from '../kinds-ids.ts';
import { KernelObject, type Objects } from '../object.ts';
import { OpenFile, POLL } from '../open-file.ts';
import { type Blocked, blocked, type Outcome } from '../outcome.ts';
import { sendSignalToTask } from '../signal/send.ts';
import type { Task } from '../task.ts';
import { WaitQueue } from '../wait-queue.ts';
import { ByteRing } from './byte-ring.ts';

const PAGE = 4096;
/** PIPE_DEF_BUFFERS, and /proc/sys/fs/pipe-max-size. */
const SLOTS_DEFAULT = 16;
const SIZE_BYTES_MAX = 1_048_576;
/** In a slot's number, beside where its bytes end in its page: a packet of O_DIRECT. */
const PACKET = 0x1_0000;
const END = 0xffff;

export class Pipe extends KernelObject {
  readonly kind = KIND.pipe;
  readonly #ring = new ByteRing(SLOTS_DEFAULT * PAGE);
  /** Oldest first. */
  #slots: number[] = [];
  /** Bytes of the oldest slot that were read. */
  #offset = 0;
  #slotsMax = SLOTS_DEFAULT;
  /** A FIFO lives as long as its inode, which calls `removeName`. */
  isNamed = false;
  /** How often an end was opened for reading and for writing. */
  readerOpens = 0;
  writerOpens = 0;
  /** Ends that are open; derived. */
  readonly #readers = new Set<PipeEnd>();
  readonly #writers = new Set<PipeEnd>();
  /** Calls that wait in open(2) of a FIFO for the other side. */
  readonly openQueue = new WaitQueue();
  readonly openingReaders = new Set<Task>();
  readonly openingWriters = new Set<Task>();

  get readerCount(): number {
    return this.#readers.size;
  }

  get writerCount(): number {
    return this.#writers.size;
  }

  get length(): number {
    return this.#ring.length;
  }

  get isFull(): boolean {
    return this.#slots.length >= this.#slotsMax;
  }

  get sizeBytes(): number {
    return this.#slotsMax * PAGE;
  }

  /** F_SETPIPE_SZ: the size now, or -errno. */
  resize(sizeBytes: number): number {
    if (sizeBytes > SIZE_BYTES_MAX) return E.EPERM;
    let size = PAGE;
    while (size < sizeBytes) size *= 2;
    if (this.#slots.length > size / PAGE) return E.EBUSY;
    const isGrown = size > this.sizeBytes;
    this.#slotsMax = size / PAGE;
    this.#ring.capacity = size;
    this.touch();
    if (isGrown) this.#wakeWriters(POLL.out | POLL.wrnorm);
    return size;
  }

  /** Bytes taken: as many as fit; -EAGAIN when none do. The caller has seen to readers. */
  push(data: Uint8Array, isPacket: boolean): number {
    if (data.length === 0) return 0;
    let taken = 0;
    const odd = data.length % PAGE;
    const last = this.#slots.at(-1);
    if (odd !== 0 && last !== undefined && last < PACKET && last + odd <= PAGE) {
      this.#slots[this.#slots.length - 1] = last + odd;
      taken = this.#ring.push(data.subarray(0, odd));
    }
    while (taken < data.length && !this.isFull) {
      const chunk = data.subarray(taken, taken + PAGE);
      this.#slots.push(chunk.length | (isPacket ? PACKET : 0));
      const pushed = this.#ring.push(chunk);
      assert(pushed === chunk.length, 'a free slot has room for a page');
      taken += pushed;
    }
    if (taken === 0) return E.EAGAIN;
    this.touch();
    for (const end of this.#readers) end.queue.wake(POLL.in | POLL.rdnorm);
    return taken;
  }

  /** Bytes moved into `target`; 0 when it is empty. A packet is read whole or cut off. */
  shift(target: Uint8Array): number {
    const wasFull = this.isFull;
    let count = 0;
    while (count < target.length && this.#slots.length > 0) {
      const slot = present(this.#slots[0], 'oldest slot');
      const left = (slot & END) - this.#offset;
      const part = Math.min(left, target.length - count);
      this.#ring.shift(target.subarray(count, count + part));
      count += part;
      const isPacket = slot >= PACKET;
      if (isPacket) this.#ring.drop(left - part);
      if (isPacket || part === left) {
        this.#slots.shift();
        this.#offset = 0;
      } else this.#offset += part;
      if (isPacket) break;
    }
    if (count > 0) this.touch();
    if (wasFull && !this.isFull) this.#wakeWriters(POLL.out | POLL.wrnorm);
    return count;
  }

  /** A new end for these open(2) flags. */
  open(flags: number): PipeEnd {
    const end = new PipeEnd(this.objects);
    end.pipe = this;
    end.flags = flags;
    if (end.canRead) this.readerOpens += 1;
    if (end.canWrite) this.writerOpens += 1;
    this.touch();
    this.attach(end);
    this.openQueue.wake();
    return end;
  }

  /** Also for an end that was loaded. */
  attach(end: PipeEnd): void {
    if (end.canRead) this.#readers.add(end);
    if (end.canWrite) this.#writers.add(end);
  }

  detach(end: PipeEnd): void {
    const wasWriter = this.#writers.delete(end);
    const wasReader = this.#readers.delete(end);
    const isUnused = this.#readers.size === 0 && this.#writers.size === 0;
    if (isUnused && !this.isNamed) {
      this.destroy();
      return;
    }
    if (isUnused) this.#clear();
    if (wasWriter && this.#writers.size === 0) {
      for (const reader of this.#readers) reader.queue.wake();
    }
    if (wasReader && this.#readers.size === 0) this.#wakeWriters(-1);
  }

  /** The FIFO's inode is gone; the pipe goes with its last end. */
  removeName(): void {
    this.isNamed = false;
    this.touch();
    if (this.#readers.size === 0 && this.#writers.size === 0) this.destroy();
  }

  #clear(): void {
    this.#ring.drop(this.#ring.length);
    this.#slots = [];
    this.#offset = 0;
    this.touch();
  }

  #wakeWriters(events: number): void {
    for (const end of this.#writers) end.queue.wake(events);
  }

  override save(encoder: Encoder): void {
    this.#ring.save(encoder);
    encoder.u32(this.#slotsMax).u32(this.#offset).bool(this.isNamed);
    encoder.u53(this.readerOpens).u53(this.writerOpens).u32(this.#slots.length);
    for (const slot of this.#slots) encoder.u32(slot);
  }

  override load(decoder: Decoder): void {
    this.#ring.load(decoder);
    this.#slotsMax = decoder.u32();
    this.#offset = decoder.u32();
    this.isNamed = decoder.bool();
    this.readerOpens = decoder.u53();
    this.writerOpens = decoder.u53();
    for (let left = decoder.u32(); left > 0; left -= 1) this.#slots.push(decoder.u32());
  }

  override savePages(sink: RecordSink, scope: 'all' | 'changes'): void {
    this.#ring.savePages(this.id, sink, scope);
  }

  override loadPage(part: number, bytes: Uint8Array): void {
    this.#ring.loadPage(part, bytes);
  }
}

/** What an end of a FIFO shows as its inode; saved by its id. */
export interface FifoNode extends KernelObject {
  stat(): FileStat;
  /** Its path, for /proc/self/fd. */
  describe(): string;
  endClosed(isWriter: boolean): void;
}

export class PipeEnd extends OpenFile {
  readonly kind = KIND.pipeEnd;
  #pipe: Pipe | null = null;
  /** The inode of a FIFO; null for pipe(2). */
  node: FifoNode | null = null;
  /** A FIFO's reader that no writer has joined since sees no end of file in poll. */
  #writerOpensBefore = -1;

  constructor(objects: Objects, id?: ObjectId) {
    super(objects, id);
  }

  get pipe(): Pipe {
    return present(this.#pipe, 'pipe');
  }

  set pipe(pipe: Pipe) {
    this.#pipe = pipe;
    this.#writerOpensBefore = pipe.writerOpens;
    this.touch();
  }

  get canRead(): boolean {
    return (this.flags & O.accessMode) !== O.wronly;
  }

  get canWrite(): boolean {
    return (this.flags & O.accessMode) !== O.rdonly;
  }

  override describe(): string {
    return this.node?.describe() ?? `pipe:[${this.pipe.id}]`;
  }

  override stat(): FileStat {
    return this.node?.stat() ?? anonymousStat(this.pipe.id, S.IFIFO | 0o600);
  }

  override read(count: number, task: Task): Uint8Array | number {
    if (!this.canRead) return E.EBADF;
    if (count === 0) return new Uint8Array(0);
    const pipe = this.pipe;
    if (pipe.length === 0) return pipe.writerCount === 0 ? new Uint8Array(0) : E.EAGAIN;
    const target = task.kernel.net.scratch.take(Math.min(count, pipe.length));
    return target.subarray(0, pipe.shift(target));
  }

  override write(data: Uint8Array, task: Task): number {
    if (!this.canWrite) return E.EBADF;
    if (data.length === 0) return 0;
    if (this.pipe.readerCount === 0) {
      sendSignalToTask(task, SIGNAL.pipe);
      return E.EPIPE;
    }
    return this.pipe.push(data, (this.flags & O.direct) !== 0);
  }

  override poll(): number {
    const pipe = this.pipe;
    let events = 0;
    if (this.canRead) {
      if (pipe.length > 0) events |= POLL.in | POLL.rdnorm;
      const hadWriter = this.node === null || pipe.writerOpens !== this.#writerOpensBefore;
      if (pipe.writerCount === 0 && hadWriter) events |= POLL.hup;
    }
    if (this.canWrite) {
      if (!pipe.isFull) events |= POLL.out | POLL.wrnorm;
      if (pipe.readerCount === 0) events |= POLL.error;
    }
    return events;
  }

  override ioctl(task: Task, args: Args): Outcome {
    if (args.uint(1) !== IOCTL.fionread) return E.ENOTTY;
    task.memory.writeU32(args.pointer(2), this.pipe.length);
    return 0;
  }

  protected override close(): void {
    this.node?.endClosed(this.canWrite);
    this.pipe.detach(this);
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    encoder
      .u32(this.pipe.id)
      .u32(this.node?.id ?? 0)
      .f64(this.#writerOpensBefore);
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.#pipe = this.objects.get(decoder.u32(), Pipe);
    this.node = this.objects.find(decoder.u32(), KernelObject) as FifoNode | null;
    this.#writerOpensBefore = decoder.f64();
  }

  override loaded(): void {
    this.pipe.attach(this);
  }
}

/** A new pipe(2): its reading and its writing end. */
export function makePipe(objects: Objects, flags: number): { reader: PipeEnd; writer: PipeEnd } {
  const pipe = new Pipe(objects);
  const reader = pipe.open(O.rdonly | flags);
  const writer = pipe.open(O.wronly | flags);
  return { reader, writer };
}

/** A new FIFO, for the file system: `open` it with `openFifo`, `removeName` when the inode goes. */
export function makeFifo(objects: Objects): Pipe {
  const pipe = new Pipe(objects);
  pipe.isNamed = true;
  return pipe;
}

/**
 * open(2) of a FIFO: a blocking open waits until the other side opens too. May be asked again:
 * which opens it has seen is kept as the call's progress.
 */
export function openFifo(
  task: Task,
  pipe: Pipe,
  node: FifoNode,
  flags: number,
): PipeEnd | Blocked | number {
  const mode = flags & O.accessMode;
  const isReader = mode === O.rdonly;
  const own = isReader ? pipe.openingReaders : pipe.openingWriters;
  const others = isReader ? pipe.openingWriters : pipe.openingReaders;
  if (mode !== O.rdwr) {
    const count = isReader ? pipe.writerCount : pipe.readerCount;
    const opens = isReader ? pipe.writerOpens : pipe.readerOpens;
    const hasOther = count > 0 || (task.progress !== 0 && task.progress !== opens + 1);
    const isAwaited = [...others].some((other) => other !== task && isOpening(other));
    if (!hasOther && !isAwaited) {
      if ((flags & O.nonblock) !== 0 && !isReader) return E.ENXIO;
      if ((flags & O.nonblock) === 0) {
        if (task.progress === 0) task.progress = opens + 1;
        own.add(task);
        task.waitOn(pipe.openQueue);
        return blocked;
      }
    }
  }
  own.delete(task);
  const end = pipe.open(flags & ~(O.cloexec | 0o1300));
  end.node = node;
  return end;
}

/** Whether a task that once blocked in `openFifo` still does. */
function isOpening(task: Task): boolean {
  return task.state === 'waiting' && task.progress !== 0;
}
