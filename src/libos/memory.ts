/**
 * GuestMemory: typed access to the guest's memory for system call handlers.
 * A bad address throws GuestFault, which the dispatcher alone catches and turns into -EFAULT; so a
 * handler reads all that it needs before it changes anything.
 */
import { type GuestAddress, guestAddress } from '../base/ids.ts';
import type { Lvm } from '../lvm/api.ts';

export class GuestFault extends Error {
  override readonly name = 'GuestFault';
}

const PAGE = 4096;

export class GuestMemory {
  readonly #lvm: Lvm;
  readonly #small = Buffer.alloc(8);
  readonly #path = Buffer.alloc(PAGE);

  constructor(lvm: Lvm) {
    this.#lvm = lvm;
  }

  /** Fills `target` or faults. */
  readInto(address: GuestAddress, target: Uint8Array): void {
    if (target.length === 0) return;
    if (this.#lvm.memoryRead(address, target) !== target.length) throw new GuestFault();
  }

  /** A fresh buffer of `sizeBytes`, which the caller has bounded. */
  read(address: GuestAddress, sizeBytes: number): Buffer {
    const bytes = Buffer.allocUnsafe(sizeBytes);
    this.readInto(address, bytes);
    return bytes;
  }

  write(address: GuestAddress, source: Uint8Array): void {
    if (source.length === 0) return;
    if (this.#lvm.memoryWrite(address, source) !== source.length) throw new GuestFault();
  }

  readU32(address: GuestAddress): number {
    const bytes = this.#small.subarray(0, 4);
    this.readInto(address, bytes);
    return bytes.readUInt32LE(0);
  }

  readI32(address: GuestAddress): number {
    return this.readU32(address) | 0;
  }

  readU64(address: GuestAddress): bigint {
    this.readInto(address, this.#small);
    return this.#small.readBigUInt64LE(0);
  }

  /** A pointer or size: exact to 53 bits. */
  readWord(address: GuestAddress): number {
    return Number(this.readU64(address));
  }

  readPointer(address: GuestAddress): GuestAddress {
    return guestAddress(this.readWord(address));
  }

  writeU32(address: GuestAddress, value: number): void {
    const bytes = this.#small.subarray(0, 4);
    bytes.writeUInt32LE(value >>> 0, 0);
    this.write(address, bytes);
  }

  writeU64(address: GuestAddress, value: bigint): void {
    this.#small.writeBigUInt64LE(BigInt.asUintN(64, value), 0);
    this.write(address, this.#small);
  }

  /**
   * A NUL-terminated byte string as latin1 (one character a byte, so that any name survives), at
   * most `limitBytes` with the NUL; null when it is longer.
   */
  readCString(address: GuestAddress, limitBytes = PAGE): string | null {
    let text = '';
    let at: number = address;
    while (text.length < limitBytes) {
      // Up to the end of the page only: the next page need not be there.
      const count = Math.min(PAGE - (at % PAGE), limitBytes - text.length);
      const chunk = this.#path.subarray(0, count);
      const got = this.#lvm.memoryRead(guestAddress(at), chunk);
      if (got <= 0) throw new GuestFault();
      const end = chunk.subarray(0, got).indexOf(0);
      if (end >= 0) return text + chunk.toString('latin1', 0, end);
      text += chunk.toString('latin1', 0, got);
      at += got;
    }
    return null;
  }
}
