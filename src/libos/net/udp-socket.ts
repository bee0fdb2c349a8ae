/**
 * UdpSocket: SOCK_DGRAM of AF_INET and AF_INET6, on the guest's loopback only: everything else is
 * unreachable.
 */
import { E } from '../../abi/errno.ts';
import { AF, IPPROTO, MSG, SHUT, SOCK } from '../../abi/net.ts';
import { present } from '../../base/assert.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { ObjectId } from '../../base/ids.ts';
import type { Kernel } from '../kernel.ts';
import { KIND } from '../kinds-ids.ts';
import type { Objects } from '../object.ts';
import { POLL } from '../open-file.ts';
import type { Task } from '../task.ts';
import {
  ANY_V6,
  decodeInet,
  type Endpoint,
  encodeInet,
  isAny,
  isV4,
  loadEndpoint,
  saveEndpoint,
} from './address.ts';
import { InetSocket } from './inet-socket.ts';
import { MessageQueue } from './message-queue.ts';
import { covers } from './ports.ts';
import { NOTHING, type Outgoing, plainReceived, type Received } from './socket.ts';
import { getIpOption, setIpOption } from './tcp-options.ts';

const DATAGRAM_BYTES_MAX = 65_507;
const IN = POLL.in | POLL.rdnorm;
const OUT = POLL.out | POLL.wrnorm | POLL.wrband;

export class UdpSocket extends InetSocket {
  readonly kind = KIND.udpSocket;
  readonly type = SOCK.dgram;
  readonly protocol = IPPROTO.udp;
  readonly isStream = false;
  #peer: Endpoint | null = null;
  #isReadShut = false;
  #isWriteShut = false;
  #queue: MessageQueue | null;

  constructor(kernel: Kernel, objects: Objects, id?: ObjectId) {
    super(kernel, objects, id);
    this.#queue = id === undefined ? new MessageQueue(objects) : null;
  }

  get #messages(): MessageQueue {
    return present(this.#queue, 'message queue');
  }

  override bind(address: Buffer, _task: Task): number {
    const wanted = this.bindable(address);
    if (typeof wanted === 'number') return wanted;
    if (this.local !== null) return E.EINVAL;
    return this.#take(wanted);
  }

  #take(wanted: Endpoint): number {
    const { net } = this.kernel;
    const port = wanted.port === 0 ? net.ephemeralPort(net.udpPorts) : wanted.port;
    if (port < 0) return port;
    const endpoint = { ip: wanted.ip, port };
    const failed = net.udpPorts.check(this, endpoint);
    if (failed < 0) return failed;
    this.local = endpoint;
    net.udpPorts.add(this, port);
    this.touch();
    return 0;
  }

  #takeAny(): number {
    if (this.local !== null) return 0;
    return this.#take(this.any);
  }

  /** Where to send: an IPv6 socket takes IPv4 addresses too. */
  #decode(address: Buffer): Endpoint | number {
    const isV4Address = address.length >= 2 && address.readUInt16LE(0) === AF.inet;
    return decodeInet(address, isV4Address ? AF.inet : this.domain);
  }

  /** An IPv4 address, for a socket bound to an IPv6 one. */
  #isForeign(wanted: Endpoint): boolean {
    const bound = this.local?.ip ?? ANY_V6;
    return isV4(wanted.ip) && !isAny(bound) && !isV4(bound);
  }

  override connect(address: Buffer, _task: Task): number {
    if (address.length < 2) return E.EINVAL;
    if (address.readUInt16LE(0) === AF.unspec) {
      this.#peer = null;
      this.touch();
      return 0;
    }
    const failed = this.#takeAny();
    if (failed < 0) return E.EAGAIN;
    const wanted = this.#decode(address);
    if (typeof wanted === 'number') return wanted;
    if (this.#isForeign(wanted)) return E.EAFNOSUPPORT;
    const target = this.reach(wanted);
    if (typeof target === 'number') return target;
    const local = present(this.local, 'local address');
    if (isAny(local.ip)) this.local = { ip: this.sourceFor(target), port: local.port };
    this.#peer = target;
    this.touch();
    return 0;
  }

  override peerAddress(): Buffer | number {
    return this.#peer === null ? E.ENOTCONN : encodeInet(this.#peer, this.domain);
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
      if (typeof wanted === 'number') {
        return wanted === E.EAFNOSUPPORT && this.domain === AF.inet6 ? E.EINVAL : wanted;
      }
      if (this.#isForeign(wanted)) return E.ENETUNREACH;
      if (wanted.port === 0) return E.EINVAL;
      const reached = this.reach(wanted);
      if (typeof reached === 'number') return reached;
      target = reached;
    }
    if (target === null) return E.EDESTADDRREQ;
    // An IPv4 peer of an IPv6 socket is checked like an address given here.
    const isMapped = this.domain === AF.inet6 && isV4(target.ip);
    if (isMapped && target.port === 0) return E.EINVAL;
    if (this.pendingError !== 0) return -this.takeError();
    if (this.#isWriteShut) return E.EPIPE;
    const source = { ip: this.sourceFor(target), port: present(this.local, 'address').port };
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
      if (local === null || !covers(local.ip, socket.isV6Only, target.ip)) continue;
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
    const address = encodeInet(source, this.domain);
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
    const own = this.setFamilyOption(level, option, value);
    if (own !== null) return own;
    return setIpOption(this, level, option, value);
  }

  override getProtocolOption(level: number, option: number): number {
    const own = this.getFamilyOption(level, option);
    if (own !== null) return own;
    return getIpOption(this, level, option);
  }

  protected override close(): void {
    if (this.local !== null) this.kernel.net.udpPorts.remove(this, this.local.port);
    this.#messages.destroy();
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    encoder.bool(this.#isReadShut).bool(this.#isWriteShut);
    saveEndpoint(encoder, this.#peer);
    encoder.u32(this.#messages.id);
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.#isReadShut = decoder.bool();
    this.#isWriteShut = decoder.bool();
    this.#peer = loadEndpoint(decoder);
    this.#queue = this.objects.get(decoder.u32(), MessageQueue);
  }

  override loaded(): void {
    if (this.local !== null) this.kernel.net.udpPorts.add(this, this.local.port);
  }
}

/** Whether a socket connected to `peer` takes what comes from `source`; port 0 leaves that open. */
function isFrom(peer: Endpoint, source: Endpoint): boolean {
  return peer.ip === source.ip && (peer.port === 0 || peer.port === source.port);
}
