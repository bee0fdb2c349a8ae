/**
 * Vectors: the guest's struct iovec array as one run of bytes, for sendmsg and recvmsg. Reads the
 * array once, so that a guest that changes it meanwhile changes nothing.
 */
import { E } from '../../abi/errno.ts';
import { IOVEC } from '../../abi/net.ts';
import { type GuestAddress, guestAddress } from '../../base/ids.ts';
import { ADDRESS_LIMIT } from '../args.ts';
import type { GuestMemory } from '../memory.ts';

/** MAX_RW_COUNT: a call moves no more. */
const TOTAL_BYTES_MAX = 0x7fff_f000;

export class Vectors {
  readonly #memory: GuestMemory;
  readonly #bases: GuestAddress[] = [];
  readonly #lengths: number[] = [];
  #total = 0;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  /** Bytes of all together. */
  get total(): number {
    return this.#total;
  }

  /** One buffer. */
  static single(memory: GuestMemory, base: GuestAddress, length: number): Vectors {
    const vectors = new Vectors(memory);
    vectors.#add(base, length);
    return vectors;
  }

  /** An array of them; -errno. */
  static read(memory: GuestMemory, address: GuestAddress, count: number): Vectors | number {
    if (count > IOVEC.countMax) return E.EMSGSIZE;
    const vectors = new Vectors(memory);
    const bytes = memory.read(address, count * IOVEC.sizeBytes);
    for (let at = 0; at < bytes.length; at += IOVEC.sizeBytes) {
      const base = Number(bytes.readBigUInt64LE(at + IOVEC.base));
      const length = Number(bytes.readBigUInt64LE(at + IOVEC.length));
      if (length > Number.MAX_SAFE_INTEGER) return E.EINVAL;
      vectors.#add(guestAddress(Math.min(base, ADDRESS_LIMIT)), length);
    }
    return vectors;
  }

  #add(base: GuestAddress, length: number): void {
    const kept = Math.min(length, TOTAL_BYTES_MAX - this.#total);
    if (kept === 0) return;
    this.#bases.push(base);
    this.#lengths.push(kept);
    this.#total += kept;
  }

  /** Fills `target` with the bytes from `offset` on. */
  gather(offset: number, target: Buffer): void {
    this.#walk(offset, target.length, (address, at, count) => {
      this.#memory.readInto(address, target.subarray(at, at + count));
    });
  }

  /** Writes `source` to where the bytes from `offset` on are. */
  scatter(offset: number, source: Uint8Array): void {
    this.#walk(offset, source.length, (address, at, count) => {
      const isWhole = at === 0 && count === source.length;
      this.#memory.write(address, isWhole ? source : source.subarray(at, at + count));
    });
  }

  #walk(
    offset: number,
    length: number,
    visit: (address: GuestAddress, at: number, count: number) => void,
  ): void {
    let start = 0;
    let done = 0;
    for (const [index, size] of this.#lengths.entries()) {
      const skipped = Math.max(0, offset - start);
      start += size;
      if (skipped >= size) continue;
      const count = Math.min(size - skipped, length - done);
      if (count === 0) return;
      visit(guestAddress((this.#bases[index] ?? 0) + skipped), done, count);
      done += count;
    }
  }
}
