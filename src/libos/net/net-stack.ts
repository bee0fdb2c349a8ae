/**
 * NetStack: the guest's network as one kernel object: its ports, the published ones among them,
 * and the names of Unix sockets. Sockets enter themselves when they are bound and again when
 * loaded; only the place in the ephemeral ports is state of its own.
 */
import { E } from '../../abi/errno.ts';
import { AF, IPPROTO, SOCK } from '../../abi/net.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { Handle, ObjectId } from '../../base/ids.ts';
import { Scratch } from '../ipc/scratch.ts';
import type { Kernel } from '../kernel.ts';
import { KIND } from '../kinds-ids.ts';
import { KernelObject, type Objects } from '../object.ts';
import { type Endpoint, isV4 } from './address.ts';
import { covers, Ports, type PortUser } from './ports.ts';
import type { Socket } from './socket.ts';
import { TcpSocket } from './tcp-socket.ts';
import { UdpSocket } from './udp-socket.ts';
import { UnixDatagramSocket } from './unix-datagram.ts';
import { UnixStreamSocket } from './unix-stream.ts';

export class NetStack extends KernelObject {
  readonly kind = KIND.netStack;
  readonly kernel: Kernel;
  readonly tcpPorts = new Ports<TcpSocket>(false);
  readonly udpPorts = new Ports<UdpSocket>(true);
  /** Bound Unix sockets by key of their name; derived. */
  readonly unixNames = new Map<string, Socket>();
  readonly scratch = new Scratch();
  #nextEphemeral = 0;
  /** For Unix sockets that bind without a name. */
  #nextAbstract = 0;

  constructor(kernel: Kernel, objects: Objects, id?: ObjectId) {
    super(objects, id);
    this.kernel = kernel;
  }

  /** A new socket(2), not yet retained; -errno. */
  create(domain: number, type: number, protocol: number): Socket | number {
    switch (domain) {
      case AF.inet:
      case AF.inet6:
        return this.#createInet(domain, type, protocol);
      case AF.unix:
        if (protocol !== 0 && protocol !== AF.unix) return E.EPROTONOSUPPORT;
        return this.createUnix(type);
      default:
        return E.EAFNOSUPPORT;
    }
  }

  #createInet(domain: number, type: number, protocol: number): Socket | number {
    if (type === SOCK.raw) return E.EPERM;
    if (type === SOCK.stream) {
      if (protocol !== 0 && protocol !== IPPROTO.tcp) return E.EPROTONOSUPPORT;
      const socket = new TcpSocket(this.kernel, this.objects);
      socket.domain = domain;
      return socket;
    }
    if (type === SOCK.dgram) {
      if (protocol !== 0 && protocol !== IPPROTO.udp) return E.EPROTONOSUPPORT;
      const socket = new UdpSocket(this.kernel, this.objects);
      socket.domain = domain;
      return socket;
    }
    return E.ESOCKTNOSUPPORT;
  }

  createUnix(type: number): UnixStreamSocket | UnixDatagramSocket | number {
    // Linux makes a datagram socket of a raw one.
    if (type === SOCK.dgram || type === SOCK.raw) {
      return new UnixDatagramSocket(this.kernel, this.objects);
    }
    if (type !== SOCK.stream && type !== SOCK.seqpacket) return E.ESOCKTNOSUPPORT;
    const socket = new UnixStreamSocket(this.kernel, this.objects);
    socket.isSequenced = type === SOCK.seqpacket;
    return socket;
  }

  /** A free port of the ephemeral range, or -EADDRINUSE. */
  ephemeralPort<User extends PortUser>(ports: Ports<User>): number {
    const port = ports.ephemeral(this.#nextEphemeral);
    this.#nextEphemeral = (this.#nextEphemeral + 1) % 0x1_0000;
    this.touch();
    return port;
  }

  /** The next abstract name of five hexadecimal digits (autobind of unix(7)). */
  takeAbstractName(): string {
    const name = (this.#nextAbstract % 0x10_0000).toString(16).padStart(5, '0');
    this.#nextAbstract += 1;
    this.touch();
    return `\0${name}`;
  }

  /** The listener that a connection to `target` inside the guest reaches, or null. */
  findTcpListener(target: Endpoint): TcpSocket | null {
    let best: TcpSocket | null = null;
    for (const socket of this.tcpPorts.users(target.port)) {
      const { local, listener } = socket;
      if (listener === null || local === null) continue;
      if (!covers(local.ip, socket.isV6Only, target.ip)) continue;
      if (best === null || isBetter(socket, best, target.ip)) best = socket;
    }
    return best;
  }

  /**
   * Somebody began to listen on `port`: gives the published port of that number, if there is one,
   * to the listener that should have it (tcp-listener.ts says which).
   */
  publish(port: number): void {
    let holder: TcpSocket | null = null;
    let best: TcpSocket | null = null;
    for (const socket of this.tcpPorts.users(port)) {
      if (socket.listener === null) continue;
      if (socket.listener.handle !== 0) holder = socket;
      if (best === null || (best.isV6Only && !socket.isV6Only)) best = socket;
    }
    if (best === null || best.listener === null || best === holder) return;
    if (holder?.listener != null) {
      if (!holder.isV6Only) return;
      const published = holder.listener.handle;
      holder.listener.handle = 0 as Handle;
      best.listener.handle = published;
      return;
    }
    const published = this.kernel.lvm.streamListen(port);
    if (published > 0) best.listener.handle = published as Handle;
  }

  /** The listener that held a published port has gone: another takes it, or it is closed. */
  unpublish(port: number, published: Handle, from: TcpSocket): void {
    for (const socket of this.tcpPorts.users(port)) {
      if (socket === from || socket.listener === null) continue;
      socket.listener.handle = published;
      this.publish(port);
      return;
    }
    this.kernel.lvm.streamClose(published, false);
  }

  override save(encoder: Encoder): void {
    encoder.u32(this.#nextEphemeral).u53(this.#nextAbstract);
  }

  override load(decoder: Decoder): void {
    this.#nextEphemeral = decoder.u32();
    this.#nextAbstract = decoder.u53();
  }
}

/** An exact address goes before "any", the own family before both; then the shorter queue. */
function isBetter(one: TcpSocket, other: TcpSocket, ip: string): boolean {
  const rank = (socket: TcpSocket): number => {
    const bound = socket.local?.ip ?? '';
    if (bound === ip) return 2;
    return isV4(bound) === isV4(ip) ? 1 : 0;
  };
  const difference = rank(one) - rank(other);
  if (difference !== 0) return difference > 0;
  return (one.listener?.waitingCount ?? 0) < (other.listener?.waitingCount ?? 0);
}
