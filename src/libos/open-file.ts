/**
 * OpenFile: an open file description (open(2)): what descriptors point to, shared by dup and fork.
 * Each kind of file (regular, directory, pipe end, socket, epoll set, ...) extends it in its own
 * file under fs/, net/, ipc/ or time/. Handlers in syscalls/ call these methods and know no kinds.
 * Results are counts or -errno; -EAGAIN means "would block", and the handler decides to block.
 */

import { E } from '../abi/errno.ts';
import type { Decoder, Encoder } from '../base/codec.ts';
import type { MapSource } from '../lvm/api.ts';
import type { Args } from './args.ts';
import type { FileStat } from './fs/stat.ts';
import { KernelObject } from './object.ts';
import type { Outcome } from './outcome.ts';
import type { Task } from './task.ts';
import { WaitQueue } from './wait-queue.ts';

/** Bits of poll(2) and epoll(7), which are the same numbers. */
export const POLL = {
  in: 0x1,
  pri: 0x2,
  out: 0x4,
  error: 0x8,
  hup: 0x10,
  nval: 0x20,
  rdnorm: 0x40,
  rdband: 0x80,
  wrnorm: 0x100,
  wrband: 0x200,
  rdhup: 0x2000,
} as const;

export abstract class OpenFile extends KernelObject {
  /** Access mode and status flags of open(2): O_RDONLY..., O_NONBLOCK, O_APPEND, ... */
  flags = 0;
  /** Descriptors (and things such as a message in flight) that refer to it. */
  #references = 0;
  /** Woken whenever `poll` may have changed. */
  readonly queue = new WaitQueue();

  /** What /proc/self/fd shows. */
  abstract describe(): string;
  abstract stat(): FileStat;

  /**
   * Up to `count` bytes, valid until the next call into the library OS; empty at the end; -errno.
   */
  read(_count: number, _task: Task): Uint8Array | number {
    return E.EINVAL;
  }

  /** Bytes taken, possibly fewer. `data` is the caller's again on return. */
  write(_data: Uint8Array, _task: Task): number {
    return E.EINVAL;
  }

  readAt(_offset: number, _count: number): Uint8Array | number {
    return E.ESPIPE;
  }

  writeAt(_offset: number, _data: Uint8Array): number {
    return E.ESPIPE;
  }

  /** lseek(2): the new offset or -errno. */
  seek(_offset: number, _whence: number): number {
    return E.ESPIPE;
  }

  truncate(_sizeBytes: number): number {
    return E.EINVAL;
  }

  /** Ready POLL bits now. */
  poll(): number {
    return POLL.in | POLL.out | POLL.rdnorm | POLL.wrnorm;
  }

  /** Whether epoll takes it (regular files and directories give EPERM). */
  get isPollable(): boolean {
    return true;
  }

  ioctl(_task: Task, _args: Args): Outcome {
    return E.ENOTTY;
  }

  /** What mmap maps, or -ENODEV. */
  mapSource(): MapSource | number {
    return E.ENODEV;
  }

  /** The file of the overlay whose bytes these are, or null. */
  get contentId(): number | null {
    return null;
  }

  get references(): number {
    return this.#references;
  }

  /** A descriptor more refers to it. */
  retain(): void {
    this.#references += 1;
    this.touch();
  }

  /** A descriptor less; the last one closes it. */
  release(): void {
    this.#references -= 1;
    if (this.#references > 0) {
      this.touch();
      return;
    }
    this.close();
    this.queue.wake();
    this.destroy();
  }

  /** The last reference is gone: frees what it holds. `destroy` follows by itself. */
  protected close(): void {}

  setFlags(flags: number): void {
    this.flags = flags;
    this.touch();
  }

  /** Subclasses call this first, then write their own fields. */
  override save(encoder: Encoder): void {
    encoder.u32(this.flags >>> 0).u32(this.#references);
  }

  override load(decoder: Decoder): void {
    this.flags = decoder.u32();
    this.#references = decoder.u32();
  }
}
