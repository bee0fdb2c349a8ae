/**
 * DeviceFile: the character devices that a guest has: null, zero, full, random, urandom. Terminals
 * are tty/'s.
 */
import { E } from '../../abi/errno.ts';
import { IOCTL } from '../../abi/fs.ts';
import type { MapSource } from '../../lvm/api.ts';
import type { Args } from '../args.ts';
import { KIND } from '../kinds-ids.ts';
import type { Outcome } from '../outcome.ts';
import type { Task } from '../task.ts';
import { PlacedFile } from './placed-file.ts';

const rdev = (major: number, minor: number): number => (major << 8) | minor;

export const RDEV = {
  null: rdev(1, 3),
  zero: rdev(1, 5),
  full: rdev(1, 7),
  random: rdev(1, 8),
  urandom: rdev(1, 9),
  tty: rdev(5, 0),
  ptmx: rdev(5, 2),
} as const;

/** What is served at a time. */
const READ_BYTES = 65_536;
const ZEROS = Buffer.alloc(READ_BYTES);
const EMPTY = Buffer.alloc(0);

export class DeviceFile extends PlacedFile {
  readonly kind = KIND.deviceFile;
  #random: Buffer | null = null;

  get #device(): number {
    return this.place.stat().rdev;
  }

  override get isPollable(): boolean {
    return this.#device === RDEV.random || this.#device === RDEV.urandom;
  }

  override read(count: number): Uint8Array | number {
    switch (this.#device) {
      case RDEV.null:
        return EMPTY;
      case RDEV.zero:
      case RDEV.full:
        return ZEROS.subarray(0, Math.min(count, READ_BYTES));
      case RDEV.random:
      case RDEV.urandom: {
        this.#random ??= Buffer.allocUnsafe(READ_BYTES);
        const target = this.#random.subarray(0, Math.min(count, READ_BYTES));
        this.context.kernel.lvm.random(target);
        return target;
      }
      default:
        return E.ENXIO;
    }
  }

  override readAt(_offset: number, count: number): Uint8Array | number {
    return this.read(count);
  }

  override write(data: Uint8Array): number {
    return this.#device === RDEV.full ? E.ENOSPC : data.length;
  }

  override writeAt(_offset: number, data: Uint8Array): number {
    return this.write(data);
  }

  override seek(): number {
    return 0;
  }

  override ioctl(task: Task, args: Args): Outcome {
    if (args.uint(1) !== IOCTL.FIONREAD) return E.ENOTTY;
    task.memory.writeU32(args.pointer(2), 0);
    return 0;
  }

  /** /dev/zero maps as anonymous memory does. */
  override mapSource(): MapSource | number {
    if (this.#device !== RDEV.zero) return E.ENODEV;
    return { kind: 'bytes', name: '/dev/zero', content: EMPTY, isShared: false };
  }
}
