/**
 * SocketOptions: the options of level SOL_SOCKET that any socket keeps, and the numbers of other
 * levels that are only remembered. Read and set by syscalls/socket-options.ts; saved with the
 * socket.
 */
import type { Decoder, Encoder } from '../../base/codec.ts';

/** net.core.wmem_default and wmem_max as Linux has them; getsockopt shows them so. */
const BUFFER_BYTES_DEFAULT = 212_992;
export const BUFFER_BYTES_MAX = 425_984;
/** Linux doubles what is asked for, and gives at least these. */
export const SEND_BYTES_MIN = 4608;
export const RECEIVE_BYTES_MIN = 2304;

/** Level and option of a remembered number as one key. */
const keyOf = (level: number, option: number): number => level * 0x1_0000 + option;

export class SocketOptions {
  reuseAddress = false;
  reusePort = false;
  passCredentials = false;
  sendBytes = BUFFER_BYTES_DEFAULT;
  receiveBytes = BUFFER_BYTES_DEFAULT;
  /** Infinity: none. */
  receiveTimeoutNs = Infinity;
  sendTimeoutNs = Infinity;
  /** Seconds; null when off. */
  lingerSeconds: number | null = null;
  readonly #numbers = new Map<number, number>();

  /** An option that is only remembered, such as TCP_NODELAY; unsigned, so never like an errno. */
  number(level: number, option: number): number | undefined {
    return this.#numbers.get(keyOf(level, option));
  }

  setNumber(level: number, option: number, value: number): void {
    this.#numbers.set(keyOf(level, option), value >>> 0);
  }

  /** What an accepted socket takes over from its listener. */
  inherit(from: SocketOptions): void {
    this.reuseAddress = from.reuseAddress;
    this.reusePort = from.reusePort;
    this.passCredentials = from.passCredentials;
    this.sendBytes = from.sendBytes;
    this.receiveBytes = from.receiveBytes;
    this.receiveTimeoutNs = from.receiveTimeoutNs;
    this.sendTimeoutNs = from.sendTimeoutNs;
    this.lingerSeconds = from.lingerSeconds;
    for (const [key, value] of from.#numbers) this.#numbers.set(key, value);
  }

  save(encoder: Encoder): void {
    encoder.bool(this.reuseAddress).bool(this.reusePort).bool(this.passCredentials);
    encoder.u32(this.sendBytes).u32(this.receiveBytes);
    encoder.f64(this.receiveTimeoutNs).f64(this.sendTimeoutNs);
    encoder.i32(this.lingerSeconds ?? -1);
    encoder.u16(this.#numbers.size);
    for (const [key, value] of this.#numbers) encoder.u53(key).f64(value);
  }

  load(decoder: Decoder): void {
    this.reuseAddress = decoder.bool();
    this.reusePort = decoder.bool();
    this.passCredentials = decoder.bool();
    this.sendBytes = decoder.u32();
    this.receiveBytes = decoder.u32();
    this.receiveTimeoutNs = decoder.f64();
    this.sendTimeoutNs = decoder.f64();
    const linger = decoder.i32();
    this.lingerSeconds = linger < 0 ? null : linger;
    for (let left = decoder.u16(); left > 0; left -= 1) {
      this.#numbers.set(decoder.u53(), decoder.f64());
    }
  }
}
