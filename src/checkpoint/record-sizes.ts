/**
 * RecordSizes: a RecordKeeper that keeps of each record its size only, and of an object its kind
 * (the first two bytes of part 0, see src/libos/object.ts). Used by inspect.
 */
import { type RecordKeeper, sorted } from './record-table.ts';

export interface KindReport {
  readonly kind: number;
  readonly objects: number;
  readonly records: number;
  readonly bytes: number;
}

interface Sizes {
  kind: number;
  readonly parts: Map<number, number>;
}

export class RecordSizes implements RecordKeeper {
  readonly #objects = new Map<number, Sizes>();

  get objectCount(): number {
    return this.#objects.size;
  }

  put(object: number, part: number, bytes: Uint8Array): void {
    let sizes = this.#objects.get(object);
    if (sizes === undefined) {
      sizes = { kind: 0, parts: new Map() };
      this.#objects.set(object, sizes);
    }
    sizes.parts.set(part, bytes.length);
    if (part === 0) sizes.kind = (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8);
  }

  remove(object: number, part: number): void {
    const sizes = this.#objects.get(object);
    sizes?.parts.delete(part);
    if (sizes?.parts.size === 0) this.#objects.delete(object);
  }

  removeObject(object: number): void {
    this.#objects.delete(object);
  }

  objects(): Iterable<number> {
    return this.#objects.keys();
  }

  parts(object: number): Iterable<number> {
    return this.#objects.get(object)?.parts.keys() ?? [];
  }

  /** Contents are not kept. */
  get(): null {
    return null;
  }

  /** By kind number, in order. */
  kinds(): KindReport[] {
    const byKind = new Map<number, { objects: number; records: number; bytes: number }>();
    for (const { kind, parts } of this.#objects.values()) {
      const sum = byKind.get(kind) ?? { objects: 0, records: 0, bytes: 0 };
      byKind.set(kind, sum);
      sum.objects += 1;
      sum.records += parts.size;
      for (const size of parts.values()) sum.bytes += size;
    }
    return sorted(byKind.keys()).map((kind) => ({
      kind,
      ...(byKind.get(kind) as { objects: number; records: number; bytes: number }),
    }));
  }
}
