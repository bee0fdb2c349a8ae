/**
 * UnixDatagramSocket: SOCK_DGRAM of AF_UNIX: messages between sockets of the guest, reliable and
 * in order, with descriptors and credentials beside the bytes.
 */
import { E } from '../../abi/errno.ts';
import { AF, MSG, SHUT, SOCK } from '../../abi/net.ts';
import { present } from '../../base/assert.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { ObjectId } from '../../base/ids.ts';
import type { Kernel } from '../kernel.ts';
import { KIND } from '../kinds-ids.ts';
import type { Objects } from '../object.ts';
import { POLL } from '../open-file.ts';
import type { Task } from '../task.ts';
import { credentialsOf } from './credentials.ts';
import { MessageQueue } from './message-queue.ts';
import { NOTHING, type Outgoing, plainReceived, type Received, Socket } from './socket.ts';
import {
  claimUnixName,
  decodeUnix,
  encodeUnix,
  findUnixName,
  loadUnixAddress,
  saveUnixAddress,
  type UnixAddress,
} from './unix-address.ts';

/** net.unix.max_dgram_qlen: so many wait at one that is not connected back. */
const QUEUE_COUNT_MAX = 10;
const IN = POLL.in | POLL.rdnorm;
const OUT = POLL.out | POLL.wrnorm | POLL.wrband;

export class UnixDatagramSocket extends Socket {
  readonly kind = KIND.unixDatagram;
  readonly domain = AF.unix;
  readonly type = SOCK.dgram;
  readonly protocol = 0;
  readonly isStream = false;
  #local: UnixAddress | null = null;
  #peer: UnixDatagramSocket | null = null;
  /** The peer has closed; the next sending says so. */
  #isPeerDead = false;
  #isReadShut = false;
  #isWriteShut = false;
  #queue: MessageQueue | null;
  /** Those connected to this one; derived. */
  readonly followers = new Set<UnixDatagramSocket>();
  /** Those that found no room here; derived. */
  readonly waiting = new Set<UnixDatagramSocket>();

  constructor(kernel: Kernel, objects: Objects, id?: ObjectId) {
    super(kernel, objects, id);
    this.#queue = id === undefined ? new MessageQueue(objects) : null;
  }

  get #messages(): MessageQueue {
    return present(this.#queue, 'message queue');
  }

  override bind(address: Buffer, task: Task): number {
    const name = decodeUnix(address);
    if (typeof name === 'number') return name;
    if (this.#local !== null) return name === '' ? 0 : E.EINVAL;
    const claimed = claimUnixName(task, name, this.type);
    if (typeof claimed === 'number') return claimed;
    this.#local = claimed;
    this.kernel.net.unixNames.set(claimed.key, this);
    this.touch();
    return 0;
  }

  override localAddress(): Buffer {
    return encodeUnix(this.#local);
  }

  override peerAddress(): Buffer | number {
    return this.#peer === null ? E.ENOTCONN : encodeUnix(this.#peer.#local);
  }

  /** The socket of this name, if it may be sent to; -errno. */
  #find(name: string, task: Task): UnixDatagramSocket | number {
    const key = findUnixName(task, name, this.type);
    if (typeof key === 'number') return key;
    const socket = this.kernel.net.unixNames.get(key);
    if (socket === undefined) return E.ECONNREFUSED;
    if (!(socket instanceof UnixDatagramSocket)) return E.EPROTOTYPE;
    return socket.#takesFrom(this) ? socket : E.EPERM;
  }

  /** One that is connected takes messages from its peer only, even when that is gone. */
  #takesFrom(sender: UnixDatagramSocket): boolean {
    return this.#peer === sender || (this.#peer === null && !this.#isPeerDead);
  }

  override connect(address: Buffer, task: Task): number {
    if (address.length >= 2 && address.readUInt16LE(0) === AF.unspec) {
      this.#setPeer(null);
      return 0;
    }
    const name = decodeUnix(address);
    if (typeof name === 'number') return name;
    const found = this.#find(name, task);
    if (typeof found === 'number') return found;
    this.#setPeer(found);
    return 0;
  }

  #setPeer(peer: UnixDatagramSocket | null): void {
    if (this.#peer !== null && this.#peer !== peer) this.#dropMessages(this.#peer);
    this.#peer?.followers.delete(this);
    this.#peer = peer;
    this.#isPeerDead = false;
    peer?.followers.add(this);
    this.touch();
    this.queue.wake();
  }

  /** A change of peers loses what the old one sent; one connected back is told. */
  #dropMessages(old: UnixDatagramSocket | null): void {
    if (this.#messages.count === 0) return;
    while (this.#messages.count > 0)
      for (const file of this.#messages.shift().files) file.release();
    this.#wakeSenders();
    if (old === null || old.#peer !== this) return;
    old.pendingError = E.ECONNRESET;
    old.touch();
    old.queue.wake();
  }

  #wakeSenders(): void {
    for (const sender of this.waiting) sender.queue.wake(OUT);
    this.waiting.clear();
  }

  /** socketpair(2). */
  pairWith(other: UnixDatagramSocket): void {
    this.#setPeer(other);
    other.#setPeer(this);
  }

  override shutdown(how: number): number {
    if (how !== SHUT.wr) this.#isReadShut = true;
    if (how !== SHUT.rd) this.#isWriteShut = true;
    this.touch();
    this.queue.wake();
    return 0;
  }

  override send(data: Uint8Array, message: Outgoing, task: Task): number {
    if ((message.flags & MSG.oob) !== 0) return E.EOPNOTSUPP;
    const name = message.address === null ? null : decodeUnix(message.address);
    if (typeof name === 'number') return name;
    if (name === '') return E.EINVAL;
    if (data.length > this.options.sendBytes - 32) return E.EMSGSIZE;
    if (this.pendingError !== 0) return -this.takeError();
    if (this.#isWriteShut) return E.EPIPE;
    if (name === null && this.#peer === null) return this.#failUnconnected();
    const found = name === null ? this.#peer : this.#find(name, task);
    if (typeof found === 'number') return found;
    const target = present(found, 'peer');
    if (!target.#takesFrom(this)) return E.EPERM;
    if (target.#isReadShut) return E.EPIPE;
    if (this.#isFull(target, data.length)) {
      target.waiting.add(this);
      return E.EAGAIN;
    }
    target.#messages.push({
      bytes: Buffer.from(data),
      address: this.#local === null ? null : encodeUnix(this.#local),
      files: message.files,
      credentials: message.credentials ?? credentialsOf(task),
    });
    target.queue.wake(IN);
    return data.length;
  }

  #failUnconnected(): number {
    if (!this.#isPeerDead) return E.ENOTCONN;
    this.#isPeerDead = false;
    this.#dropMessages(null);
    this.touch();
    return E.ECONNREFUSED;
  }

  #isFull(target: UnixDatagramSocket, sizeBytes: number): boolean {
    const queue = target.#messages;
    if (target.#peer !== this && queue.count > QUEUE_COUNT_MAX) return true;
    const needed = queue.usedBytes + MessageQueue.costBytes(sizeBytes);
    return queue.count > 0 && needed > this.options.sendBytes;
  }

  override receive(count: number, flags: number, _task: Task): Received | number {
    if ((flags & MSG.errqueue) !== 0) return E.EAGAIN;
    if ((flags & MSG.oob) !== 0) return E.EOPNOTSUPP;
    if (this.pendingError !== 0) return -this.takeError();
    const first = this.#messages.first;
    if (first === null) {
      return this.#isReadShut && this.waits(flags) ? plainReceived(NOTHING) : E.EAGAIN;
    }
    const isPeek = (flags & MSG.peek) !== 0;
    if (isPeek) for (const file of first.files) file.retain();
    else {
      this.#messages.shift();
      this.#wakeSenders();
    }
    return {
      ...first,
      bytes: first.bytes.subarray(0, count),
      wholeBytes: first.bytes.length,
    };
  }

  override available(): number {
    return this.#messages.first?.bytes.length ?? 0;
  }

  override poll(): number {
    let events = 0;
    const peer = this.#peer;
    if (peer === null || !this.#isFull(peer, 0)) events |= OUT;
    else peer.waiting.add(this);
    if (this.#messages.count > 0) events |= IN;
    if (this.#isReadShut) events |= IN | POLL.rdhup;
    if (this.#isReadShut && this.#isWriteShut) events |= POLL.hup;
    return this.pendingError === 0 ? events : events | POLL.error;
  }

  protected override close(): void {
    if (this.#local !== null) this.kernel.net.unixNames.delete(this.#local.key);
    this.#peer?.followers.delete(this);
    this.#peer?.waiting.delete(this);
    this.#peer = null;
    for (const follower of this.followers) {
      follower.#peer = null;
      follower.#isPeerDead = true;
      follower.touch();
      follower.queue.wake(OUT);
    }
    this.followers.clear();
    for (const sender of this.waiting) sender.queue.wake();
    this.waiting.clear();
    this.#messages.destroy();
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    saveUnixAddress(encoder, this.#local);
    encoder.u32(this.#peer?.id ?? 0).u32(this.#messages.id);
    encoder.bool(this.#isPeerDead).bool(this.#isReadShut).bool(this.#isWriteShut);
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.#local = loadUnixAddress(decoder);
    this.#peer = this.objects.find(decoder.u32(), UnixDatagramSocket);
    this.#queue = this.objects.get(decoder.u32(), MessageQueue);
    this.#isPeerDead = decoder.bool();
    this.#isReadShut = decoder.bool();
    this.#isWriteShut = decoder.bool();
  }

  override loaded(): void {
    this.#peer?.followers.add(this);
    if (this.#local !== null) this.kernel.net.unixNames.set(this.#local.key, this);
  }
}
