/**
 * Clocks and time values: which clock an id names, when a time of it is on the monotonic clock, and
 * timespec, timeval and itimerspec between guest memory and nanoseconds. Used by the time handlers.
 */
import { CLOCK, ITIMERSPEC, TIMESPEC } from '../../abi/time.ts';
import type { GuestAddress } from '../../base/ids.ts';
import { guestAddress } from '../../base/ids.ts';
import type { Lvm } from '../../lvm/api.ts';
import type { GuestMemory } from '../memory.ts';

const SECOND_NS = 1_000_000_000;
/** Later than any guest lives, and still exact enough: some 292 years, Linux's KTIME_MAX. */
export const TIME_MAX_NS = 2 ** 63 - 1024;

/** The clocks that a timer can go by. */
export type TimerClock = 'monotonic' | 'realtime' | 'boottime';

/** The clock behind a clockid_t, or null when timers can't use it. */
export function timerClock(id: number): TimerClock | null {
  switch (id) {
    case CLOCK.monotonic:
      return 'monotonic';
    case CLOCK.realtime:
    case CLOCK.realtimeAlarm:
      return 'realtime';
    case CLOCK.boottime:
    case CLOCK.boottimeAlarm:
      return 'boottime';
    default:
      return null;
  }
}

/** When the time `atNs` of a clock will be on the monotonic clock. */
export function toMonotonic(lvm: Lvm, clock: TimerClock, atNs: number): number {
  if (clock === 'monotonic') return atNs;
  return atNs - lvm.clock(clock) + lvm.clock('monotonic');
}

/** Nanoseconds, or null for one that is not normalised (EINVAL). */
function toNs(bytes: Buffer, at: number, fractionsPerSecond: number): number | null {
  const seconds = Number(bytes.readBigInt64LE(at + TIMESPEC.seconds));
  const fraction = Number(bytes.readBigInt64LE(at + TIMESPEC.fraction));
  if (seconds < 0 || fraction < 0 || fraction >= fractionsPerSecond) return null;
  return Math.min(seconds * SECOND_NS + fraction * (SECOND_NS / fractionsPerSecond), TIME_MAX_NS);
}

function putNs(bytes: Buffer, at: number, ns: number, fractionsPerSecond: number): void {
  const seconds = Math.floor(ns / SECOND_NS);
  const fraction = Math.floor((ns - seconds * SECOND_NS) / (SECOND_NS / fractionsPerSecond));
  bytes.writeBigInt64LE(BigInt(seconds), at + TIMESPEC.seconds);
  bytes.writeBigInt64LE(BigInt(fraction), at + TIMESPEC.fraction);
}

const NANO = SECOND_NS;
const MICRO = 1_000_000;

/** struct timespec at `address`; null when it is not valid. */
export function readTimespec(memory: GuestMemory, address: GuestAddress): number | null {
  return toNs(memory.read(address, TIMESPEC.sizeBytes), 0, NANO);
}

/** struct timeval; its microseconds may be over a second (select takes that), but not negative. */
export function readTimeval(memory: GuestMemory, address: GuestAddress): number | null {
  const bytes = memory.read(address, TIMESPEC.sizeBytes);
  const seconds = Number(bytes.readBigInt64LE(TIMESPEC.seconds));
  const micros = Number(bytes.readBigInt64LE(TIMESPEC.fraction));
  if (seconds < 0 || micros < 0) return null;
  return Math.min(seconds * SECOND_NS + micros * 1000, TIME_MAX_NS);
}

/** struct timeval at an offset. */
export function putTimeval(bytes: Buffer, at: number, ns: number): void {
  putNs(bytes, at, ns, MICRO);
}

/** struct timespec at an offset. */
export function putTimespec(bytes: Buffer, at: number, ns: number): void {
  putNs(bytes, at, ns, NANO);
}

/** struct itimerspec and itimerval as nanoseconds. */
export interface TimerSetting {
  readonly valueNs: number;
  readonly intervalNs: number;
}

function readSetting(memory: GuestMemory, address: GuestAddress, per: number): TimerSetting | null {
  const bytes = memory.read(address, ITIMERSPEC.sizeBytes);
  const intervalNs = toNs(bytes, ITIMERSPEC.interval, per);
  const valueNs = toNs(bytes, ITIMERSPEC.value, per);
  if (intervalNs === null || valueNs === null) return null;
  return { valueNs, intervalNs };
}

function writeSetting(memory: GuestMemory, address: number, timer: TimerSetting, per: number) {
  const bytes = Buffer.alloc(ITIMERSPEC.sizeBytes);
  putNs(bytes, ITIMERSPEC.interval, timer.intervalNs, per);
  putNs(bytes, ITIMERSPEC.value, timer.valueNs, per);
  memory.write(guestAddress(address), bytes);
}

export const readItimerspec = (memory: GuestMemory, address: GuestAddress) =>
  readSetting(memory, address, NANO);
export const readItimerval = (memory: GuestMemory, address: GuestAddress) =>
  readSetting(memory, address, MICRO);
export const writeItimerspec = (memory: GuestMemory, address: GuestAddress, timer: TimerSetting) =>
  writeSetting(memory, address, timer, NANO);
export const writeItimerval = (memory: GuestMemory, address: GuestAddress, timer: TimerSetting) =>
  writeSetting(memory, address, timer, MICRO);
