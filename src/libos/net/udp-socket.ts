/**
 * UdpSocket: SOCK_DGRAM of AF_INET and AF_INET6, on the guest's loopback only: everything else is unreachable.
 */
import { E } from '../../abi/errno.ts';
import { AF, IPPROTO, IPV6, MSG, SHUT, SOCK } from '../../abi/net.ts';
import { present } from '../../base/assert.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { ObjectId } from '../../base/ids.ts';
import type { Kernel } from '../kernel.ts';
import { KIND } from '../kinds-ids.ts';
import type { Objects } from '../object.ts';
import { POLL } from '../open-file.ts';
import type { Task } from '../task.ts';
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
import { MessageQueue } from './message-queue.ts';
import { covers, type PortUser } from './ports.ts';
import { NOTHING, type Outgoing, plainReceived, type Received, Socket } from './socket.ts';
import { getIpOption, setIpOption } from './tcp-options.ts';

const DATAGRAM_BYTES_MAX = 65_507;
const IN = POLL.in | POLL.rdnorm;
const OUT = POLL.out | POLL.wrnorm | POLL.wrband;

export class UdpSocket extends Socket implements PortUser {
  readonly kind = KIND.udpSocket;
  readonly type = SOCK.dgram;
  readonly protocol = IPPROTO.udp;
  readonly isStream = false;
  #domain: number = AF.inet;
  #isV6Only = false;
  #local: Endpoint | null = null;
  #peer: Endpoint | null = null;
  #isReadShut = false;
  #isWriteShut = false;
  #queue: MessageQueue | null;

  constructor(kernel: Kernel, objects: Objects, id?: ObjectId) {
    super(kernel, objects, id);
    this.#queue = id === undefined ? new MessageQueue(objects) : null;
  }

  get domain(): number {
    return this.#domain;
  }

  set domain(domain: number) {
    this.#domain = domain;
  }

  get local(): Endpoint | null {
    return this.#local;
  }

  get isV6Only(): boolean {
    return this.#isV6Only;
  }

  get #messages(): MessageQueue {
    return present(this.#queue, 'message queue');
  }

  override bind(address: Buffer, _task: Task): number {
    const wanted = decodeInet(address, this.#domain);
    if (typeof wanted === 'number') return wanted;
    if (this.#local !== null) return E.EINVAL;
    if (!isAny(wanted.ip) && !isLoopback(wanted.ip)) return E.EADDRNOTAVAIL;
    if (this.#isV6Only && isV4(wanted.ip)) return E.EINVAL;
    return this.#take(wanted);
  }

  #take(wanted: Endpoint): number {
    const { net } = this.kernel;
    const port = wanted.port === 0 ? net.ephemeralPort(net.udpPorts) : wanted.port;
    if (port < 0) return port;
    const endpoint = { ip: wanted.ip, port };
    const failed = net.udpPorts.check(this, endpoint);
    if (failed < 0) return failed;
    this.#local = endpoint;
    net.udpPorts.add(this, port);
    this.touch();
    return 0;
  }

  #takeAny(): number {
    if (this.#local !== null) return 0;
    return this.#take({ ip: this.#domain === AF.inet6 ? ANY_V6 : ANY_V4, port: 0 });
  }

  /** Where to send: an IPv6 socket takes IPv4 addresses too. */
  #decode(address: Buffer): Endpoint | number {
    const isV4Address = address.length >= 2 && address.readUInt16LE(0) === AF.inet;
    return decodeInet(address, isV4Address ? AF.inet : this.#domain);
  }

  /** An IPv4 address, for a socket bound to an IPv6 one. */
  #isForeign(wanted: Endpoint): boolean {
    const bound = this.#local?.ip ?? ANY_V6;
    return isV4(wanted.ip) && !isAny(bound) && !isV4(bound);
  }

  /** Where a datagram to `wanted` goes from here, or -errno. */
  #reach(wanted: Endpoint): Endpoint | number {
    if (wanted.port === 0) return E.EINVAL;
    const target = toOwn(wanted);
    if (!isLoopback(target.ip) || (this.#isV6Only && isV4(target.ip))) return E.ENETUNREACH;
    return target;
  }

  override connect(address: Buffer, _task: Task): number {
    if (address.length < 2) return E.EINVAL;
    if (address.readUInt16LE(0) === AF.unspec) {
      this.#peer = null;
      this.touch();
      return 0;
    }
    const wanted = this.#decode(address);
    if (typeof wanted === 'number') return wanted;
    if (this.#isForeign(wanted)) return E.EAFNOSUPPORT;
    const target = toOwn(wanted);
    if (!isLoopback(target.ip) || (this.#isV6Only && isV4(target.ip))) return E.ENETUNREACH;
    const failed = this.#takeAny();
    if (failed < 0) return failed === E.EADDRINUSE ? E.EAGAIN : failed;
    const local = present(this.#local, 'local address');
    if (isAny(local.ip)) this.#local = { ip: this.#sourceFor(target), port: local.port };
    this.#peer = target;
    this.touch();
    return 0;
  }

  #sourceFor(target: Endpoint): string {
    const bound = this.#local?.ip ?? ANY_V4;
    if (!isAny(bound)) return bound;
    return isV4(target.ip) ? LOOPBACK_V4 : LOOPBACK_V6;
  }

  override localAddress(): Buffer {
    const any = { ip: this.#domain === AF.inet6 ? ANY_V6 : ANY_V4, port: 0 };
    return encodeInet(this.#local ?? any, this.#domain);
  }

  override peerAddress(): Buffer | number {
    return this.#peer === null ? E.ENOTCONN : encodeInet(this.#peer, this.#domain);
  }

  override shutdown(how: number): number {
    // Without a peer, as Linux has it: an error, and yet an effect.
    if (how !== SHUT.wr) this.#isReadShut = true;
    if (how !== SHUT.rd) this.#isWriteShut = true;
    this.touch();
    this.queue.wake();
    return this.#peer === null ? E.ENOTCONN : 0;
  }

  override send(data: Uint8Array, message: Outgoing, _task: Task): number {
    if ((message.flags & MSG.oob) !== 0) return E.EOPNOTSUPP;
    if (data.length > DATAGRAM_BYTES_MAX) return E.EMSGSIZE;
    if (this.#takeAny() < 0) return E.EAGAIN;
    let target = this.#peer;
    if (message.address !== null) {
      const wanted = this.#decode(message.address);
      if (typeof wanted === 'number') return wanted;
      if (this.#isForeign(wanted)) return E.ENETUNREACH;
      const reached = this.#reach(wanted);
      if (typeof reached === 'number') return reached;
      target = reached;
    }
    if (target === null) return E.EDESTADDRREQ;
    if (this.pendingError !== 0) return -this.takeError();
    if (this.#isWriteShut) return E.EPIPE;
    const source = { ip: this.#sourceFor(target), port: present(this.#local, 'address').port };
    const receiver = this.#find(target, source);
    if (receiver !== null) receiver.#arrive(data, source);
    else if (this.#peer?.port === target.port && this.#peer.ip === target.ip) {
      this.pendingError = E.ECONNREFUSED;
      this.touch();
      this.queue.wake();
    }
    return data.length;
  }

  /** Who gets a datagram: connected to its sender before exact address before "any". */
  #find(target: Endpoint, source: Endpoint): UdpSocket | null {
    let best: UdpSocket | null = null;
    let bestRank = -1;
    for (const socket of this.kernel.net.udpPorts.users(target.port)) {
      const { local } = socket;
      if (local === null || !covers(local.ip, socket.#isV6Only, target.ip)) continue;
      const peer = socket.#peer;
      if (peer !== null && !isFrom(peer, source)) continue;
      const rank =
        (peer === null ? 0 : 4) +
        (local.ip === target.ip ? 2 : 0) +
        (isV4(local.ip) === isV4(target.ip) ? 1 : 0);
      if (rank > bestRank) [best, bestRank] = [socket, rank];
    }
    return best;
  }

  /** A datagram came; as in any network, one that finds no room is lost. */
  #arrive(data: Uint8Array, source: Endpoint): void {
    const cost = MessageQueue.costBytes(data.length);
    if (this.#messages.usedBytes + cost > this.options.receiveBytes) return;
    const address = encodeInet(source, this.#domain);
    this.#messages.push({ bytes: Buffer.from(data), address, files: [], credentials: null });
    this.queue.wake(IN);
  }

  override receive(count: number, flags: number, _task: Task): Received | number {
    if ((flags & MSG.errqueue) !== 0) return E.EAGAIN;
    if (this.pendingError !== 0) return -this.takeError();
    const first = this.#messages.first;
    if (first === null) {
      return this.#isReadShut && this.waits(flags) ? plainReceived(NOTHING) : E.EAGAIN;
    }
    const message = (flags & MSG.peek) !== 0 ? first : this.#messages.shift();
    return {
      ...message,
      bytes: message.bytes.subarray(0, count),
      wholeBytes: message.bytes.length,
    };
  }

  override available(): number {
    return this.#messages.first?.bytes.length ?? 0;
  }

  override poll(): number {
    let events = OUT;
    if (this.#messages.count > 0) events |= IN;
    if (this.#isReadShut) events |= IN | POLL.rdhup;
    if (this.#isReadShut && this.#isWriteShut) events |= POLL.hup;
    if (this.pendingError !== 0) events |= POLL.error;
    return events;
  }

  override setProtocolOption(level: number, option: number, value: number): number {
    if (level === IPPROTO.ipv6 && option === IPV6.v6only && this.#domain === AF.inet6) {
      if (this.#local !== null) return E.EINVAL;
      this.#isV6Only = value !== 0;
      this.touch();
      return 0;
    }
    return setIpOption(this, level, option, value);
  }

  override getProtocolOption(level: number, option: number): number {
    if (level === IPPROTO.ipv6 && option === IPV6.v6only && this.#domain === AF.inet6) {
      return this.#isV6Only ? 1 : 0;
    }
    return getIpOption(this, level, option);
  }

  protected override close(): void {
    if (this.#local !== null) this.kernel.net.udpPorts.remove(this, this.#local.port);
    this.#messages.destroy();
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    encoder.u8(this.#domain).bool(this.#isV6Only).bool(this.#isReadShut).bool(this.#isWriteShut);
    saveEndpoint(encoder, this.#local);
    saveEndpoint(encoder, this.#peer);
    encoder.u32(this.#messages.id);
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.#domain = decoder.u8();
    this.#isV6Only = decoder.bool();
    this.#isReadShut = decoder.bool();
    this.#isWriteShut = decoder.bool();
    this.#local = loadEndpoint(decoder);
    this.#peer = loadEndpoint(decoder);
    this.#queue = this.objects.get(decoder.u32(), MessageQueue);
  }

  override loaded(): void {
    if (this.#local !== null) this.kernel.net.udpPorts.add(this, this.#local.port);
  }
}

/** Whether a socket connected to `peer` takes what comes from `source`; port 0 leaves that open. */
function isFrom(peer: Endpoint, source: Endpoint): boolean {
  return peer.ip === source.ip && (peer.port === 0 || peer.port === source.port);
}
