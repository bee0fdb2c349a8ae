/**
 * Kernel objects: everything of the library OS that a checkpoint must hold.
 * One file a kind (fs/, net/, ipc/, time/, process.ts, task.ts), each with its `save` and `load`.
 * `Objects` knows them all by id, and which changed since the last save, so that a delta of
 * the library OS is as incremental as that of memory. Must not know any kind itself: see kinds.ts.
 */
import { assert, present } from '../base/assert.ts';
import { Decoder, Encoder } from '../base/codec.ts';
import { type ObjectId, objectId } from '../base/ids.ts';
import type { RecordSink, RecordSource } from '../lvm/api.ts';

/** Persistent names of kinds: a number, once used, is never given to another kind. */
export type ObjectKind = number;

export abstract class KernelObject {
  readonly objects: Objects;
  readonly id: ObjectId;
  /** See kinds.ts. */
  abstract readonly kind: ObjectKind;

  /** A new object takes the next id; one that is loaded gets its own. */
  constructor(objects: Objects, id?: ObjectId) {
    this.objects = objects;
    this.id = objects.adopt(this, id);
  }

  /** Must be called after each change of what `save` writes. Cheap; may be called often. */
  touch(): void {
    this.objects.touched.add(this);
  }

  /** Ends the object's life: its records are removed from the checkpoint. */
  destroy(): void {
    this.objects.forget(this);
  }

  /** Writes the object's own small state; other objects as ids (`encoder.u32(other.id)`). */
  abstract save(encoder: Encoder): void;

  /** Reads what `save` wrote; all objects exist by then, but may not have loaded their state. */
  abstract load(decoder: Decoder): void;

  /** After every object has loaded: derived state (timers, wait queues) is made here. */
  loaded(): void {}

  /** Bulk state, in numbered pages (part 1 and up); only those changed, or all. */
  savePages(_sink: RecordSink, _scope: 'all' | 'changes'): void {}

  /** Takes one page that `savePages` wrote. */
  loadPage(_part: number, _bytes: Uint8Array): void {
    assert(false, `kind ${this.kind} has no pages`);
  }
}

/** Makes an object of a kind to be loaded, empty. */
export type ObjectFactory = (objects: Objects, id: ObjectId) => KernelObject;

export class Objects {
  readonly touched = new Set<KernelObject>();
  readonly #byId = new Map<ObjectId, KernelObject>();
  readonly #removed = new Set<ObjectId>();
  /** Removed as of the last save, which may not have arrived. */
  readonly #unconfirmed = new Set<ObjectId>();
  readonly #encoder = new Encoder(4096);
  #nextId = 1;

  adopt(object: KernelObject, id?: ObjectId): ObjectId {
    const own = id ?? objectId(this.#nextId);
    assert(!this.#byId.has(own), `object id ${own} is taken`);
    this.#nextId = Math.max(this.#nextId, own + 1);
    this.#byId.set(own, object);
    this.touched.add(object);
    return own;
  }

  forget(object: KernelObject): void {
    if (!this.#byId.delete(object.id)) return;
    this.touched.delete(object);
    this.#removed.add(object.id);
  }

  /** The object with this id, which must be there and of the class wanted. */
  get<T extends KernelObject>(id: number, type: abstract new (...args: never[]) => T): T {
    const object = present(this.#byId.get(objectId(id)), `kernel object ${id}`);
    assert(object instanceof type, `kernel object ${id} is not a ${type.name}`);
    return object;
  }

  /** Like `get`, but 0 stands for "none". */
  find<T extends KernelObject>(id: number, type: abstract new (...args: never[]) => T): T | null {
    return id === 0 ? null : this.get(id, type);
  }

  all(): Iterable<KernelObject> {
    return this.#byId.values();
  }

  get count(): number {
    return this.#byId.size;
  }

  /** Each record starts with the kind, so that `load` knows what to make. */
  save(sink: RecordSink, scope: 'all' | 'changes'): void {
    // A save that follows a failed one is of scope `all`, and must undo what the failed one knew.
    if (scope === 'changes') this.#unconfirmed.clear();
    for (const id of this.#removed) this.#unconfirmed.add(id);
    for (const id of this.#unconfirmed) sink.removeObject(id);
    const chosen = scope === 'all' ? this.#byId.values() : this.touched;
    const encoder = this.#encoder;
    for (const object of chosen) {
      if (scope === 'all') sink.removeObject(object.id);
      encoder.reset();
      encoder.u16(object.kind);
      object.save(encoder);
      sink.put(object.id, 0, encoder.view());
      object.savePages(sink, scope);
    }
    this.touched.clear();
    this.#removed.clear();
  }

  load(source: RecordSource, factories: ReadonlyMap<ObjectKind, ObjectFactory>): void {
    assert(this.#byId.size === 0, 'a state is loaded into an empty library OS');
    const decoders = new Map<KernelObject, Decoder>();
    for (const id of source.objects()) {
      const record = present(source.get(id, 0), `record of object ${id}`);
      const decoder = new Decoder(record);
      const kind = decoder.u16();
      const make = present(factories.get(kind), `kind ${kind}`);
      decoders.set(make(this, objectId(id)), decoder);
    }
    for (const [object, decoder] of decoders) {
      object.load(decoder);
      decoder.end();
      for (const part of source.parts(object.id)) {
        if (part > 0) object.loadPage(part, present(source.get(object.id, part), 'page'));
      }
    }
    for (const object of decoders.keys()) object.loaded();
    this.touched.clear();
    this.#removed.clear();
  }
}
