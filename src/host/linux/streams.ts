/**
 * Streams of the Linux host: published listening sockets and the TCP connections accepted from
 * them, behind handles. Sockets are non-blocking and reported edge-triggered by the loop.
 */
import { E } from '../../abi/errno.ts';
import { assert, present } from '../../base/assert.ts';
import { type Handle, handle } from '../../base/ids.ts';
import * as native from '../../ffi/native.ts';
import { EPOLL, type Loop } from '../../loop/loop.ts';
import { READY, type StreamAddress } from '../../lvm/api.ts';

/** A port of the guest, with the listening socket that the outside reaches it by. */
export interface Publication {
  readonly guestPort: number;
  readonly fd: number;
}

const SOCK_CLOEXEC_NONBLOCK = 0o2000000 | 0o4000;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SOL_SOCKET = 1;
const SO_LINGER = 13;
const MSG_NOSIGNAL = 0x4000;
const SHUT_WR = 1;
/** Handles of streams; 0 is the console. */
const FIRST_HANDLE = 1;

export class Streams {
  readonly #loop: Loop;
  readonly #publications: readonly Publication[];
  readonly #fds = new Map<Handle, number>();
  readonly #ready: (stream: Handle, events: number) => void;
  readonly #address = Buffer.alloc(128);
  readonly #size = Buffer.alloc(4);
  #next = FIRST_HANDLE;

  constructor(
    loop: Loop,
    publications: readonly Publication[],
    ready: (stream: Handle, events: number) => void,
  ) {
    this.#loop = loop;
    this.#publications = publications;
    this.#ready = ready;
  }

  listen(port: number): Handle | number {
    const publication = this.#publications.find((candidate) => candidate.guestPort === port);
    if (publication === undefined) return E.EADDRNOTAVAIL;
    return this.#adopt(publication.fd, EPOLL.in | EPOLL.et);
  }

  accept(listener: Handle): { stream: Handle; peer: StreamAddress; local: StreamAddress } | number {
    const from = this.#fd(listener);
    this.#size.writeUInt32LE(this.#address.length);
    const fd = native.accept4(from, this.#address, this.#size, SOCK_CLOEXEC_NONBLOCK);
    // The connection went away while it waited: as if it had never come.
    if (fd === E.ECONNABORTED) return E.EAGAIN;
    if (fd < 0) return fd;
    const peer = parseAddress(this.#address);
    this.#size.writeUInt32LE(this.#address.length);
    native.getsockname(fd, this.#address, this.#size);
    const publication = this.#publications.find((candidate) => candidate.fd === from);
    const { guestPort } = present(publication, 'publication');
    // The port that it came by is this machine's affair.
    const local = { ...parseAddress(this.#address), port: guestPort };
    const one = Buffer.alloc(4);
    one.writeInt32LE(1);
    native.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, one);
    const stream = this.#adopt(fd, EPOLL.in | EPOLL.out | EPOLL.rdhup | EPOLL.et);
    return { stream, peer, local };
  }

  #adopt(fd: number, events: number): Handle {
    const stream = handle(this.#next);
    this.#next += 1;
    this.#fds.set(stream, fd);
    this.#loop.add(fd, events, (bits) => this.#ready(stream, readyBits(bits)));
    return stream;
  }

  #fd(stream: Handle): number {
    return present(this.#fds.get(stream), `stream ${stream}`);
  }

  read(stream: Handle, target: Uint8Array): number {
    return native.recv(this.#fd(stream), target, target.length, 0);
  }

  write(stream: Handle, source: Uint8Array): number {
    return native.send(this.#fd(stream), source, source.length, MSG_NOSIGNAL);
  }

  shutdown(stream: Handle): void {
    native.shutdown(this.#fd(stream), SHUT_WR);
  }

  close(stream: Handle, reset: boolean): void {
    const fd = this.#fd(stream);
    this.#fds.delete(stream);
    this.#loop.remove(fd);
    // The listening sockets belong to the service, not to this replica: they stay open.
    if (this.#publications.some((publication) => publication.fd === fd)) return;
    if (reset) {
      const linger = Buffer.alloc(8);
      linger.writeInt32LE(1, 0);
      native.setsockopt(fd, SOL_SOCKET, SO_LINGER, linger);
    }
    native.close(fd);
  }

  /** Resets all connections: the guest that held them is gone. */
  closeAll(): void {
    for (const stream of [...this.#fds.keys()]) this.close(stream, true);
  }
}

function readyBits(events: number): number {
  let bits = 0;
  if (events & EPOLL.in) bits |= READY.in;
  if (events & EPOLL.out) bits |= READY.out;
  if (events & (EPOLL.rdhup | EPOLL.hup)) bits |= READY.in | READY.hup;
  if (events & EPOLL.error) bits |= READY.error;
  return bits;
}

/** struct sockaddr_in or sockaddr_in6. */
function parseAddress(bytes: Buffer): StreamAddress {
  const AF_INET = 2;
  const AF_INET6 = 10;
  const family = bytes.readUInt16LE(0);
  const port = bytes.readUInt16BE(2);
  if (family === AF_INET) return { family: 4, host: bytes.subarray(4, 8).join('.'), port };
  assert(family === AF_INET6, `address family ${family}`);
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(8 + i * 2).toString(16));
  return { family: 6, host: groups.join(':'), port };
}
