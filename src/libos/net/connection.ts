/**
 * Connection: one end of a connection inside the guest, as a TCP or Unix stream socket holds it:
 * the buffer that it reads and the buffer that it writes. The other end holds the same two,
 * crossed. Not an object by itself: the socket saves the ids of the two.
 */
import { E } from '../../abi/errno.ts';
import { MSG, SHUT } from '../../abi/net.ts';
import type { Objects } from '../object.ts';
import { type OpenFile, POLL } from '../open-file.ts';
import { type Credentials, NOTHING, plainReceived, type Received, type Socket } from './socket.ts';
import { SocketBuffer } from './socket-buffer.ts';

const IN = POLL.in | POLL.rdnorm;
const OUT = POLL.out | POLL.wrnorm;

/** Both buffers, from the side of one end. */
export interface BufferPair {
  readonly incoming: SocketBuffer;
  readonly outgoing: SocketBuffer;
}

export function makeBuffers(objects: Objects): BufferPair {
  return { incoming: new SocketBuffer(objects), outgoing: new SocketBuffer(objects) };
}

export const crossed = (pair: BufferPair): BufferPair => ({
  incoming: pair.outgoing,
  outgoing: pair.incoming,
});

/** Ends a connection that nobody accepted: its other end sees a reset. */
export function refuse(pair: BufferPair): void {
  resetPeer(pair, false);
  endBuffers(pair, null);
  pair.outgoing.reader?.queue.wake();
}

/**
 * Tells the other end of a reset. To a TCP end that knew that nothing more comes it is a broken
 * pipe: reading still gives the end, and writing fails.
 */
function resetPeer({ incoming, outgoing }: BufferPair, isAfterEnd: boolean): void {
  if (outgoing.isReset) return;
  if (isAfterEnd) incoming.isWriterDone = true;
  else outgoing.isReset = true;
  const peer = outgoing.reader;
  if (peer === null) return;
  peer.pendingError = isAfterEnd ? E.EPIPE : E.ECONNRESET;
  peer.touch();
}

/** Ends one side. `owner` is the socket that had it, if any. */
function endBuffers({ incoming, outgoing }: BufferPair, owner: Socket | null): void {
  if (incoming.reader === owner) incoming.reader = null;
  if (outgoing.writer === owner) outgoing.writer = null;
  outgoing.isWriterDone = true;
  incoming.isReaderDone = true;
  incoming.clear();
  incoming.touch();
  outgoing.touch();
  incoming.letGo();
  outgoing.letGo();
}

export class Connection {
  readonly #owner: Socket;
  /** Unix sockets: a peer that reads no more ends sending too. */
  readonly #isUnix: boolean;
  readonly incoming: SocketBuffer;
  readonly outgoing: SocketBuffer;

  constructor(owner: Socket, pair: BufferPair, isUnix = false) {
    this.#owner = owner;
    this.#isUnix = isUnix;
    this.incoming = pair.incoming;
    this.outgoing = pair.outgoing;
    this.incoming.reader = owner;
    this.outgoing.writer = owner;
  }

  /** The socket at the other end, while there is one. */
  get peer(): Socket | null {
    return this.outgoing.reader;
  }

  /** The other end has closed, not only shut down. */
  get isPeerGone(): boolean {
    return this.incoming.isWriterDone && this.outgoing.isReaderDone;
  }

  /** The other end said that nothing more comes, and did not reset. */
  get isOrderlyEnd(): boolean {
    return this.incoming.isWriterDone && !this.incoming.isReset;
  }

  /** TCP: ended both ways, reset by the other end, or by our writing to one that was gone. */
  get isOver(): boolean {
    if (this.incoming.isReset || (this.isPeerGone && this.outgoing.isReset)) return true;
    return this.incoming.isWriterDone && this.outgoing.isWriterDone;
  }

  /** We wrote to an end that was gone, and it has answered with a reset. */
  break(): void {
    this.outgoing.isWriterDone = true;
    this.outgoing.isReset = true;
    this.outgoing.touch();
    const { peer } = this;
    if (peer === null) return;
    // It had only shut down: our bytes reset it too.
    peer.pendingError = E.ECONNRESET;
    peer.touch();
    peer.queue.wake();
  }

  /** Nothing more will come. */
  get isReadDone(): boolean {
    return this.incoming.isWriterDone || this.incoming.isReaderDone;
  }

  /** Nothing more can be sent. */
  get isSendDone(): boolean {
    return this.outgoing.isWriterDone || (this.#isUnix && this.outgoing.isReaderDone);
  }

  /** Up to `count` bytes into `scratch`; -EAGAIN. 0 bytes is the end. */
  receive(scratch: Buffer, flags: number, byWriter: boolean): Received | number {
    const isPeek = (flags & MSG.peek) !== 0;
    const wasWritable = this.incoming.isWritable;
    const chunk = this.incoming.take(scratch, isPeek, byWriter);
    const isEmpty = chunk.count === 0 && chunk.files.length === 0 && this.incoming.isEmpty;
    if (isEmpty && !this.isReadDone) return E.EAGAIN;
    if (!wasWritable && this.incoming.isWritable) this.incoming.writer?.queue.wake(OUT);
    const { count, wholeBytes, files, credentials } = chunk;
    const bytes = scratch.subarray(0, count);
    return { bytes, address: null, files, credentials, wholeBytes };
  }

  /** Like `receive`, one record. */
  receiveRecord(scratch: Buffer, flags: number): Received | number {
    const wasWritable = this.incoming.isWritable;
    const chunk = this.incoming.takeRecord(scratch, (flags & MSG.peek) !== 0);
    if (chunk === null) return this.isReadDone ? plainReceived(NOTHING) : E.EAGAIN;
    if (!wasWritable && this.incoming.isWritable) this.incoming.writer?.queue.wake(OUT);
    const { count, wholeBytes, files, credentials } = chunk;
    const bytes = scratch.subarray(0, count);
    return { bytes, address: null, files, credentials, wholeBytes };
  }

  sendRecord(data: Uint8Array, files: readonly OpenFile[], from: Credentials | null): number {
    const count = this.outgoing.pushRecord(data, files, from);
    if (count >= 0) this.outgoing.reader?.queue.wake(IN);
    return count;
  }

  /** Bytes taken, possibly fewer; -EAGAIN. The caller has seen that somebody reads. */
  send(data: Uint8Array, files: readonly OpenFile[], from: Credentials | null): number {
    const count = this.outgoing.push(data, files, from);
    if (count === 0) return E.EAGAIN;
    this.outgoing.reader?.queue.wake(IN);
    return count;
  }

  /** Ends sending, reading or both, for both ends to see. */
  shutdown(how: number): void {
    if (how !== SHUT.rd) this.outgoing.isWriterDone = true;
    if (how !== SHUT.wr) this.incoming.isReaderDone = true;
    this.incoming.touch();
    this.outgoing.touch();
    this.#owner.queue.wake();
    // That TCP reads no more is its own affair.
    if (this.#isUnix || how !== SHUT.rd) this.peer?.queue.wake();
  }

  /** Poll bits but those of errors, which are the socket's. */
  poll(): number {
    let events = 0;
    if (!this.incoming.isEmpty) events |= IN;
    if (this.isReadDone) events |= IN | POLL.rdhup;
    if (this.isSendDone || this.outgoing.isWritable) events |= OUT;
    if (this.isReadDone && this.isSendDone) events |= POLL.hup;
    return events;
  }

  /** Closes this end; bytes that were not read reset the connection, as does `isAbort`. */
  close(isAbort: boolean): void {
    const { peer } = this;
    // Linux overlooks a single empty record.
    const isUnread = this.incoming.length > 0 || this.incoming.recordCount > 1;
    const isReset = (isUnread || isAbort) && !(this.isOver && !this.#isUnix);
    const wasEnded = this.outgoing.isWriterDone;
    if (isReset) resetPeer(this, wasEnded && !this.#isUnix);
    endBuffers(this, this.#owner);
    // A TCP peer that knows of the end is told nothing more by closing.
    if (this.#isUnix || isReset || !wasEnded) peer?.queue.wake();
  }
}
