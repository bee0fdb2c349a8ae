/**
 * Alarm: the clockwork of one timer, for timerfds, POSIX timers and interval timers: armed for a
 * time of a clock, once or at an interval, counting expirations. Its owner saves it in its own
 * record and is told of each expiry. Expirations while a guest was in a checkpoint are counted
 * when it runs again.
 */
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { Kernel } from '../kernel.ts';
import { TIME_MAX_NS, type TimerClock, type TimerSetting, toMonotonic } from './clocks.ts';
import { Deadline } from './deadlines.ts';

/**
 * A timer at a shorter interval than this fires no oftener: its expirations are counted exactly,
 * but a guest must not keep the library OS busy with them.
 */
const FIRE_INTERVAL_NS_MIN = 100_000;

const CLOCKS: readonly TimerClock[] = ['monotonic', 'realtime', 'boottime'];

export class Alarm {
  readonly #kernel: Kernel;
  readonly #expired: (count: number) => void;
  readonly #deadline: Deadline;
  #clock: TimerClock = 'monotonic';
  /** Whether `#atNs` is of `#clock`; otherwise it is monotonic. */
  #isAbsolute = false;
  /** The next expiry, or Infinity when disarmed. */
  #atNs = Infinity;
  #intervalNs = 0;

  /** `expired` is told how many expirations there were; it may set the alarm anew. */
  constructor(kernel: Kernel, expired: (count: number) => void) {
    this.#kernel = kernel;
    this.#expired = expired;
    this.#deadline = new Deadline(() => this.#fire());
  }

  get clock(): TimerClock {
    return this.#clock;
  }

  set clock(clock: TimerClock) {
    this.#clock = clock;
  }

  get isArmed(): boolean {
    return this.#atNs !== Infinity;
  }

  get intervalNs(): number {
    return this.#intervalNs;
  }

  /** On the monotonic clock. */
  get #monotonicNs(): number {
    if (!this.#isAbsolute || !this.isArmed) return this.#atNs;
    return toMonotonic(this.#kernel.lvm, this.#clock, this.#atNs);
  }

  /** Time left and interval, as timer_gettime(2) tells them. */
  remaining(): TimerSetting {
    const intervalNs = this.#intervalNs;
    if (!this.isArmed) return { valueNs: 0, intervalNs };
    // An armed timer never shows 0, which would mean that it is not.
    const valueNs = Math.max(1, this.#monotonicNs - this.#kernel.monotonicNs());
    return { valueNs, intervalNs };
  }

  /** Arms it; with a value of 0 disarms it. */
  set(setting: TimerSetting, isAbsolute: boolean): void {
    this.#intervalNs = setting.intervalNs;
    this.#isAbsolute = isAbsolute;
    if (setting.valueNs === 0) this.#atNs = Infinity;
    else if (isAbsolute) this.#atNs = setting.valueNs;
    else this.#atNs = Math.min(this.#kernel.monotonicNs() + setting.valueNs, TIME_MAX_NS);
    this.arm();
  }

  /** Also after it was loaded. */
  arm(): void {
    this.#kernel.deadlines.set(this.#deadline, this.#monotonicNs);
  }

  disarm(): void {
    this.#atNs = Infinity;
    this.arm();
  }

  /** Its time has come, even if the machine's alarm has not reached us yet. */
  get isDue(): boolean {
    return this.isArmed && this.#monotonicNs <= this.#kernel.monotonicNs();
  }

  /** Expires now if it is due. */
  check(): void {
    if (this.isDue) this.#fire();
  }

  #fire(): void {
    const nowNs = this.#kernel.monotonicNs();
    const lateNs = nowNs - this.#monotonicNs;
    if (lateNs < 0) {
      // The clock that it goes by was behind what was thought.
      this.arm();
      return;
    }
    let count = 1;
    if (this.#intervalNs > 0) {
      count += Math.floor(lateNs / this.#intervalNs);
      this.#atNs += count * this.#intervalNs;
    } else this.#atNs = Infinity;
    const nextNs = Math.max(this.#monotonicNs, nowNs + FIRE_INTERVAL_NS_MIN);
    this.#kernel.deadlines.set(this.#deadline, nextNs);
    this.#expired(count);
  }

  save(encoder: Encoder): void {
    encoder.u8(CLOCKS.indexOf(this.#clock)).bool(this.#isAbsolute);
    encoder.f64(this.#atNs).f64(this.#intervalNs);
  }

  load(decoder: Decoder): void {
    this.#clock = CLOCKS[decoder.u8()] ?? 'monotonic';
    this.#isAbsolute = decoder.bool();
    this.#atNs = decoder.f64();
    this.#intervalNs = decoder.f64();
  }
}
