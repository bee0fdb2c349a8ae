/**
 * The scratch of reads: one bounded buffer of a library OS, of which `read` methods return views.
 * What is in it is valid until the next call into the library OS, as OpenFile.read promises.
 */

/** A read returns at most this many bytes at once: more than sockets and pipes hold by default. */
export const SCRATCH_BYTES = 262_144;

export class Scratch {
  readonly #bytes = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

  /** `count` bytes, cut to SCRATCH_BYTES, with anything in them. */
  take(count: number): Buffer {
    return count >= SCRATCH_BYTES ? this.#bytes : this.#bytes.subarray(0, count);
  }
}
