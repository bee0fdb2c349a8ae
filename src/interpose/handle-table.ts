/**
 * HandleTable: the checkpointer's names for things outside, and what becomes of each at a takeover
 * (the classes of src/lvm/classes.ts): a listener is asked for again, a connection can't be carried
 * and appears as reset. Only the checkpointer uses it.
 */
import { assert, present } from '../base/assert.ts';
import { Decoder, Encoder } from '../base/codec.ts';
import { type Handle, handle } from '../base/ids.ts';

export type OuterHandle =
  | { readonly kind: 'listener'; readonly port: number; inner: Handle | null }
  /** `inner` null: the connection was lost in a takeover. */
  | { readonly kind: 'stream'; inner: Handle | null };

const KIND = { listener: 1, stream: 2 } as const;

export class HandleTable {
  readonly #outer = new Map<Handle, OuterHandle>();
  readonly #byInner = new Map<Handle, Handle>();
  readonly #changed = new Set<Handle>();
  /** What the last save of changes held. */
  #saved: Handle[] = [];
  #next = 1;

  add(entry: OuterHandle): Handle {
    const outer = handle(this.#next);
    this.#next += 1;
    this.#outer.set(outer, entry);
    this.#changed.add(outer);
    if (entry.inner !== null) this.#byInner.set(entry.inner, outer);
    return outer;
  }

  get(outer: Handle): OuterHandle {
    return present(this.#outer.get(outer), `handle ${outer}`);
  }

  find(outer: Handle): OuterHandle | undefined {
    return this.#outer.get(outer);
  }

  outerOf(inner: Handle): Handle | undefined {
    return this.#byInner.get(inner);
  }

  /** A listener was asked for again. */
  bind(outer: Handle, inner: Handle): void {
    const entry = this.get(outer);
    assert(entry.inner === null, 'bound once');
    entry.inner = inner;
    this.#byInner.set(inner, outer);
  }

  remove(outer: Handle): void {
    const entry = this.get(outer);
    if (entry.inner !== null) this.#byInner.delete(entry.inner);
    this.#outer.delete(outer);
    this.#changed.add(outer);
  }

  entries(): Iterable<[Handle, OuterHandle]> {
    return this.#outer;
  }

  /** Writes what changed since the last time, or all. */
  save(
    scope: 'all' | 'changes',
    put: (handle: number, bytes: Uint8Array) => void,
    remove: (handle: number) => void,
  ): void {
    const handles = scope === 'all' ? [...this.#outer.keys()] : [...this.#changed];
    this.#saved = [...this.#changed];
    for (const outer of handles) {
      const entry = this.#outer.get(outer);
      if (entry === undefined) remove(outer);
      else {
        const encoder = new Encoder(16);
        encoder.u8(KIND[entry.kind]).u32(this.#next);
        if (entry.kind === 'listener') encoder.u16(entry.port);
        put(outer, encoder.view());
      }
    }
    this.#changed.clear();
  }

  /** The last save did not arrive: the next one has its changes too. */
  forgetSave(): void {
    for (const outer of this.#saved) this.#changed.add(outer);
  }

  load(saved: ReadonlyMap<number, Uint8Array>): void {
    assert(this.#outer.size === 0, 'a table is loaded once');
    for (const [outer, bytes] of saved) {
      const decoder = new Decoder(bytes);
      const kind = decoder.u8();
      this.#next = Math.max(this.#next, decoder.u32(), outer + 1);
      const entry: OuterHandle =
        kind === KIND.listener
          ? { kind: 'listener', port: decoder.u16(), inner: null }
          : { kind: 'stream', inner: null };
      decoder.end();
      this.#outer.set(handle(outer), entry);
    }
  }
}
