/**
 * Pty: a pseudo-terminal (pty(7)): the state that its master and its slaves share. Lives as long as
 * one of them is open; its name in /dev/pts as long as the master is. Opened by
 * pty-open.ts.
 */
import { E } from '../../abi/errno.ts';
import { PACKET, TTY_SIGNAL, WINSIZE_BYTES } from '../../abi/tty.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { ObjectId } from '../../base/ids.ts';
import type { FsContext } from '../fs/context.ts';
import { Inode } from '../fs/inode.ts';
import { unlink } from '../fs/mutate.ts';
import { KIND } from '../kinds-ids.ts';
import { KernelObject, type Objects } from '../object.ts';
import { POLL } from '../open-file.ts';
import type { Process } from '../process.ts';
import { kernelSignalInfo, sendSignalToProcess } from '../signal/send.ts';
import type { Task } from '../task.ts';
import type { WaitQueue } from '../wait-queue.ts';
import { Line, type LineOwner } from './line.ts';

/** An open file on it. */
interface Side {
  readonly queue: WaitQueue;
}

export class Pty extends KernelObject implements LineOwner {
  readonly kind = KIND.pty;
  readonly context: FsContext;
  index = 0;
  readonly line = new Line(this);
  /** Its file in /dev/pts, held open; null once the master is closed. */
  #inode: Inode | null = null;
  #master: Side | null = null;
  readonly #slaves = new Set<Side>();
  /** A slave was open, and none is any more. */
  #isLeft = false;
  /** TIOCSPTLCK: slaves can't be opened. */
  isLocked = true;
  /** TIOCEXCL. */
  isExclusive = false;
  windowSize: Uint8Array = new Uint8Array(WINSIZE_BYTES);
  /** The session that it controls, and the group in its foreground; 0 is none. */
  session = 0;
  foreground = 0;
  /** TIOCPKT, and what the master is still to be told by it. */
  isPacket = false;
  packetStatus = 0;

  constructor(context: FsContext, objects: Objects, id?: ObjectId) {
    super(objects, id);
    this.context = context;
  }

  /** For `openMaster`: takes its number and its name. */
  begin(index: number, inode: Inode): void {
    this.index = index;
    this.#inode = inode;
    inode.opened();
    this.context.ptys.set(index, this);
  }

  get inode(): Inode | null {
    return this.#inode;
  }

  get isHungUp(): boolean {
    return this.#master === null;
  }

  get isLeft(): boolean {
    return this.#isLeft;
  }

  /* --- open and close --- */

  /** A file is open on it, newly or because it was loaded. */
  attach(file: Side, isMaster: boolean): void {
    if (isMaster) this.#master = file;
    else this.#slaves.add(file);
  }

  /** A slave is newly open. */
  slaveOpened(): void {
    this.#isLeft = false;
    this.touch();
  }

  /** What packet mode tells the master, once. */
  takePacketStatus(): number {
    const status = this.packetStatus;
    this.packetStatus = 0;
    this.touch();
    return status;
  }

  masterClosed(): void {
    this.#master = null;
    this.context.ptys.delete(this.index);
    const inode = this.#inode;
    this.#inode = null;
    if (inode !== null && inode.links > 0) {
      const { parent, name } = inode;
      unlink(this.context, { parent, name, node: inode, hasSlash: false });
    }
    inode?.closed();
    this.touch();
    this.#hangUp();
    this.#end();
  }

  /** Who is controlled by it learns that it is gone. */
  #hangUp(): void {
    const { session, foreground } = this;
    this.session = 0;
    this.foreground = 0;
    for (const process of this.#processes()) {
      const isLeader = process.session === session && process.pid === session;
      if (session === 0 || !(isLeader || process.processGroup === foreground)) continue;
      this.#send(process, TTY_SIGNAL.hup);
      this.#send(process, TTY_SIGNAL.cont);
    }
    for (const slave of this.#slaves) slave.queue.wake();
  }

  slaveClosed(slave: Side): void {
    this.#slaves.delete(slave);
    this.touch();
    if (this.#slaves.size > 0) return;
    this.#isLeft = true;
    this.session = 0;
    this.foreground = 0;
    this.#master?.queue.wake();
    this.#end();
  }

  #end(): void {
    if (this.#master === null && this.#slaves.size === 0) this.destroy();
  }

  /* --- moving bytes --- */

  /** What the master writes is typed. */
  type(data: Uint8Array): number {
    const before = this.line.output.length;
    const taken = this.line.type(data);
    this.touch();
    if (this.line.isReadable(1)) this.#wakeSlaves(POLL.in | POLL.rdnorm);
    if (this.line.output.length > before) this.#wakeMaster(POLL.in | POLL.rdnorm);
    return taken > 0 ? taken : E.EAGAIN;
  }

  /** A slave reads. */
  readLine(count: number): Buffer {
    const had = this.line.hasRoom;
    const bytes = this.line.read(count);
    this.touch();
    if (!had && this.line.hasRoom) this.#wakeMaster(POLL.out | POLL.wrnorm);
    return bytes;
  }

  /** A slave writes. */
  show(data: Uint8Array): number {
    if (this.line.isStopped) return E.EAGAIN;
    const taken = this.line.output.write(data);
    if (taken === 0) return E.EAGAIN;
    this.touch();
    this.#wakeMaster(POLL.in | POLL.rdnorm);
    return taken;
  }

  /** The master reads; without packet mode's byte. */
  takeOutput(count: number): Buffer {
    const wasFull = this.line.output.isFull;
    const bytes = this.line.output.take(count);
    this.touch();
    if (wasFull && !this.line.output.isFull) this.#wakeSlaves(POLL.out | POLL.wrnorm);
    return bytes;
  }

  #wakeSlaves(events: number): void {
    for (const slave of this.#slaves) slave.queue.wake(events);
  }

  #wakeMaster(events: number): void {
    this.#master?.queue.wake(events);
  }

  /** Settings or flow have changed: whoever waits looks again. */
  wakeAll(): void {
    this.touch();
    this.#wakeSlaves(-1);
    this.#wakeMaster(-1);
  }

  /* --- for the line --- */

  flushed(which: 'input' | 'output'): void {
    this.tellPacket(which === 'input' ? PACKET.flushRead : PACKET.flushWrite, 0);
    if (which === 'input') this.#wakeMaster(POLL.out | POLL.wrnorm);
    else this.#wakeSlaves(POLL.out | POLL.wrnorm);
  }

  flow(isStopped: boolean): void {
    if (isStopped) this.tellPacket(PACKET.stop, PACKET.start);
    else this.tellPacket(PACKET.start, PACKET.stop);
    if (!isStopped) this.#wakeSlaves(POLL.out | POLL.wrnorm);
  }

  /** Packet mode: the master learns of this, and not of what it undoes. */
  tellPacket(set: number, undone: number): void {
    if (!this.isPacket) return;
    this.packetStatus = (this.packetStatus & ~undone) | set;
    this.touch();
    this.#wakeMaster(POLL.in | POLL.rdnorm | POLL.pri);
  }

  signal(number: number): void {
    if (this.foreground === 0) return;
    for (const process of this.#processes()) {
      if (process.processGroup === this.foreground) this.#send(process, number);
    }
  }

  #send(process: Process, number: number): void {
    sendSignalToProcess(process, number, kernelSignalInfo(number));
  }

  #processes(): ReadonlySet<Process> {
    return new Set([...this.context.kernel.tasks.values()].map((task) => task.process));
  }

  /* --- saving --- */

  override save(encoder: Encoder): void {
    encoder
      .u32(this.index)
      .u32(this.#inode?.id ?? 0)
      .bool(this.#isLeft)
      .bool(this.isLocked);
    encoder.bool(this.isExclusive).raw(this.windowSize).u32(this.session).u32(this.foreground);
    encoder.bool(this.isPacket).u8(this.packetStatus);
    this.line.save(encoder);
  }

  override load(decoder: Decoder): void {
    this.index = decoder.u32();
    this.#inode = this.objects.find(decoder.u32(), Inode);
    this.#isLeft = decoder.bool();
    this.isLocked = decoder.bool();
    this.isExclusive = decoder.bool();
    this.windowSize = Uint8Array.from(decoder.raw(WINSIZE_BYTES));
    this.session = decoder.u32();
    this.foreground = decoder.u32();
    this.isPacket = decoder.bool();
    this.packetStatus = decoder.u8();
    this.line.load(decoder);
    if (this.#inode === null) return;
    this.#inode.opened();
    this.context.ptys.set(this.index, this);
  }
}

/** Makes it the controlling terminal of the process's session. */
export function control(pty: Pty, process: Process): void {
  pty.session = process.session;
  pty.foreground = process.processGroup;
  pty.touch();
}

/** The controlling terminal of the caller's session, or null. */
export function controlling(context: FsContext, task: Task): Pty | null {
  for (const pty of context.ptys.values()) {
    if (pty.session !== 0 && pty.session === task.process.session) return pty;
  }
  return null;
}
