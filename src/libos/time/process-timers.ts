/**
 * ProcessTimers: the timers of a process that signal it: ITIMER_REAL (setitimer, alarm) and POSIX
 * timers (timer_create). Reached as `process.timers`; one record holds them all.
 */
import { E } from '../../abi/errno.ts';
import { SIGNAL } from '../../abi/event.ts';
import { SI_TIMER, SIGEV, SIGINFO } from '../../abi/time.ts';
import { present } from '../../base/assert.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import { type ObjectId, tid } from '../../base/ids.ts';
import type { Kernel } from '../kernel.ts';
import { KIND } from '../kinds-ids.ts';
import { KernelObject, type Objects } from '../object.ts';
import type { Process } from '../process.ts';
import { sendSignalToProcess, sendSignalToTask } from '../signal/send.ts';
import { Alarm } from './alarm.ts';
import type { TimerClock, TimerSetting } from './clocks.ts';

/** Timers of a process; Linux bounds them by RLIMIT_SIGPENDING, of this order. */
const TIMERS_MAX = 4096;

/** Whom and how a POSIX timer tells; struct sigevent. */
export interface TimerNotice {
  readonly notify: number;
  readonly signal: number;
  readonly value: bigint;
  /** For SIGEV_THREAD_ID. */
  readonly thread: number;
}

interface PosixTimer {
  readonly alarm: Alarm;
  readonly notice: TimerNotice;
  /** Expirations beyond the one signalled last. */
  overrun: number;
}

export class ProcessTimers extends KernelObject {
  readonly kind = KIND.processTimers;
  readonly #kernel: Kernel;
  #process: Process | null = null;
  readonly #real: Alarm;
  readonly #timers = new Map<number, PosixTimer>();
  #nextId = 0;

  constructor(kernel: Kernel, objects: Objects, id?: ObjectId) {
    super(objects, id);
    this.#kernel = kernel;
    this.#real = new Alarm(kernel, () => {
      this.touch();
      sendSignalToProcess(this.process, SIGNAL.alarm);
    });
  }

  get process(): Process {
    return present(this.#process, 'process of timers');
  }

  set process(process: Process) {
    this.#process = process;
    this.touch();
  }

  /** ITIMER_REAL. */
  real(): TimerSetting {
    return this.#real.remaining();
  }

  setReal(setting: TimerSetting): void {
    this.#real.set(setting, false);
    this.touch();
  }

  /** timer_create: the new timer's id, or -EAGAIN. */
  create(clock: TimerClock, notice: TimerNotice | null): number {
    if (this.#timers.size >= TIMERS_MAX) return E.EAGAIN;
    const id = this.#nextId;
    this.#nextId += 1;
    const standard = { notify: SIGEV.signal, signal: SIGNAL.alarm, value: BigInt(id), thread: 0 };
    this.#add(id, notice ?? standard).alarm.clock = clock;
    this.touch();
    return id;
  }

  #add(id: number, notice: TimerNotice): PosixTimer {
    const alarm = new Alarm(this.#kernel, (count) => this.#expired(id, count));
    const timer = { alarm, notice, overrun: 0 };
    this.#timers.set(id, timer);
    return timer;
  }

  has(id: number): boolean {
    return this.#timers.has(id);
  }

  time(id: number): TimerSetting {
    return this.#get(id).alarm.remaining();
  }

  setTime(id: number, setting: TimerSetting, isAbsolute: boolean): void {
    const timer = this.#get(id);
    timer.overrun = 0;
    timer.alarm.set(setting, isAbsolute);
    this.touch();
  }

  overrun(id: number): number {
    return this.#get(id).overrun;
  }

  remove(id: number): void {
    this.#get(id).alarm.disarm();
    this.#timers.delete(id);
    this.touch();
  }

  /** execve(2) ends those of timer_create; the interval timer goes on. */
  endPosix(): void {
    for (const id of [...this.#timers.keys()]) this.remove(id);
  }

  #get(id: number): PosixTimer {
    return present(this.#timers.get(id), 'POSIX timer');
  }

  #expired(id: number, count: number): void {
    this.touch();
    const timer = this.#get(id);
    timer.overrun = Math.min(count - 1, 0x7fff_ffff);
    const { notify, signal, value, thread } = timer.notice;
    if (notify === SIGEV.none) return;
    const info = Buffer.alloc(SIGINFO.sizeBytes);
    info.writeInt32LE(signal, SIGINFO.signal);
    info.writeInt32LE(SI_TIMER, SIGINFO.code);
    info.writeInt32LE(id, SIGINFO.timerId);
    info.writeInt32LE(timer.overrun, SIGINFO.overrun);
    info.writeBigUInt64LE(value, SIGINFO.value);
    if (notify !== SIGEV.threadId) {
      sendSignalToProcess(this.process, signal, info);
      return;
    }
    const task = this.#kernel.tasks.get(tid(thread));
    if (task !== undefined) sendSignalToTask(task, signal, info);
  }

  override save(encoder: Encoder): void {
    encoder.u32(this.process.id);
    this.#real.save(encoder);
    encoder.u32(this.#nextId).u32(this.#timers.size);
    for (const [id, { alarm, notice, overrun }] of this.#timers) {
      encoder.u32(id).u8(notice.notify).u8(notice.signal).u64(notice.value).u32(notice.thread);
      encoder.u32(overrun);
      alarm.save(encoder);
    }
  }

  override load(decoder: Decoder): void {
    this.#process = this.objects.get(decoder.u32(), KernelObject) as Process;
    this.#real.load(decoder);
    this.#nextId = decoder.u32();
    for (let left = decoder.u32(); left > 0; left -= 1) {
      const id = decoder.u32();
      const notify = decoder.u8();
      const signal = decoder.u8();
      const value = decoder.u64();
      const timer = this.#add(id, { notify, signal, value, thread: decoder.u32() });
      timer.overrun = decoder.u32();
      timer.alarm.load(decoder);
    }
  }

  override loaded(): void {
    this.#real.arm();
    for (const timer of this.#timers.values()) timer.alarm.arm();
  }
}
