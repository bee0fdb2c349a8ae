/** Tests of poll.ts: results, time-outs, what wakes them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LibosGuest } from '../../../test/libos/guest.ts';
import { E } from '../../abi/errno.ts';

const [IN, OUT, HUP, NVAL] = [1, 4, 0x10, 0x20];
const MS = 1e6;

function withPipe(): { guest: LibosGuest; reader: number; writer: number } {
  const guest = new LibosGuest();
  guest.addThread(2);
  const fds = guest.sim.guest.alloc(8);
  guest.call('pipe2', fds, 0);
  const [reader, writer] = [guest.sim.guest.peekI32(fds), guest.sim.guest.peekI32(fds + 4)];
  return { guest, reader, writer };
}

test('poll tells of each descriptor what holds, and passes over negative ones', () => {
  const { guest, reader, writer } = withPipe();
  const fds = guest.sim.guest.u32s(reader, IN, writer, OUT, -1, IN, 99, IN);
  assert.equal(guest.call('poll', fds, 4, -1), 2);
  const revents = [0, 1, 2, 3].map((index) => guest.sim.guest.peekU32(fds + index * 8 + 4) >>> 16);
  assert.deepEqual(revents, [0, OUT, 0, NVAL]);
  guest.call('close', writer);
  assert.equal(guest.call('poll', fds, 1, -1), 1);
  assert.equal(guest.sim.guest.peekU32(fds + 4) >>> 16, HUP);
});

test('poll and ppoll wait for an event or their time', () => {
  const { guest, reader, writer } = withPipe();
  const fds = guest.sim.guest.u32s(reader, IN);
  assert.equal(guest.call('poll', fds, 1, 0), 0);
  assert.equal(guest.sim.call(2, 'poll', fds, 1, 20), 'blocked');
  guest.sim.advance(20 * MS);
  assert.equal(guest.sim.takeAnswer(2), 0);
  const time = guest.sim.guest.timespec(30 * MS);
  assert.equal(guest.sim.call(2, 'ppoll', fds, 1, time, 0, 8), 'blocked');
  guest.sim.advance(10 * MS);
  guest.restore();
  assert.equal(guest.sim.call(2, 'ppoll', fds, 1, time, 0, 8), 'blocked');
  guest.sim.advance(20 * MS);
  assert.equal(guest.sim.takeAnswer(2), 0, 'the time before the restore counts');
  assert.equal(guest.sim.call(2, 'ppoll', fds, 1, 0, 0, 8), 'blocked');
  guest.call('write', writer, fds, 1);
  assert.equal(guest.sim.takeAnswer(2), 1);
  assert.equal(guest.sim.call(2, 'poll', 0, 0, 5), 'blocked', 'as a way to sleep');
  guest.sim.advance(5 * MS);
  assert.equal(guest.sim.takeAnswer(2), 0);
});

test('select clears what is not ready and tells the time that is left', () => {
  const { guest, reader, writer } = withPipe();
  const bits = (...fds: number[]) => fds.reduce((sum, fd) => sum | (1n << BigInt(fd)), 0n);
  const sets = guest.sim.guest.words(bits(reader), bits(writer));
  assert.equal(guest.call('select', 64, sets, sets + 8, 0, 0), 1);
  assert.equal(guest.sim.guest.peekU32(sets), 0);
  assert.equal(guest.sim.guest.peekU32(sets + 8), Number(bits(writer)));
  const set = guest.sim.guest.words(bits(reader));
  const time = guest.sim.guest.words(0, 50_000);
  assert.equal(guest.sim.call(2, 'select', 64, set, 0, 0, time), 'blocked');
  guest.sim.advance(20 * MS);
  guest.call('write', writer, set, 1);
  assert.equal(guest.sim.takeAnswer(2), 1);
  assert.equal(guest.sim.guest.peekU32(time + 8), 30_000);
  assert.equal(guest.call('select', 64, guest.sim.guest.words(bits(50)), 0, 0, 0), E.EBADF);
  assert.equal(guest.call('select', -1, 0, 0, 0, 0), E.EINVAL);
  const short = guest.sim.guest.timespec(2 * MS);
  guest.call('read', reader, guest.sim.guest.alloc(8), 8);
  const again = guest.sim.guest.words(bits(reader));
  assert.equal(guest.sim.call(2, 'pselect6', 64, again, 0, 0, short, 0), 'blocked');
  guest.sim.advance(2 * MS);
  assert.equal(guest.sim.takeAnswer(2), 0);
  assert.equal(guest.sim.guest.peekU32(again), 0);
});
