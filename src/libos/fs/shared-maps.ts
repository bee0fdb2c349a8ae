/**
 * SharedMaps: shared read-only mappings of files that the guest may write to by write(2), as
 * databases map their file. In the guest they are private copies; what is written to the file goes
 * into them here. Part of the process's record. Writable shared mappings are refused instead.
 */
import type { Decoder, Encoder } from '../../base/codec.ts';
import { guestAddress } from '../../base/ids.ts';
import type { Lvm } from '../../lvm/api.ts';
import type { Inode } from './inode.ts';

/** Addresses [start, end) show the file from `offset` on. */
interface SharedMap {
  readonly inode: number;
  readonly start: number;
  readonly end: number;
  readonly offset: number;
}

/** More than a process has of them; beyond it mmap says that there is no memory. */
const SHARED_MAPS_MAX = 4096;
const zeros = Buffer.alloc(1 << 16);

export class SharedMaps {
  #maps: SharedMap[] = [];

  get isFull(): boolean {
    return this.#maps.length >= SHARED_MAPS_MAX;
  }

  add(map: SharedMap): void {
    this.unmap(map.start, map.end);
    this.#maps.push(map);
  }

  overlaps(start: number, end: number): boolean {
    // An empty range overlaps nothing.
    return start < end && this.#maps.some((map) => map.start < end && start < map.end);
  }

  /** The range is mapped no more, or shows something else. True if that changed anything. */
  unmap(start: number, end: number): boolean {
    if (!this.overlaps(start, end)) return false;
    this.#maps = this.#maps.flatMap((map) => {
      if (map.end <= start || end <= map.start) return [map];
      const left = { ...map, end: start };
      const right = { ...map, start: end, offset: map.offset + end - map.start };
      return [left, right].filter((part) => part.start < part.end);
    });
    return true;
  }

  /** A file is gone, and its content with it: another may get its id. True if it was mapped. */
  forget(inode: number): boolean {
    const before = this.#maps.length;
    this.#maps = this.#maps.filter((map) => map.inode !== inode);
    return this.#maps.length < before;
  }

  clear(): void {
    this.#maps = [];
  }

  /** The file has other content from `from` to `to`; beyond its end it reads as zeros. */
  changed(lvm: Lvm, inode: Inode, from: number, to: number): void {
    if (this.#maps.length === 0) return;
    for (const map of this.#maps) {
      if (map.inode !== inode.id) continue;
      const first = Math.max(from, map.offset);
      const end = Math.min(to, map.offset + map.end - map.start);
      for (let at = first; at < end; ) {
        const { sizeBytes } = inode.content;
        const rest = Math.min(zeros.length, end - at);
        const bytes =
          at < sizeBytes
            ? inode.content.view(at, Math.min(rest, sizeBytes - at))
            : zeros.subarray(0, rest);
        if (typeof bytes === 'number') break;
        lvm.memoryWrite(guestAddress(map.start + at - map.offset), bytes, true);
        at += bytes.length;
      }
    }
  }

  save(encoder: Encoder): void {
    encoder.u32(this.#maps.length);
    for (const { inode, start, end, offset } of this.#maps) {
      encoder.u32(inode).u53(start).u53(end).u53(offset);
    }
  }

  load(decoder: Decoder): void {
    this.#maps = Array.from({ length: decoder.u32() }, () => {
      const inode = decoder.u32();
      const start = decoder.u53();
      const end = decoder.u53();
      return { inode, start, end, offset: decoder.u53() };
    });
  }
}
