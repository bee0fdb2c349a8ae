/**
 * InetSocket: what TCP and UDP sockets share: the family, the local address, which addresses can be
 * bound to and reached. A base class; it holds no port by itself.
 */
import { E } from '../../abi/errno.ts';
import { AF, IPPROTO, IPV6 } from '../../abi/net.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import {
  ANY_V4,
  ANY_V6,
  decodeInet,
  type Endpoint,
  encodeInet,
  isAny,
  isLoopback,
  isV4,
  LOOPBACK_V4,
  LOOPBACK_V6,
  loadEndpoint,
  saveEndpoint,
  toOwn,
} from './address.ts';
import type { PortUser } from './ports.ts';
import { Socket } from './socket.ts';

export abstract class InetSocket extends Socket implements PortUser {
  #domain: number = AF.inet;
  #isV6Only = false;
  #local: Endpoint | null = null;

  /** AF_INET or AF_INET6. */
  get domain(): number {
    return this.#domain;
  }

  set domain(domain: number) {
    this.#domain = domain;
    this.touch();
  }

  get isV6Only(): boolean {
    return this.#isV6Only;
  }

  get local(): Endpoint | null {
    return this.#local;
  }

  protected set local(endpoint: Endpoint | null) {
    this.#local = endpoint;
    this.touch();
  }

  /** What an accepted socket takes over from its listener. */
  protected inheritFamily(from: InetSocket): void {
    this.#domain = from.#domain;
    this.#isV6Only = from.#isV6Only;
  }

  protected get any(): Endpoint {
    return { ip: this.#domain === AF.inet6 ? ANY_V6 : ANY_V4, port: 0 };
  }

  override localAddress(): Buffer {
    return encodeInet(this.#local ?? this.any, this.#domain);
  }

  /** The address that bind(2) asks for, if it is one of the guest's; -errno. */
  protected bindable(address: Buffer): Endpoint | number {
    const wanted = decodeInet(address, this.#domain);
    if (typeof wanted === 'number') return wanted;
    if (!isAny(wanted.ip) && !isLoopback(wanted.ip)) return E.EADDRNOTAVAIL;
    return this.#isV6Only && isV4(wanted.ip) ? E.EINVAL : wanted;
  }

  /** Where something for `wanted` goes: the guest's own loopback or nowhere (-ENETUNREACH). */
  protected reach(wanted: Endpoint): Endpoint | number {
    const target = toOwn(wanted);
    if (!isLoopback(target.ip) || (this.#isV6Only && isV4(target.ip))) return E.ENETUNREACH;
    return target;
  }

  /** The own address towards `target`. */
  protected sourceFor(target: Endpoint): string {
    const bound = this.#local?.ip ?? this.any.ip;
    if (!isAny(bound)) return bound;
    return isV4(target.ip) ? LOOPBACK_V4 : LOOPBACK_V6;
  }

  /** IPV6_V6ONLY; null for any other option. */
  protected setFamilyOption(level: number, option: number, value: number): number | null {
    if (level !== IPPROTO.ipv6 || option !== IPV6.v6only) return null;
    if (this.#domain !== AF.inet6) return E.ENOPROTOOPT;
    if (this.#local !== null) return E.EINVAL;
    this.#isV6Only = value !== 0;
    this.touch();
    return 0;
  }

  protected getFamilyOption(level: number, option: number): number | null {
    if (level !== IPPROTO.ipv6 || option !== IPV6.v6only) return null;
    if (this.#domain !== AF.inet6) return E.ENOPROTOOPT;
    return this.#isV6Only ? 1 : 0;
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    encoder.u8(this.#domain).bool(this.#isV6Only);
    saveEndpoint(encoder, this.#local);
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.#domain = decoder.u8();
    this.#isV6Only = decoder.bool();
    this.#local = loadEndpoint(decoder);
  }
}
