/**
 * Tests of epoll.ts, by calls: edges, nesting, faults, closing, cost. test/libos compares with
 * Linux.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LibosGuest } from '../../../test/libos/guest.ts';
import { E } from '../../abi/errno.ts';
import { Epoll } from './epoll.ts';

const [IN, OUT, ONESHOT, EDGE, EXCLUSIVE] = [1, 4, 0x4000_0000, 0x8000_0000, 0x1000_0000];
const [ADD, DELETE, MODIFY] = [1, 2, 3];
const NONBLOCK = 0o4000;

class Events {
  readonly guest = new LibosGuest();
  readonly epoll = this.guest.call('epoll_create1', 0);
  readonly #events = this.guest.sim.guest.alloc(12 * 64);

  ctl(operation: number, fd: number, events = IN, epoll = this.epoll): number {
    const event = this.guest.sim.guest.struct('IQ', events >>> 0, fd);
    return this.guest.call('epoll_ctl', epoll, operation, fd, event);
  }

  /** Descriptors that are ready. */
  wait(count = 64, epoll = this.epoll): number[] {
    const ready = this.guest.call('epoll_wait', epoll, this.#events, count, 0);
    assert.ok(ready >= 0, `${ready}`);
    const at = (index: number) => this.#events + index * 12 + 4;
    return Array.from({ length: ready }, (_, index) => this.guest.sim.guest.peekU32(at(index)));
  }

  eventfd(count = 0): number {
    return this.guest.call('eventfd2', count, NONBLOCK);
  }

  add(fd: number): void {
    assert.equal(this.guest.call('write', fd, this.guest.sim.guest.words(1), 8), 8);
  }
}

test('a level is told again and again, an edge once for each change', () => {
  const events = new Events();
  const [level, edge] = [events.eventfd(1), events.eventfd(1)];
  events.ctl(ADD, level);
  events.ctl(ADD, edge, IN | EDGE);
  assert.deepEqual(events.wait(), [level, edge]);
  assert.deepEqual(events.wait(), [level]);
  events.add(edge);
  assert.deepEqual(events.wait().toSorted(), [level, edge]);
  assert.deepEqual(events.wait(), [level]);
});

test('an edge for input is not given by a change of output', () => {
  const events = new Events();
  const fds = events.guest.sim.guest.alloc(8);
  events.guest.call('socketpair', 1, 1 | NONBLOCK, 0, fds);
  const [one, other] = [fds, fds + 4].map((at) => events.guest.sim.guest.peekI32(at)) as [
    number,
    number,
  ];
  const chunk = events.guest.sim.guest.alloc(262_144);
  while (events.guest.call('write', one, chunk, 262_144) > 0);
  events.guest.call('write', other, chunk, 1);
  events.ctl(ADD, one, IN | EDGE);
  assert.deepEqual(events.wait(), [one]);
  while (events.guest.call('read', other, chunk, 262_144) > 0);
  assert.deepEqual(events.wait(), [], 'room to write is no input');
  events.ctl(MODIFY, one, IN | OUT | EDGE);
  assert.deepEqual(events.wait(), [one]);
});

test('a one-shot item is silent until it is armed again', () => {
  const events = new Events();
  const fd = events.eventfd(1);
  events.ctl(ADD, fd, IN | ONESHOT);
  assert.deepEqual(events.wait(), [fd]);
  events.add(fd);
  assert.deepEqual(events.wait(), []);
  events.guest.restore();
  const again = events.guest.sim.guest.alloc(12);
  assert.equal(events.guest.call('epoll_wait', events.epoll, again, 1, 0), 0, 'also when restored');
  const event = events.guest.sim.guest.struct('IQ', IN | ONESHOT, fd);
  events.guest.call('epoll_ctl', events.epoll, MODIFY, fd, event);
  assert.equal(events.guest.call('epoll_wait', events.epoll, again, 1, 0), 1);
});

test('more events than asked for come in turns', () => {
  const events = new Events();
  const fds = Array.from({ length: 5 }, () => events.eventfd(1));
  for (const fd of fds) events.ctl(ADD, fd);
  const seen = [...events.wait(2), ...events.wait(2), ...events.wait(1)];
  assert.deepEqual(seen.toSorted(), fds);
});

test('sets may hold sets, up to five deep and never in a circle', () => {
  const events = new Events();
  const sets = Array.from({ length: 6 }, () => events.guest.call('epoll_create1', 0));
  const add = (outer: number, inner: number) =>
    events.ctl(ADD, sets[inner] ?? -1, IN, sets[outer] ?? -1);
  for (const index of [0, 1, 2, 3]) assert.equal(add(index + 1, index), 0);
  assert.equal(add(5, 4), E.ELOOP, 'too deep');
  assert.equal(add(0, 4), E.ELOOP, 'a circle');
  assert.equal(events.ctl(ADD, sets[0] ?? -1, IN, sets[0]), E.EINVAL, 'itself');
  const fd = events.eventfd();
  events.ctl(ADD, fd, IN, sets[0]);
  assert.deepEqual(events.wait(1, sets[4]), []);
  events.add(fd);
  assert.deepEqual(events.wait(1, sets[4]), [sets[3]]);
  events.guest.restore();
  const outer = events.guest.sim.guest.alloc(12);
  assert.equal(events.guest.call('epoll_wait', sets[4] ?? -1, outer, 1, 0), 1);
});

test('wrong uses are refused as by Linux', () => {
  const events = new Events();
  const fd = events.eventfd();
  const file = events.guest.call('openat', -100, events.guest.bytes('/new\0'), 0o102, 0o600);
  assert.equal(events.ctl(ADD, file), E.EPERM);
  assert.equal(events.ctl(ADD, 77), E.EBADF);
  assert.equal(events.ctl(ADD, fd, IN, fd), E.EINVAL, 'no set');
  assert.equal(events.ctl(MODIFY, fd), E.ENOENT);
  assert.equal(events.ctl(ADD, fd), 0);
  assert.equal(events.ctl(ADD, fd), E.EEXIST);
  assert.equal(events.ctl(7, fd), E.EINVAL);
  assert.equal(events.ctl(DELETE, fd), 0);
  assert.equal(events.ctl(DELETE, fd), E.ENOENT);
  assert.equal(events.ctl(ADD, fd, IN | EXCLUSIVE | ONESHOT), E.EINVAL);
  assert.equal(events.ctl(ADD, fd, IN | EXCLUSIVE), 0);
  assert.equal(events.ctl(MODIFY, fd, IN), E.EINVAL, 'an exclusive item does not change');
  assert.equal(events.guest.call('epoll_wait', events.epoll, 0x1000, 0, 0), E.EINVAL);
});

test('events that the guest could not be given are not lost', () => {
  const events = new Events();
  const fd = events.eventfd(1);
  events.ctl(ADD, fd, IN | EDGE);
  assert.equal(events.guest.call('epoll_wait', events.epoll, 0x10, 8, 0), E.EFAULT);
  assert.deepEqual(events.wait(), [fd]);
});

test('a waiting thread is woken by an event, and gives up at its time', () => {
  const events = new Events();
  const { guest } = events;
  guest.addThread(2);
  const fd = events.eventfd();
  events.ctl(ADD, fd);
  const target = guest.sim.guest.alloc(12);
  assert.equal(guest.sim.call(2, 'epoll_wait', events.epoll, target, 1, -1), 'blocked');
  events.add(fd);
  assert.equal(guest.sim.takeAnswer(2), 1);
  guest.call('read', fd, target, 8);
  assert.equal(guest.sim.call(2, 'epoll_wait', events.epoll, target, 1, 250), 'blocked');
  guest.sim.advance(249e6);
  assert.equal(guest.sim.takeAnswer(2), null);
  guest.sim.advance(1e6);
  assert.equal(guest.sim.takeAnswer(2), 0);
});

test('a file leaves the set when its last descriptor is closed', () => {
  const events = new Events();
  const fd = events.eventfd(1);
  const copy = events.guest.call('dup', fd);
  events.ctl(ADD, fd);
  events.guest.call('close', fd);
  assert.deepEqual(events.wait(), [fd], 'the copy keeps it');
  events.guest.call('close', copy);
  assert.deepEqual(events.wait(), []);
});

test('waiting looks at ready files only, and a change saves a part of the set', () => {
  const events = new Events();
  const { kernel } = events.guest;
  const fds = Array.from({ length: 1000 }, () => events.eventfd());
  for (const fd of fds) events.ctl(ADD, fd);
  let polls = 0;
  for (const fd of fds) {
    const file = kernel.state.process.files.get(fd);
    assert.ok(file !== null);
    const poll = file.poll.bind(file);
    file.poll = () => {
      polls += 1;
      return poll();
    };
  }
  events.add(fds[500] ?? -1);
  assert.deepEqual(events.wait(), [fds[500]]);
  assert.equal(polls, 1);
  events.guest.save();
  events.guest.records.clearCounts();
  events.ctl(MODIFY, fds[3] ?? -1, IN | ONESHOT);
  events.guest.save();
  const { putBytes } = events.guest.records.counts;
  assert.ok(putBytes < 3000, `${putBytes} bytes of some 25,000`);
  const epoll = kernel.state.process.files.get(events.epoll);
  assert.ok(epoll instanceof Epoll);
});
