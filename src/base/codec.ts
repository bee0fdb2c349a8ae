/**
 * Encoder and Decoder: little-endian binary values in a growing buffer and back.
 * Used by everything that is saved or sent; a Decoder checks each bound, so damaged input
 * gives a DecodeError and never a read past the end.
 */
import { assert } from './assert.ts';

export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

const utf8 = new TextDecoder('utf-8');

export class Encoder {
  #bytes: Buffer;
  #length = 0;

  constructor(capacityBytes = 256) {
    this.#bytes = Buffer.allocUnsafe(capacityBytes);
  }

  get length(): number {
    return this.#length;
  }

  reset(): void {
    this.#length = 0;
  }

  #reserve(count: number): number {
    const at = this.#length;
    const needed = at + count;
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, at);
      this.#bytes = grown;
    }
    this.#length = needed;
    return at;
  }

  u8(value: number): this {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
    return this;
  }

  bool(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }

  u16(value: number): this {
    const at = this.#reserve(2);
    this.#bytes.writeUInt16LE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#reserve(4);
    this.#bytes.writeUInt32LE(value, at);
    return this;
  }

  i32(value: number): this {
    const at = this.#reserve(4);
    this.#bytes.writeInt32LE(value, at);
    return this;
  }

  /** A non-negative integer up to 2^53 - 1, in 8 bytes. */
  u53(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, `u53 can't hold ${value}`);
    const at = this.#reserve(8);
    this.#bytes.writeUInt32LE(value % 0x1_0000_0000, at);
    this.#bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
    return this;
  }

  u64(value: bigint): this {
    const at = this.#reserve(8);
    this.#bytes.writeBigUInt64LE(value, at);
    return this;
  }

  f64(value: number): this {
    const at = this.#reserve(8);
    this.#bytes.writeDoubleLE(value, at);
    return this;
  }

  /** Bytes with their count (u32) before them. */
  bytes(value: Uint8Array): this {
    this.u32(value.length);
    return this.raw(value);
  }

  /** Bytes without a count. */
  raw(value: Uint8Array): this {
    const at = this.#reserve(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** UTF-8 with its size in bytes (u32) before it. */
  string(value: string): this {
    const size = Buffer.byteLength(value);
    this.u32(size);
    const at = this.#reserve(size);
    this.#bytes.write(value, at, 'utf8');
    return this;
  }

  /** What was written so far; valid until the next write or reset. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy of what was written so far. */
  copy(): Buffer {
    return Buffer.from(this.view());
  }
}

export class Decoder {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at) {
      throw new DecodeError(`${count} bytes wanted, ${this.#bytes.length - at} left`);
    }
    this.#at = at + count;
    return at;
  }

  u8(): number {
    return this.#bytes[this.#take(1)] as number;
  }

  bool(): boolean {
    const value = this.u8();
    if (value > 1) throw new DecodeError(`${value} is not a boolean`);
    return value === 1;
  }

  u16(): number {
    return this.#bytes.readUInt16LE(this.#take(2));
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  i32(): number {
    return this.#bytes.readInt32LE(this.#take(4));
  }

  u53(): number {
    const at = this.#take(8);
    const high = this.#bytes.readUInt32LE(at + 4);
    if (high > 0x1f_ffff) throw new DecodeError('number above 2^53');
    return high * 0x1_0000_0000 + this.#bytes.readUInt32LE(at);
  }

  u64(): bigint {
    return this.#bytes.readBigUInt64LE(this.#take(8));
  }

  f64(): number {
    return this.#bytes.readDoubleLE(this.#take(8));
  }

  /** A view, not a copy. */
  bytes(): Buffer {
    return this.raw(this.u32());
  }

  /** A view of `count` bytes, not a copy. */
  raw(count: number): Buffer {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  string(): string {
    return utf8.decode(this.bytes());
  }

  /** Throws DecodeError when something is left over. */
  end(): void {
    if (this.remaining !== 0) throw new DecodeError(`${this.remaining} bytes left over`);
  }
}
