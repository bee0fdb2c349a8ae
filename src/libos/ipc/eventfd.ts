/**
 * EventFd: the counter of eventfd(2). Called by the file handlers; holds a 64-bit number and no
 * more.
 */
import { E } from '../../abi/errno.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import { anonymousStat, type FileStat } from '../fs/stat.ts';
import { KIND } from '../kinds-ids.ts';
import { OpenFile, POLL } from '../open-file.ts';
import type { Task } from '../task.ts';

const COUNT_MAX = 0xffff_ffff_ffff_fffen;

export class EventFd extends OpenFile {
  readonly kind = KIND.eventfd;
  #count = 0n;
  #isSemaphore = false;
  readonly #result = Buffer.alloc(8);

  start(count: number, isSemaphore: boolean, flags: number): void {
    this.#count = BigInt(count);
    this.#isSemaphore = isSemaphore;
    this.setFlags(flags);
  }

  override describe(): string {
    return 'anon_inode:[eventfd]';
  }

  override stat(): FileStat {
    return anonymousStat(this.id, 0o600);
  }

  override read(count: number, _task: Task): Uint8Array | number {
    if (count < 8) return E.EINVAL;
    if (this.#count === 0n) return E.EAGAIN;
    const taken = this.#isSemaphore ? 1n : this.#count;
    this.#count -= taken;
    this.#result.writeBigUInt64LE(taken);
    this.touch();
    this.queue.wake(POLL.out);
    return this.#result;
  }

  override write(data: Uint8Array, _task: Task): number {
    if (data.length !== 8) return E.EINVAL;
    const bytes = Buffer.from(data.buffer, data.byteOffset, 8);
    const added = bytes.readBigUInt64LE();
    if (added > COUNT_MAX) return E.EINVAL;
    if (COUNT_MAX - this.#count < added) return E.EAGAIN;
    this.#count += added;
    this.touch();
    this.queue.wake(POLL.in);
    return 8;
  }

  override poll(): number {
    let events = 0;
    if (this.#count > 0n) events |= POLL.in;
    if (this.#count < COUNT_MAX) events |= POLL.out;
    return events;
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    encoder.u64(this.#count).bool(this.#isSemaphore);
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.#count = decoder.u64();
    this.#isSemaphore = decoder.bool();
  }
}
