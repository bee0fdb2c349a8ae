/**
 * SocketBuffer: one direction of a connection inside the guest (TCP on the loopback, Unix sockets):
 * bytes, and the descriptors and credentials that travel with them. Two of them make a connection
 * (connection.ts). Saved as an object of its own, so that traffic saves nothing else.
 */
import { E } from '../../abi/errno.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { RecordSink } from '../../lvm/api.ts';
import { ByteRing } from '../ipc/byte-ring.ts';
import { KIND } from '../kinds-ids.ts';
import { KernelObject } from '../object.ts';
import { OpenFile } from '../open-file.ts';
import type { Credentials, Socket } from './socket.ts';

/** What one direction holds at most; of the order of Linux's socket buffers. */
export const CAPACITY_BYTES = 262_144;

/** So many records may wait, as empty ones use no room. */
const RECORDS_MAX = 1024;

/** Bytes that came with descriptors, or a record. Positions count all bytes ever sent. */
interface Mark {
  readonly start: number;
  readonly end: number;
  readonly files: readonly OpenFile[];
}

/** From `start` on, bytes were sent by this process. */
interface Run {
  readonly start: number;
  readonly credentials: Credentials;
}

export interface Chunk {
  readonly count: number;
  /** Bytes of the whole record; otherwise as `count`. */
  readonly wholeBytes: number;
  /** The receiver's from now on; with `peek`, references were added for it. */
  readonly files: readonly OpenFile[];
  readonly credentials: Credentials | null;
}

const NO_FILES: readonly OpenFile[] = [];
const NO_CHUNK: Chunk = Object.freeze({
  count: 0,
  wholeBytes: 0,
  files: NO_FILES,
  credentials: null,
});

export class SocketBuffer extends KernelObject {
  readonly kind = KIND.socketBuffer;
  readonly #ring = new ByteRing(CAPACITY_BYTES);
  /** Position of the first byte in the ring. */
  #position = 0;
  #marks: Mark[] = [];
  #runs: Run[] = [];
  /** No more bytes will come: the writer has shut down or closed. */
  isWriterDone = false;
  /** Nobody will read any more. */
  isReaderDone = false;
  /** The writer closed with bytes unread on its side: the reader's connection is reset. */
  isReset = false;
  /** Sides that still hold it. */
  #holders = 2;
  /** Told when it becomes readable and writable; derived. */
  reader: Socket | null = null;
  writer: Socket | null = null;

  get length(): number {
    return this.#ring.length;
  }

  get isEmpty(): boolean {
    return this.#ring.length === 0 && this.#marks.length === 0;
  }

  get recordCount(): number {
    return this.#marks.length;
  }

  /** As Linux, a writer is woken only when a good part is free. */
  get isWritable(): boolean {
    return this.#ring.room >= CAPACITY_BYTES / 3 && this.#marks.length < RECORDS_MAX;
  }

  /** Bytes taken. Takes references to the files. */
  push(data: Uint8Array, files: readonly OpenFile[], from: Credentials | null): number {
    const start = this.#position + this.#ring.length;
    const count = this.#ring.push(data);
    if (count === 0) return 0;
    if (files.length > 0) {
      for (const file of files) file.retain();
      this.#marks.push({ start, end: start + count, files });
    }
    const last = this.#runs.at(-1)?.credentials;
    if (
      from !== null &&
      (last?.pid !== from.pid || last.uid !== from.uid || last.gid !== from.gid)
    ) {
      this.#runs.push({ start, credentials: from });
    }
    this.touch();
    return count;
  }

  /**
   * Copies bytes from the start into `target` and, but with `isPeek`, drops them. It stops behind
   * bytes that brought descriptors and, with `byWriter`, before those of another sender.
   */
  take(target: Uint8Array, isPeek: boolean, byWriter: boolean): Chunk {
    const from = this.#position;
    let limit = Math.min(target.length, this.#ring.length);
    const mark = this.#marks[0];
    if (mark !== undefined) limit = Math.min(limit, mark.end - from);
    if (byWriter) {
      const next = this.#runs.find((run) => run.start > from);
      if (next !== undefined) limit = Math.min(limit, next.start - from);
    }
    if (this.#ring.length === 0) return NO_CHUNK;
    const credentials = this.#sender(from);
    const count = this.#ring.peek(target.subarray(0, limit));
    const isReached = mark !== undefined && (mark.start <= from || mark.start < from + count);
    const files = isReached ? mark.files : NO_FILES;
    if (isPeek) for (const file of files) file.retain();
    else {
      if (files.length > 0) this.#marks.shift();
      this.#drop(count);
    }
    return { count, wholeBytes: count, files, credentials };
  }

  #sender(position: number): Credentials | null {
    return this.#runs.findLast((run) => run.start <= position)?.credentials ?? null;
  }

  /** Takes a record (seqpacket) whole; -EAGAIN when there is no room for it. */
  pushRecord(data: Uint8Array, files: readonly OpenFile[], from: Credentials | null): number {
    const hasRoom = data.length <= this.#ring.room && this.#marks.length < RECORDS_MAX;
    if (!hasRoom) return E.EAGAIN;
    const start = this.#position + this.#ring.length;
    if (files.length === 0 || data.length === 0) {
      for (const file of files) file.retain();
      this.#marks.push({ start, end: start + data.length, files });
    }
    this.push(data, data.length === 0 ? NO_FILES : files, from);
    this.touch();
    return data.length;
  }

  /** The oldest record, cut to `target`; null when there is none. The rest of it is lost. */
  takeRecord(target: Uint8Array, isPeek: boolean): Chunk | null {
    const mark = this.#marks[0];
    if (mark === undefined) return null;
    const wholeBytes = mark.end - mark.start;
    const count = this.#ring.peek(target.subarray(0, wholeBytes));
    const credentials = this.#sender(mark.start);
    if (isPeek) for (const file of mark.files) file.retain();
    else {
      this.#marks.shift();
      this.#drop(wholeBytes);
    }
    return { count, wholeBytes, files: mark.files, credentials };
  }

  #drop(count: number): void {
    this.#ring.drop(count);
    this.#position += count;
    while (this.#runs.length > 1 && (this.#runs[1] as Run).start <= this.#position) {
      this.#runs.shift();
    }
    this.touch();
  }

  /** Drops all that was not read: nobody will. */
  clear(): void {
    for (const mark of this.#marks) for (const file of mark.files) file.release();
    this.#marks = [];
    if (this.#ring.length > 0) this.#drop(this.#ring.length);
  }

  /** One side lets go of it. */
  letGo(): void {
    this.#holders -= 1;
    if (this.#holders > 0) {
      this.touch();
      return;
    }
    this.clear();
    this.destroy();
  }

  override save(encoder: Encoder): void {
    this.#ring.save(encoder);
    encoder.u53(this.#position).u8(this.#holders);
    encoder.bool(this.isWriterDone).bool(this.isReaderDone).bool(this.isReset);
    encoder.u32(this.#marks.length);
    for (const { start, end, files } of this.#marks) {
      encoder.u53(start).u53(end);
      saveFiles(encoder, files);
    }
    encoder.u32(this.#runs.length);
    for (const { start, credentials } of this.#runs) {
      encoder.u53(start);
      saveCredentials(encoder, credentials);
    }
  }

  override load(decoder: Decoder): void {
    this.#ring.load(decoder);
    this.#position = decoder.u53();
    this.#holders = decoder.u8();
    this.isWriterDone = decoder.bool();
    this.isReaderDone = decoder.bool();
    this.isReset = decoder.bool();
    for (let left = decoder.u32(); left > 0; left -= 1) {
      const start = decoder.u53();
      const end = decoder.u53();
      this.#marks.push({ start, end, files: loadFiles(decoder, this) });
    }
    for (let left = decoder.u32(); left > 0; left -= 1) {
      this.#runs.push({ start: decoder.u53(), credentials: loadCredentials(decoder) });
    }
  }

  override savePages(sink: RecordSink, scope: 'all' | 'changes'): void {
    this.#ring.savePages(this.id, sink, scope);
  }

  override loadPage(part: number, bytes: Uint8Array): void {
    this.#ring.loadPage(part, bytes);
  }
}

/** Files in flight: their reference counts are saved with the files themselves. */
export function saveFiles(encoder: Encoder, files: readonly OpenFile[]): void {
  encoder.u16(files.length);
  for (const file of files) encoder.u32(file.id);
}

export function loadFiles(decoder: Decoder, owner: KernelObject): OpenFile[] {
  const count = decoder.u16();
  return Array.from({ length: count }, () => owner.objects.get(decoder.u32(), OpenFile));
}

export function saveCredentials(encoder: Encoder, credentials: Credentials): void {
  encoder.u32(credentials.pid).u32(credentials.uid).u32(credentials.gid);
}

export function loadCredentials(decoder: Decoder): Credentials {
  return { pid: decoder.u32(), uid: decoder.u32(), gid: decoder.u32() };
}
