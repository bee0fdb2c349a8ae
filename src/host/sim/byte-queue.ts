/**
 * ByteQueue: bytes on their way from one end of a simulated stream to the other, with a limit.
 * Used by streams.ts and console.ts.
 */

export class ByteQueue {
  limitBytes: number;
  readonly #chunks: Buffer[] = [];
  #sizeBytes = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get roomBytes(): number {
    return Math.max(0, this.limitBytes - this.#sizeBytes);
  }

  /** Copies what there is room for; returns how much. */
  put(source: Uint8Array): number {
    const count = Math.min(source.length, this.roomBytes);
    if (count === 0) return 0;
    this.#chunks.push(Buffer.from(source.subarray(0, count)));
    this.#sizeBytes += count;
    return count;
  }

  /** Moves bytes out; returns how many, at most `target.length`. */
  take(target: Uint8Array): number {
    let count = 0;
    while (count < target.length) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) break;
      const part = chunk.subarray(0, target.length - count);
      target.set(part, count);
      count += part.length;
      if (part.length === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(part.length);
    }
    this.#sizeBytes -= count;
    return count;
  }

  takeAll(): Buffer {
    const bytes = Buffer.alloc(this.#sizeBytes);
    this.take(bytes);
    return bytes;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#sizeBytes = 0;
  }
}
