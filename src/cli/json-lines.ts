/**
 * Splits a stream of bytes into lines of JSON with a limit on each. Used by both sides of the admin
 * socket. Knows nothing of what the lines mean.
 */

/** What one line was: a value, or why it is none. */
export type Line =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'malformed'; readonly why: string };

export class LineReader {
  readonly #bytesMax: number;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #isOver = false;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The lines that end in `chunk`. After an oversized line nothing more is read. */
  *push(chunk: Buffer): Generator<Line> {
    let rest = chunk;
    while (rest.length > 0 && !this.#isOver) {
      const end = rest.indexOf(0x0a);
      const piece = end < 0 ? rest : rest.subarray(0, end);
      if (this.#pendingBytes + piece.length > this.#bytesMax) {
        this.#isOver = true;
        this.#pending = [];
        yield { kind: 'malformed', why: `a line is longer than ${this.#bytesMax} bytes` };
        return;
      }
      this.#pending.push(piece);
      this.#pendingBytes += piece.length;
      if (end < 0) return;
      const line = Buffer.concat(this.#pending).toString('utf8');
      this.#pending = [];
      this.#pendingBytes = 0;
      rest = rest.subarray(end + 1);
      yield parseLine(line);
    }
  }
}

function parseLine(line: string): Line {
  try {
    return { kind: 'value', value: JSON.parse(line) };
  } catch {
    return { kind: 'malformed', why: 'a line is not JSON' };
  }
}
