/**
 * Writes to standard output and error without ever waiting: the supervisor hosts the master, and a
 * terminal that was stopped or a pipe that nobody reads must not delay a takeover. (Node's own
 * streams write synchronously there.) Bounded: what is too much for a reader that does not read is
 * dropped.
 */
import { write } from 'node:fs';

/** Some seconds of a guest that writes as fast as it can. */
const PENDING_BYTES_MAX = 16 * 1024 * 1024;
/** For descriptors that somebody made non-blocking. */
const RETRY_MS = 5;

type WriteSome = (
  fd: number,
  bytes: Uint8Array,
  done: (error: NodeJS.ErrnoException | null, written: number) => void,
) => void;

const writeSome: WriteSome = (fd, bytes, done) => {
  write(fd, bytes, 0, bytes.length, null, done);
};

interface Piece {
  readonly fd: number;
  bytes: Uint8Array;
}

/** One order for all that is written through it, whichever descriptor it is for. */
export class OutputWriter {
  readonly #write: WriteSome;
  readonly #gone = new Set<number>();
  #queue: Piece[] = [];
  #pendingBytes = 0;
  #droppedBytes = 0;
  #isWriting = false;
  #waiting: (() => void)[] = [];

  constructor(writeFunction: WriteSome = writeSome) {
    this.#write = writeFunction;
  }

  write(fd: number, content: string | Uint8Array): void {
    // A copy: the bytes may be a view of what changes.
    const bytes = Buffer.from(content as Uint8Array);
    if (bytes.length === 0 || this.#gone.has(fd)) return;
    if (this.#pendingBytes + bytes.length > PENDING_BYTES_MAX) {
      this.#droppedBytes += bytes.length;
      return;
    }
    this.#queue.push({ fd, bytes });
    this.#pendingBytes += bytes.length;
    this.#next();
  }

  /** Resolves when everything is written, or after `ms`. */
  flush(ms: number): Promise<void> {
    if (!this.#isWriting) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #next(): void {
    if (this.#isWriting) return;
    const piece = this.#queue[0];
    if (piece === undefined) {
      for (const resolve of this.#waiting.splice(0)) resolve();
      return;
    }
    this.#isWriting = true;
    this.#write(piece.fd, piece.bytes, (error, written) => {
      if (error?.code === 'EAGAIN') {
        setTimeout(() => this.#written(piece, 0), RETRY_MS);
      } else if (error) {
        this.#lost(piece.fd, error.code ?? error.message);
      } else {
        this.#written(piece, written);
      }
    });
  }

  #written(piece: Piece, count: number): void {
    this.#isWriting = false;
    this.#pendingBytes -= count;
    piece.bytes = piece.bytes.subarray(count);
    if (piece.bytes.length === 0) this.#queue.shift();
    if (this.#queue.length === 0 && this.#droppedBytes > 0) {
      const dropped = `${this.#droppedBytes} bytes were dropped here: nobody read them`;
      this.#droppedBytes = 0;
      this.write(piece.fd, `\ntardigrade: ${dropped}\n`);
    }
    this.#next();
  }

  /** Its reader is gone (EPIPE), it is full or closed: the service goes on without. */
  #lost(fd: number, why: string): void {
    this.#isWriting = false;
    this.#gone.add(fd);
    this.#queue = this.#queue.filter((piece) => piece.fd !== fd);
    this.#pendingBytes = this.#queue.reduce((sum, { bytes }) => sum + bytes.length, 0);
    if (fd === 1) {
      const what = `standard output can't be written (${why}); what is written there is lost`;
      this.write(2, `tardigrade: ${what} from now on\n`);
    }
    this.#next();
  }
}
