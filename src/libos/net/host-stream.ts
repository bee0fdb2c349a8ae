/**
 * HostStream: a TCP connection from outside, as its socket sees it: a stream of the LVM API and
 * what is known of its readiness. Upcalls are edges, so readiness is remembered here until a call
 * proves the contrary. Nothing is buffered on this side, but bytes that were only looked at
 * (MSG_PEEK, FIONREAD).
 */
import { E } from '../../abi/errno.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import { type Handle, handle } from '../../base/ids.ts';
import { type Lvm, READY, type RecordSink } from '../../lvm/api.ts';
import { POLL } from '../open-file.ts';

const IN = POLL.in | POLL.rdnorm;
const OUT = POLL.out | POLL.wrnorm;
/** At most so much is taken in advance to look at it. */
const PEEK_BYTES_MAX = 65_536;
/** To find out whether a stream is readable, so much is read. */
const PROBE_BYTES = 4096;

/**
 * `hint`: an upcall said so, perhaps about bytes that were read meanwhile. `unknown`: new or
 * restored; its edge may have come before we listened.
 */
type Readability = 'no' | 'yes' | 'hint' | 'unknown';

/** The socket that a stream belongs to. */
export interface StreamHolder {
  touch(): void;
  /** The connection was reset, and the guest has not been told: SO_ERROR. */
  streamReset(): void;
}

export class HostStream {
  readonly #lvm: Lvm;
  readonly #holder: StreamHolder;
  readonly handle: Handle;
  #readable: Readability = 'unknown';
  #isWritable = true;
  /** The peer has ended its side, or so the host says; what it sent before may still come. */
  #sawHangup = false;
  /** The stream gave its end, or will give nothing more. */
  #isEnded = false;
  /** Reset by the peer or lost in a takeover; the guest was told, or the socket has the error. */
  #isReset = false;
  #isWriteShut = false;
  #isReadShut = false;
  #peeked: Buffer = Buffer.alloc(0);

  constructor(lvm: Lvm, stream: Handle, holder: StreamHolder) {
    this.#lvm = lvm;
    this.#holder = holder;
    this.handle = stream;
  }

  get isOver(): boolean {
    return this.#isReset || (this.#isEnded && this.#isWriteShut);
  }

  /** An upcall; gives the poll bits that may be new. */
  ready(events: number): number {
    let poll = 0;
    if ((events & READY.in) !== 0) {
      if (this.#readable === 'no') this.#readable = 'hint';
      poll |= IN;
    }
    if ((events & READY.out) !== 0) {
      this.#isWritable = true;
      poll |= OUT;
    }
    if ((events & (READY.hup | READY.error)) !== 0) {
      this.#readable = 'yes';
      this.#sawHangup = true;
      poll |= IN | POLL.rdhup;
    }
    if ((events & READY.error) === 0) return poll;
    this.#isWritable = true;
    this.#reset();
    return -1;
  }

  /** Fills `target` or a part of it; 0 at the end; -EAGAIN, -ECONNRESET (once, then the end). */
  read(target: Buffer): number {
    if (this.#peeked.length > 0) return this.#readPeeked(target);
    if (this.#isEnded || this.#isReadShut) return 0;
    if (this.#readable === 'no') return E.EAGAIN;
    const count = this.#lvm.streamRead(this.handle, target);
    this.#noteRead(count, target.length);
    if (count >= 0 || count === E.EAGAIN) return count;
    return this.#tellReset(count, 0);
  }

  /** What a read of `wanted` bytes shows of the stream. */
  #noteRead(count: number, wanted: number): void {
    if (count > 0) {
      // A short read has emptied it: the next byte brings an edge. An end that is near may not.
      this.#readable = count < wanted && !this.#sawHangup ? 'no' : 'yes';
    } else if (count === E.EAGAIN) this.#readable = 'no';
    else {
      this.#isEnded = true;
      this.#holder.touch();
    }
  }

  /** A call found the connection reset: the error the first time, then `later`. */
  #tellReset(error: number, later: number): number {
    if (this.#isReset) return later;
    this.#isReset = true;
    this.#holder.touch();
    return error;
  }

  /** Found outside of a call that could tell the guest. */
  #reset(): void {
    if (this.#isReset) return;
    this.#isReset = true;
    this.#holder.streamReset();
  }

  #readPeeked(target: Buffer): number {
    const count = this.#peeked.copy(target);
    this.#peeked = this.#peeked.subarray(count);
    this.#holder.touch();
    return count;
  }

  /** Copies up to `target.length` bytes and leaves them; 0 at the end, -EAGAIN. */
  peek(target: Buffer): number {
    this.#fill(Math.min(target.length, PEEK_BYTES_MAX));
    const count = this.#peeked.copy(target);
    if (count > 0 || this.#isEnded || this.#isReadShut) return count;
    return E.EAGAIN;
  }

  /** Bytes that can be read now, as far as we look in advance. */
  available(): number {
    this.#fill(PEEK_BYTES_MAX);
    return this.#peeked.length;
  }

  #fill(wanted: number): void {
    if (this.#isEnded || this.#isReadShut || this.#readable === 'no') return;
    const room = wanted - this.#peeked.length;
    if (room <= 0) return;
    const bytes = Buffer.allocUnsafe(room);
    const count = this.#lvm.streamRead(this.handle, bytes);
    this.#noteRead(count, room);
    if (count > 0) {
      this.#peeked = Buffer.concat([this.#peeked, bytes.subarray(0, count)]);
      this.#holder.touch();
    } else if (count < 0 && count !== E.EAGAIN) this.#reset();
  }

  /** Bytes taken; -EAGAIN, -EPIPE, or once -ECONNRESET. */
  write(data: Uint8Array): number {
    if (this.#isWriteShut) return E.EPIPE;
    if (!this.#isWritable) return E.EAGAIN;
    const count = this.#lvm.streamWrite(this.handle, data);
    if (count >= 0) return count;
    if (count === E.EAGAIN) this.#isWritable = false;
    return count === E.ECONNRESET ? this.#tellReset(count, E.EPIPE) : count;
  }

  shutdown(isRead: boolean, isWrite: boolean): void {
    this.#holder.touch();
    if (isRead) this.#isReadShut = true;
    if (!isWrite || this.#isWriteShut) return;
    this.#isWriteShut = true;
    this.#lvm.streamShutdown(this.handle);
  }

  close(isReset: boolean): void {
    this.#lvm.streamClose(this.handle, isReset || this.#peeked.length > 0);
  }

  /**
   * Poll bits but POLL.error, which is the socket's. A blocking socket that is said to be
   * readable must be, or its reader hangs; others pay for a wrong hint with one -EAGAIN, which is
   * cheaper than to look.
   */
  poll(isBlocking: boolean): number {
    const isUnsure = this.#readable === 'unknown' || (this.#readable === 'hint' && isBlocking);
    if (isUnsure) this.#fill(PROBE_BYTES);
    if (this.#isReset) return IN | OUT | POLL.rdhup | POLL.hup;
    let events = 0;
    if (this.#readable !== 'no' || this.#peeked.length > 0) events |= IN;
    const isReadDone = this.#isEnded || this.#sawHangup || this.#isReadShut;
    if (isReadDone) events |= IN | POLL.rdhup;
    if (this.#isWritable || this.#isWriteShut) events |= OUT;
    if (isReadDone && this.#isWriteShut) events |= POLL.hup;
    return events;
  }

  save(encoder: Encoder): void {
    encoder.u32(this.handle).bool(this.#isEnded).bool(this.#isReset);
    encoder.bool(this.#isWriteShut).bool(this.#isReadShut).u32(this.#peeked.length);
  }

  static load(decoder: Decoder, lvm: Lvm, holder: StreamHolder): HostStream {
    const stream = new HostStream(lvm, handle(decoder.u32()), holder);
    stream.#isEnded = decoder.bool();
    stream.#isReset = decoder.bool();
    stream.#isWriteShut = decoder.bool();
    stream.#isReadShut = decoder.bool();
    stream.#peeked = Buffer.alloc(decoder.u32());
    return stream;
  }

  /** Bytes looked at, as the only page of the socket; the length in the record is what counts. */
  savePages(owner: number, sink: RecordSink): void {
    if (this.#peeked.length > 0) sink.put(owner, 1, this.#peeked);
  }

  loadPage(bytes: Uint8Array): void {
    this.#peeked = Buffer.from(bytes.subarray(0, this.#peeked.length));
  }
}
