/**
 * The sentry's event loop: one epoll_wait for trapped calls, sockets, timers and the doorbell, so
 * that one thread serves all of them in order. Used by host/linux and replication; knows neither.
 * Callbacks run to their end; none may block.
 */

import { E, errnoName } from '../abi/errno.ts';
import { assert } from '../base/assert.ts';
import * as os from '../ffi/native.ts';

export const EPOLL = { in: 1, out: 4, error: 8, hup: 16, rdhup: 0x2000, et: 0x8000_0000 } as const;

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const CLOEXEC_NONBLOCK = 0o2000000 | 0o4000;
const EVENT_BYTES = 12;
const EVENTS_MAX = 64;

export type FdCallback = (events: number) => void;

/** A time to be called at. Kept by its owner, who sets and clears it. */
export class Timer {
  atNs = Infinity;
  readonly fire: () => void;

  constructor(fire: () => void) {
    this.fire = fire;
  }
}

export class Loop {
  readonly doorbell: number;
  readonly #epoll: number;
  readonly #callbacks = new Map<number, FdCallback>();
  readonly #event = Buffer.alloc(EVENT_BYTES);
  readonly #events = Buffer.alloc(EVENT_BYTES * EVENTS_MAX);
  readonly #timespec = Buffer.alloc(16);
  readonly #timers = new Set<Timer>();
  readonly #timerFd: number;
  readonly #itimerspec = Buffer.alloc(32);
  readonly #drain = Buffer.alloc(8);
  #armedNs = Infinity;
  #isStopped = false;
  #round = 0;
  /** Called each time before the loop waits: all that was ready has been served. */
  onSettled: () => void = () => {};
  /**
   * When it returns true the loop polls instead of sleeping (an answer is due within microseconds).
   */
  isSpinning: () => boolean = () => false;
  /** Called when the doorbell rang. */
  onDoorbell: () => void = () => {};

  constructor() {
    this.#epoll = check('epoll_create1', os.epollCreate1(0o2000000));
    this.doorbell = check('eventfd', os.eventfd(0, CLOEXEC_NONBLOCK));
    this.#timerFd = check('timerfd_create', os.timerfdCreate(1, CLOEXEC_NONBLOCK));
    this.add(this.doorbell, EPOLL.in, () => {
      os.read(this.doorbell, this.#drain, 8);
      this.onDoorbell();
    });
    this.add(this.#timerFd, EPOLL.in, () => {
      os.read(this.#timerFd, this.#drain, 8);
      this.#armedNs = Infinity;
      this.#runTimers();
    });
  }

  add(fd: number, events: number, callback: FdCallback): void {
    assert(!this.#callbacks.has(fd), `descriptor ${fd} is in the loop already`);
    this.#control(EPOLL_CTL_ADD, fd, events);
    this.#callbacks.set(fd, callback);
  }

  modify(fd: number, events: number): void {
    this.#control(EPOLL_CTL_MOD, fd, events);
  }

  /** Before the descriptor is closed. */
  remove(fd: number): void {
    if (!this.#callbacks.delete(fd)) return;
    this.#control(EPOLL_CTL_DEL, fd, 0);
  }

  #control(op: number, fd: number, events: number): void {
    this.#event.writeUInt32LE(events >>> 0, 0);
    this.#event.writeInt32LE(fd, 4);
    this.#event.writeInt32LE(0, 8);
    check('epoll_ctl', os.epollCtl(this.#epoll, op, fd, this.#event));
  }

  /** CLOCK_MONOTONIC. */
  nowNs(): number {
    os.clockGettime(1, this.#timespec);
    return this.#timespec.readUInt32LE(0) * 1e9 + this.#timespec.readUInt32LE(8);
  }

  /** Sets, moves or (Infinity) clears a timer. */
  setTimer(timer: Timer, atNs: number): void {
    timer.atNs = atNs;
    if (atNs === Infinity) this.#timers.delete(timer);
    else this.#timers.add(timer);
    this.#arm();
  }

  #arm(): void {
    let earliest = Infinity;
    for (const timer of this.#timers) earliest = Math.min(earliest, timer.atNs);
    // A wake-up too early costs little; one too late would be wrong.
    if (earliest === Infinity || earliest >= this.#armedNs) return;
    this.#armedNs = earliest;
    const at = Math.max(1, earliest);
    this.#itimerspec.fill(0);
    this.#itimerspec.writeUInt32LE(Math.floor(at / 1e9), 16);
    this.#itimerspec.writeUInt32LE(Math.floor(at % 1e9), 24);
    const TFD_TIMER_ABSTIME = 1;
    check('timerfd_settime', os.timerfdSettime(this.#timerFd, TFD_TIMER_ABSTIME, this.#itimerspec));
  }

  #runTimers(): void {
    const now = this.nowNs();
    for (const timer of [...this.#timers]) {
      if (timer.atNs > now) continue;
      this.#timers.delete(timer);
      timer.atNs = Infinity;
      timer.fire();
    }
    this.#arm();
  }

  /** Counts the looks at what is ready: what a callback is told was true at the last one. */
  get round(): number {
    return this.#round;
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Serves until `stop`. */
  run(): void {
    while (!this.#isStopped) this.turn(-1);
  }

  /** One round: what is ready now, or after at most `timeoutMs`. */
  turn(timeoutMs: number): void {
    let count = os.epollWait(this.#epoll, this.#events, EVENTS_MAX, 0);
    if (count === 0) {
      this.onSettled();
      if (this.#isStopped) return;
      count = os.epollWait(
        this.#epoll,
        this.#events,
        EVENTS_MAX,
        this.isSpinning() ? 0 : timeoutMs,
      );
    }
    if (count === E.EINTR) return;
    check('epoll_wait', count);
    this.#round += 1;
    for (let index = 0; index < count; index += 1) {
      const events = this.#events.readUInt32LE(index * EVENT_BYTES);
      const fd = this.#events.readInt32LE(index * EVENT_BYTES + 4);
      this.#callbacks.get(fd)?.(events);
    }
  }
}

function check(name: string, result: number): number {
  assert(result >= 0, `${name}: ${errnoName(result)}`);
  return result;
}
