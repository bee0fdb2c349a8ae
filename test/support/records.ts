/**
 * Records: the records of a saved library OS in memory, as a backup would hold them: a RecordSink
 * that applies each save to what is there, and the RecordSource of the result. For tests of save
 * and load.
 */
import type { RecordSink, RecordSource } from '../../src/lvm/api.ts';

export class Records implements RecordSink, RecordSource {
  readonly #parts = new Map<number, Map<number, Buffer>>();
  /** Calls of the three kinds since `clearCounts`: how incremental a save was. */
  counts = { put: 0, putBytes: 0, remove: 0, removeObject: 0 };

  clearCounts(): void {
    this.counts = { put: 0, putBytes: 0, remove: 0, removeObject: 0 };
  }

  put(object: number, part: number, bytes: Uint8Array): void {
    this.counts.put += 1;
    this.counts.putBytes += bytes.length;
    const parts = this.#parts.get(object) ?? new Map<number, Buffer>();
    // A copy: the bytes are the caller's again.
    parts.set(part, Buffer.from(bytes));
    this.#parts.set(object, parts);
  }

  remove(object: number, part: number): void {
    this.counts.remove += 1;
    const parts = this.#parts.get(object);
    parts?.delete(part);
    if (parts?.size === 0) this.#parts.delete(object);
  }

  removeObject(object: number): void {
    this.counts.removeObject += 1;
    this.#parts.delete(object);
  }

  objects(): Iterable<number> {
    return this.#parts.keys();
  }

  parts(object: number): Iterable<number> {
    return this.#parts.get(object)?.keys() ?? [];
  }

  get(object: number, part: number): Uint8Array | null {
    return this.#parts.get(object)?.get(part) ?? null;
  }

  /** All records by `object/part`, sorted, with their bytes in hex: to compare two states. */
  dump(): Readonly<Record<string, string>> {
    const entries: [string, string][] = [];
    for (const object of [...this.#parts.keys()].sort((left, right) => left - right)) {
      const parts = this.#parts.get(object) as Map<number, Buffer>;
      for (const part of [...parts.keys()].sort((left, right) => left - right)) {
        entries.push([`${object}/${part}`, (parts.get(part) as Buffer).toString('hex')]);
      }
    }
    return Object.fromEntries(entries);
  }
}
