/**
 * TcpListener: the listening part of a TCP socket: connections that wait to be accepted, those
 * inside the guest and those that come by the published port. Saved with its socket.
 *
 * Who takes a published port when several listen on it: the first whose addresses include IPv4; one
 * that is IPv6 only has it as long as nobody else listens. The bound address does not matter, as
 * what arrives has no address inside the guest.
 */
import { AF } from '../../abi/net.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import { type Handle, handle } from '../../base/ids.ts';
import type { Kernel } from '../kernel.ts';
import {
  type Endpoint,
  fromStreamAddress,
  isV4,
  LOOPBACK_V4,
  loadEndpoint,
  saveEndpoint,
} from './address.ts';
import { type BufferPair, refuse } from './connection.ts';
import { Socket } from './socket.ts';
import { SocketBuffer } from './socket-buffer.ts';
import type { TcpSocket } from './tcp-socket.ts';

/** net.core.somaxconn. */
const BACKLOG_MAX = 4096;

/** A connection that nobody has accepted yet, as the accepting side sees it. */
export type Arrival = { readonly local: Endpoint; readonly peer: Endpoint } & (
  | { readonly kind: 'loopback'; readonly buffers: BufferPair }
  | { readonly kind: 'stream'; readonly stream: Handle }
);

export class TcpListener {
  readonly #kernel: Kernel;
  readonly #socket: TcpSocket;
  #backlog = 0;
  #arrivals: Arrival[] = [];
  /** Sockets that connect and find no room. */
  #waiting: TcpSocket[] = [];
  /** Of the published port, or 0. */
  #handle: Handle = handle(0);
  /** Whether `streamAccept` may have something. */
  #mayAccept = false;

  constructor(kernel: Kernel, socket: TcpSocket, backlog: number) {
    this.#kernel = kernel;
    this.#socket = socket;
    this.backlog = backlog;
  }

  set backlog(count: number) {
    this.#backlog = count < 0 || count > BACKLOG_MAX ? BACKLOG_MAX : count;
  }

  get handle(): Handle {
    return this.#handle;
  }

  /** Takes over the published port, with what may have come already. */
  set handle(published: Handle) {
    if (this.#handle !== 0) this.#kernel.state.unwatchStream(this.#handle);
    this.#handle = published;
    this.#socket.touch();
    if (published === 0) return;
    this.#kernel.state.watchStream(published, this.#socket);
    this.#mayAccept = true;
    this.#socket.queue.wake();
  }

  /** Linux lets one more wait than was asked for. */
  get isFull(): boolean {
    return this.#arrivals.length > this.#backlog;
  }

  get waitingCount(): number {
    return this.#arrivals.length;
  }

  /** The published port has news. */
  mayAccept(): void {
    this.#mayAccept = true;
  }

  /** Whether `take` would give something; fetches one connection to be sure. */
  get isReady(): boolean {
    return this.#arrivals.length > 0 || this.#fetch();
  }

  #fetch(): boolean {
    if (!this.#mayAccept || this.#handle === 0) return false;
    const accepted = this.#kernel.lvm.streamAccept(this.#handle);
    if (typeof accepted === 'number') {
      this.#mayAccept = false;
      return false;
    }
    const local = this.#visible(fromStreamAddress(accepted.local));
    const peer = this.#visible(fromStreamAddress(accepted.peer));
    this.#arrivals.push({ kind: 'stream', stream: accepted.stream, local, peer });
    this.#socket.touch();
    return true;
  }

  /** An IPv4 socket can't show an IPv6 address. */
  #visible(endpoint: Endpoint): Endpoint {
    if (this.#socket.domain === AF.inet6 || isV4(endpoint.ip)) return endpoint;
    return { ip: LOOPBACK_V4, port: endpoint.port };
  }

  /** A socket of the guest has connected; there is room. */
  arrive(arrival: Arrival): void {
    this.#arrivals.push(arrival);
    this.#socket.touch();
    this.#socket.queue.wake();
  }

  /** A socket of the guest waits for room. */
  enqueue(socket: TcpSocket): void {
    this.#waiting.push(socket);
    this.#socket.touch();
  }

  withdraw(socket: TcpSocket): void {
    this.#waiting = this.#waiting.filter((other) => other !== socket);
    this.#socket.touch();
  }

  /** The connection that came first, or null. */
  take(): Arrival | null {
    if (!this.isReady) return null;
    const arrival = this.#arrivals.shift() ?? null;
    const next = this.isFull ? undefined : this.#waiting.shift();
    next?.establish(this);
    this.#socket.touch();
    return arrival;
  }

  /** Nobody listens any more: all that wait are reset or refused. */
  close(): void {
    for (const arrival of this.#arrivals) {
      if (arrival.kind === 'stream') this.#kernel.lvm.streamClose(arrival.stream, true);
      else refuse(arrival.buffers);
    }
    this.#arrivals = [];
    for (const socket of this.#waiting.splice(0)) socket.refuse();
    const published = this.#handle;
    const { local } = this.#socket;
    if (published === 0 || local === null) return;
    this.#kernel.state.unwatchStream(published);
    this.#handle = handle(0);
    this.#kernel.net.unpublish(local.port, published, this.#socket);
  }

  save(encoder: Encoder): void {
    encoder.u32(this.#backlog).u32(this.#handle).u32(this.#arrivals.length);
    for (const arrival of this.#arrivals) {
      saveEndpoint(encoder, arrival.local);
      saveEndpoint(encoder, arrival.peer);
      encoder.bool(arrival.kind === 'stream');
      if (arrival.kind === 'stream') encoder.u32(arrival.stream);
      else encoder.u32(arrival.buffers.incoming.id).u32(arrival.buffers.outgoing.id);
    }
    encoder.u32(this.#waiting.length);
    for (const socket of this.#waiting) encoder.u32(socket.id);
  }

  static load(decoder: Decoder, kernel: Kernel, socket: TcpSocket): TcpListener {
    const listener = new TcpListener(kernel, socket, decoder.u32());
    listener.#handle = handle(decoder.u32());
    listener.#mayAccept = true;
    const objects = socket.objects;
    for (let left = decoder.u32(); left > 0; left -= 1) {
      const any = { ip: LOOPBACK_V4, port: 0 };
      const ends = { local: loadEndpoint(decoder) ?? any, peer: loadEndpoint(decoder) ?? any };
      if (decoder.bool()) {
        listener.#arrivals.push({ kind: 'stream', stream: handle(decoder.u32()), ...ends });
        continue;
      }
      const incoming = objects.get(decoder.u32(), SocketBuffer);
      const outgoing = objects.get(decoder.u32(), SocketBuffer);
      listener.#arrivals.push({ kind: 'loopback', buffers: { incoming, outgoing }, ...ends });
    }
    for (let left = decoder.u32(); left > 0; left -= 1) {
      listener.#waiting.push(objects.get(decoder.u32(), Socket) as TcpSocket);
    }
    return listener;
  }

  loaded(): void {
    if (this.#handle !== 0) this.#kernel.state.watchStream(this.#handle, this.#socket);
  }
}
