/**
 * Prints each byte of the guest's output exactly once, whoever sends it: after a takeover the new
 * primary sends again what its predecessor may not have sent. Used by the supervisor. Pure.
 */

export interface ConsolePiece {
  /** What is new; may be empty. */
  readonly bytes: Buffer;
  /** Bytes between the last one known and these, which never came. */
  readonly missingBytes: number;
}

export class ConsoleLog {
  readonly #next: { 1: number | null; 2: number | null };

  /** `isContinued`: the guest had said something before, which was not for us. */
  constructor(isContinued = false) {
    const first = isContinued ? null : 0;
    this.#next = { 1: first, 2: first };
  }

  /** Takes bytes whose first one is number `offset` of the stream. */
  accept(stream: 1 | 2, offset: number, bytes: Buffer): ConsolePiece {
    const next = this.#next[stream] ?? offset;
    const known = Math.min(Math.max(0, next - offset), bytes.length);
    this.#next[stream] = Math.max(next, offset + bytes.length);
    return { bytes: bytes.subarray(known), missingBytes: Math.max(0, offset - next) };
  }
}
