/**
 * Peers: the replicas that this one is connected to: one connection a pair, made by the younger of
 * the two (the higher id) and made again when it breaks. Both say hello first: the service's token
 * and both ids; whoever does not is cut off. Used by the replica's composition root.
 */
import { timingSafeEqual } from 'node:crypto';
import { E, errnoName } from '../abi/errno.ts';
import { assert } from '../base/assert.ts';
import { type ReplicaId, replicaId } from '../base/ids.ts';
import * as os from '../ffi/native.ts';
import { EPOLL, type Loop, Timer } from '../loop/loop.ts';
import { Connection } from './connection.ts';
import {
  decodeHello,
  encodeHello,
  PACKET,
  type PacketKind,
  TOKEN_BYTES,
  WIRE_VERSION,
} from './wire.ts';

export interface PeerEvents {
  up(peer: ReplicaId): void;
  down(peer: ReplicaId, reason: string): void;
  packet(peer: ReplicaId, kind: PacketKind, body: Buffer): void;
  progress(peer: ReplicaId): void;
  /** Somebody connected who is not a replica of this service. */
  stranger(reason: string): void;
}

export interface PeersOptions {
  readonly self: ReplicaId;
  /** TOKEN_BYTES. */
  readonly token: Buffer;
}

interface Dialled {
  readonly host: string;
  readonly port: number;
}

const SOCK_STREAM_FLAGS = 1 | 0o2000000 | 0o4000;
const CLOEXEC_NONBLOCK = 0o2000000 | 0o4000;
const AF_INET = 2;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const BACKLOG = 64;
/** Said hello or is cut off. */
const HELLO_NS_MAX = 2e9;
const REDIAL_NS = 100e6;
/** Connections that have not said hello yet. */
const STRANGERS_MAX = 16;
/** A fresh replica may be told of another before that one listens. */
const FIRST_CONNECTION_NS_MAX = 1e9;
const WAITING_PACKETS_MAX = 64;

export class Peers {
  readonly port: number;
  readonly #loop: Loop;
  readonly #options: PeersOptions;
  readonly #events: PeerEvents;
  readonly #up = new Map<ReplicaId, Connection>();
  readonly #addresses = new Map<ReplicaId, Dialled>();
  /** Dialled, hello not yet seen. */
  readonly #pending = new Map<ReplicaId, Connection>();
  readonly #strangers = new Set<Connection>();
  /** Packets for peers that we have not met yet. */
  readonly #waiting = new Map<ReplicaId, { packets: Buffer[]; sinceNs: number }>();
  /** Peers whose connection broke and has not come back. */
  readonly #lost = new Set<ReplicaId>();
  readonly #redial: Timer;

  constructor(loop: Loop, options: PeersOptions, events: PeerEvents) {
    assert(options.token.length === TOKEN_BYTES, 'size of the token');
    this.#loop = loop;
    this.#options = options;
    this.#events = events;
    const { fd, port } = listenOnLoopback();
    this.port = port;
    loop.add(fd, EPOLL.in, () => this.#accept(fd));
    this.#redial = new Timer(() => {
      this.#expireWaiting();
      this.#dialAll();
    });
  }

  /** The replicas that there are now, with where they listen. */
  setAddresses(addresses: ReadonlyMap<ReplicaId, Dialled>): void {
    this.#addresses.clear();
    for (const [peer, address] of addresses) {
      if (peer !== this.#options.self) this.#addresses.set(peer, address);
    }
    this.#dialAll();
  }

  get connected(): Iterable<ReplicaId> {
    return this.#up.keys();
  }

  isUp(peer: ReplicaId): boolean {
    return this.#up.has(peer);
  }

  /** Null when there is no connection now. */
  connection(peer: ReplicaId): Connection | null {
    return this.#up.get(peer) ?? null;
  }

  /**
   * Sends a packet; to a peer that we never met it waits for the connection, a second at most
   * (then it counts as down). False: the connection was lost, or too much waits.
   */
  send(peer: ReplicaId, head: Buffer, body: Buffer | null = null): boolean {
    const connection = this.#up.get(peer);
    if (connection !== undefined) {
      connection.send(head, body);
      return true;
    }
    if (this.#lost.has(peer)) return false;
    const waiting = this.#waiting.get(peer) ?? { packets: [], sinceNs: this.#loop.nowNs() };
    if (waiting.packets.length >= WAITING_PACKETS_MAX) return false;
    waiting.packets.push(Buffer.concat(body === null ? [head] : [head, body]));
    this.#waiting.set(peer, waiting);
    this.#loop.setTimer(this.#redial, this.#loop.nowNs() + REDIAL_NS);
    return true;
  }

  /** Peers that never came count as down. */
  #expireWaiting(): void {
    const now = this.#loop.nowNs();
    for (const [peer, { sinceNs }] of this.#waiting) {
      if (now - sinceNs < FIRST_CONNECTION_NS_MAX) continue;
      this.#waiting.delete(peer);
      this.#events.down(peer, 'it could not be reached');
    }
  }

  /** It said something that no replica of ours says. */
  cutOff(peer: ReplicaId, reason: string): void {
    this.#up.get(peer)?.close(reason);
  }

  #dialAll(): void {
    let isMissing = false;
    for (const [peer, address] of this.#addresses) {
      // The younger of two calls the older.
      if (peer > this.#options.self || this.#up.has(peer)) continue;
      isMissing = true;
      if (!this.#pending.has(peer)) this.#dial(peer, address);
    }
    if (this.#waiting.size > 0) isMissing = true;
    this.#loop.setTimer(this.#redial, isMissing ? this.#loop.nowNs() + REDIAL_NS : Infinity);
  }

  #dial(peer: ReplicaId, address: Dialled): void {
    const fd = os.socket(AF_INET, SOCK_STREAM_FLAGS, 0);
    assert(fd >= 0, `socket: ${errnoName(fd)}`);
    const result = os.connect(fd, socketAddress(address.host, address.port));
    if (result < 0 && result !== E.EINPROGRESS) {
      os.close(fd);
      return;
    }
    setNoDelay(fd);
    const connection = this.#adopt(fd, peer);
    this.#pending.set(peer, connection);
    this.#sayHello(connection, peer);
  }

  #accept(listener: number): void {
    const fd = os.accept4(listener, null, null, CLOEXEC_NONBLOCK);
    if (fd < 0) return;
    if (this.#strangers.size >= STRANGERS_MAX) {
      os.close(fd);
      return;
    }
    setNoDelay(fd);
    this.#strangers.add(this.#adopt(fd, null));
  }

  #sayHello(connection: Connection, receiver: ReplicaId): void {
    connection.send(
      encodeHello({
        version: WIRE_VERSION,
        token: this.#options.token,
        sender: this.#options.self,
        receiver,
      }),
    );
  }

  /** `dialled`: whom we called; null: somebody called us. */
  #adopt(fd: number, dialled: ReplicaId | null): Connection {
    let peer: ReplicaId | null = null;
    const deadline = new Timer(() => connection.close('it did not say hello'));
    const connection: Connection = new Connection(this.#loop, fd, {
      packet: (kind, body) => {
        if (peer !== null) {
          this.#events.packet(peer, kind as PacketKind, body);
          return;
        }
        peer = this.#checkHello(connection, kind, body, dialled);
        if (peer === null) return;
        this.#loop.setTimer(deadline, Infinity);
        this.#welcome(connection, peer, dialled === null);
      },
      progress: () => {
        if (peer !== null) this.#events.progress(peer);
      },
      closed: (reason) => {
        this.#loop.setTimer(deadline, Infinity);
        this.#closed(connection, peer, dialled, reason);
      },
    });
    this.#loop.setTimer(deadline, this.#loop.nowNs() + HELLO_NS_MAX);
    return connection;
  }

  /** Who it is; null after it was cut off. */
  #checkHello(
    connection: Connection,
    kind: number,
    body: Buffer,
    dialled: ReplicaId | null,
  ): ReplicaId | null {
    const hello = kind === PACKET.hello ? decodeHello(body) : null;
    const { self, token } = this.#options;
    let problem: string | null = null;
    if (hello === null) problem = 'it did not say hello';
    else if (hello.version !== WIRE_VERSION) {
      problem = `it speaks version ${hello.version}, not ${WIRE_VERSION}`;
    } else if (!timingSafeEqual(hello.token, token)) problem = 'it is not of this service';
    else if (hello.receiver !== self) problem = `it wants replica ${hello.receiver}`;
    else if (dialled !== null && hello.sender !== dialled) problem = `it is ${hello.sender}`;
    else if (hello.sender === self) problem = 'it says that it is us';
    if (hello !== null && problem === null) return replicaId(hello.sender);
    connection.close(problem ?? 'unknown');
    return null;
  }

  #welcome(connection: Connection, peer: ReplicaId, isCaller: boolean): void {
    this.#strangers.delete(connection);
    this.#pending.delete(peer);
    this.#up.get(peer)?.close('it connected again');
    this.#up.set(peer, connection);
    if (isCaller) this.#sayHello(connection, peer);
    this.#lost.delete(peer);
    const waiting = this.#waiting.get(peer);
    this.#waiting.delete(peer);
    for (const packet of waiting?.packets ?? []) connection.send(packet);
    this.#events.up(peer);
  }

  #closed(
    connection: Connection,
    peer: ReplicaId | null,
    dialled: ReplicaId | null,
    reason: string,
  ): void {
    if (this.#strangers.delete(connection)) this.#events.stranger(reason);
    if (dialled !== null && this.#pending.get(dialled) === connection) {
      this.#pending.delete(dialled);
    }
    if (peer !== null && this.#up.get(peer) === connection) {
      this.#up.delete(peer);
      this.#lost.add(peer);
      this.#events.down(peer, reason);
    }
    this.#loop.setTimer(this.#redial, this.#loop.nowNs() + REDIAL_NS);
  }
}

function listenOnLoopback(): { fd: number; port: number } {
  const fd = os.socket(AF_INET, SOCK_STREAM_FLAGS, 0);
  assert(fd >= 0, `socket: ${errnoName(fd)}`);
  const bound = os.bind(fd, socketAddress('127.0.0.1', 0));
  assert(bound === 0, `bind: ${errnoName(bound)}`);
  const listening = os.listen(fd, BACKLOG);
  assert(listening === 0, `listen: ${errnoName(listening)}`);
  const address = Buffer.alloc(16);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(address.length);
  os.getsockname(fd, address, size);
  return { fd, port: address.readUInt16BE(2) };
}

/** struct sockaddr_in. */
function socketAddress(host: string, port: number): Buffer {
  const address = Buffer.alloc(16);
  address.writeUInt16LE(AF_INET, 0);
  address.writeUInt16BE(port, 2);
  for (const [index, part] of host.split('.').entries()) address[4 + index] = Number(part);
  return address;
}

function setNoDelay(fd: number): void {
  const one = Buffer.alloc(4);
  one.writeInt32LE(1);
  os.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, one);
}
