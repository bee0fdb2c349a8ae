/**
 * PtyMaster and PtySlave: the two sides of a pseudo-terminal as open files. The master reads what
 * is shown and writes what is typed; a slave is the terminal of a program.
 */
import { E } from '../../abi/errno.ts';
import { O } from '../../abi/fs.ts';
import { CC, TTY_IOCTL } from '../../abi/tty.ts';
import { present } from '../../base/assert.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { Args } from '../args.ts';
import type { Inode } from '../fs/inode.ts';
import { PlacedFile } from '../fs/placed-file.ts';
import { KIND } from '../kinds-ids.ts';
import { POLL } from '../open-file.ts';
import type { Outcome } from '../outcome.ts';
import type { Task } from '../task.ts';
import { ttyIoctl } from './ioctl.ts';
import { control, controlling, Pty } from './pty.ts';

const DECISECOND_NS = 100_000_000;
const NOTHING = Buffer.alloc(0);
const READABLE = POLL.in | POLL.rdnorm;
const WRITABLE = POLL.out | POLL.wrnorm;
/** Flags that stay with the open file. */
const KEPT = O.ACCMODE | O.APPEND | O.NONBLOCK | O.ASYNC | O.LARGEFILE | O.SYNC | O.NOATIME;

export abstract class PtyFile extends PlacedFile {
  abstract readonly isMaster: boolean;
  #pty: Pty | null = null;

  get pty(): Pty {
    return present(this.#pty, 'pseudo-terminal');
  }

  /** Once, for a new file. */
  start(pty: Pty, node: Inode, flags: number): void {
    this.#pty = pty;
    this.place.set(node);
    this.setFlags(flags & KEPT);
    pty.attach(this, this.isMaster);
    if (!this.isMaster) pty.slaveOpened();
  }

  override get isPollable(): boolean {
    return true;
  }

  override ioctl(task: Task, args: Args): Outcome {
    return ttyIoctl(this, task, args);
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    encoder.u32(this.pty.id);
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.#pty = this.objects.get(decoder.u32(), Pty);
  }

  override loaded(): void {
    this.pty.attach(this, this.isMaster);
  }
}

export class PtyMaster extends PtyFile {
  readonly kind = KIND.ptyMaster;
  readonly isMaster = true;

  override read(count: number): Uint8Array | number {
    const { pty } = this;
    if (count === 0) return NOTHING;
    if (pty.packetStatus !== 0) return Buffer.of(pty.takePacketStatus());
    if (pty.line.output.length === 0) return pty.isLeft ? E.EIO : E.EAGAIN;
    if (!pty.isPacket) return pty.takeOutput(count);
    return Buffer.concat([Buffer.of(0), pty.takeOutput(count - 1)]);
  }

  override write(data: Uint8Array): number {
    return data.length === 0 ? 0 : this.pty.type(data);
  }

  override ioctl(task: Task, args: Args): Outcome {
    if (args.uint(1) === TTY_IOCTL.TIOCGPTPEER) return this.#openPeer(task, args.uint(2));
    return super.ioctl(task, args);
  }

  /** A slave, whatever name stands in /dev/pts by now. */
  #openPeer(task: Task, flags: number): number {
    const { inode } = this.pty;
    const file = inode === null ? E.EIO : openSlave(this.pty, task, inode, flags);
    if (typeof file === 'number') return file;
    // Held while the table takes it, so that a full table ends its life.
    file.retain();
    const fd = task.files.add(file, (flags & O.CLOEXEC) !== 0);
    file.release();
    return fd;
  }

  override poll(): number {
    const { pty } = this;
    let events = 0;
    if (pty.line.output.length > 0) events |= READABLE;
    if (pty.packetStatus !== 0) events |= READABLE | POLL.pri;
    if (pty.line.hasRoom) events |= WRITABLE;
    if (pty.isLeft) events |= POLL.hup;
    return events;
  }

  protected override close(): void {
    super.close();
    this.pty.masterClosed();
  }
}

export class PtySlave extends PtyFile {
  readonly kind = KIND.ptySlave;
  readonly isMaster = false;

  override read(count: number, task: Task): Uint8Array | number {
    const { pty } = this;
    if (pty.isHungUp || count === 0) return NOTHING;
    const { line } = pty;
    if (line.isCanonical) return line.isReadable(1) ? pty.readLine(count) : E.EAGAIN;
    const { cc } = line.termios;
    const least = Math.min(cc[CC.MIN] as number, count);
    const timeoutNs = (cc[CC.TIME] as number) * DECISECOND_NS;
    if (line.isReadable(Math.max(1, least))) return pty.readLine(count);
    if (least === 0 && timeoutNs === 0) return NOTHING;
    const hasSome = line.isReadable(1);
    if (this.flags & O.NONBLOCK) return hasSome ? pty.readLine(count) : E.EAGAIN;
    // With MIN the time runs from the first byte on.
    if (timeoutNs === 0 || (least > 0 && !hasSome)) return E.EAGAIN;
    task.deadline(timeoutNs);
    return task.isTimedOut ? pty.readLine(count) : E.EAGAIN;
  }

  override write(data: Uint8Array): number {
    if (this.pty.isHungUp) return E.EIO;
    return data.length === 0 ? 0 : this.pty.show(data);
  }

  override poll(): number {
    const { pty } = this;
    if (pty.isHungUp) return READABLE | WRITABLE | POLL.error | POLL.hup;
    const { line } = pty;
    const { cc } = line.termios;
    const least = cc[CC.TIME] === 0 ? Math.max(1, cc[CC.MIN] as number) : 1;
    let events = 0;
    if (line.isReadable(least)) events |= READABLE;
    if (!line.isStopped && !line.output.isFull) events |= WRITABLE;
    return events;
  }

  protected override close(): void {
    super.close();
    this.pty.slaveClosed(this);
  }
}

/** A slave of `pty` by the name `node`; -errno. May make it the caller's controlling terminal. */
export function openSlave(pty: Pty, task: Task, node: Inode, flags: number): PtySlave | number {
  if (pty.isLocked || pty.isHungUp) return E.EIO;
  const slave = new PtySlave(pty.context, pty.objects);
  slave.start(pty, node, flags);
  const { process } = task;
  const mayControl = (flags & O.NOCTTY) === 0 && process.session === process.pid;
  if (mayControl && pty.session === 0 && controlling(pty.context, task) === null) {
    control(pty, process);
  }
  return slave;
}
