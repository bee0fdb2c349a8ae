/**
 * ByteRing: a bounded queue of bytes with known dirty pages: what pipes, Unix sockets and loopback
 * connections hold. Its owner (a kernel object) saves it: `save` in the owner's record, `savePages`
 * as the owner's pages 1 and up. It grows on demand, so that an idle connection costs nothing.
 */
import { assert } from '../../base/assert.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { RecordSink } from '../../lvm/api.ts';

const PAGE = 4096;

export class ByteRing {
  /** Bytes that it may hold at most; a power of two from 4096 on. */
  #capacity: number;
  /** Its size is 0 or a power of two from 4096 on. */
  #bytes: Buffer = Buffer.alloc(0);
  /** Where the first byte stands in `#bytes`. */
  #head = 0;
  #length = 0;
  readonly #dirty = new Set<number>();
  /** Pages that the last saves wrote, so that those no longer in use can be removed. */
  readonly #saved = new Set<number>();

  constructor(capacity: number) {
    assert(capacity >= PAGE && (capacity & (capacity - 1)) === 0, 'capacity is a power of two');
    this.#capacity = capacity;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Changes the limit; the caller has checked that what is inside fits. */
  set capacity(capacity: number) {
    assert(capacity >= this.#length, 'a ring holds no more than its capacity');
    this.#capacity = capacity;
    if (this.#bytes.length > capacity) this.#resize(capacity);
  }

  get length(): number {
    return this.#length;
  }

  get room(): number {
    return this.#capacity - this.#length;
  }

  /** Takes as much of `data` as there is room for; returns how much. */
  push(data: Uint8Array): number {
    const count = Math.min(data.length, this.room);
    if (count === 0) return 0;
    if (this.#length + count > this.#bytes.length) this.#grow(this.#length + count);
    const size = this.#bytes.length;
    const at = (this.#head + this.#length) & (size - 1);
    const first = Math.min(count, size - at);
    this.#bytes.set(first === data.length ? data : data.subarray(0, first), at);
    if (first < count) this.#bytes.set(data.subarray(first, count), 0);
    this.#mark(at, first);
    this.#mark(0, count - first);
    this.#length += count;
    return count;
  }

  /** Copies the bytes from `offset` on into `target`, as many as there are; leaves them. */
  peek(target: Uint8Array, offset = 0): number {
    const count = Math.max(0, Math.min(target.length, this.#length - offset));
    if (count === 0) return 0;
    const size = this.#bytes.length;
    const at = (this.#head + offset) & (size - 1);
    const first = Math.min(count, size - at);
    target.set(this.#bytes.subarray(at, at + first), 0);
    if (first < count) target.set(this.#bytes.subarray(0, count - first), first);
    return count;
  }

  /** Drops the first `count` bytes. */
  drop(count: number): void {
    assert(count <= this.#length, 'dropped bytes were there');
    this.#length -= count;
    // From the start again when empty, so that a quiet ring uses few pages.
    this.#head = this.#length === 0 ? 0 : (this.#head + count) & (this.#bytes.length - 1);
  }

  /** `peek` and `drop` in one. */
  shift(target: Uint8Array): number {
    const count = this.peek(target);
    this.drop(count);
    return count;
  }

  #grow(needed: number): void {
    let size = Math.max(PAGE, this.#bytes.length);
    while (size < needed) size *= 2;
    this.#resize(size);
  }

  #resize(size: number): void {
    const bytes = Buffer.alloc(size);
    this.peek(bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#head = 0;
    this.#dirty.clear();
    this.#mark(0, this.#length);
  }

  #mark(at: number, count: number): void {
    if (count <= 0) return;
    for (let page = Math.floor(at / PAGE); page * PAGE < at + count; page += 1) {
      this.#dirty.add(page);
    }
  }

  #isLive(page: number): boolean {
    const size = this.#bytes.length;
    if (page * PAGE >= size) return false;
    const start = (page * PAGE - this.#head + size) & (size - 1);
    return start < this.#length || start + PAGE > size;
  }

  save(encoder: Encoder): void {
    encoder.u32(this.#capacity).u32(this.#bytes.length).u32(this.#head).u32(this.#length);
  }

  load(decoder: Decoder): void {
    this.#capacity = decoder.u32();
    this.#bytes = Buffer.alloc(decoder.u32());
    this.#head = decoder.u32();
    this.#length = decoder.u32();
  }

  /** Writes the pages that hold bytes, or those of them that changed, as parts of `owner`. */
  savePages(owner: number, sink: RecordSink, scope: 'all' | 'changes'): void {
    const pageCount = this.#bytes.length / PAGE;
    for (const page of this.#saved) {
      if (this.#length > 0 && this.#isLive(page)) continue;
      this.#saved.delete(page);
      if (scope === 'changes') sink.remove(owner, page + 1);
    }
    for (let page = 0; page < pageCount && this.#length > 0; page += 1) {
      if (scope === 'changes' && !this.#dirty.has(page)) continue;
      if (!this.#isLive(page)) continue;
      sink.put(owner, page + 1, this.#bytes.subarray(page * PAGE, (page + 1) * PAGE));
      this.#saved.add(page);
    }
    this.#dirty.clear();
  }

  loadPage(part: number, bytes: Uint8Array): void {
    const page = part - 1;
    assert((page + 1) * PAGE <= this.#bytes.length && bytes.length === PAGE, 'page is in the ring');
    this.#bytes.set(bytes, page * PAGE);
    this.#saved.add(page);
  }
}
