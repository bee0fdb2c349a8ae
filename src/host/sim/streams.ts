/**
 * The network of a simulated host: published ports, their backlogs, and streams whose far end is a
 * SimPeer in the hands of a test. Used by SimHost for the stream calls. Errors and readiness come
 * as from Linux TCP under edge-triggered epoll: an edge reports all bits that hold then.
 */
import { E } from '../../abi/errno.ts';
import { assert } from '../../base/assert.ts';
import { type Handle, handle } from '../../base/ids.ts';
import { READY, type StreamAddress } from '../../lvm/api.ts';
import { ByteQueue } from './byte-queue.ts';

/** A socket buffer's size each way unless the test says otherwise. */
const BUFFER_BYTES = 256 * 1024;
/** Connections that may wait for `streamAccept`; as the usual listen(2) argument. */
const BACKLOG_MAX = 511;

/** What the network needs of the host. */
export interface SimNetworkHost {
  /** Queues a `ready` upcall. */
  readyLater(handle: Handle, bits: () => number): void;
  /** Serves queued upcalls, unless one runs. */
  pump(): void;
  newHandle(): Handle;
}

/** Both ends of one connection. */
class Connection {
  readonly toGuest = new ByteQueue(BUFFER_BYTES);
  readonly toPeer = new ByteQueue(BUFFER_BYTES);
  readonly peerAddress: StreamAddress;
  readonly localAddress: StreamAddress;
  /** 0 until accepted and after `streamClose`. */
  handle: Handle = handle(0);
  isPeerEnded = false;
  isPeerClosed = false;
  isGuestEnded = false;
  isGuestClosed = false;
  isReset = false;
  /** -ECONNRESET or -EPIPE, reported once. */
  pendingError = 0;
  /** A write found no room since the last `ready` for output. */
  wantsRoom = false;

  constructor(peerAddress: StreamAddress, localAddress: StreamAddress) {
    this.peerAddress = peerAddress;
    this.localAddress = localAddress;
  }

  takeError(otherwise: number): number {
    const error = this.pendingError === 0 ? otherwise : this.pendingError;
    this.pendingError = 0;
    return error;
  }

  readyBits(): number {
    if (this.isReset) return READY.in | READY.out | READY.hup | READY.error;
    let bits = 0;
    if (this.toGuest.sizeBytes > 0 || this.isPeerEnded) bits |= READY.in;
    if (this.toPeer.roomBytes > 0 || this.isGuestEnded) bits |= READY.out;
    // As EPOLLRDHUP and EPOLLHUP: the peer says nothing more.
    if (this.isPeerEnded) bits |= READY.hup;
    return bits;
  }
}

/** The test's end of a connection. */
export class SimPeer {
  readonly #connection: Connection;
  readonly #network: SimNetwork;

  constructor(connection: Connection, network: SimNetwork) {
    this.#connection = connection;
    this.#network = network;
  }

  get address(): StreamAddress {
    return this.#connection.peerAddress;
  }

  /** The guest's end, 0 before `streamAccept` and after `streamClose`. */
  get handle(): Handle {
    return this.#connection.handle;
  }

  /** Sends; returns the bytes for which there was room. */
  send(data: string | Uint8Array): number {
    const connection = this.#connection;
    assert(!connection.isPeerEnded, 'this end has not ended yet');
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    if (connection.isReset) return 0;
    if (connection.isGuestClosed) {
      // Nobody reads any more: the guest's kernel answers with a reset.
      this.#network.resetByGuest(connection);
      return 0;
    }
    const count = connection.toGuest.put(bytes);
    if (count > 0) this.#network.edge(connection);
    return count;
  }

  /** Takes all that the guest has sent so far, which makes room for more. */
  received(): Buffer {
    const connection = this.#connection;
    this.#network.settle();
    const bytes = connection.toPeer.takeAll();
    if (bytes.length > 0 && connection.wantsRoom) {
      connection.wantsRoom = false;
      this.#network.edge(connection);
    }
    return bytes;
  }

  /** `received` as text. */
  text(): string {
    return this.received().toString();
  }

  /** The guest has ended its side and all of it was taken. */
  get isEnded(): boolean {
    return this.#connection.isGuestEnded && this.#connection.toPeer.sizeBytes === 0;
  }

  /** The guest, or this end, has reset the connection. */
  get isReset(): boolean {
    return this.#connection.isReset;
  }

  /** Bounds what the guest can send before `received` takes it. */
  limit(sizeBytes: number): void {
    this.#connection.toPeer.limitBytes = sizeBytes;
  }

  /** Bounds what can be sent before the guest reads it. */
  limitSend(sizeBytes: number): void {
    this.#connection.toGuest.limitBytes = sizeBytes;
  }

  /** Ends the sending side (shutdown(SHUT_WR)). */
  end(): void {
    if (this.#connection.isPeerEnded) return;
    this.#connection.isPeerEnded = true;
    this.#network.edge(this.#connection);
  }

  /** Closes: what the guest sends from now on meets a reset. */
  close(): void {
    this.#connection.isPeerClosed = true;
    this.end();
  }

  reset(): void {
    this.#network.resetByPeer(this.#connection);
  }
}

export class SimNetwork {
  readonly #host: SimNetworkHost;
  readonly #published: Set<number>;
  readonly #listeners = new Map<number, Handle>();
  readonly #ports = new Map<Handle, number>();
  readonly #backlogs = new Map<number, Connection[]>();
  readonly #streams = new Map<Handle, Connection>();
  #nextPeerPort = 40_000;

  constructor(host: SimNetworkHost, published: readonly number[]) {
    this.#host = host;
    this.#published = new Set(published);
  }

  /** Streams and listeners that are open to the guest. */
  get openCount(): number {
    return this.#streams.size + this.#ports.size;
  }

  publish(port: number): void {
    this.#published.add(port);
  }

  /** A client connects to a published port; it waits in the backlog until it is accepted. */
  connect(port: number, host = '127.0.0.1'): SimPeer {
    assert(this.#published.has(port), `port ${port} is not published`);
    const family = host.includes(':') ? 6 : 4;
    const local = { family, host: family === 6 ? '::1' : '127.0.0.1', port } as const;
    const connection = new Connection({ family, host, port: this.#nextPeerPort }, local);
    this.#nextPeerPort += 1;
    const backlog = this.#backlogs.get(port) ?? [];
    assert(backlog.length < BACKLOG_MAX, `more than ${BACKLOG_MAX} connections wait`);
    backlog.push(connection);
    this.#backlogs.set(port, backlog);
    const listener = this.#listeners.get(port);
    if (listener !== undefined) this.#host.readyLater(listener, () => this.#acceptBits(listener));
    this.#host.pump();
    return new SimPeer(connection, this);
  }

  #acceptBits(listener: Handle): number {
    const port = this.#ports.get(listener);
    return port !== undefined && (this.#backlogs.get(port)?.length ?? 0) > 0 ? READY.in : 0;
  }

  listen(port: number): Handle | number {
    if (!this.#published.has(port)) return E.EADDRNOTAVAIL;
    if (this.#listeners.has(port)) return E.EADDRINUSE;
    const listener = this.#host.newHandle();
    this.#listeners.set(port, listener);
    this.#ports.set(listener, port);
    if (this.#acceptBits(listener) !== 0) {
      this.#host.readyLater(listener, () => this.#acceptBits(listener));
    }
    return listener;
  }

  accept(listener: Handle): { stream: Handle; peer: StreamAddress; local: StreamAddress } | number {
    const port = this.#ports.get(listener);
    if (port === undefined) return E.EBADF;
    const connection = this.#backlogs.get(port)?.shift();
    if (connection === undefined) return E.EAGAIN;
    const stream = this.#host.newHandle();
    connection.handle = stream;
    this.#streams.set(stream, connection);
    this.#edgeLater(connection);
    return { stream, peer: connection.peerAddress, local: connection.localAddress };
  }

  read(stream: Handle, target: Uint8Array): number {
    const connection = this.#streams.get(stream);
    if (connection === undefined) return E.EBADF;
    if (target.length === 0) return 0;
    const count = connection.toGuest.take(target);
    if (count > 0) return count;
    if (connection.isPeerEnded) return 0;
    if (connection.isReset) return connection.takeError(0);
    return E.EAGAIN;
  }

  write(stream: Handle, source: Uint8Array): number {
    const connection = this.#streams.get(stream);
    if (connection === undefined) return E.EBADF;
    if (connection.isReset) return connection.takeError(E.EPIPE);
    if (connection.isGuestEnded) return E.EPIPE;
    if (source.length === 0) return 0;
    if (connection.isPeerClosed) {
      // Linux takes the bytes; the answer to them is a reset.
      this.#reset(connection, E.EPIPE);
      return source.length;
    }
    const count = connection.toPeer.put(source);
    if (count < source.length) connection.wantsRoom = true;
    return count === 0 ? E.EAGAIN : count;
  }

  shutdown(stream: Handle): void {
    const connection = this.#streams.get(stream);
    if (connection !== undefined) connection.isGuestEnded = true;
  }

  close(streamOrListener: Handle, reset: boolean): void {
    const port = this.#ports.get(streamOrListener);
    if (port !== undefined) {
      this.#ports.delete(streamOrListener);
      this.#listeners.delete(port);
      return;
    }
    const connection = this.#streams.get(streamOrListener);
    if (connection === undefined) return;
    this.#streams.delete(streamOrListener);
    connection.handle = handle(0);
    connection.isGuestClosed = true;
    connection.isGuestEnded = true;
    // As in Linux, closing with unread bytes is a reset too; what was sent may be lost then.
    if (reset || connection.toGuest.sizeBytes > 0) this.resetByGuest(connection);
  }

  resetByGuest(connection: Connection): void {
    connection.isReset = true;
    connection.toGuest.clear();
    connection.toPeer.clear();
  }

  resetByPeer(connection: Connection): void {
    // After the peer's orderly end Linux tells a reset as EPIPE.
    this.#reset(connection, connection.isPeerEnded ? E.EPIPE : E.ECONNRESET);
    this.#host.pump();
  }

  #reset(connection: Connection, error: number): void {
    if (connection.isReset) return;
    connection.isReset = true;
    connection.pendingError = error;
    connection.toPeer.clear();
    this.#edgeLater(connection);
  }

  /** All connections are reset, as when the guest's host dies. */
  resetAll(): void {
    for (const connection of this.#streams.values()) this.resetByGuest(connection);
    this.#streams.clear();
    this.#ports.clear();
    this.#listeners.clear();
  }

  #edgeLater(connection: Connection): void {
    const stream = connection.handle;
    if (stream === 0) return;
    this.#host.readyLater(stream, () => (this.#streams.has(stream) ? connection.readyBits() : 0));
  }

  /** Something happened at the peer's end. */
  edge(connection: Connection): void {
    this.#edgeLater(connection);
    this.#host.pump();
  }

  settle(): void {
    this.#host.pump();
  }
}
