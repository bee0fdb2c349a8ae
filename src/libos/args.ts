/**
 * The six arguments of a system call, read in the way that the call declares them in C.
 * A handler reads each argument once. Owned by a task, overwritten by its next call.
 */
import { type GuestAddress, guestAddress } from '../base/ids.ts';

const TWO_32 = 0x1_0000_0000;
/** User space ends here on x86-64 with four-level page tables; what lies above gives EFAULT. */
export const ADDRESS_LIMIT = 0x7fff_ffff_f000;

export class Args {
  readonly bytes = Buffer.alloc(48);
  readonly #view = new DataView(this.bytes.buffer, this.bytes.byteOffset, 48);

  set(bytes: Uint8Array): void {
    this.bytes.set(bytes);
  }

  equals(bytes: Uint8Array): boolean {
    return this.bytes.compare(bytes, 0, 48) === 0;
  }

  /** `int` and descriptors. */
  int(index: number): number {
    return this.#view.getInt32(index * 8, true);
  }

  /** `unsigned int` and flags. */
  uint(index: number): number {
    return this.#view.getUint32(index * 8, true);
  }

  /** A pointer; one outside user space becomes an address that always faults. */
  pointer(index: number): GuestAddress {
    const high = this.#view.getUint32(index * 8 + 4, true);
    const value = high * TWO_32 + this.#view.getUint32(index * 8, true);
    return guestAddress(Math.min(value, ADDRESS_LIMIT));
  }

  /** `size_t`; values above 2^53 lose precision but stay huge. */
  size(index: number): number {
    const high = this.#view.getUint32(index * 8 + 4, true);
    return high * TWO_32 + this.#view.getUint32(index * 8, true);
  }

  /** `long`, `off_t`, `time_t`; exact to 53 bits. */
  long(index: number): number {
    return (
      this.#view.getInt32(index * 8 + 4, true) * TWO_32 + this.#view.getUint32(index * 8, true)
    );
  }

  /** All 64 bits. */
  big(index: number): bigint {
    return this.#view.getBigUint64(index * 8, true);
  }
}
