/**
 * CpuTime: processor time of a process or thread as the guest is told it. The host counts from
 * zero wherever it brings a guest to life, so what was told before goes on from here: it never goes
 * back. Part of its owner's record, which must be saved after `tell`. What was used since the guest
 * last asked is lost at a takeover.
 */
import type { Decoder, Encoder } from '../../base/codec.ts';

export class CpuTime {
  /** Of earlier hosts. */
  #beforeNs = 0;
  #toldNs = 0;

  /** `hostNs`: the host's count. */
  tell(hostNs: number): number {
    this.#toldNs = Math.max(this.#toldNs, this.#beforeNs + hostNs);
    return this.#toldNs;
  }

  save(encoder: Encoder): void {
    // Many processors pass 2^53 ns within days.
    encoder.f64(this.#toldNs);
  }

  load(decoder: Decoder): void {
    this.#toldNs = decoder.f64();
    this.#beforeNs = this.#toldNs;
  }
}
