/**
 * HeldConsole: console output that a backup keeps because it is not known to have been released:
 * after a takeover it is written out from here (offsets tell the supervisor what it has already).
 * Used by Image.
 */
import { assert } from '../base/assert.ts';
import type { ConsoleOutput, ConsoleReleased } from './delta-reader.ts';
import { CONSOLE_BYTES_MAX } from './limits.ts';
import { copyOf } from './record-table.ts';

class HeldStream {
  /** Offset of the first byte that is kept. */
  start = 0;
  end = 0;
  chunks: Buffer[] = [];

  append(bytes: Uint8Array): void {
    this.chunks.push(copyOf(bytes));
    this.end += bytes.length;
  }

  releasedTo(offset: number): void {
    while (this.start < offset && this.chunks.length > 0) {
      const first = this.chunks[0] as Buffer;
      const count = Math.min(first.length, offset - this.start);
      if (count === first.length) this.chunks.shift();
      else this.chunks[0] = copyOf(first.subarray(count));
      this.start += count;
    }
    // A joiner never had what was released before it came.
    if (this.chunks.length === 0) {
      this.start = Math.max(this.start, offset);
      this.end = Math.max(this.end, this.start);
    }
  }
}

export class HeldConsole {
  readonly #streams: Readonly<Record<1 | 2, HeldStream>> = {
    1: new HeldStream(),
    2: new HeldStream(),
  };

  /** Why output can't be taken, or null: it must continue what is there, and not be too much. */
  problem(released: readonly ConsoleReleased[], output: readonly ConsoleOutput[]): string | null {
    for (const stream of [1, 2] as const) {
      const held = this.#streams[stream];
      const offsets = released.filter((one) => one.stream === stream).map((one) => one.offset);
      const start = Math.max(held.start, ...offsets);
      let end = Math.max(held.end, start);
      for (const { offset, bytes } of output.filter((one) => one.stream === stream)) {
        if (offset !== end) return `console output at ${offset}; ${end} is next`;
        end += bytes.length;
      }
      if (end - start > CONSOLE_BYTES_MAX) return `${end - start} bytes of console output`;
    }
    return null;
  }

  /** Releases count first, then output; to be asked `problem` before. */
  apply(released: readonly ConsoleReleased[], output: readonly ConsoleOutput[]): void {
    for (const { stream, offset } of released) this.#streams[stream].releasedTo(offset);
    for (const { stream, offset, bytes } of output) {
      assert(offset === this.#streams[stream].end, 'console output continues');
      this.#streams[stream].append(bytes);
    }
  }

  /** What is kept, joined, one row a stream. */
  held(): readonly ConsoleOutput[] {
    return ([1, 2] as const).map((stream) => {
      const { start, chunks } = this.#streams[stream];
      return { stream, offset: start, bytes: Buffer.concat(chunks) };
    });
  }
}
