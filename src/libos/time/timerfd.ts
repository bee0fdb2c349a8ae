/**
 * TimerFd: a timerfd_create(2) descriptor: reading gives the number of expirations since the last
 * reading. Its deadline is a time of the guest's clocks, so it goes on across a takeover.
 */
import { E } from '../../abi/errno.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { ObjectId } from '../../base/ids.ts';
import { anonymousStat, type FileStat } from '../fs/stat.ts';
import type { Kernel } from '../kernel.ts';
import { KIND } from '../kinds-ids.ts';
import type { Objects } from '../object.ts';
import { OpenFile, POLL } from '../open-file.ts';
import type { Task } from '../task.ts';
import { Alarm } from './alarm.ts';
import type { TimerClock, TimerSetting } from './clocks.ts';

export class TimerFd extends OpenFile {
  readonly kind = KIND.timerfd;
  readonly #alarm: Alarm;
  #expirations = 0;
  readonly #result = Buffer.alloc(8);

  constructor(kernel: Kernel, objects: Objects, id?: ObjectId) {
    super(objects, id);
    this.#alarm = new Alarm(kernel, (count) => {
      this.#expirations += count;
      this.touch();
      this.queue.wake(POLL.in);
    });
  }

  start(clock: TimerClock, flags: number): void {
    this.#alarm.clock = clock;
    this.setFlags(flags);
  }

  override describe(): string {
    return 'anon_inode:[timerfd]';
  }

  override stat(): FileStat {
    return anonymousStat(this.id, 0o600);
  }

  setTime(setting: TimerSetting, isAbsolute: boolean): void {
    this.#expirations = 0;
    this.#alarm.set(setting, isAbsolute);
    this.touch();
  }

  time(): TimerSetting {
    this.#alarm.check();
    return this.#alarm.remaining();
  }

  override read(count: number, _task: Task): Uint8Array | number {
    if (count < 8) return E.EINVAL;
    this.#alarm.check();
    if (this.#expirations === 0) return E.EAGAIN;
    this.#result.writeBigUInt64LE(BigInt(this.#expirations));
    this.#expirations = 0;
    this.touch();
    return this.#result;
  }

  override poll(): number {
    return this.#expirations > 0 || this.#alarm.isDue ? POLL.in : 0;
  }

  protected override close(): void {
    this.#alarm.disarm();
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    this.#alarm.save(encoder);
    encoder.u53(this.#expirations);
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.#alarm.load(decoder);
    this.#expirations = decoder.u53();
  }

  override loaded(): void {
    this.#alarm.arm();
  }
}
