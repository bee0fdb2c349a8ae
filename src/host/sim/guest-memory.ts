/**
 * SimGuest: what a simulated guest's own code would do to its memory: map, allocate, store and load
 * C values. Used by SimHost to lay out a new guest, and by tests to make arguments of calls.
 */
import { E } from '../../abi/errno.ts';
import { assert } from '../../base/assert.ts';
import { type GuestAddress, guestAddress } from '../../base/ids.ts';
import type { HeapArea } from '../../lvm/api.ts';
import { PAGE_BYTES, PROT_READ, PROT_WRITE, type SimMemory } from './memory.ts';

/** Where brk moves the break. */
const HEAP_START = 0x1000_0000;
const HEAP_BYTES = 64 * 1024 * 1024;
/** What `alloc` gives from. */
const ARENA_BYTES = 64 * 1024 * 1024;
const MAPPINGS_START = 0x7f00_0000_0000;
const STACK_START = 0x7ffd_0000_0000;
const STACK_BYTES = 132 * 1024;
const MAP_SHARED = 1;
const MAP_FIXED = 0x10;
const ADDRESS_LIMIT = 0x7fff_ffff_f000;

const pagesUp = (size: number): number => Math.ceil(size / PAGE_BYTES) * PAGE_BYTES;

export class SimGuest {
  readonly #memory: SimMemory;
  #nextMapping = MAPPINGS_START;
  #next = 0;
  #arenaEnd = 0;

  constructor(memory: SimMemory) {
    this.#memory = memory;
  }

  /** Heap area and stack of a program that starts. */
  mapInitial(): HeapArea {
    this.#arenaEnd = 0;
    this.#map(HEAP_START, HEAP_BYTES, '[heap]');
    this.#map(STACK_START, STACK_BYTES, '[stack]');
    this.#ensureArena();
    return { start: guestAddress(HEAP_START), end: guestAddress(HEAP_START + HEAP_BYTES) };
  }

  /** What is mapped by now stays as it is: new mappings and allocations go above. */
  keepBelow(): void {
    const ends = this.#memory.regions.map((region) => region.end as number);
    const used = Math.max(MAPPINGS_START, ...ends.filter((end) => end <= STACK_START));
    this.#nextMapping = used + PAGE_BYTES;
  }

  #ensureArena(): void {
    if (this.#arenaEnd !== 0) return;
    this.#next = this.map(ARENA_BYTES);
    this.#arenaEnd = this.#next + ARENA_BYTES;
  }

  /** More of the heap. */
  mapHeap(start: number, end: number): void {
    this.#map(start, end - start, '[heap]');
  }

  #map(start: number, sizeBytes: number, name: string): void {
    this.#memory.map({
      start: guestAddress(start),
      end: guestAddress(start + pagesUp(sizeBytes)),
      protection: PROT_READ | PROT_WRITE,
      shared: false,
      name,
      fileOffset: 0,
      backed: false,
    });
  }

  /** A mapping of its own, with nothing mapped on either side (so that its end can be met). */
  map(sizeBytes: number): GuestAddress {
    const start = this.#nextMapping;
    this.#nextMapping += pagesUp(sizeBytes) + PAGE_BYTES;
    this.#map(start, sizeBytes, '');
    return guestAddress(start);
  }

  /** Does a trapped mmap of a file with this content: its address, or -errno. */
  mapFile(args: Buffer, content: Uint8Array, name: string): number {
    const word = (index: number) => Number(args.readBigUInt64LE(index * 8));
    const sizeBytes = word(1);
    const flags = args.readUInt32LE(3 * 8);
    const offset = word(5);
    if (sizeBytes === 0 || offset % PAGE_BYTES !== 0) return E.EINVAL;
    const isFixed = (flags & MAP_FIXED) !== 0;
    const start = isFixed ? word(0) : this.#nextMapping;
    if (start % PAGE_BYTES !== 0) return E.EINVAL;
    if (start + pagesUp(sizeBytes) > ADDRESS_LIMIT) return E.ENOMEM;
    if (!isFixed) this.#nextMapping += pagesUp(sizeBytes) + PAGE_BYTES;
    this.#memory.map({
      start: guestAddress(start),
      end: guestAddress(start + pagesUp(sizeBytes)),
      protection: args.readUInt32LE(2 * 8) & 7,
      shared: (flags & MAP_SHARED) !== 0,
      name,
      fileOffset: offset,
      backed: true,
    });
    this.#memory.fill(start, content.subarray(offset, offset + sizeBytes));
    return start;
  }

  /** Fresh zeroed memory, aligned to 16 bytes. */
  alloc(sizeBytes: number): GuestAddress {
    this.#ensureArena();
    const address = this.#next;
    this.#next += Math.ceil(Math.max(sizeBytes, 1) / 16) * 16;
    assert(this.#next <= this.#arenaEnd, 'the simulated arena is full');
    return guestAddress(address);
  }

  /** A copy of `data` in fresh memory. */
  bytes(data: Uint8Array): GuestAddress {
    const address = this.alloc(data.length);
    this.poke(address, data);
    return address;
  }

  /** NUL-terminated. */
  cstring(text: string): GuestAddress {
    return this.bytes(Buffer.from(`${text}\0`));
  }

  /** An array of 64-bit values: pointers, sizes, a timespec, an iovec, an argv, ... */
  words(...values: readonly (number | bigint)[]): GuestAddress {
    const data = Buffer.alloc(values.length * 8);
    values.forEach((value, index) => {
      data.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), index * 8);
    });
    return this.bytes(data);
  }

  /** An array of 32-bit values. */
  u32s(...values: readonly number[]): GuestAddress {
    const data = Buffer.alloc(values.length * 4);
    values.forEach((value, index) => {
      data.writeUInt32LE(value >>> 0, index * 4);
    });
    return this.bytes(data);
  }

  /**
   * A struct without padding of its own: one letter a field, as in
   * `struct('HHI', family, port, address)`: B, H, I, Q are 1, 2, 4 and 8 bytes, x one zero byte.
   */
  struct(format: string, ...values: readonly (number | bigint)[]): GuestAddress {
    const sizes: Readonly<Record<string, number>> = { B: 1, H: 2, I: 4, Q: 8, x: 1 };
    const data: Buffer[] = [];
    let next = 0;
    for (const letter of format) {
      const size = sizes[letter];
      assert(size !== undefined, `'${letter}' is not a field`);
      const field = Buffer.alloc(8);
      if (letter !== 'x') {
        const value = values[next];
        assert(value !== undefined, `${format} has more than ${values.length} fields`);
        next += 1;
        field.writeBigUInt64LE(BigInt.asUintN(size * 8, BigInt(value)), 0);
      }
      data.push(field.subarray(0, size));
    }
    assert(next === values.length, `${format} has ${next} fields, not ${values.length}`);
    return this.bytes(Buffer.concat(data));
  }

  /** struct timespec of a number of nanoseconds. */
  timespec(ns: number): GuestAddress {
    return this.words(Math.floor(ns / 1e9), ns % 1e9);
  }

  /** sockaddr_in. */
  sockaddr4(host: string, port: number): GuestAddress {
    const data = Buffer.alloc(16);
    data.writeUInt16LE(2, 0);
    data.writeUInt16BE(port, 2);
    host.split('.').forEach((part, index) => {
      data.writeUInt8(Number(part), 4 + index);
    });
    return this.bytes(data);
  }

  /** The guest stores; the whole of it must be writable. */
  poke(address: number, data: Uint8Array): void {
    const count = this.#memory.write(guestAddress(address), data);
    assert(count === data.length, `${data.length} bytes at ${address} are writable`);
  }

  /** The guest loads; the whole of it must be readable. */
  peek(address: number, count: number): Buffer {
    const data = Buffer.alloc(count);
    const got = this.#memory.read(guestAddress(address), data);
    assert(got === count, `${count} bytes at ${address} are readable`);
    return data;
  }

  peekU16(address: number): number {
    return this.peek(address, 2).readUInt16LE(0);
  }

  peekU32(address: number): number {
    return this.peek(address, 4).readUInt32LE(0);
  }

  peekI32(address: number): number {
    return this.peek(address, 4).readInt32LE(0);
  }

  peekU64(address: number): bigint {
    return this.peek(address, 8).readBigUInt64LE(0);
  }

  /** Text up to the NUL, which must be within `limitBytes`. */
  peekText(address: number, limitBytes = PAGE_BYTES): string {
    const data = Buffer.alloc(limitBytes);
    const got = this.#memory.read(guestAddress(address), data);
    const end = data.subarray(0, Math.max(got, 0)).indexOf(0);
    assert(end >= 0, `a NUL within ${limitBytes} bytes at ${address}`);
    return data.subarray(0, end).toString();
  }
}
