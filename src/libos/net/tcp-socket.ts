/**
 * TcpSocket: SOCK_STREAM of AF_INET and AF_INET6. Its end is a stream of the LVM API (a
 * connection that came in by a published port) or a connection inside the guest (its loopback);
 * everything else is unreachable. Listening itself is in tcp-listener.ts.
 */
import { E } from '../../abi/errno.ts';
import { O, SIGNAL } from '../../abi/event.ts';
import { AF, IPPROTO, MSG, SHUT, SOCK } from '../../abi/net.ts';
import { assert, present } from '../../base/assert.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { ObjectId } from '../../base/ids.ts';
import type { RecordSink } from '../../lvm/api.ts';
import type { Kernel } from '../kernel.ts';
import { KIND } from '../kinds-ids.ts';
import type { Objects } from '../object.ts';
import { POLL } from '../open-file.ts';
import { sendSignalToTask } from '../signal/send.ts';
import type { StreamOwner } from '../state.ts';
import type { Task } from '../task.ts';
import {
  decodeInet,
  type Endpoint,
  encodeInet,
  isV4,
  loadEndpoint,
  saveEndpoint,
} from './address.ts';
import { type BufferPair, Connection, crossed, makeBuffers } from './connection.ts';
import { HostStream } from './host-stream.ts';
import { InetSocket } from './inet-socket.ts';
import { NOTHING, type Outgoing, plainReceived, type Received, type Socket } from './socket.ts';
import { SocketBuffer } from './socket-buffer.ts';
import { type Arrival, TcpListener } from './tcp-listener.ts';
import { getTcpOption, setTcpOption } from './tcp-options.ts';

const ERROR_BITS = POLL.in | POLL.rdnorm | POLL.out | POLL.wrnorm | POLL.hup | POLL.rdhup;

export class TcpSocket extends InetSocket implements StreamOwner {
  readonly kind = KIND.tcpSocket;
  readonly type = SOCK.stream;
  readonly protocol = IPPROTO.tcp;
  readonly isStream = true;
  #peer: Endpoint | null = null;
  /** It has a place in the table of ports (accepted sockets share their listener's). */
  #hasPort = false;
  #listener: TcpListener | null = null;
  #stream: HostStream | null = null;
  #connection: Connection | null = null;
  /** By bind(2): it keeps it when a connection is over. */
  #isPortChosen = false;
  #wasRefused = false;
  /** shutdown(2) without a connection. */
  #isReadShut = false;
  #isWriteShut = false;
  /** In the queue of a listener whose backlog is full. */
  #waitingFor: TcpSocket | null = null;
  /** `connect` was told "in progress" and has not yet learned how it ended. */
  #isConnectPending = false;

  constructor(kernel: Kernel, objects: Objects, id?: ObjectId) {
    super(kernel, objects, id);
  }

  get listener(): TcpListener | null {
    return this.#listener;
  }

  override get isListening(): boolean {
    return this.#listener !== null;
  }

  get #isConnected(): boolean {
    return this.#stream !== null || this.#connection !== null;
  }

  /** A connection is over, by a reset or because it was refused. */
  get #isOver(): boolean {
    return this.#wasRefused || this.#isDead;
  }

  /** The connection has ended: the socket is closed as far as TCP goes. */
  get #isDead(): boolean {
    if (this.#stream !== null) return this.#stream.isOver;
    return this.#connection?.isOver ?? false;
  }

  /* --- names ---------------------------------------------------------------------------------- */

  override bind(address: Buffer, _task: Task): number {
    const wanted = this.bindable(address);
    if (typeof wanted === 'number') return wanted;
    if (!this.#isUnbound) return E.EINVAL;
    this.#leave(false);
    this.#dropPort();
    this.#peer = null;
    const failed = this.#take(wanted);
    this.#isPortChosen = failed === 0 && wanted.port !== 0;
    return failed;
  }

  /** It has no port, or had one only for a connection that is over. */
  get #isUnbound(): boolean {
    if (this.#listener !== null || this.#waitingFor !== null) return false;
    if (this.#isConnected) return this.#isDead && !this.#isPortChosen;
    return this.local === null || (this.#wasRefused && !this.#isPortChosen);
  }

  /** Takes a port; 0 asks for any. */
  #take(wanted: Endpoint): number {
    const { net } = this.kernel;
    const port = wanted.port === 0 ? net.ephemeralPort(net.tcpPorts) : wanted.port;
    if (port < 0) return port;
    const endpoint = { ip: wanted.ip, port };
    const failed = net.tcpPorts.check(this, endpoint);
    if (failed < 0) return failed;
    this.local = endpoint;
    this.#hasPort = true;
    net.tcpPorts.add(this, port);
    this.touch();
    return 0;
  }

  #dropPort(): void {
    if (this.#hasPort && this.local !== null) {
      this.kernel.net.tcpPorts.remove(this, this.local.port);
    }
    this.#hasPort = false;
  }

  override peerAddress(): Buffer | number {
    if (this.#peer === null || this.#waitingFor !== null || this.#isDead) return E.ENOTCONN;
    return encodeInet(this.#peer, this.domain);
  }

  /* --- listening ------------------------------------------------------------------------------ */

  override listen(backlog: number, _task: Task): number {
    if (this.#isConnected || this.#isConnectPending) return E.EINVAL;
    if (this.#listener !== null) {
      this.#listener.backlog = backlog;
      this.touch();
      return 0;
    }
    if (this.local === null) {
      const failed = this.#take(this.any);
      if (failed < 0) return failed;
    }
    const local = present(this.local, 'local address');
    const failed = this.kernel.net.tcpPorts.check(this, local, true);
    if (failed < 0) return failed;
    this.#listener = new TcpListener(this.kernel, this, backlog);
    this.kernel.net.publish(local.port);
    this.touch();
    return 0;
  }

  override accept(flags: number): Socket | number {
    if (this.#listener === null) return E.EINVAL;
    const arrival = this.#listener.take();
    if (arrival === null) return E.EAGAIN;
    const socket = new TcpSocket(this.kernel, this.objects);
    socket.setFlags(O.rdwr | flags);
    socket.options.inherit(this.options);
    socket.inheritFamily(this);
    socket.#become(arrival);
    return socket;
  }

  /** An accepted socket gets its connection. */
  #become(arrival: Arrival): void {
    this.local = arrival.local;
    this.#peer = arrival.peer;
    if (arrival.kind === 'stream') {
      this.#stream = new HostStream(this.kernel.lvm, arrival.stream, this);
      this.kernel.state.watchStream(arrival.stream, this);
    } else this.#attach(arrival.buffers);
    this.touch();
  }

  #attach(buffers: BufferPair): void {
    this.#connection = new Connection(this, buffers);
    if (buffers.incoming.isReset) this.pendingError = E.ECONNRESET;
  }

  /* --- connecting ----------------------------------------------------------------------------- */

  override connect(address: Buffer, _task: Task): number {
    if (this.#listener !== null) return E.EISCONN;
    if (this.#isConnectPending) return this.#connectResult();
    if (address.length >= 2 && address.readUInt16LE(0) === AF.unspec) return this.#disconnect();
    if (this.#isConnected) return E.EISCONN;
    const wanted = decodeInet(address, this.domain);
    if (typeof wanted === 'number') return wanted;
    const target = this.reach(wanted);
    if (typeof target === 'number') return target;
    const ip = this.sourceFor(target);
    if (isV4(ip) !== isV4(target.ip)) return E.ENETUNREACH;
    if (this.local === null) {
      const failed = this.#take({ ip, port: 0 });
      if (failed < 0) return failed === E.EADDRINUSE ? E.EADDRNOTAVAIL : failed;
    } else this.local = { ip, port: this.local.port };
    this.#isConnectPending = true;
    this.touch();
    const listening = this.kernel.net.findTcpListener(target);
    if (listening === null || listening.#listener === null) {
      this.pendingError = E.ECONNREFUSED;
      this.#wasRefused = true;
      this.queue.wake();
      return E.EINPROGRESS;
    }
    this.#wasRefused = false;
    this.#peer = target;
    if (listening.#listener.isFull) {
      this.#waitingFor = listening;
      listening.#listener.enqueue(this);
    } else this.establish(listening.#listener);
    return E.EINPROGRESS;
  }

  /** `connect` asks again: how did it end? */
  #connectResult(): number {
    if (this.#waitingFor !== null) return E.EALREADY;
    this.#isConnectPending = false;
    this.touch();
    if (this.pendingError === 0 && !this.#isOver) return 0;
    const error = this.pendingError === 0 ? E.ECONNABORTED : -this.takeError();
    this.#disconnect();
    return error;
  }

  /** Connects to a listener that has room. */
  establish(listener: TcpListener): void {
    assert(this.local !== null && this.#peer !== null, 'a connecting socket has both addresses');
    this.#waitingFor = null;
    const buffers = makeBuffers(this.objects);
    this.#attach(buffers);
    this.touch();
    const arrival = { local: this.#peer, peer: this.local, buffers: crossed(buffers) };
    listener.arrive({ kind: 'loopback', ...arrival });
    this.queue.wake();
  }

  /** The listener that it waited for is gone. */
  refuse(): void {
    this.#waitingFor = null;
    this.#wasRefused = true;
    this.pendingError = E.ECONNREFUSED;
    this.touch();
    this.queue.wake();
  }

  #disconnect(): number {
    this.#leave(true);
    if (!this.#isPortChosen) {
      this.#dropPort();
      this.local = null;
    }
    this.#peer = null;
    this.#wasRefused = false;
    this.#isReadShut = false;
    this.#isWriteShut = false;
    this.touch();
    this.queue.wake();
    return 0;
  }

  /* --- data ----------------------------------------------------------------------------------- */

  override receive(count: number, flags: number, _task: Task): Received | number {
    if ((flags & (MSG.oob | MSG.errqueue)) !== 0) {
      return (flags & MSG.oob) !== 0 ? E.EINVAL : E.EAGAIN;
    }
    if (!this.#isConnected) return this.#failUnconnected();
    if (count === 0 && this.available() > 0) return plainReceived(NOTHING);
    const target = this.kernel.net.scratch.take(count);
    const isPeek = (flags & MSG.peek) !== 0;
    let got: number;
    if (this.#stream !== null) {
      got = isPeek ? this.#stream.peek(target) : this.#stream.read(target);
    } else {
      const received = this.#connection?.receive(target, flags, false) ?? E.ENOTCONN;
      got = typeof received === 'number' ? received : received.bytes.length;
    }
    return got > 0 ? plainReceived(this.kernel.net.scratch.take(got)) : this.#noBytes(got);
  }

  /** Reading gave 0 or -errno: what it means to the guest. */
  #noBytes(got: number): Received | number {
    // After the peer's orderly end reading gives that, whatever writing has met since.
    const isOrderly = this.#connection?.isOrderlyEnd ?? false;
    if (this.pendingError !== 0 && !isOrderly) return -this.takeError();
    return got < 0 ? got : plainReceived(NOTHING);
  }

  /** The commonest call of a server: straight from the stream, and nothing made on the way. */
  override read(count: number, task: Task): Uint8Array | number {
    if (this.#stream === null || count === 0) return super.read(count, task);
    const { scratch } = this.kernel.net;
    const got = this.#stream.read(scratch.take(count));
    if (got > 0) return scratch.take(got);
    const received = this.#noBytes(got);
    return typeof received === 'number' ? received : received.bytes;
  }

  #failUnconnected(): Received | number {
    if (this.#waitingFor !== null) return E.EAGAIN;
    if (this.#listener !== null) return E.ENOTCONN;
    if (this.pendingError !== 0) return -this.takeError();
    return this.#isOver || this.#isReadShut ? plainReceived(NOTHING) : E.ENOTCONN;
  }

  override send(data: Uint8Array, message: Outgoing, task: Task): number {
    if ((message.flags & MSG.oob) !== 0) return E.EOPNOTSUPP;
    if (this.#waitingFor !== null) return E.EAGAIN;
    if (this.pendingError !== 0) return -this.takeError();
    const count = this.#write(data);
    if (count === E.EPIPE && (message.flags & MSG.nosignal) === 0) {
      sendSignalToTask(task, SIGNAL.pipe);
    }
    return count;
  }

  #write(data: Uint8Array): number {
    const connection = this.#connection;
    if (this.#isDead) return E.EPIPE;
    if (this.#stream !== null) return data.length === 0 ? 0 : this.#stream.write(data);
    if (connection === null || connection.outgoing.isWriterDone) return E.EPIPE;
    if (data.length === 0) return 0;
    if (!connection.isPeerGone) return connection.send(data, [], null);
    // As with a real network: the first bytes go out and are answered with a reset.
    connection.break();
    this.pendingError = E.EPIPE;
    this.touch();
    this.queue.wake();
    return data.length;
  }

  override available(): number {
    return this.#stream?.available() ?? this.#connection?.incoming.length ?? 0;
  }

  override shutdown(how: number): number {
    if (this.#listener !== null) {
      if (how === SHUT.wr) return 0;
      this.#listener.close();
      this.#listener = null;
      return this.#disconnect();
    }
    if (!this.#isConnected || this.#isDead) {
      // As Linux has it: an error, and yet an effect on poll.
      if (how !== SHUT.wr) this.#isReadShut = true;
      if (how !== SHUT.rd) this.#isWriteShut = true;
      this.touch();
      this.queue.wake();
      return E.ENOTCONN;
    }
    if (this.#stream !== null) {
      this.#stream.shutdown(how !== SHUT.wr, how !== SHUT.rd);
      this.queue.wake();
    } else this.#connection?.shutdown(how);
    return 0;
  }

  /* --- readiness ------------------------------------------------------------------------------ */

  /** An upcall about the handle: the stream's, or the published listener's. */
  streamReady(events: number): void {
    if (this.#listener !== null) {
      this.#listener.mayAccept();
      this.queue.wake(POLL.in | POLL.rdnorm);
    } else if (this.#stream !== null) this.queue.wake(this.#stream.ready(events));
  }

  streamReset(): void {
    this.pendingError = E.ECONNRESET;
    this.touch();
  }

  override poll(): number {
    let events: number;
    if (this.#listener !== null) return this.#listener.isReady ? POLL.in | POLL.rdnorm : 0;
    if (this.#waitingFor !== null) events = 0;
    else if (this.#stream !== null) events = this.#stream.poll((this.flags & O.nonblock) === 0);
    else if (this.#connection !== null) events = this.#connection.poll();
    else events = POLL.out | POLL.wrnorm | POLL.hup;
    if (this.#isOver) events = ERROR_BITS;
    if (this.#isReadShut) events |= POLL.in | POLL.rdnorm | POLL.rdhup;
    return this.pendingError === 0 ? events : events | ERROR_BITS | POLL.error;
  }

  /* --- options -------------------------------------------------------------------------------- */

  override setProtocolOption(level: number, option: number, value: number, raw: Buffer): number {
    const own = this.setFamilyOption(level, option, value);
    if (own !== null) return own;
    return setTcpOption(this, level, option, value, raw);
  }

  override getProtocolOption(level: number, option: number): number | Buffer {
    const own = this.getFamilyOption(level, option);
    if (own !== null) return own;
    return getTcpOption(this, level, option);
  }

  /* --- the end -------------------------------------------------------------------------------- */

  /** Leaves its connection. */
  #leave(isAbort: boolean): void {
    this.#waitingFor?.listener?.withdraw(this);
    this.#waitingFor = null;
    this.#isConnectPending = false;
    if (this.#stream !== null) {
      this.kernel.state.unwatchStream(this.#stream.handle);
      this.#stream.close(isAbort);
      this.#stream = null;
    }
    this.#connection?.close(isAbort);
    this.#connection = null;
  }

  protected override close(): void {
    const listener = this.#listener;
    this.#listener = null;
    this.#leave(this.options.lingerSeconds === 0);
    this.#dropPort();
    listener?.close();
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    encoder.bool(this.#hasPort).bool(this.#isConnectPending);
    encoder.bool(this.#isReadShut).bool(this.#isWriteShut);
    encoder.bool(this.#isPortChosen).bool(this.#wasRefused);
    saveEndpoint(encoder, this.#peer);
    encoder.u32(this.#waitingFor?.id ?? 0);
    encoder.u32(this.#connection?.incoming.id ?? 0).u32(this.#connection?.outgoing.id ?? 0);
    encoder.bool(this.#stream !== null);
    this.#stream?.save(encoder);
    encoder.bool(this.#listener !== null);
    this.#listener?.save(encoder);
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.#hasPort = decoder.bool();
    this.#isConnectPending = decoder.bool();
    this.#isReadShut = decoder.bool();
    this.#isWriteShut = decoder.bool();
    this.#isPortChosen = decoder.bool();
    this.#wasRefused = decoder.bool();
    this.#peer = loadEndpoint(decoder);
    this.#waitingFor = this.objects.find(decoder.u32(), TcpSocket);
    const incoming = this.objects.find(decoder.u32(), SocketBuffer);
    const outgoing = this.objects.find(decoder.u32(), SocketBuffer);
    if (incoming !== null && outgoing !== null) {
      this.#connection = new Connection(this, { incoming, outgoing });
    }
    if (decoder.bool()) this.#stream = HostStream.load(decoder, this.kernel.lvm, this);
    if (decoder.bool()) this.#listener = TcpListener.load(decoder, this.kernel, this);
  }

  override loaded(): void {
    const { net, state } = this.kernel;
    if (this.#hasPort && this.local !== null) net.tcpPorts.add(this, this.local.port);
    if (this.#stream !== null) state.watchStream(this.#stream.handle, this);
    this.#listener?.loaded();
  }

  override savePages(sink: RecordSink, _scope: 'all' | 'changes'): void {
    this.#stream?.savePages(this.id, sink);
  }

  override loadPage(_part: number, bytes: Uint8Array): void {
    this.#stream?.loadPage(bytes);
  }
}
