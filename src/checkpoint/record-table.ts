/**
 * RecordTable: the library OS's records of an image, by object and part. What a delta puts is
 * copied, in place when the size is the same, so that applying one costs what it carries. Used by
 * Image; `RecordKeeper` lets inspect keep sizes only.
 */
import { assert } from '../base/assert.ts';
import type { RecordSink, RecordSource } from '../lvm/api.ts';
import { PARTS_PER_OBJECT_MAX } from './limits.ts';

export interface RecordKeeper extends RecordSink, RecordSource {
  /** Objects that have records. */
  readonly objectCount: number;
}

export class RecordTable implements RecordKeeper {
  readonly #objects = new Map<number, Map<number, Buffer>>();
  #sizeBytes = 0;

  get objectCount(): number {
    return this.#objects.size;
  }

  /** Bytes in all records. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  put(object: number, part: number, bytes: Uint8Array): void {
    let parts = this.#objects.get(object);
    if (parts === undefined) {
      parts = new Map();
      this.#objects.set(object, parts);
    }
    const old = parts.get(part);
    this.#sizeBytes += bytes.length - (old?.length ?? 0);
    if (old?.length === bytes.length) old.set(bytes);
    else parts.set(part, copyOf(bytes));
    assert(parts.size <= PARTS_PER_OBJECT_MAX, 'parts of an object are bounded');
  }

  remove(object: number, part: number): void {
    const parts = this.#objects.get(object);
    this.#sizeBytes -= parts?.get(part)?.length ?? 0;
    parts?.delete(part);
    if (parts?.size === 0) this.#objects.delete(object);
  }

  removeObject(object: number): void {
    for (const bytes of this.#objects.get(object)?.values() ?? []) this.#sizeBytes -= bytes.length;
    this.#objects.delete(object);
  }

  objects(): Iterable<number> {
    return this.#objects.keys();
  }

  parts(object: number): Iterable<number> {
    return this.#objects.get(object)?.keys() ?? [];
  }

  get(object: number, part: number): Buffer | null {
    return this.#objects.get(object)?.get(part) ?? null;
  }
}

/** A copy with memory of its own: a slice of Node's shared pool would keep its 8 KiB alive. */
export function copyOf(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

export function sorted(numbers: Iterable<number>): number[] {
  return [...numbers].sort((one, other) => one - other);
}
