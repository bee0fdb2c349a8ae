/**
 * UnixStreamSocket: SOCK_STREAM and SOCK_SEQPACKET of AF_UNIX: connected sockets inside the
 * guest, which carry descriptors and credentials beside bytes or records.
 */
import { E } from '../../abi/errno.ts';
import { O, SIGNAL } from '../../abi/event.ts';
import { AF, MSG, SHUT, SOCK } from '../../abi/net.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { ObjectId } from '../../base/ids.ts';
import type { Kernel } from '../kernel.ts';
import { KIND } from '../kinds-ids.ts';
import type { Objects } from '../object.ts';
import { POLL } from '../open-file.ts';
import { sendSignalToTask } from '../signal/send.ts';
import type { Task } from '../task.ts';
import { WaitQueue } from '../wait-queue.ts';
import { type BufferPair, Connection, crossed, makeBuffers, refuse } from './connection.ts';
import { credentialsOf } from './credentials.ts';
import { type Credentials, type Outgoing, type Received, Socket } from './socket.ts';
import { CAPACITY_BYTES, loadCredentials, SocketBuffer, saveCredentials } from './socket-buffer.ts';
import {
  claimUnixName,
  decodeUnix,
  encodeUnix,
  findUnixName,
  loadUnixAddress,
  saveUnixAddress,
  type UnixAddress,
} from './unix-address.ts';

const BACKLOG_MAX = 4096;

/** A connection that nobody has accepted yet, as the accepting side sees it. */
interface Arrival {
  readonly buffers: BufferPair;
  readonly peer: UnixAddress | null;
  readonly credentials: Credentials;
}

export class UnixStreamSocket extends Socket {
  readonly kind = KIND.unixSocket;
  readonly domain = AF.unix;
  readonly protocol = 0;
  #isSequenced = false;
  #local: UnixAddress | null = null;
  /** It is the one that its name leads to; an accepted socket only shows its listener's. */
  #ownsName = false;
  #peer: UnixAddress | null = null;
  #peerCredentials: Credentials | null = null;
  #connection: Connection | null = null;
  /** shutdown(2) without a connection. */
  #isReadShut = false;
  #isWriteShut = false;
  /** Null unless it listens. */
  #backlog: number | null = null;
  #listenCredentials: Credentials | null = null;
  #arrivals: Arrival[] = [];
  /** Connecting sockets wait here for room. */
  readonly #roomQueue = new WaitQueue();
  /** Where `connect` found no room; derived. */
  #fullListener: UnixStreamSocket | null = null;

  constructor(kernel: Kernel, objects: Objects, id?: ObjectId) {
    super(kernel, objects, id);
  }

  get type(): number {
    return this.#isSequenced ? SOCK.seqpacket : SOCK.stream;
  }

  get isStream(): boolean {
    return !this.#isSequenced;
  }

  set isSequenced(isSequenced: boolean) {
    this.#isSequenced = isSequenced;
    this.touch();
  }

  override get isListening(): boolean {
    return this.#backlog !== null;
  }

  override get peerCredentials(): Credentials | null {
    return this.#peerCredentials ?? this.#listenCredentials;
  }

  override get connectQueue(): WaitQueue {
    return this.#fullListener === null ? this.queue : this.#fullListener.#roomQueue;
  }

  override bind(address: Buffer, task: Task): number {
    const name = decodeUnix(address);
    if (typeof name === 'number') return name;
    // Binding once more to no name at all changes nothing.
    if (this.#local !== null) return name === '' ? 0 : E.EINVAL;
    const claimed = claimUnixName(task, name, this.type);
    if (typeof claimed === 'number') return claimed;
    this.#local = claimed;
    this.#ownsName = true;
    this.kernel.net.unixNames.set(claimed.key, this);
    this.touch();
    return 0;
  }

  override localAddress(): Buffer {
    return encodeUnix(this.#local);
  }

  override peerAddress(): Buffer | number {
    return this.#connection === null ? E.ENOTCONN : encodeUnix(this.#peer);
  }

  /* --- connecting ----------------------------------------------------------------------------- */

  override listen(backlog: number, task: Task): number {
    if (this.#local === null || this.#connection !== null) return E.EINVAL;
    this.#backlog = backlog < 0 || backlog > BACKLOG_MAX ? BACKLOG_MAX : backlog;
    this.#listenCredentials = credentialsOf(task);
    this.touch();
    this.#roomQueue.wake();
    return 0;
  }

  override accept(flags: number): Socket | number {
    if (this.#backlog === null) return E.EINVAL;
    const arrival = this.#arrivals.shift();
    if (arrival === undefined) return this.#isReadShut && this.waits(0) ? E.EINVAL : E.EAGAIN;
    this.touch();
    this.#roomQueue.wake();
    const socket = new UnixStreamSocket(this.kernel, this.objects);
    socket.setFlags(O.rdwr | flags);
    socket.options.inherit(this.options);
    socket.#isSequenced = this.#isSequenced;
    socket.#local = this.#local;
    socket.#peer = arrival.peer;
    socket.#peerCredentials = arrival.credentials;
    socket.#attach(arrival.buffers);
    return socket;
  }

  #attach(buffers: BufferPair): void {
    this.#connection = new Connection(this, buffers, true);
    if (buffers.incoming.isReset) this.pendingError = E.ECONNRESET;
    if (this.#isReadShut) this.#connection.shutdown(SHUT.rd);
    if (this.#isWriteShut) this.#connection.shutdown(SHUT.wr);
    this.touch();
  }

  override connect(address: Buffer, task: Task): number {
    this.#fullListener = null;
    const name = decodeUnix(address);
    if (typeof name === 'number') return name;
    const key = findUnixName(task, name, this.type);
    if (typeof key === 'number') return key;
    const listener = this.kernel.net.unixNames.get(key);
    if (listener === undefined) return E.ECONNREFUSED;
    if (!(listener instanceof UnixStreamSocket) || listener.#isSequenced !== this.#isSequenced) {
      return E.EPROTOTYPE;
    }
    if (listener.#backlog === null || listener.#isReadShut) return E.ECONNREFUSED;
    if (this.#backlog !== null) return E.EINVAL;
    if (this.#connection !== null) return E.EISCONN;
    if (listener.#arrivals.length > listener.#backlog) {
      this.#fullListener = listener;
      return E.EAGAIN;
    }
    const buffers = makeBuffers(this.objects);
    this.#attach(buffers);
    this.#peer = listener.#local;
    this.#peerCredentials = listener.#listenCredentials;
    const credentials = credentialsOf(task);
    listener.#arrivals.push({ buffers: crossed(buffers), peer: this.#local, credentials });
    listener.touch();
    listener.queue.wake(POLL.in | POLL.rdnorm);
    this.queue.wake();
    return 0;
  }

  /** socketpair(2). */
  pairWith(other: UnixStreamSocket, task: Task): void {
    const buffers = makeBuffers(this.objects);
    this.#attach(buffers);
    other.#attach(crossed(buffers));
    this.#peerCredentials = credentialsOf(task);
    other.#peerCredentials = this.#peerCredentials;
  }

  /* --- data ----------------------------------------------------------------------------------- */

  override receive(count: number, flags: number, _task: Task): Received | number {
    if ((flags & (MSG.oob | MSG.errqueue)) !== 0) return E.EOPNOTSUPP;
    const connection = this.#connection;
    if (connection === null) return this.#isSequenced ? E.ENOTCONN : E.EINVAL;
    const scratch = this.kernel.net.scratch.take(count);
    if (this.#isSequenced) {
      if (this.pendingError !== 0) return -this.takeError();
      return connection.receiveRecord(scratch, flags);
    }
    const { passCredentials } = this.options;
    return this.#orError(connection.receive(scratch, flags, passCredentials));
  }

  /** An error that waits is told when there are no bytes before it. */
  #orError(received: Received | number): Received | number {
    const isNothing = typeof received === 'number' || received.bytes.length === 0;
    const isEmpty = this.#connection?.incoming.isEmpty ?? true;
    return isNothing && isEmpty && this.pendingError !== 0 ? -this.takeError() : received;
  }

  override send(data: Uint8Array, message: Outgoing, task: Task): number {
    if ((message.flags & MSG.oob) !== 0) return E.EOPNOTSUPP;
    const connection = this.#connection;
    if (message.address !== null && !this.#isSequenced) {
      return connection === null ? E.EOPNOTSUPP : E.EISCONN;
    }
    if (connection === null) return E.ENOTCONN;
    if (this.#isSequenced && this.pendingError !== 0) return -this.takeError();
    if (connection.isSendDone) {
      const isQuiet = (message.flags & MSG.nosignal) !== 0 || this.#isSequenced;
      if (!isQuiet) sendSignalToTask(task, SIGNAL.pipe);
      return E.EPIPE;
    }
    if (this.pendingError !== 0) return -this.takeError();
    const from = message.credentials ?? credentialsOf(task);
    if (this.#isSequenced) {
      if (data.length > CAPACITY_BYTES) return E.EMSGSIZE;
      return connection.sendRecord(data, message.files, from);
    }
    return data.length === 0 ? 0 : connection.send(data, message.files, from);
  }

  override checkSend(): number {
    if (!this.#isSequenced) return 0;
    if (this.pendingError !== 0) return -this.takeError();
    return this.#connection === null ? E.ENOTCONN : 0;
  }

  override available(): number {
    return this.#connection?.incoming.length ?? 0;
  }

  override shutdown(how: number): number {
    if (how !== SHUT.wr) this.#isReadShut = true;
    if (how !== SHUT.rd) this.#isWriteShut = true;
    this.touch();
    if (this.#connection === null) this.queue.wake();
    else this.#connection.shutdown(how);
    return 0;
  }

  override poll(): number {
    let events: number;
    if (this.#connection !== null) {
      events = this.#connection.poll();
      if ((events & POLL.out) !== 0) events |= POLL.wrband;
    } else {
      events = this.#backlog === null ? POLL.out | POLL.wrnorm | POLL.wrband : 0;
      if (this.#backlog === null || (this.#isReadShut && this.#isWriteShut)) events |= POLL.hup;
      if (this.#isReadShut || this.#arrivals.length > 0) events |= POLL.in | POLL.rdnorm;
      if (this.#isReadShut) events |= POLL.rdhup;
    }
    return this.pendingError === 0 ? events : events | POLL.error;
  }

  protected override close(): void {
    if (this.#local !== null && this.#ownsName) this.kernel.net.unixNames.delete(this.#local.key);
    const arrivals = this.#arrivals;
    this.#arrivals = [];
    this.#backlog = null;
    for (const arrival of arrivals) refuse(arrival.buffers);
    this.#roomQueue.wake();
    this.#connection?.close(false);
    this.#connection = null;
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    encoder.bool(this.#isSequenced).bool(this.#ownsName);
    encoder.bool(this.#isReadShut).bool(this.#isWriteShut);
    saveUnixAddress(encoder, this.#local);
    saveUnixAddress(encoder, this.#peer);
    saveOptionalCredentials(encoder, this.#peerCredentials);
    saveOptionalCredentials(encoder, this.#listenCredentials);
    encoder.u32(this.#connection?.incoming.id ?? 0).u32(this.#connection?.outgoing.id ?? 0);
    encoder.i32(this.#backlog ?? -1).u32(this.#arrivals.length);
    for (const { buffers, peer, credentials } of this.#arrivals) {
      encoder.u32(buffers.incoming.id).u32(buffers.outgoing.id);
      saveUnixAddress(encoder, peer);
      saveCredentials(encoder, credentials);
    }
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    const { objects } = this;
    this.#isSequenced = decoder.bool();
    this.#ownsName = decoder.bool();
    this.#isReadShut = decoder.bool();
    this.#isWriteShut = decoder.bool();
    this.#local = loadUnixAddress(decoder);
    this.#peer = loadUnixAddress(decoder);
    this.#peerCredentials = loadOptionalCredentials(decoder);
    this.#listenCredentials = loadOptionalCredentials(decoder);
    const incoming = objects.find(decoder.u32(), SocketBuffer);
    const outgoing = objects.find(decoder.u32(), SocketBuffer);
    if (incoming !== null && outgoing !== null) {
      this.#connection = new Connection(this, { incoming, outgoing }, true);
    }
    const backlog = decoder.i32();
    this.#backlog = backlog < 0 ? null : backlog;
    for (let left = decoder.u32(); left > 0; left -= 1) {
      const buffers = {
        incoming: objects.get(decoder.u32(), SocketBuffer),
        outgoing: objects.get(decoder.u32(), SocketBuffer),
      };
      const peer = loadUnixAddress(decoder);
      this.#arrivals.push({ buffers, peer, credentials: loadCredentials(decoder) });
    }
  }

  override loaded(): void {
    if (this.#local !== null && this.#ownsName) {
      this.kernel.net.unixNames.set(this.#local.key, this);
    }
  }
}

function saveOptionalCredentials(encoder: Encoder, credentials: Credentials | null): void {
  encoder.bool(credentials !== null);
  if (credentials !== null) saveCredentials(encoder, credentials);
}

function loadOptionalCredentials(decoder: Decoder): Credentials | null {
  return decoder.bool() ? loadCredentials(decoder) : null;
}
