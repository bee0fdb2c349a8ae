/**
 * For the tests of this folder and tools/make-golden.ts: `World`, a guest made of plain maps that
 * knows what changed since its last capture, and MemoryFiles, a disk that can be full.
 * Deterministic.
 */
import assert from 'node:assert/strict';
import { epoch, type GuestAddress, guestAddress, tid } from '../base/ids.ts';
import type { MemoryRegion, ProcessSetup, ThreadContext } from '../lvm/api.ts';
import { DeltaHistory } from './delta-history.ts';
import { DeltaReader } from './delta-reader.ts';
import { DeltaWriter, NO_PARENT } from './delta-writer.ts';
import type { CheckpointFiles } from './files.ts';
import type { FrameKind } from './format.ts';
import type { Image } from './image.ts';
import type { JoinSource } from './join.ts';
import { PAGE_BYTES } from './limits.ts';
import { SlabPool } from './slab.ts';

/** Where the world's pages lie: an address that needs more than 32 bits. */
export const WORLD_START = 0x7f12_3456_7000;
const WORLD_PAGES = 48;

interface Mapping {
  readonly id: number;
  readonly protection: number;
  readonly backed: boolean;
}

interface Thread {
  readonly id: number;
  value: number;
}

export class World {
  readonly pool: SlabPool = new SlabPool({ firstBytes: 4096 });
  readonly writer: DeltaWriter = new DeltaWriter(this.pool);
  readonly history: DeltaHistory = new DeltaHistory();
  epoch = 0;
  /** One a page: what is mapped there. */
  readonly slots: (Mapping | null)[] = Array.from({ length: WORLD_PAGES }, () => null);
  readonly pages = new Map<number, Buffer>();
  readonly records = new Map<number, Map<number, Buffer>>();
  readonly handles = new Map<number, Buffer>();
  readonly extras = new Map<string, Buffer>();
  readonly threads: Thread[] = [{ id: 1, value: 1 }];
  console = Buffer.alloc(0);
  released = 0;
  actionValue = 0;
  /** What the next delta has to carry. */
  readonly dirty = new Set<number>();
  readonly dropped = new Set<number>();
  #areRegionsNew = true;
  #newRecords: ((writer: DeltaWriter) => void)[] = [];
  #newHandles: ((writer: DeltaWriter) => void)[] = [];
  readonly #newExtras = new Set<string>();
  #consoleSent = 0;
  #nextId = 1;

  address(slot: number): GuestAddress {
    return guestAddress(WORLD_START + slot * PAGE_BYTES);
  }

  map(slot: number, count: number, protection: number, backed: boolean): void {
    const mapping = { id: this.#nextId, protection, backed };
    this.#nextId += 1;
    this.unmap(slot, count);
    for (let at = slot; at < Math.min(slot + count, WORLD_PAGES); at += 1) {
      this.slots[at] = mapping;
      if (backed) this.#put(at, 0xf0 + (at % 8));
    }
  }

  unmap(slot: number, count: number): void {
    this.drop(slot, count);
    for (let at = slot; at < Math.min(slot + count, WORLD_PAGES); at += 1) this.slots[at] = null;
    this.#areRegionsNew = true;
  }

  /** MADV_DONTNEED. */
  drop(slot: number, count: number): void {
    for (let at = slot; at < Math.min(slot + count, WORLD_PAGES); at += 1) {
      if (this.slots[at] === null) continue;
      this.pages.delete(at);
      this.dropped.add(at);
      this.dirty.delete(at);
    }
  }

  /** Writes to a mapped page, first and last byte apart so that a torn read shows. */
  write(slot: number, value: number): void {
    if (this.slots[slot] !== null) this.#put(slot, value);
  }

  #put(slot: number, value: number): void {
    const page = this.pages.get(slot) ?? Buffer.alloc(PAGE_BYTES);
    page.fill(value);
    this.pages.set(slot, page);
    this.dirty.add(slot);
  }

  putRecord(object: number, part: number, bytes: Buffer): void {
    const parts = this.records.get(object) ?? new Map<number, Buffer>();
    this.records.set(object, parts);
    parts.set(part, bytes);
    this.#newRecords.push((writer) => writer.put(object, part, bytes));
  }

  removeRecord(object: number, part: number): void {
    const parts = this.records.get(object);
    parts?.delete(part);
    if (parts?.size === 0) this.records.delete(object);
    this.#newRecords.push((writer) => writer.remove(object, part));
  }

  removeObject(object: number): void {
    this.records.delete(object);
    this.#newRecords.push((writer) => writer.removeObject(object));
  }

  putHandle(handle: number, bytes: Buffer): void {
    this.handles.set(handle, bytes);
    this.#newHandles.push((writer) => writer.handlePut(handle, bytes));
  }

  removeHandle(handle: number): void {
    this.handles.delete(handle);
    this.#newHandles.push((writer) => writer.handleRemove(handle));
  }

  putExtra(name: string, bytes: Buffer): void {
    this.extras.set(name, bytes);
    this.#newExtras.add(name);
  }

  say(bytes: Buffer): void {
    this.console = Buffer.concat([this.console, bytes]);
  }

  /** Output is released when a delta with it was sent, no sooner. */
  release(count: number): void {
    this.released = Math.min(this.#consoleSent, this.released + count);
  }

  regions(): MemoryRegion[] {
    const regions: MemoryRegion[] = [];
    for (let slot = 0; slot < WORLD_PAGES; ) {
      const mapping = this.slots[slot] as Mapping | null;
      let end = slot + 1;
      while (end < WORLD_PAGES && this.slots[end] === mapping) end += 1;
      if (mapping !== null) {
        regions.push({
          start: this.address(slot),
          end: this.address(end),
          protection: mapping.protection,
          shared: mapping.id % 2 === 0,
          name: mapping.backed ? `/lib/é-${mapping.id}.so` : '',
          fileOffset: mapping.backed ? mapping.id * PAGE_BYTES : 0,
          backed: mapping.backed,
        });
      }
      slot = end;
    }
    return regions;
  }

  contexts(): ThreadContext[] {
    return this.threads.map(({ id, value }) => {
      const registers = Buffer.alloc(216, value);
      const extendedState = Buffer.alloc(2696);
      extendedState.fill(value, 0, value * 10);
      const pendingSignals = value % 3 === 0 ? [Buffer.alloc(128, value)] : [];
      return {
        thread: tid(id),
        registers,
        extendedState,
        signalMask: 0x8000_0000_0000_0000n + BigInt(value),
        pendingSignals,
      };
    });
  }

  setup(): ProcessSetup {
    return {
      signalActions: new Map([[11, Buffer.alloc(32, this.actionValue)]]),
      threads: this.threads.map(({ id }) => ({
        thread: tid(id),
        // A guest may set anything, even what no integer of JavaScript holds.
        clearChildTid: guestAddress(2 ** 63),
        robustList: guestAddress(0x7000),
        robustListSize: 24,
        alternateStack: id % 2 === 0 ? Buffer.alloc(24, id) : Buffer.alloc(0),
        name: `thread-${id}`,
      })),
    };
  }

  /** Ends an epoch: the frame, a copy, with what changed. */
  capture(): Buffer {
    const kind = this.epoch === 0 ? 'whole' : 'delta';
    this.epoch += 1;
    const writer = this.writer;
    writer.begin(kind, epoch(this.epoch), epoch(this.epoch - 1));
    this.#writeProcess(this.history);
    if (this.#areRegionsNew || kind === 'whole') writer.regions(this.regions());
    for (const slot of this.dropped)
      writer.removedRange(this.address(slot), this.address(slot + 1));
    for (const slot of this.dirty) (this.pages.get(slot) as Buffer).copy(this.#view(slot));
    for (const one of this.#newRecords) one(writer);
    for (const one of this.#newHandles) one(writer);
    for (const name of this.#newExtras) writer.extra(name, this.extras.get(name) as Buffer);
    if (this.#consoleSent < this.console.length) {
      writer.console(1, this.#consoleSent, this.console.subarray(this.#consoleSent));
    }
    writer.consoleReleased(1, this.released);
    this.forgetChanges();
    return this.#sealed();
  }

  /** A base for a joiner, as of the last capture. */
  joinBase(kind: FrameKind = 'join-base'): Buffer {
    const { writer } = this;
    writer.begin(kind, epoch(this.epoch), NO_PARENT);
    this.#writeProcess(new DeltaHistory());
    writer.regions(this.regions());
    for (const [object, parts] of this.records) {
      for (const [part, bytes] of parts) writer.put(object, part, bytes);
    }
    for (const [handle, bytes] of this.handles) writer.handlePut(handle, bytes);
    for (const [name, bytes] of this.extras) writer.extra(name, bytes);
    writer.consoleReleased(1, this.released);
    const held = this.console.subarray(this.released);
    if (held.length > 0) writer.console(1, this.released, held);
    return this.#sealed();
  }

  forgetChanges(): void {
    this.dirty.clear();
    this.dropped.clear();
    this.#areRegionsNew = false;
    this.#newRecords = [];
    this.#newHandles = [];
    this.#newExtras.clear();
    this.#consoleSent = this.console.length;
  }

  #writeProcess(history: DeltaHistory): void {
    this.writer.clock(this.epoch * 1000, 1.7e18 + this.epoch * 1024);
    this.writer.process({ pendingSignals: [], threads: this.contexts() }, history);
    this.writer.setup(this.setup(), history);
  }

  #view(slot: number): Buffer {
    return this.writer.pageRun(this.address(slot), 1);
  }

  #sealed(): Buffer {
    const sealed = this.writer.seal();
    const frame = Buffer.from(sealed.finish());
    sealed.release();
    return frame;
  }

  /** Reads as a host does; `between` is called with half of a page read. */
  source(between: () => void = () => {}): JoinSource {
    return {
      populatedPages: (region, visit) => {
        for (let slot = 0; slot < WORLD_PAGES; slot += 1) {
          const address = this.address(slot);
          if (address < region.start || address >= region.end || !this.pages.has(slot)) continue;
          visit(address, 1);
        }
      },
      pageRead: (address, target) => {
        for (let at = 0; at < target.length; at += PAGE_BYTES / 2) {
          const slot = Math.floor((address + at - WORLD_START) / PAGE_BYTES);
          if ((this.slots[slot] ?? null) === null) return at === 0 ? -14 : at;
          const from = at % PAGE_BYTES;
          const page = this.pages.get(slot) ?? Buffer.alloc(PAGE_BYTES);
          target.set(page.subarray(from, from + PAGE_BYTES / 2), at);
          between();
        }
        return target.length;
      },
    };
  }

  /** Fails unless `image` is what this world was at its last capture, which must be now. */
  assertIn(image: Image): void {
    const found = image.guestImage();
    assert.equal(image.epoch, this.epoch);
    assert.equal(found.monotonicNs, this.epoch * 1000);
    assert.deepEqual(found.regions, this.regions());
    assert.deepEqual(plain(found.context.threads), plain(this.contexts()));
    assert.deepEqual(plain(found.setup), plain(this.setup()));
    assert.deepEqual(new Map(image.handles), this.handles);
    assert.deepEqual(new Map(image.extras), this.extras);
    const source = image.recordSource();
    assert.deepEqual(new Set(source.objects()), new Set(this.records.keys()));
    for (const [object, parts] of this.records) {
      assert.deepEqual(new Set(source.parts(object)), new Set(parts.keys()));
      for (const [part, bytes] of parts) assert.deepEqual(source.get(object, part), bytes);
    }
    const held = image.console.held()[0];
    assert.deepEqual(held?.bytes, this.console.subarray(this.released));
    this.assertPagesIn(image);
  }

  assertPagesIn(image: Image): void {
    const page = Buffer.alloc(PAGE_BYTES);
    for (let slot = 0; slot < WORLD_PAGES; slot += 1) {
      if (this.slots[slot] === null) continue;
      image.pages.read(this.address(slot), page);
      const expected = this.pages.get(slot) ?? Buffer.alloc(PAGE_BYTES);
      if (!page.equals(expected)) assert.fail(`page ${slot} has ${page[0]}, not ${expected[0]}`);
    }
  }
}

/** Uint8Arrays and Buffers alike, for deepEqual. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (value instanceof Map) return [...value].map(plain);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}

/** One step of a guest, from three numbers. */
export type WorldStep = readonly [kind: number, where: number, value: number];

/** Memory steps only have kinds below this. */
export const MEMORY_STEPS = 6;
export const ALL_STEPS = 16;

/** Changes the world in a way that every combination of numbers stands for. */
export function step(world: World, [kind, where, value]: WorldStep): void {
  const slot = where % WORLD_PAGES;
  const count = 1 + (value % 7);
  const object = 1 + (where % 5);
  const bytes = Buffer.alloc((value % 4) * 50, value);
  const steps: (() => void)[] = [
    () => world.write(slot, value),
    () => world.write(slot, value + 1),
    () => world.map(slot, count, 3, false),
    () => world.map(slot, count, 5, true),
    () => world.unmap(slot, count),
    () => world.drop(slot, count),
    () => world.putRecord(object, value % 6, bytes),
    () => world.putRecord(object, 0, bytes),
    () => world.removeRecord(object, value % 6),
    () => world.removeObject(object),
    () => world.putHandle(where, bytes),
    () => world.removeHandle(where),
    () => world.putExtra(`extra-${where % 3}`, bytes),
    () => world.say(bytes),
    () => {
      world.release(value);
    },
    () => changeThreads(world, where, value),
  ];
  (steps[kind % steps.length] as () => void)();
}

function changeThreads(world: World, where: number, value: number): void {
  const { threads } = world;
  const chosen = threads[where % threads.length];
  if (value % 4 === 0) world.actionValue = value;
  else if (value % 4 === 1) threads.push({ id: 2 + where + 1000 * world.epoch, value });
  else if (value % 4 === 2 && threads.length > 1) threads.splice(where % threads.length, 1);
  else if (chosen !== undefined) chosen.value = value;
  const seen = new Set<number>();
  const unique = threads.filter(({ id }) => !seen.has(id) && seen.add(id));
  threads.splice(0, threads.length, ...unique);
}

export function apply(image: Image, frame: Buffer): void {
  image.apply(DeltaReader.open(frame));
}

/** A disk in memory with `roomBytes` on it; writes what fits and then fails as a full one does. */
export class MemoryFiles implements CheckpointFiles {
  readonly contents = new Map<string, Buffer>();
  roomBytes = Number.POSITIVE_INFINITY;
  /** Operations that fail, by name. */
  readonly failing = new Set<string>();
  readonly #open = new Map<number, string>();
  #nextFd = 3;

  get openCount(): number {
    return this.#open.size;
  }

  temporaryPath(path: string): string {
    return `${path}.partial`;
  }

  create(path: string): number {
    this.#check('create');
    assert.ok(!this.contents.has(path));
    this.contents.set(path, Buffer.alloc(0));
    return this.openRead(path);
  }

  openRead(path: string): number {
    if (!this.contents.has(path)) throw new Error(`ENOENT: no such file, open '${path}'`);
    this.#nextFd += 1;
    this.#open.set(this.#nextFd, path);
    return this.#nextFd;
  }

  size(fd: number): number {
    return this.#content(fd).length;
  }

  write(fd: number, bytes: Uint8Array): number {
    this.#check('write');
    // Short writes are legal: a bounded one shows whether it is continued.
    const count = Math.min(bytes.length, 100_000, this.roomBytes);
    if (count === 0) throw new Error('ENOSPC: no space left on device');
    this.roomBytes -= count;
    const content = Buffer.concat([this.#content(fd), bytes.subarray(0, count)]);
    this.contents.set(this.#open.get(fd) as string, content);
    return count;
  }

  read(fd: number, target: Uint8Array, position: number): number {
    this.#check('read');
    const content = this.#content(fd).subarray(position, position + Math.min(target.length, 5000));
    target.set(content);
    return content.length;
  }

  sync(_fd: number): void {
    this.#check('sync');
  }

  close(fd: number): void {
    assert.ok(this.#open.delete(fd), 'a file is closed once');
  }

  rename(from: string, to: string): void {
    this.#check('rename');
    this.contents.set(to, this.contents.get(from) as Buffer);
    this.contents.delete(from);
  }

  remove(path: string): void {
    if (!this.contents.delete(path)) throw new Error('ENOENT');
  }

  syncFolder(_path: string): void {
    this.#check('syncFolder');
  }

  #check(operation: string): void {
    if (this.failing.has(operation)) throw new Error(`EIO: ${operation} failed`);
  }

  #content(fd: number): Buffer {
    return this.contents.get(this.#open.get(fd) as string) as Buffer;
  }
}
