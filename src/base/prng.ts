/**
 * Prng: a small seeded pseudo-random generator (sfc32) for simulators, fault injection and tests.
 * The same seed gives the same numbers on every machine. Never for secrets: those come from the
 * host.
 */
import { assert } from './assert.ts';

export class Prng {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    assert(Number.isSafeInteger(seed), `seed ${seed} is not an integer`);
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0;
    this.#c = 0x9e37_79b9 | 0;
    // Near seeds give near states; these rounds part them.
    for (let round = 0; round < 15; round += 1) this.u32();
  }

  /** 0 to 2^32 - 1. */
  u32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    assert(Number.isInteger(limit) && limit > 0, `no number is below ${limit}`);
    return Math.floor(this.fraction() * limit);
  }

  /** 0 up to, but not, 1. */
  fraction(): number {
    return this.u32() / 0x1_0000_0000;
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  fill(target: Uint8Array): void {
    for (let at = 0; at < target.length; at += 1) target[at] = this.u32() >>> 24;
  }
}
