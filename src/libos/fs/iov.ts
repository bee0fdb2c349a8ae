/**
 * IoVector: the guest memory that one read or write moves, be it one buffer or an array of iovec.
 * One belongs to a file system's context and is set anew by each call, so that none is allocated.
 */
import { E } from '../../abi/errno.ts';
import { IOV_MAX, IOVEC, MAX_RW_COUNT } from '../../abi/fs.ts';
import { type GuestAddress, guestAddress } from '../../base/ids.ts';
import type { Lvm } from '../../lvm/api.ts';
import { ADDRESS_LIMIT } from '../args.ts';
import type { GuestMemory } from '../memory.ts';

export class IoVector {
  readonly #bases = new Float64Array(IOV_MAX);
  readonly #lengths = new Float64Array(IOV_MAX);
  readonly #raw = Buffer.alloc(IOV_MAX * IOVEC.sizeBytes);
  #count = 0;
  /** Bytes in all; never above MAX_RW_COUNT. */
  total = 0;
  #index = 0;
  #at = 0;

  /** One buffer. */
  set(address: GuestAddress, sizeBytes: number): void {
    this.#bases[0] = address;
    this.#lengths[0] = Math.min(sizeBytes, MAX_RW_COUNT);
    this.#count = 1;
    this.total = this.#lengths[0];
    this.rewind();
  }

  /** An array of struct iovec; 0 or -errno. */
  read(memory: GuestMemory, address: GuestAddress, count: number): number {
    if (count < 0 || count > IOV_MAX) return E.EINVAL;
    const raw = this.#raw.subarray(0, count * IOVEC.sizeBytes);
    memory.readInto(address, raw);
    this.#count = count;
    this.total = 0;
    for (let index = 0; index < count; index += 1) {
      const at = index * IOVEC.sizeBytes;
      const base = raw.readUInt32LE(at) + raw.readUInt32LE(at + 4) * 0x1_0000_0000;
      const low = raw.readUInt32LE(at + IOVEC.iov_len);
      const high = raw.readInt32LE(at + IOVEC.iov_len + 4);
      if (high < 0) return E.EINVAL;
      const length = low + high * 0x1_0000_0000;
      if (length > 0 && base + length > ADDRESS_LIMIT) return E.EFAULT;
      this.#bases[index] = base;
      this.#lengths[index] = Math.min(length, MAX_RW_COUNT - this.total);
      this.total += this.#lengths[index] as number;
    }
    this.rewind();
    return 0;
  }

  rewind(): void {
    this.#index = 0;
    this.#at = 0;
  }

  /** Leaves out what was moved before. */
  skip(bytes: number): void {
    let left = bytes;
    while (left > 0 && this.#index < this.#count) left -= this.#advance(left);
  }

  #advance(wanted: number): number {
    const room = (this.#lengths[this.#index] as number) - this.#at;
    const step = Math.min(wanted, room);
    this.#at += step;
    if (step === room) {
      this.#index += 1;
      this.#at = 0;
    }
    return step;
  }

  /** Copies into the guest; returns the bytes that arrived: fewer where its memory ends. */
  copyOut(lvm: Lvm, source: Uint8Array): number {
    let done = 0;
    while (done < source.length && this.#index < this.#count) {
      const base = (this.#bases[this.#index] as number) + this.#at;
      const room = (this.#lengths[this.#index] as number) - this.#at;
      const size = Math.min(room, source.length - done);
      if (size > 0) {
        const part = size === source.length ? source : source.subarray(done, done + size);
        const moved = lvm.memoryWrite(guestAddress(base), part);
        if (moved > 0) done += moved;
        if (moved < size) return done;
      }
      this.#advance(size);
    }
    return done;
  }

  /** Fills `target` from the guest; returns the bytes that came: fewer where its memory ends. */
  copyIn(lvm: Lvm, target: Uint8Array): number {
    let done = 0;
    while (done < target.length && this.#index < this.#count) {
      const base = (this.#bases[this.#index] as number) + this.#at;
      const room = (this.#lengths[this.#index] as number) - this.#at;
      const size = Math.min(room, target.length - done);
      if (size > 0) {
        const part = size === target.length ? target : target.subarray(done, done + size);
        const moved = lvm.memoryRead(guestAddress(base), part);
        if (moved > 0) done += moved;
        if (moved < size) return done;
      }
      this.#advance(size);
    }
    return done;
  }
}
