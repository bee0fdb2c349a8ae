/**
 * ConsoleFile: the guest's standard input, output and error: streams of the host that are no
 * terminal. Output is held by the gate like any other; when too much is held, writing blocks.
 */
import { E } from '../../abi/errno.ts';
import { O, S } from '../../abi/fs.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import { handle, type ObjectId } from '../../base/ids.ts';
import { READY } from '../../lvm/api.ts';
import type { Kernel } from '../kernel.ts';
import { KIND } from '../kinds-ids.ts';
import type { Objects } from '../object.ts';
import { OpenFile, POLL } from '../open-file.ts';
import type { StreamOwner } from '../state.ts';
import { anonymousStat, type FileStat } from './stat.ts';

const CONSOLE = handle(0);
const READ_BYTES = 65_536;

/** All open console files of a kernel hear of the one handle. */
class ConsoleBell implements StreamOwner {
  readonly files = new Set<ConsoleFile>();

  streamReady(events: number): void {
    for (const file of this.files) file.ready(events);
  }
}

const bells = new WeakMap<Kernel, ConsoleBell>();

function bellOf(kernel: Kernel): ConsoleBell {
  let bell = bells.get(kernel);
  if (bell === undefined) {
    bell = new ConsoleBell();
    bells.set(kernel, bell);
  }
  return bell;
}

export class ConsoleFile extends OpenFile {
  readonly kind = KIND.consoleFile;
  readonly #kernel: Kernel;
  #fd: 0 | 1 | 2 = 0;
  /** What can't be known without trying: true until -EAGAIN was seen, then until `ready`. */
  #isReadable = true;
  #isWritable = true;
  /** Read ahead of the guest by `poll`; null when nothing is. */
  #pending: Buffer | null = null;
  #scratch: Buffer | null = null;

  constructor(kernel: Kernel, objects: Objects, id?: ObjectId) {
    super(objects, id);
    this.#kernel = kernel;
  }

  /** Which of the three it is. */
  become(fd: 0 | 1 | 2): this {
    this.#fd = fd;
    this.flags = fd === 0 ? O.RDONLY : O.WRONLY;
    this.#listen();
    return this;
  }

  get fd(): 0 | 1 | 2 {
    return this.#fd;
  }

  #listen(): void {
    const bell = bellOf(this.#kernel);
    bell.files.add(this);
    this.#kernel.state.watchStream(CONSOLE, bell);
  }

  ready(events: number): void {
    if (this.#fd === 0 && events & (READY.in | READY.hup | READY.error)) this.#isReadable = true;
    else if (this.#fd !== 0 && events & (READY.out | READY.error)) this.#isWritable = true;
    else return;
    this.queue.wake();
  }

  override describe(): string {
    return `pipe:[${this.#fd + 1}]`;
  }

  override stat(): FileStat {
    return anonymousStat(this.#fd + 1, S.IFIFO | 0o600);
  }

  override read(count: number): Uint8Array | number {
    if (this.#fd !== 0) return E.EBADF;
    const pending = this.#pending;
    if (pending !== null) {
      this.#pending = pending.length > count ? pending.subarray(count) : null;
      this.touch();
      return pending.subarray(0, count);
    }
    return this.#take(count);
  }

  #take(count: number): Uint8Array | number {
    this.#scratch ??= Buffer.allocUnsafe(READ_BYTES);
    const target = this.#scratch.subarray(0, Math.min(count, READ_BYTES));
    const got = this.#kernel.lvm.consoleRead(target);
    this.#isReadable = got !== E.EAGAIN;
    return got < 0 ? got : target.subarray(0, got);
  }

  override write(data: Uint8Array): number {
    if (this.#fd === 0) return E.EBADF;
    const taken = this.#kernel.lvm.consoleWrite(this.#fd, data);
    this.#isWritable = taken === data.length;
    return taken;
  }

  override poll(): number {
    if (this.#fd !== 0) return this.#isWritable ? POLL.out | POLL.wrnorm : 0;
    if (this.#pending === null && this.#isReadable) this.#readAhead();
    return this.#pending !== null || this.#isReadable ? POLL.in | POLL.rdnorm : 0;
  }

  /** Readiness can be told only by reading. At the end of input it stays ready, with nothing. */
  #readAhead(): void {
    const view = this.#take(READ_BYTES);
    if (typeof view === 'number' || view.length === 0) return;
    this.#pending = Buffer.from(view);
    this.touch();
  }

  protected override close(): void {
    bellOf(this.#kernel).files.delete(this);
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    encoder.u8(this.#fd).bytes(this.#pending ?? new Uint8Array(0));
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.#fd = decoder.u8() as 0 | 1 | 2;
    const pending = Buffer.from(decoder.bytes());
    this.#pending = pending.length > 0 ? pending : null;
  }

  override loaded(): void {
    this.#listen();
  }
}

/** The guest's standard input (0), output (1) or error (2). */
export function openConsole(kernel: Kernel, fd: 0 | 1 | 2): ConsoleFile {
  return new ConsoleFile(kernel, kernel.objects).become(fd);
}
