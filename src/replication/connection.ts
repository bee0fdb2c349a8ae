/**
 * Connection: packets over one non-blocking TCP socket in the sentry's loop: a bounded queue out,
 * whole packets in. Used by peers.ts. A malformed or oversized packet, or a queue that grows
 * beyond its bound, closes it; the owner hears of it once.
 */
import { E, errnoName } from '../abi/errno.ts';
import * as os from '../ffi/native.ts';
import { EPOLL, type Loop } from '../loop/loop.ts';
import { bodyBytesMax, PACKET_HEADER_BYTES } from './wire.ts';

/** Out: a window of large deltas; beyond it the peer is too slow and is dropped. */
const QUEUE_BYTES_MAX = 2 ** 30;
/** Bytes taken in at once before others are served. */
const READ_BYTES_MAX = 1 << 22;
const MSG_NOSIGNAL = 0x4000;
const MSG_MORE = 0x8000;
const HEADER_ROOM = 64 * 1024;

export interface ConnectionEvents {
  /** `body` is the receiver's to keep. */
  packet(kind: number, body: Buffer): void;
  /** Bytes arrived that don't make a packet yet: the peer lives. */
  progress(): void;
  closed(reason: string): void;
}

export class Connection {
  readonly #loop: Loop;
  readonly #fd: number;
  readonly #events: ConnectionEvents;
  #queue: Buffer[] = [];
  #queueBytes = 0;
  #isClosed = false;
  #closesWhenSent = false;
  /** Small packets are cut from here. */
  readonly #room = Buffer.allocUnsafeSlow(HEADER_ROOM);
  #roomBytes = 0;
  /** The body that is coming in, or null between packets. */
  #body: Buffer | null = null;
  #bodyBytes = 0;
  #bodyKind = 0;

  constructor(loop: Loop, fd: number, events: ConnectionEvents) {
    this.#loop = loop;
    this.#fd = fd;
    this.#events = events;
    loop.add(fd, EPOLL.in | EPOLL.out | EPOLL.rdhup | EPOLL.et, (bits) => this.#ready(bits));
  }

  /** Bytes that wait to be sent. */
  get queueBytes(): number {
    return this.#queueBytes;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** One packet in two parts (`body` may be empty); both are the caller's again on return. */
  send(head: Buffer, body: Buffer | null = null): void {
    if (this.#isClosed || this.#closesWhenSent) return;
    this.#push(head, body !== null);
    if (body !== null) this.#push(body, false);
  }

  /** A packet cut in two by a fault: only `count` bytes of the body leave. For tests. */
  sendPart(head: Buffer, body: Buffer, count: number): void {
    this.#push(head, true);
    this.#push(body.subarray(0, count), false);
  }

  /** What `sendPart` left out. */
  sendRest(body: Buffer, from: number): void {
    this.#push(body.subarray(from), false);
  }

  #push(bytes: Buffer, hasMore: boolean): void {
    if (this.#isClosed) return;
    let rest = bytes;
    if (this.#queue.length === 0) {
      const flags = MSG_NOSIGNAL | (hasMore ? MSG_MORE : 0);
      const sent = os.send(this.#fd, rest, rest.length, flags);
      if (sent === rest.length) return;
      if (sent < 0 && sent !== E.EAGAIN) {
        this.close(`send: ${errnoName(sent)}`);
        return;
      }
      if (sent > 0) rest = rest.subarray(sent);
    }
    this.#queue.push(Buffer.from(rest));
    this.#queueBytes += rest.length;
    if (this.#queueBytes > QUEUE_BYTES_MAX) this.close('it takes too little for too long');
  }

  #flush(): void {
    while (this.#queue.length > 0) {
      const first = this.#queue[0] as Buffer;
      const sent = os.send(this.#fd, first, first.length, MSG_NOSIGNAL);
      if (sent === E.EAGAIN) return;
      if (sent < 0) {
        this.close(`send: ${errnoName(sent)}`);
        return;
      }
      this.#queueBytes -= sent;
      if (sent < first.length) this.#queue[0] = first.subarray(sent);
      else this.#queue.shift();
    }
    if (this.#closesWhenSent) this.close('it is no longer needed');
  }

  /** Closes once everything that was sent before has left. */
  closeWhenSent(): void {
    this.#closesWhenSent = true;
    if (this.#queue.length === 0) this.close('it is no longer needed');
  }

  close(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#loop.remove(this.#fd);
    os.close(this.#fd);
    this.#queue = [];
    this.#queueBytes = 0;
    this.#body = null;
    this.#events.closed(reason);
  }

  #ready(events: number): void {
    if (events & EPOLL.out) this.#flush();
    if (events & (EPOLL.in | EPOLL.rdhup | EPOLL.hup | EPOLL.error)) this.#receive();
  }

  #receive(): void {
    for (let taken = 0; !this.#isClosed; ) {
      const target =
        this.#body === null
          ? this.#room.subarray(this.#roomBytes)
          : this.#body.subarray(this.#bodyBytes);
      const got = os.recv(this.#fd, target, target.length, 0);
      if (got === E.EAGAIN) break;
      if (got <= 0) {
        this.close(got === 0 ? 'the peer closed it' : errnoName(got));
        return;
      }
      taken += got;
      if (this.#body === null) {
        this.#roomBytes += got;
        this.#cut();
      } else {
        this.#bodyBytes += got;
        this.#deliverBody();
      }
      if (taken >= READ_BYTES_MAX && !this.#isClosed) {
        // Edge-triggered: asking again makes the loop come back after it served others.
        this.#loop.modify(this.#fd, EPOLL.in | EPOLL.out | EPOLL.rdhup | EPOLL.et);
        break;
      }
    }
    if (!this.#isClosed) this.#events.progress();
  }

  /** Takes whole packets out of the room; begins a body that is larger. */
  #cut(): void {
    let at = 0;
    while (!this.#isClosed && this.#roomBytes - at >= PACKET_HEADER_BYTES) {
      const size = this.#room.readUInt32LE(at);
      const kind = this.#room[at + 4] as number;
      if (size > bodyBytesMax(kind)) {
        this.close(`a packet of kind ${kind} with ${size} bytes`);
        return;
      }
      const from = at + PACKET_HEADER_BYTES;
      const here = Math.min(size, this.#roomBytes - from);
      if (here < size) {
        this.#body = Buffer.allocUnsafeSlow(size);
        this.#bodyKind = kind;
        this.#room.copy(this.#body, 0, from, from + here);
        this.#bodyBytes = here;
        this.#roomBytes = 0;
        return;
      }
      at = from + size;
      this.#events.packet(kind, Buffer.from(this.#room.subarray(from, at)));
    }
    if (this.#isClosed) return;
    this.#room.copyWithin(0, at, this.#roomBytes);
    this.#roomBytes -= at;
  }

  #deliverBody(): void {
    const body = this.#body;
    if (body === null || this.#bodyBytes < body.length) return;
    this.#body = null;
    this.#events.packet(this.#bodyKind, body);
  }
}
