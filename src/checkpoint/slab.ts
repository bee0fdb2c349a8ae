/**
 * Slab: the growing buffer that a frame is written into, and SlabPool, which keeps buffers for
 * reuse since several deltas are under way at once. Used by the delta writer within the pause, so
 * nothing here allocates per value, and growing is made rare by `prepare`. Must not know what is
 * written.
 */
import { assert } from '../base/assert.ts';
import { TardigradeError } from '../base/errors.ts';
import {
  FRAME_BYTES_MAX,
  SLAB_BYTES_FIRST,
  SLAB_BYTES_KEPT_MAX,
  SLABS_MAX,
  SLABS_SPARE,
} from './limits.ts';

export interface SlabPoolOptions {
  /** Where slabs come from; shared memory, if other threads are to send them. */
  readonly allocate?: (sizeBytes: number) => Buffer;
  /** Slabs out at once. */
  readonly slabsMax?: number;
  readonly firstBytes?: number;
}

export class SlabPool {
  readonly #allocate: (sizeBytes: number) => Buffer;
  readonly #slabsMax: number;
  readonly #spare: Buffer[] = [];
  #out = 0;
  /** What a slab should have, by what was used lately. */
  #wantedBytes: number;

  constructor(options: SlabPoolOptions = {}) {
    this.#allocate = options.allocate ?? ((sizeBytes) => Buffer.allocUnsafeSlow(sizeBytes));
    this.#slabsMax = options.slabsMax ?? SLABS_MAX;
    this.#wantedBytes = options.firstBytes ?? SLAB_BYTES_FIRST;
  }

  /** Whether `take` would fail: the caller must wait with the next epoch. */
  get isExhausted(): boolean {
    return this.#out >= this.#slabsMax;
  }

  /** Slabs that are out. */
  get outCount(): number {
    return this.#out;
  }

  /**
   * Has a slab ready with its memory present, so that the next pause neither allocates nor faults
   * pages in. To be called while the guest runs.
   */
  prepare(): void {
    const ready = this.#spare.at(-1);
    if (ready !== undefined && ready.length >= this.#wantedBytes) return;
    const slab = this.#allocate(this.#wantedBytes);
    slab.fill(0);
    this.#spare.push(slab);
    if (this.#spare.length > SLABS_SPARE) this.#spare.shift();
  }

  take(): Buffer {
    assert(!this.isExhausted, 'a slab is free before an epoch begins');
    this.#out += 1;
    return this.#spare.pop() ?? this.#allocate(this.#wantedBytes);
  }

  /** `usedBytes`: how much of it was needed. The largest spare is given out first. */
  give(slab: Buffer, usedBytes: number): void {
    assert(this.#out > 0, 'a slab is given back once');
    this.#out -= 1;
    // Follows growth at once and forgets slowly, so that one big epoch doesn't make all slabs big.
    const decayed = Math.max(SLAB_BYTES_FIRST, Math.floor(this.#wantedBytes * 0.97));
    this.#wantedBytes = Math.min(SLAB_BYTES_KEPT_MAX, Math.max(usedBytes, decayed));
    if (slab.length > SLAB_BYTES_KEPT_MAX || this.#spare.length >= SLABS_SPARE) return;
    this.#spare.push(slab);
    this.#spare.sort((one, other) => one.length - other.length);
  }

  /** A slab of at least `sizeBytes` with the same first `usedBytes`. */
  grow(slab: Buffer, usedBytes: number, sizeBytes: number): Buffer {
    if (sizeBytes > FRAME_BYTES_MAX) {
      throw new TardigradeError(
        'service',
        `a checkpoint frame would need ${sizeBytes} bytes, more than ${FRAME_BYTES_MAX}`,
        'keep less in files and buffers of the guest, or cap the checkpoints lower',
      );
    }
    const grown = this.#allocate(Math.min(FRAME_BYTES_MAX, Math.max(sizeBytes, slab.length * 2)));
    slab.copy(grown, 0, 0, usedBytes);
    return grown;
  }
}

/** Little-endian values in a slab; the same names as Encoder's. */
export class Slab {
  readonly #pool: SlabPool;
  #bytes: Buffer;
  #length = 0;

  constructor(pool: SlabPool) {
    this.#pool = pool;
    this.#bytes = pool.take();
  }

  get length(): number {
    return this.#length;
  }

  /** Its memory now; replaced when it grows. */
  get buffer(): Buffer {
    return this.#bytes;
  }

  /** Makes room for `count` more bytes, so that views stay valid until that many are written. */
  ensure(count: number): void {
    const needed = this.#length + count;
    if (needed > this.#bytes.length)
      this.#bytes = this.#pool.grow(this.#bytes, this.#length, needed);
  }

  /** Takes `count` bytes with any content and returns where they begin. */
  skip(count: number): number {
    const at = this.#length;
    if (at + count > this.#bytes.length) this.ensure(count);
    this.#length = at + count;
    return at;
  }

  /** Takes `count` bytes and returns the view to fill; valid until the slab grows. */
  reserve(count: number): Buffer {
    const at = this.skip(count);
    return this.#bytes.subarray(at, at + count);
  }

  /** Forgets what was written from `length` on. */
  rewind(length: number): void {
    assert(length <= this.#length, 'a slab is rewound, not advanced');
    this.#length = length;
  }

  u8(value: number): this {
    const at = this.skip(1);
    this.#bytes[at] = value;
    return this;
  }

  u16(value: number): this {
    const at = this.skip(2);
    this.#bytes.writeUInt16LE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.skip(4);
    this.#bytes.writeUInt32LE(value, at);
    return this;
  }

  u53(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, `u53 can't hold ${value}`);
    const at = this.skip(8);
    this.#bytes.writeUInt32LE(value % 0x1_0000_0000, at);
    this.#bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
    return this;
  }

  u64(value: bigint): this {
    const at = this.skip(8);
    this.#bytes.writeBigUInt64LE(value, at);
    return this;
  }

  f64(value: number): this {
    const at = this.skip(8);
    this.#bytes.writeDoubleLE(value, at);
    return this;
  }

  raw(value: Uint8Array): this {
    const at = this.skip(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  bytes(value: Uint8Array): this {
    return this.u32(value.length).raw(value);
  }

  string(value: string): this {
    const size = Buffer.byteLength(value);
    this.u32(size);
    const at = this.skip(size);
    this.#bytes.write(value, at, 'utf8');
    return this;
  }

  /** Overwrites a u32 written or skipped before. */
  patchU32(at: number, value: number): void {
    this.#bytes.writeUInt32LE(value, at);
  }

  /** Gives the memory back; the slab is not used again. */
  release(): void {
    this.#pool.give(this.#bytes, this.#length);
    this.#bytes = Buffer.alloc(0);
    this.#length = 0;
  }
}
