/**
 * OutputGate: holds what the guest says until its epoch is released (output commit): stream data,
 * shutdowns and closes, console output, and the guest's exit. Owned by the checkpointer, which
 * seals an epoch at each capture and opens the gate up to what every member has. Order is kept per
 * stream. Must not decide when to release.
 */
import { E } from '../abi/errno.ts';
import { assert } from '../base/assert.ts';
import type { Epoch } from '../base/ids.ts';
import { epoch, type Handle } from '../base/ids.ts';
import { type ExitStatus, type Lvm, READY } from '../lvm/api.ts';

/** Held by one stream: as a socket buffer, so that a guest that writes without end waits. */
const STREAM_BYTES_MAX = 4 << 20;
/** Held by all; bounds our memory, and what a delta of console output can have. */
const GATE_BYTES_MAX = 64 << 20;
const CONSOLE_BYTES_MAX = 1 << 20;

type Item =
  | { readonly kind: 'data'; epoch: Epoch; bytes: Buffer }
  | { readonly kind: 'shutdown'; epoch: Epoch }
  | { readonly kind: 'close'; epoch: Epoch; readonly reset: boolean };

/** One stream's held output; `inner` is the handle below. */
class HeldStream {
  readonly outer: Handle;
  readonly inner: Handle;
  readonly items: Item[] = [];
  bytes = 0;
  /** The guest was told to wait for room. */
  isAwaited = false;
  /** The connection takes no more now: `ready` comes. */
  isClogged = false;

  constructor(outer: Handle, inner: Handle) {
    this.outer = outer;
    this.inner = inner;
  }
}

/**
 * Console output of one stream, by its offset since the guest's start. It is kept until whoever
 * reads it has it: a released piece may be lost on its way when this process dies.
 */
class HeldConsole {
  readonly pieces: { epoch: Epoch; bytes: Buffer }[] = [];
  bytes = 0;
  /** Offset of the first byte held. */
  deliveredTo = 0;
  /** Offset of the first byte that was not let out. */
  sentTo = 0;
  /** Offset at which the console below began to count. */
  start = 0;
  isAwaited = false;

  restore(offset: number): void {
    this.deliveredTo = offset;
    this.sentTo = offset;
    this.start = offset;
  }

  /** Forgets what has been delivered, up to an offset. */
  deliver(to: number): void {
    while (this.deliveredTo < to) {
      const [piece] = this.pieces;
      assert(piece !== undefined, 'what was delivered was held');
      const count = Math.min(piece.bytes.length, to - this.deliveredTo);
      if (count === piece.bytes.length) this.pieces.shift();
      else piece.bytes = piece.bytes.subarray(count);
      this.deliveredTo += count;
      this.bytes -= count;
    }
  }
}

export interface GateEvents {
  /** Room has come where the guest was told to wait; READY bits for an outer handle. */
  ready(stream: Handle, events: number): void;
  /** Between two pieces that are let out; for fault injection. */
  halfReleased(): void;
}

export class OutputGate {
  readonly #inner: Lvm;
  readonly #events: GateEvents;
  readonly #streams = new Map<Handle, HeldStream>();
  readonly #byInner = new Map<Handle, HeldStream>();
  /** Streams with something held, in the order in which they began to hold. */
  readonly #holding = new Set<HeldStream>();
  readonly #console: Readonly<Record<1 | 2, HeldConsole>> = {
    1: new HeldConsole(),
    2: new HeldConsole(),
  };
  #exit: { epoch: Epoch; readonly status: ExitStatus } | null = null;
  /** The epoch that the guest is in. */
  #open: Epoch = epoch(1);
  #released: Epoch = epoch(0);
  #bytes = 0;
  /** Something was said in the open epoch. */
  #isWaiting = false;
  /** False: nobody follows the guest's state, so nothing has to wait. */
  #isHolding = false;

  constructor(inner: Lvm, events: GateEvents) {
    this.#inner = inner;
    this.#events = events;
  }

  /** Whether the open epoch has output. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  get heldBytes(): number {
    return this.#bytes;
  }

  /** The guest goes on in epoch `next`; what was said before belongs to earlier ones. */
  enter(next: Epoch): void {
    assert(next > this.#released, 'an open epoch is not released');
    this.#open = next;
    this.#isWaiting = false;
    this.#isHolding = true;
  }

  /** Nothing has to wait any more: lets out all that is held, and holds nothing from now on. */
  stopHolding(): void {
    this.#isHolding = false;
    this.#isWaiting = false;
    for (const stream of this.#holding) {
      for (const item of stream.items) item.epoch = this.#released;
    }
    for (const held of [this.#console[1], this.#console[2]]) {
      for (const piece of held.pieces) piece.epoch = this.#released;
    }
    if (this.#exit !== null) this.#exit.epoch = this.#released;
    this.#flushAll();
  }

  /** The epoch that what is said now belongs to. */
  #now(): Epoch {
    return this.#isHolding ? this.#open : this.#released;
  }

  add(outer: Handle, inner: Handle): void {
    const stream = new HeldStream(outer, inner);
    this.#streams.set(outer, stream);
    this.#byInner.set(inner, stream);
  }

  /* --- what the guest says -------------------------------------------------------------------- */

  write(outer: Handle, source: Uint8Array): number {
    const stream = this.#streams.get(outer);
    if (stream === undefined) return E.EPIPE;
    if (!this.#isHolding && stream.items.length === 0) {
      return this.#inner.streamWrite(stream.inner, source);
    }
    const room = Math.min(STREAM_BYTES_MAX - stream.bytes, GATE_BYTES_MAX - this.#bytes);
    const count = Math.min(room, source.length);
    if (count <= 0) {
      stream.isAwaited = true;
      this.#isWaiting = true;
      return E.EAGAIN;
    }
    this.#hold(stream, {
      kind: 'data',
      epoch: this.#now(),
      bytes: Buffer.from(source.subarray(0, count)),
    });
    stream.bytes += count;
    this.#bytes += count;
    return count;
  }

  shutdown(outer: Handle): void {
    const stream = this.#streams.get(outer);
    if (stream !== undefined) this.#hold(stream, { kind: 'shutdown', epoch: this.#now() });
  }

  close(outer: Handle, reset: boolean): void {
    const stream = this.#streams.get(outer);
    if (stream !== undefined) this.#hold(stream, { kind: 'close', epoch: this.#now(), reset });
  }

  #hold(stream: HeldStream, item: Item): void {
    stream.items.push(item);
    this.#holding.add(stream);
    if (this.#isHolding) this.#isWaiting = true;
    else if (item.kind !== 'data') this.#flush(stream);
  }

  console(stream: 1 | 2, source: Uint8Array): number {
    const held = this.#console[stream];
    const count = Math.min(CONSOLE_BYTES_MAX - held.bytes, source.length);
    if (count <= 0) {
      held.isAwaited = true;
      this.#isWaiting = true;
      return E.EAGAIN;
    }
    held.pieces.push({ epoch: this.#now(), bytes: Buffer.from(source.subarray(0, count)) });
    held.bytes += count;
    if (this.#isHolding) this.#isWaiting = true;
    else this.#flushConsole(stream);
    return count;
  }

  exit(status: ExitStatus): void {
    this.#exit ??= { epoch: this.#now(), status };
    if (this.#isHolding) this.#isWaiting = true;
    else this.#inner.exit(status);
  }

  /* --- for the checkpoint ---------- */

  /** Console output said in the open epoch, whose delta is being captured. */
  visitConsole(visit: (stream: 1 | 2, offset: number, bytes: Buffer) => void): void {
    for (const stream of [1, 2] as const) {
      const held = this.#console[stream];
      let offset = held.deliveredTo;
      for (const piece of held.pieces) {
        if (piece.epoch === this.#open) visit(stream, offset, piece.bytes);
        offset += piece.bytes.length;
      }
    }
  }

  /** All console output held, for a state that somebody joins with. */
  visitAllConsole(visit: (stream: 1 | 2, offset: number, bytes: Buffer) => void): void {
    for (const stream of [1, 2] as const) {
      const held = this.#console[stream];
      const bytes = Buffer.concat(held.pieces.map((piece) => piece.bytes));
      if (bytes.length > 0) visit(stream, held.deliveredTo, bytes);
    }
  }

  /** Offset up to which a console stream has reached its reader. */
  consoleDelivered(stream: 1 | 2): number {
    this.#takeDelivered(stream);
    return this.#console[stream].deliveredTo;
  }

  /** After a restore: output that was held in epochs that are now ours to release. */
  restoreConsole(stream: 1 | 2, offset: number, bytes: Buffer, of: Epoch): void {
    const held = this.#console[stream];
    held.restore(offset);
    if (bytes.length === 0) return;
    held.pieces.push({ epoch: of, bytes });
    held.bytes += bytes.length;
  }

  /* --- release ---------- */

  /** Opens the gate up to and with an epoch. */
  release(upTo: Epoch): void {
    if (upTo <= this.#released) return;
    this.#released = upTo;
    this.#flushAll();
  }

  #flushAll(): void {
    for (const stream of this.#holding) this.#flush(stream);
    this.#flushConsole(1);
    this.#flushConsole(2);
    const exit = this.#exit;
    if (exit !== null && exit.epoch <= this.#released) this.#inner.exit(exit.status);
  }

  /** The connection below, by its inner handle, takes more. */
  unclogged(inner: Handle): void {
    const stream = this.#byInner.get(inner);
    if (stream === undefined || !stream.isClogged) return;
    stream.isClogged = false;
    this.#flush(stream);
  }

  #flush(stream: HeldStream): void {
    const before = stream.bytes;
    while (!stream.isClogged) {
      const [item] = stream.items;
      if (item === undefined || item.epoch > this.#released) break;
      if (item.kind === 'data') this.#send(stream, item);
      else {
        stream.items.shift();
        if (item.kind === 'shutdown') this.#inner.streamShutdown(stream.inner);
        else {
          this.#inner.streamClose(stream.inner, item.reset);
          this.#streams.delete(stream.outer);
          this.#byInner.delete(stream.inner);
        }
      }
    }
    this.#bytes -= before - stream.bytes;
    if (stream.items.length === 0) this.#holding.delete(stream);
    if (stream.isAwaited && stream.bytes < before && this.#streams.has(stream.outer)) {
      stream.isAwaited = false;
      this.#events.ready(stream.outer, READY.out);
    }
  }

  /** One piece; a connection that is broken takes everything, as Linux would drop it. */
  #send(stream: HeldStream, item: Extract<Item, { kind: 'data' }>): void {
    const sent = this.#inner.streamWrite(stream.inner, item.bytes);
    if (sent === E.EAGAIN) {
      stream.isClogged = true;
      return;
    }
    const count = sent < 0 ? item.bytes.length : sent;
    stream.bytes -= count;
    if (count === item.bytes.length) stream.items.shift();
    else item.bytes = item.bytes.subarray(count);
    this.#events.halfReleased();
  }

  /** The console below takes more, or has delivered some. */
  consoleReady(): void {
    this.#flushConsole(1);
    this.#flushConsole(2);
  }

  #flushConsole(stream: 1 | 2): void {
    const held = this.#console[stream];
    let offset = held.deliveredTo;
    for (const piece of held.pieces) {
      if (piece.epoch > this.#released) break;
      const end = offset + piece.bytes.length;
      if (end > held.sentTo) {
        const rest = piece.bytes.subarray(held.sentTo - offset);
        const count = this.#inner.consoleWrite(stream, rest);
        if (count > 0) held.sentTo += count;
        if (count < rest.length) break;
      }
      offset = end;
    }
    this.#takeDelivered(stream);
    if (held.isAwaited && held.bytes < CONSOLE_BYTES_MAX) {
      held.isAwaited = false;
      // Handle 0 is the console.
      this.#events.ready(0 as Handle, READY.out);
    }
  }

  #takeDelivered(stream: 1 | 2): void {
    const held = this.#console[stream];
    held.deliver(Math.min(held.sentTo, held.start + this.#inner.consoleDelivered(stream)));
  }
}
