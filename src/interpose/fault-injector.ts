/**
 * FaultInjector: an interposer that makes a host as difficult as the contract allows: short reads
 * and writes, -EAGAIN when there was something, readiness late, merged or for nothing. For tests of
 * the libos's robustness, from a seed. It injects nothing that loses data or that a correct client
 * could not bear: whatever it withheld it announces by `ready` afterwards. Guest memory is never
 * touched.
 */
import { E } from '../abi/errno.ts';
import { type Handle, handle } from '../base/ids.ts';
import { Prng } from '../base/prng.ts';
import {
  type ExitStatus,
  type GuestImage,
  type Lvm,
  READY,
  type StreamAddress,
} from '../lvm/api.ts';
import { ForwardingLvm } from './forwarding.ts';

/** Probabilities, 0 to 1. */
export interface FaultRates {
  /** A read or write is done for a part only. */
  readonly short: number;
  /** A read, write or accept gives -EAGAIN. */
  readonly again: number;
  /** A `ready` upcall comes later. */
  readonly late: number;
  /** After a call, a `ready` without cause follows. */
  readonly spurious: number;
}

export interface FaultInjectorOptions {
  readonly seed: number;
  readonly rates?: Partial<FaultRates>;
  /** How much later at most, on the guest's monotonic clock; 0: at the loop's next turn. */
  readonly delayNsMax?: number;
}

const DEFAULT_RATES: FaultRates = { short: 0.3, again: 0.2, late: 0.3, spurious: 0.05 };
const CONSOLE = handle(0);

export class FaultInjector extends ForwardingLvm {
  readonly #prng: Prng;
  readonly #rates: FaultRates;
  readonly #delayNsMax: number;
  /** READY bits to announce by handle; at most one entry for each open handle. */
  readonly #owed = new Map<Handle, number>();
  #owedAtNs = Infinity;
  #clientAlarmNs = Infinity;
  /** How often each kind was injected, so that a test can see that it tested something. */
  readonly injected = { short: 0, again: 0, late: 0, spurious: 0 };

  constructor(inner: Lvm, options: FaultInjectorOptions) {
    super(inner);
    this.#prng = new Prng(options.seed);
    this.#rates = { ...DEFAULT_RATES, ...options.rates };
    this.#delayNsMax = options.delayNsMax ?? 0;
  }

  #chance(kind: keyof FaultRates): boolean {
    if (!this.#prng.chance(this.#rates[kind])) return false;
    this.injected[kind] += 1;
    return true;
  }

  /* --- what is owed: one alarm of the host serves the client's and ours ----------------------- */

  #owe(target: Handle, events: number): void {
    this.#owed.set(target, (this.#owed.get(target) ?? 0) | events);
    if (this.#owedAtNs !== Infinity) return;
    const delayNs = Math.floor(this.#prng.fraction() * (this.#delayNsMax + 1));
    this.#owedAtNs = this.inner.clock('monotonic') + delayNs;
    this.#rearm();
  }

  #rearm(): void {
    this.inner.setAlarm(Math.min(this.#owedAtNs, this.#clientAlarmNs));
  }

  override setAlarm(deadlineNs: number): void {
    this.#clientAlarmNs = deadlineNs;
    this.#rearm();
  }

  override alarm(): void {
    const nowNs = this.inner.clock('monotonic');
    if (this.#owedAtNs <= nowNs) this.#pay();
    if (this.#clientAlarmNs <= nowNs) {
      this.#clientAlarmNs = Infinity;
      this.client.alarm();
    }
    this.#rearm();
  }

  #pay(): void {
    this.#owedAtNs = Infinity;
    for (const target of [...this.#owed.keys()]) {
      // One that is closed by an upcall of this round has no entry any more.
      const events = this.#owed.get(target);
      if (events === undefined) continue;
      this.#owed.delete(target);
      this.client.ready(target, events);
    }
  }

  #settleAccount(target: Handle): void {
    this.#owed.delete(target);
    if (this.#owed.size === 0) this.#owedAtNs = Infinity;
  }

  /* --- input ---------------------------------------------------------------------------------- */

  /** A part of `target` for a short read, or null to give -EAGAIN. */
  #readTarget(from: Handle, target: Uint8Array): Uint8Array | null {
    if (target.length === 0) return target;
    if (this.#chance('again')) {
      this.#owe(from, READY.in);
      return null;
    }
    if (target.length > 1 && this.#chance('short')) {
      // More may be there that will not be announced again.
      this.#owe(from, READY.in);
      return target.subarray(0, 1 + this.#prng.below(target.length - 1));
    }
    return target;
  }

  override streamRead(stream: Handle, target: Uint8Array): number {
    const part = this.#readTarget(stream, target);
    if (part === null) return E.EAGAIN;
    this.#maybeSpurious(stream);
    return this.inner.streamRead(stream, part);
  }

  override consoleRead(target: Uint8Array): number {
    const part = this.#readTarget(CONSOLE, target);
    return part === null ? E.EAGAIN : this.inner.consoleRead(part);
  }

  override streamAccept(
    listener: Handle,
  ): { stream: Handle; peer: StreamAddress; local: StreamAddress } | number {
    if (this.#chance('again')) {
      this.#owe(listener, READY.in);
      return E.EAGAIN;
    }
    return this.inner.streamAccept(listener);
  }

  #maybeSpurious(stream: Handle): void {
    if (this.#chance('spurious')) this.#owe(stream, READY.in | READY.out);
  }

  /* --- output --------------------------------------------------------------------------------- */

  /** A part of `source` for a short write, or null to give -EAGAIN. */
  #writeSource(to: Handle, source: Uint8Array): Uint8Array | null {
    if (source.length === 0) return source;
    if (this.#chance('again')) {
      this.#owe(to, READY.out);
      return null;
    }
    if (source.length > 1 && this.#chance('short')) {
      this.#owe(to, READY.out);
      return source.subarray(0, 1 + this.#prng.below(source.length - 1));
    }
    return source;
  }

  override streamWrite(stream: Handle, source: Uint8Array): number {
    const part = this.#writeSource(stream, source);
    if (part === null) return E.EAGAIN;
    this.#maybeSpurious(stream);
    return this.inner.streamWrite(stream, part);
  }

  override consoleWrite(stream: 1 | 2, source: Uint8Array): number {
    const part = this.#writeSource(CONSOLE, source);
    return part === null ? E.EAGAIN : this.inner.consoleWrite(stream, part);
  }

  override streamClose(stream: Handle, reset: boolean): void {
    this.#settleAccount(stream);
    this.inner.streamClose(stream, reset);
  }

  /* --- upcalls -------------------------------------------------------------------------------- */

  override ready(target: Handle, events: number): void {
    if (this.#chance('late')) {
      this.#owe(target, events);
      return;
    }
    this.client.ready(target, events);
  }

  override instantiate(image: GuestImage): void {
    this.#owed.clear();
    this.#owedAtNs = Infinity;
    this.inner.instantiate(image);
  }

  override exited(status: ExitStatus): void {
    this.#owed.clear();
    this.#owedAtNs = Infinity;
    this.client.exited(status);
  }
}
