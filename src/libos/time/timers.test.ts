/**
 * Tests of timers and sleeping, by calls: when they expire, how often, and that they outlive a
 * restore.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LibosGuest } from '../../../test/libos/guest.ts';
import { E } from '../../abi/errno.ts';

const [REALTIME, MONOTONIC, BOOTTIME] = [0, 1, 7];
const ABSOLUTE = 1;
const NONBLOCK = 0o4000;
const MS = 1e6;
const SECOND = 1e9;

/** struct itimerspec. */
function setting(guest: LibosGuest, valueNs: number, intervalNs = 0): number {
  const split = (ns: number) => [Math.floor(ns / SECOND), ns % SECOND];
  return guest.sim.guest.words(...split(intervalNs), ...split(valueNs));
}

function timer(clock = MONOTONIC): { guest: LibosGuest; fd: number } {
  const guest = new LibosGuest();
  guest.addThread(2);
  return { guest, fd: guest.call('timerfd_create', clock, NONBLOCK) };
}

/** Expirations, or -errno. */
function take(guest: LibosGuest, fd: number): number {
  const buffer = guest.sim.guest.alloc(8);
  const got = guest.call('read', fd, buffer, 8);
  return got < 0 ? got : guest.sim.guest.peekU32(buffer);
}

function left(guest: LibosGuest, fd: number): number[] {
  const at = guest.sim.guest.alloc(32);
  assert.equal(guest.call('timerfd_gettime', fd, at), 0);
  const word = (index: number) => guest.sim.guest.peekU32(at + index * 8);
  return [word(0) * SECOND + word(1), word(2) * SECOND + word(3)];
}

test('a timerfd counts expirations from its first time on, at its interval', () => {
  const { guest, fd } = timer();
  guest.call('timerfd_settime', fd, 0, setting(guest, 30 * MS, 10 * MS), 0);
  assert.deepEqual(left(guest, fd), [10 * MS, 30 * MS]);
  assert.equal(take(guest, fd), E.EAGAIN);
  guest.sim.advance(30 * MS);
  assert.equal(take(guest, fd), 1);
  guest.sim.advance(55 * MS);
  assert.equal(take(guest, fd), 5);
  assert.deepEqual(left(guest, fd), [10 * MS, 5 * MS]);
  const old = guest.sim.guest.alloc(32);
  guest.call('timerfd_settime', fd, 0, setting(guest, 0), old);
  assert.equal(guest.sim.guest.peekU32(old + 24), 5 * MS);
  guest.sim.advance(SECOND);
  assert.equal(take(guest, fd), E.EAGAIN, 'disarmed');
});

test('an absolute time counts on its own clock, and one in the past is there at once', () => {
  for (const clock of [REALTIME, MONOTONIC, BOOTTIME]) {
    const { guest, fd } = timer(clock);
    const name = ({ 0: 'realtime', 1: 'monotonic', 7: 'boottime' } as const)[clock as 0 | 1 | 7];
    const at = Math.floor(guest.sim.clock(name) / SECOND) * SECOND + 2 * SECOND;
    guest.call('timerfd_settime', fd, ABSOLUTE, setting(guest, at), 0);
    guest.sim.advance(SECOND - 1000);
    assert.equal(take(guest, fd), E.EAGAIN);
    guest.sim.advance(SECOND + 2000);
    assert.equal(take(guest, fd), 1);
    guest.call('timerfd_settime', fd, ABSOLUTE, setting(guest, at - SECOND), 0);
    assert.equal(take(guest, fd), 1);
  }
});

test('a timer that ends while its guest moves fires then, with all its expirations', () => {
  const { guest, fd } = timer();
  const epoll = guest.call('epoll_create1', 0);
  guest.call('epoll_ctl', epoll, 1, fd, guest.sim.guest.struct('IQ', 1, 5));
  guest.call('timerfd_settime', fd, 0, setting(guest, 20 * MS, 20 * MS), 0);
  guest.sim.advance(10 * MS);
  guest.save();
  guest.sim.advance(45 * MS);
  guest.restore();
  const events = guest.sim.guest.alloc(12);
  guest.sim.advance(0);
  assert.equal(guest.call('epoll_wait', epoll, events, 1, 0), 1);
  assert.equal(take(guest, fd), 2);
  assert.deepEqual(left(guest, fd), [20 * MS, 5 * MS]);
  assert.equal(guest.ask('epoll_wait', epoll, events, 1, -1), 'blocked');
  guest.sim.advance(5 * MS);
  assert.equal(guest.sim.takeAnswer(1), 1);
});

test('a timer at a tiny interval is counted exactly and keeps nobody busy', () => {
  const { guest, fd } = timer();
  let alarms = 0;
  const alarm = guest.kernel.alarm.bind(guest.kernel);
  guest.kernel.alarm = () => {
    alarms += 1;
    alarm();
  };
  guest.call('timerfd_settime', fd, 0, setting(guest, 1, 1), 0);
  guest.sim.advance(10 * MS);
  assert.equal(take(guest, fd), 10 * MS);
  assert.ok(alarms <= 101, `${alarms} alarms in 10 ms`);
});

test('sleeping lasts as long as asked for, also over a restore', () => {
  const guest = new LibosGuest();
  guest.addThread(2);
  const time = guest.sim.guest.timespec(100 * MS);
  assert.equal(guest.sim.call(2, 'nanosleep', time, 0), 'blocked');
  guest.sim.advance(60 * MS);
  guest.restore();
  assert.equal(guest.sim.call(2, 'nanosleep', time, 0), 'blocked', 'asked again');
  guest.sim.advance(40 * MS - 1);
  assert.equal(guest.sim.takeAnswer(2), null);
  guest.sim.advance(1);
  assert.equal(guest.sim.takeAnswer(2), 0);
  assert.equal(guest.call('nanosleep', guest.sim.guest.timespec(0), 0), 0);
  assert.equal(guest.call('nanosleep', guest.sim.guest.words(0, SECOND), 0), E.EINVAL);
  const until = guest.sim.guest.timespec(guest.sim.clock('monotonic') + 5 * MS);
  assert.equal(guest.sim.call(2, 'clock_nanosleep', MONOTONIC, ABSOLUTE, until, 0), 'blocked');
  guest.sim.advance(5 * MS);
  assert.equal(guest.sim.takeAnswer(2), 0);
  assert.equal(guest.call('clock_nanosleep', MONOTONIC, ABSOLUTE, until, 0), 0, 'in the past');
  assert.equal(guest.call('clock_nanosleep', 3, 0, time, 0), E.EINVAL);
});

test('alarm and setitimer signal the process, and tell what was left', () => {
  const guest = new LibosGuest();
  assert.equal(guest.call('alarm', 3), 0);
  guest.sim.advance(SECOND);
  assert.equal(guest.call('alarm', 10), 2);
  guest.restore();
  guest.sim.advance(10 * SECOND);
  assert.deepEqual(
    guest.sim.signals.map(({ thread, number }) => [thread, number]),
    [[1, 14]],
  );
  // struct itimerval has microseconds.
  const value = guest.sim.guest.words(0, 250_000, 0, 500_000);
  assert.equal(guest.call('setitimer', 0, value, 0), 0);
  guest.sim.advance(SECOND);
  assert.equal(guest.sim.signals.length, 4, 'at 500, 750 and 1000 ms');
  const now = guest.sim.guest.alloc(32);
  guest.call('getitimer', 0, now);
  assert.equal(guest.sim.guest.peekU32(now + 24), 250_000);
  assert.equal(guest.call('setitimer', 2, value, 0), E.EINVAL, 'no timers of the processor');
});

/** struct sigevent. */
function sigevent(guest: LibosGuest, notify: number, signal: number, thread = 0): number {
  return guest.sim.guest.struct('QIII', 77, signal, notify, thread) as number;
}

test('a POSIX timer sends its signal with value and overrun, to whom it should', () => {
  const guest = new LibosGuest();
  guest.addThread(2);
  const id = guest.sim.guest.alloc(4);
  const create = (event: number) => {
    assert.equal(guest.call('timer_create', MONOTONIC, event, id), 0);
    return guest.sim.guest.peekI32(id);
  };
  const event = (notify: number, signal: number, thread = 0) => {
    const at = guest.sim.guest.alloc(64);
    guest.sim.guest.poke(at, guest.sim.guest.peek(sigevent(guest, notify, signal, thread), 20));
    return at;
  };
  const toThread = create(event(4, 34, 2));
  const silent = create(event(1, 0));
  const standard = create(0);
  for (const timer of [toThread, silent, standard]) {
    const once = setting(guest, (timer + 1) * MS);
    assert.equal(guest.call('timer_settime', timer, 0, once, 0), 0);
  }
  guest.sim.advance(10 * MS);
  const sent = guest.sim.signals.map(({ thread, number, info }) => [
    thread,
    number,
    info.readInt32LE(8),
    info.readInt32LE(16),
    Number(info.readBigInt64LE(24)),
  ]);
  assert.deepEqual(sent, [
    [2, 34, -2, toThread, 77],
    [1, 14, -2, standard, standard],
  ]);
  guest.call('timer_settime', toThread, 0, setting(guest, MS, MS), 0);
  guest.save();
  guest.sim.advance(0.5 * MS);
  guest.restore();
  guest.sim.advance(3 * MS);
  assert.equal(guest.sim.signals.length, 3);
  assert.equal(guest.call('timer_delete', toThread), 0);
  assert.equal(guest.call('timer_delete', toThread), E.EINVAL);
  guest.sim.advance(SECOND);
  assert.equal(guest.sim.signals.length, 3);
});

test('wrong timers are refused', () => {
  const { guest, fd } = timer();
  const bad = guest.sim.guest.words(0, 0, 0, SECOND);
  assert.equal(guest.call('timerfd_settime', fd, 0, bad, 0), E.EINVAL);
  assert.equal(guest.call('timerfd_settime', fd, 8, setting(guest, 1), 0), E.EINVAL);
  assert.equal(guest.call('timerfd_settime', 99, 0, setting(guest, 1), 0), E.EBADF);
  assert.equal(guest.call('timerfd_create', 2, 0), E.EINVAL);
  assert.equal(guest.call('timerfd_create', MONOTONIC, 1), E.EINVAL);
  assert.equal(guest.call('timer_settime', 5, 0, setting(guest, 1), 0), E.EINVAL);
  assert.equal(guest.call('clock_settime', 0, setting(guest, 1)), E.EPERM);
  const buffer = guest.sim.guest.alloc(8);
  assert.equal(guest.call('read', fd, buffer, 4), E.EINVAL);
});

test('processor times are those of the host', () => {
  const guest = new LibosGuest();
  guest.sim.burn(1.5 * SECOND);
  const at = guest.sim.guest.alloc(144);
  assert.equal(guest.call('getrusage', 0, at), 0);
  assert.deepEqual([guest.sim.guest.peekU32(at), guest.sim.guest.peekU32(at + 8)], [1, 500_000]);
  assert.ok(guest.call('times', at) > 0);
  assert.equal(guest.sim.guest.peekU32(at), 150);
  assert.equal(guest.call('getrusage', 5, at), E.EINVAL);
});
