/**
 * The scratch of reads: one bounded buffer of a library OS, of which `read` methods return views.
 * What is in it is valid until the next call into the library OS, as OpenFile.read promises.
 */

/** A read returns at most this many bytes at once: more than sockets and pipes hold by default. */
export const SCRATCH_BYTES = 262_144;
/** Views up to this size are kept, as small requests and answers come in few sizes. */
const KEPT_BYTES_MAX = 512;

export class Scratch {
  readonly #bytes = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  readonly #small: (Buffer | undefined)[] = new Array(KEPT_BYTES_MAX + 1).fill(undefined);
  /** The last larger one: programs read with one size of buffer. */
  #large: Buffer = this.#bytes;

  /** The first `count` bytes, cut to SCRATCH_BYTES. Making a view costs more than keeping it. */
  take(count: number): Buffer {
    if (count >= SCRATCH_BYTES) return this.#bytes;
    if (count > KEPT_BYTES_MAX) {
      if (this.#large.length !== count) this.#large = this.#bytes.subarray(0, count);
      return this.#large;
    }
    const kept = this.#small[count];
    if (kept !== undefined) return kept;
    const view = this.#bytes.subarray(0, count);
    this.#small[count] = view;
    return view;
  }
}
