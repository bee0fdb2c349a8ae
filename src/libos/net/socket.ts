/**
 * Socket: what all sockets have in common, and what the socket handlers call. The families stand
 * in tcp-socket.ts, udp-socket.ts, unix-socket.ts and unix-datagram.ts. Socket addresses are
 * sockaddr bytes here; results are values or -errno, -EAGAIN meaning "would block".
 */
import { E } from '../../abi/errno.ts';
import { O } from '../../abi/event.ts';
import { S } from '../../abi/fs.ts';
import { IOCTL, MSG } from '../../abi/net.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { ObjectId } from '../../base/ids.ts';
import type { Args } from '../args.ts';
import { anonymousStat, type FileStat } from '../fs/stat.ts';
import type { Kernel } from '../kernel.ts';
import type { Objects } from '../object.ts';
import { OpenFile } from '../open-file.ts';
import type { Outcome } from '../outcome.ts';
import type { Task } from '../task.ts';
import type { WaitQueue } from '../wait-queue.ts';
import { interfaceIoctl } from './interfaces.ts';
import { SocketOptions } from './options.ts';

/** Who sent something: struct ucred. */
export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** A message to send, beside its bytes. */
export interface Outgoing {
  /** MSG_ flags. */
  readonly flags: number;
  /** sockaddr bytes, or null for the peer. */
  readonly address: Buffer | null;
  /** SCM_RIGHTS; the socket takes references of its own. */
  readonly files: readonly OpenFile[];
  /** SCM_CREDENTIALS. */
  readonly credentials: Credentials | null;
}

const PLAIN: Outgoing = Object.freeze({
  flags: 0,
  address: null,
  files: [],
  credentials: null,
});

/** What was received. Files carry the references that the message held: the receiver's now. */
export interface Received {
  /** Valid until the next call into the library OS. */
  readonly bytes: Uint8Array;
  readonly address: Buffer | null;
  readonly files: readonly OpenFile[];
  readonly credentials: Credentials | null;
  /** Bytes of the whole message, which may be more than `bytes`. */
  readonly wholeBytes: number;
}

export const NOTHING: Uint8Array = new Uint8Array(0);

/** Received bytes with nothing beside them. */
export const plainReceived = (bytes: Uint8Array): Received => ({
  bytes,
  address: null,
  files: [],
  credentials: null,
  wholeBytes: bytes.length,
});

export abstract class Socket extends OpenFile {
  readonly kernel: Kernel;
  readonly options = new SocketOptions();
  /** SO_ERROR: 0 or -errno; given once. */
  pendingError = 0;

  constructor(kernel: Kernel, objects: Objects, id?: ObjectId) {
    super(objects, id);
    this.kernel = kernel;
    this.flags = O.rdwr;
  }

  /** AF_, SOCK_ and IPPROTO_ numbers. */
  abstract readonly domain: number;
  abstract readonly type: number;
  abstract readonly protocol: number;

  /** Bytes in order without bounds, so that a call may be served piece by piece. */
  abstract readonly isStream: boolean;

  abstract bind(address: Buffer, task: Task): number;
  listen(_backlog: number, _task: Task): number {
    return E.EOPNOTSUPP;
  }
  /** The next connection, with `flags` of the new descriptor; -EAGAIN when there is none yet. */
  accept(_flags: number): Socket | number {
    return E.EOPNOTSUPP;
  }
  /**
   * 0, -EINPROGRESS (`connect` completes later; asked again it says how it went), or -errno. With
   * -EAGAIN the caller waits and asks again.
   */
  abstract connect(address: Buffer, task: Task): number;
  /** What wakes one that waits to ask `connect` again. */
  get connectQueue(): WaitQueue {
    return this.queue;
  }
  abstract localAddress(): Buffer;
  abstract peerAddress(): Buffer | number;
  abstract shutdown(how: number): number;
  abstract send(data: Uint8Array, message: Outgoing, task: Task): number;
  /** Up to `count` bytes, by MSG_ flags. */
  abstract receive(count: number, flags: number, task: Task): Received | number;
  /** Whether a message with control data may be sent now: 0, or -errno that goes before theirs. */
  checkSend(): number {
    return 0;
  }
  /** Bytes that can be read now (FIONREAD). */
  abstract available(): number;

  get isListening(): boolean {
    return false;
  }

  /** SO_PEERCRED, or null. */
  get peerCredentials(): Credentials | null {
    return null;
  }

  /** Sets an option of a level of the family's own; -ENOPROTOOPT when it knows none. */
  setProtocolOption(_level: number, _option: number, _value: number, _raw: Buffer): number {
    return E.ENOPROTOOPT;
  }

  /** The value of an option of a level of the family's own, or -ENOPROTOOPT. */
  getProtocolOption(_level: number, _option: number): number | Buffer {
    return E.ENOPROTOOPT;
  }

  /** SO_ERROR: the error (positive), which is then forgotten. */
  takeError(): number {
    const error = -this.pendingError;
    if (error !== 0) {
      this.pendingError = 0;
      this.touch();
    }
    return error;
  }

  /** Whether a call with these MSG_ flags waits. */
  protected waits(flags: number): boolean {
    return (this.flags & O.nonblock) === 0 && (flags & MSG.dontwait) === 0;
  }

  override describe(): string {
    return `socket:[${this.id}]`;
  }

  override stat(): FileStat {
    return anonymousStat(this.id, S.IFSOCK | 0o777);
  }

  override read(count: number, task: Task): Uint8Array | number {
    if (count === 0) return NOTHING;
    const received = this.receive(count, 0, task);
    if (typeof received === 'number') return received;
    for (const file of received.files) file.release();
    return received.bytes;
  }

  override write(data: Uint8Array, task: Task): number {
    return this.send(data, PLAIN, task);
  }

  override ioctl(task: Task, args: Args): Outcome {
    const request = args.uint(1);
    switch (request) {
      case IOCTL.fionread:
        if (this.isListening) return E.EINVAL;
        task.memory.writeU32(args.pointer(2), this.available());
        return 0;
      case IOCTL.siocoutq:
      case IOCTL.siocatmark:
        task.memory.writeU32(args.pointer(2), 0);
        return 0;
      default:
        return interfaceIoctl(task, request, args.pointer(2));
    }
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    this.options.save(encoder);
    encoder.i32(this.pendingError);
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.options.load(decoder);
    this.pendingError = decoder.i32();
  }
}
