/** Tests of console.ts: standard input and output block, wake and survive a load. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsGuest } from '../../../test/support/fs-guest.ts';
import { Records } from '../../../test/support/records.ts';
import { E } from '../../abi/errno.ts';
import { F, O } from '../../abi/fs.ts';

test('input is awaited, and its end is seen', () => {
  const guest = new FsGuest();
  const { pid } = guest.kernel.state.process;
  assert.equal(guest.sim.call(pid, 'read', 0, guest.buffer, 100), 'blocked');
  guest.sim.input('hello');
  assert.equal(guest.sim.takeAnswer(pid), 5);
  assert.equal(guest.sim.guest.peek(guest.buffer, 5).toString(), 'hello');
  guest.call('fcntl', 0, F.SETFL, O.NONBLOCK);
  assert.equal(guest.read(0, 10), E.EAGAIN);
  assert.equal(guest.write(0, 'x'), E.EBADF);
  guest.sim.endInput();
  assert.equal(guest.read(0, 10), '');
});

test('output goes out; when too much is held, writing waits for room and goes on', () => {
  const guest = new FsGuest();
  assert.equal(guest.write(1, 'out'), 3);
  assert.equal(guest.write(2, 'err'), 3);
  assert.equal(guest.sim.output(1), 'out');
  assert.equal(guest.sim.output(2), 'err');
  guest.sim.console.limit(1, 10);
  const { pid } = guest.kernel.state.process;
  const source = guest.sim.guest.bytes(Buffer.from('0123456789abcdef'));
  assert.equal(guest.sim.call(pid, 'write', 1, source, 16), 'blocked');
  assert.equal(guest.sim.output(1), '0123456789');
  assert.equal(guest.sim.takeAnswer(pid), 16);
  assert.equal(guest.sim.output(1), 'abcdef');
  assert.equal(guest.read(1, 1), E.EBADF);
});

test('poll tells of input without losing it, over a load', () => {
  const guest = new FsGuest();
  const poll = (): number => {
    const fds = guest.sim.guest.struct('IHH', 0, 1, 0);
    return guest.call('poll', fds, 1, 0);
  };
  assert.equal(poll(), 0);
  guest.sim.input('typed');
  assert.equal(poll(), 1);
  const records = new Records();
  guest.kernel.save(records, 'all');
  guest.load(records);
  assert.equal(poll(), 1);
  assert.equal(guest.read(0, 2), 'ty');
  assert.equal(guest.read(0, 10), 'ped');
  guest.sim.input('more');
  assert.equal(poll(), 1);
  assert.equal(guest.read(0, 10), 'more');
});
