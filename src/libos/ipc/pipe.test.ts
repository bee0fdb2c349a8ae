/** Tests of pipe.ts, by calls: blocking, FIFOs, packets, sizes. test/libos compares with Linux. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LibosGuest } from '../../../test/libos/guest.ts';
import { E } from '../../abi/errno.ts';

const [NONBLOCK, DIRECT] = [0o4000, 0o40000];
const [RDONLY, WRONLY] = [0, 1];
const AT_CWD = -100;

function makePipe(flags = 0): { guest: LibosGuest; reader: number; writer: number } {
  const guest = new LibosGuest();
  guest.addThread(2);
  const fds = guest.sim.guest.alloc(8);
  assert.equal(guest.call('pipe2', fds, flags), 0);
  const [reader, writer] = [guest.sim.guest.peekI32(fds), guest.sim.guest.peekI32(fds + 4)];
  return { guest, reader, writer };
}

test('a write larger than the pipe blocks until all is taken, over a restore', () => {
  const { guest, reader, writer } = makePipe();
  const size = 300_000;
  const sent = Buffer.from(Array.from({ length: size }, (_, index) => (index * 17) & 0xff));
  const source = guest.bytes(sent);
  const buffer = guest.sim.guest.alloc(40_000);
  assert.equal(guest.sim.call(2, 'write', writer, source, size), 'blocked');
  const parts: Buffer[] = [];
  let answer: unknown = null;
  for (let round = 0; answer === null || parts.length === 0; round += 1) {
    const got = guest.call('read', reader, buffer, 40_000);
    parts.push(guest.sim.guest.peek(buffer, got));
    answer = guest.sim.takeAnswer(2);
    if (round % 3 !== 1 || answer !== null) continue;
    guest.restore();
    assert.equal(guest.sim.call(2, 'write', writer, source, size), 'blocked');
  }
  assert.equal(answer, size);
  guest.call('close', writer);
  for (;;) {
    const got = guest.call('read', reader, buffer, 40_000);
    if (got === 0) break;
    parts.push(guest.sim.guest.peek(buffer, got));
  }
  assert.deepEqual(Buffer.concat(parts), sent);
});

test('writes up to PIPE_BUF are never cut, whatever the pipe holds', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 4096 }), { minLength: 1, maxLength: 60 });
  const property = fc.property(sizes, fc.nat(20_000), (counts, readBytes) => {
    const { guest, reader, writer } = makePipe(NONBLOCK);
    const buffer = guest.sim.guest.alloc(70_000);
    let inside = 0;
    for (const count of counts) {
      const written = guest.call('write', writer, buffer, count);
      assert.ok(written === count || written === E.EAGAIN, `${written} of ${count}`);
      if (written > 0) inside += written;
      else if (readBytes > 0) inside -= Math.max(0, guest.call('read', reader, buffer, readBytes));
    }
    const rest = guest.call('read', reader, buffer, 70_000);
    assert.equal(Math.max(rest, 0), inside);
  });
  fc.assert(property, { numRuns: 60 });
});

test('a packet of O_DIRECT is read by itself, and cut by a short read', () => {
  const { guest, reader, writer } = makePipe(NONBLOCK | DIRECT);
  const buffer = guest.sim.guest.alloc(100);
  for (const text of ['one', 'second']) {
    guest.call('write', writer, guest.bytes(text), text.length);
  }
  guest.restore();
  assert.equal(guest.call('read', reader, buffer, 100), 3);
  assert.equal(guest.call('read', reader, buffer, 2), 2);
  assert.equal(guest.peek(buffer, 2), 'se');
  assert.equal(guest.call('read', reader, buffer, 100), E.EAGAIN);
});

test('writing without a reader is EPIPE and SIGPIPE; a waiting writer learns of it', () => {
  const { guest, reader, writer } = makePipe();
  const data = guest.sim.guest.alloc(70_000);
  assert.equal(guest.call('write', writer, data, 65_536), 65_536);
  assert.equal(guest.sim.call(2, 'write', writer, data, 10), 'blocked');
  guest.call('close', reader);
  assert.equal(guest.sim.takeAnswer(2), E.EPIPE);
  assert.deepEqual(
    guest.sim.signals.map(({ thread, number }) => [thread, number]),
    [[2, 13]],
  );
});

test('the two sides of a FIFO wait for each other, over a restore', () => {
  const guest = new LibosGuest();
  guest.addThread(2);
  const path = guest.bytes('/fifo\0');
  assert.equal(guest.call('mknodat', AT_CWD, path, 0o010600, 0), 0);
  assert.equal(guest.call('openat', AT_CWD, path, WRONLY | NONBLOCK, 0), E.ENXIO);
  assert.equal(guest.sim.call(2, 'openat', AT_CWD, path, RDONLY, 0), 'blocked');
  guest.restore();
  assert.equal(guest.sim.call(2, 'openat', AT_CWD, path, RDONLY, 0), 'blocked');
  const writer = guest.call('openat', AT_CWD, path, WRONLY, 0);
  const reader = guest.sim.takeAnswer(2);
  assert.ok(writer >= 0 && typeof reader === 'number' && reader >= 0);
  assert.equal(guest.call('write', writer, guest.bytes('through'), 7), 7);
  const buffer = guest.sim.guest.alloc(16);
  assert.equal(guest.call('read', reader, buffer, 16), 7);
  guest.call('close', writer);
  assert.equal(guest.call('read', reader, buffer, 16), 0);
  const again = guest.call('openat', AT_CWD, path, WRONLY | NONBLOCK, 0);
  assert.ok(again >= 0, 'a reader is there');
  const stat = guest.sim.guest.alloc(144);
  guest.call('fstat', again, stat);
  assert.equal(guest.sim.guest.peekU32(stat + 24) & 0o170000, 0o010000);
});

test('a reader that opened without waiting sees no end before a writer came', () => {
  const guest = new LibosGuest();
  const path = guest.bytes('/fifo\0');
  guest.call('mknodat', AT_CWD, path, 0o010600, 0);
  const reader = guest.call('openat', AT_CWD, path, RDONLY | NONBLOCK, 0);
  const fds = guest.sim.guest.u32s(reader, 1);
  assert.equal(guest.call('poll', fds, 1, 0), 0);
  guest.call('close', guest.call('openat', AT_CWD, path, WRONLY, 0));
  assert.equal(guest.call('poll', fds, 1, 0), 1);
  assert.equal(guest.sim.guest.peekU32(fds + 4) >>> 16, 0x10);
});
