/**
 * Tests of socket calls that block: what wakes them, when they give up, that they outlive a
 * restore.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LibosGuest } from '../../../test/libos/guest.ts';
import { E } from '../../abi/errno.ts';

const [STREAM, DGRAM, SEQPACKET] = [1, 2, 5];
const SECOND = 1e9;

interface Pair {
  readonly guest: LibosGuest;
  readonly one: number;
  readonly other: number;
}

function pair(type = STREAM): Pair {
  const guest = new LibosGuest();
  guest.addThread(2);
  const fds = guest.sim.guest.alloc(8);
  assert.equal(guest.call('socketpair', 1, type, 0, fds), 0);
  return { guest, one: guest.sim.guest.peekI32(fds), other: guest.sim.guest.peekI32(fds + 4) };
}

/** A listening socket on 127.0.0.1 and the address of it in memory. */
function listener(backlog: number): { guest: LibosGuest; fd: number; address: number } {
  const guest = new LibosGuest();
  for (const thread of [2, 3, 4]) guest.addThread(thread);
  const fd = guest.call('socket', 2, STREAM, 0);
  const address = guest.sim.guest.sockaddr4('127.0.0.1', 7000);
  assert.equal(guest.call('bind', fd, address, 16), 0);
  assert.equal(guest.call('listen', fd, backlog), 0);
  return { guest, fd, address };
}

test('a reader waits for bytes, for the end, or until SO_RCVTIMEO', () => {
  const { guest, one, other } = pair();
  const buffer = guest.sim.guest.alloc(64);
  for (const name of ['read', 'recvfrom'] as const) {
    assert.equal(guest.sim.call(2, name, other, buffer, 64, 0, 0, 0), 'blocked');
    guest.call('write', one, guest.bytes('abc'), 3);
    assert.equal(guest.sim.takeAnswer(2), 3);
    guest.call('setsockopt', other, 1, 20, guest.sim.guest.words(2, 0), 16);
    assert.equal(guest.sim.call(2, name, other, buffer, 64, 0, 0, 0), 'blocked');
    guest.sim.advance(1.9 * SECOND);
    assert.equal(guest.sim.takeAnswer(2), null);
    guest.sim.advance(0.1 * SECOND);
    assert.equal(guest.sim.takeAnswer(2), E.EAGAIN);
    guest.call('setsockopt', other, 1, 20, guest.sim.guest.words(0, 0), 16);
  }
  assert.equal(guest.sim.call(2, 'read', other, buffer, 64), 'blocked');
  guest.call('close', one);
  assert.equal(guest.sim.takeAnswer(2), 0);
});

test('a writer goes on until all is written, however often it blocks and is restored', () => {
  for (const name of ['write', 'sendto'] as const) {
    const { guest, one, other } = pair();
    const size = 700_000;
    const sent = Buffer.from(Array.from({ length: size }, (_, index) => (index * 13) & 0xff));
    const source = guest.bytes(sent);
    assert.equal(guest.sim.call(2, name, one, source, size, 0, 0, 0), 'blocked');
    const parts: Buffer[] = [];
    let answer: unknown = null;
    for (let round = 0; answer === null; round += 1) {
      const buffer = guest.sim.guest.alloc(50_000);
      const got = guest.call('read', other, buffer, 50_000);
      parts.push(guest.sim.guest.peek(buffer, got));
      answer = guest.sim.takeAnswer(2);
      if (round !== 3 || answer !== null) continue;
      guest.restore();
      assert.equal(guest.sim.call(2, name, one, source, size, 0, 0, 0), 'blocked');
    }
    assert.equal(answer, size);
    const rest = guest.sim.guest.alloc(size);
    let got = guest.call('read', other, rest, size);
    parts.push(guest.sim.guest.peek(rest, got));
    const left = size - parts.reduce((sum, part) => sum + part.length, 0);
    if (left > 0) {
      got = guest.call('read', other, rest, size);
      parts.push(guest.sim.guest.peek(rest, got));
    }
    assert.deepEqual(Buffer.concat(parts), sent);
  }
});

test('an accepting thread waits for a connection; a connecting one for room', () => {
  const { guest, fd, address } = listener(0);
  assert.equal(guest.sim.call(2, 'accept', fd, 0, 0), 'blocked');
  const first = guest.call('socket', 2, STREAM, 0);
  assert.equal(guest.call('connect', first, address, 16), 0);
  assert.ok(Number(guest.sim.takeAnswer(2)) > first);
  const sockets = [0, 1, 2].map(() => guest.call('socket', 2, STREAM, 0));
  assert.equal(guest.call('connect', sockets[0] ?? -1, address, 16), 0, 'in the backlog');
  assert.equal(guest.sim.call(3, 'connect', sockets[1] ?? -1, address, 16), 'blocked');
  const nonblocking = guest.call('socket', 2, STREAM | 0o4000, 0);
  assert.equal(guest.call('connect', nonblocking, address, 16), E.EINPROGRESS);
  assert.equal(guest.call('connect', nonblocking, address, 16), E.EALREADY);
  assert.ok(guest.call('accept', fd, 0, 0) >= 0);
  assert.equal(guest.sim.takeAnswer(3), 0);
  assert.ok(guest.call('accept', fd, 0, 0) >= 0);
  assert.equal(guest.call('connect', nonblocking, address, 16), 0);
  assert.equal(guest.call('connect', nonblocking, address, 16), E.EISCONN);
});

test('those that wait for a listener that closes are refused, those in its backlog reset', () => {
  const { guest, fd, address } = listener(0);
  const inBacklog = guest.call('socket', 2, STREAM, 0);
  assert.equal(guest.call('connect', inBacklog, address, 16), 0);
  const waiting = guest.call('socket', 2, STREAM, 0);
  assert.equal(guest.sim.call(2, 'connect', waiting, address, 16), 'blocked');
  const buffer = guest.sim.guest.alloc(8);
  assert.equal(guest.sim.call(3, 'read', inBacklog, buffer, 8), 'blocked');
  guest.call('close', fd);
  assert.equal(guest.sim.takeAnswer(2), E.ECONNREFUSED);
  assert.equal(guest.sim.takeAnswer(3), E.ECONNRESET);
});

test('a datagram waits for room at its receiver, a record for room in its connection', () => {
  for (const type of [DGRAM, SEQPACKET]) {
    const { guest, one, other } = pair(type);
    const data = guest.bytes('x'.repeat(10_000));
    let sent = 0;
    while (guest.sim.call(2, 'sendto', one, data, 10_000, 0, 0, 0) === 10_000) {
      sent += 1;
      assert.ok(sent < 100, 'there is a limit');
    }
    const buffer = guest.sim.guest.alloc(20_000);
    let answer = null;
    for (let left = sent; answer === null; left -= 1) {
      assert.ok(left > 0, 'it is woken before all is read');
      assert.equal(guest.call('recvfrom', other, buffer, 20_000, 0, 0, 0), 10_000);
      answer = guest.sim.takeAnswer(2);
    }
    assert.equal(answer, 10_000);
  }
});

test('recvmmsg gathers as many as asked for, over a restore; MSG_WAITFORONE is content', () => {
  const { guest, one, other } = pair(DGRAM);
  const headers = (count: number) => {
    const buffers = guest.sim.guest.alloc(count * 16);
    const at = guest.sim.guest.alloc(count * 64);
    for (let index = 0; index < count; index += 1) {
      const vector = guest.sim.guest.words(buffers + index * 16, 16);
      const words = Buffer.alloc(64);
      words.writeBigUInt64LE(BigInt(vector), 16);
      words.writeBigUInt64LE(1n, 24);
      guest.sim.guest.poke(at + index * 64, words);
    }
    return { at, length: (index: number) => guest.sim.guest.peekU32(at + index * 64 + 56) };
  };
  const messages = headers(3);
  assert.equal(guest.sim.call(2, 'recvmmsg', other, messages.at, 3, 0, 0), 'blocked');
  guest.call('write', one, guest.bytes('a'), 1);
  guest.call('write', one, guest.bytes('bb'), 2);
  assert.equal(guest.sim.takeAnswer(2), null);
  assert.deepEqual([messages.length(0), messages.length(1)], [1, 2]);
  guest.restore();
  assert.equal(guest.sim.call(2, 'recvmmsg', other, messages.at, 3, 0, 0), 'blocked');
  guest.call('write', one, guest.bytes('ccc'), 3);
  assert.equal(guest.sim.takeAnswer(2), 3);
  assert.equal(messages.length(2), 3);
  guest.call('write', one, guest.bytes('d'), 1);
  assert.equal(guest.sim.call(2, 'recvmmsg', other, messages.at, 3, 0x10000, 0), 1);
});

test('descriptors in flight are kept by a restore and closed with their socket', () => {
  const { guest, one, other } = pair();
  const fds = guest.sim.guest.alloc(8);
  guest.call('pipe2', fds, 0);
  const [reader, writer] = [guest.sim.guest.peekI32(fds), guest.sim.guest.peekI32(fds + 4)];
  const control = Buffer.alloc(24);
  control.writeBigUInt64LE(20n, 0);
  control.writeInt32LE(1, 8);
  control.writeInt32LE(1, 12);
  control.writeInt32LE(writer, 16);
  const vector = guest.sim.guest.words(guest.bytes('m'), 1);
  const header = guest.sim.guest.words(0, 0, vector, 1, guest.bytes(control), 24, 0);
  assert.equal(guest.call('sendmsg', one, header, 0), 1);
  guest.call('close', writer);
  guest.restore();
  const buffer = guest.sim.guest.alloc(8);
  assert.equal(guest.sim.call(2, 'read', reader, buffer, 8), 'blocked', 'the writer lives on');
  const before = guest.kernel.objects.count;
  guest.call('close', other);
  assert.equal(guest.sim.takeAnswer(2), 0, 'and ends with the message');
  assert.ok(guest.kernel.objects.count < before);
});

test('nothing outside can be reached', () => {
  const guest = new LibosGuest();
  const tcp = guest.call('socket', 2, STREAM, 0);
  const udp = guest.call('socket', 2, DGRAM, 0);
  const address = guest.sim.guest.sockaddr4('10.0.0.1', 80);
  assert.equal(guest.call('connect', tcp, address, 16), E.ENETUNREACH);
  assert.equal(guest.call('connect', udp, address, 16), E.ENETUNREACH);
  assert.equal(guest.call('sendto', udp, address, 4, 0, address, 16), E.ENETUNREACH);
  assert.equal(guest.call('bind', tcp, address, 16), E.EADDRNOTAVAIL);
  assert.equal(guest.call('socket', 2, 3, 0), E.EPERM);
  assert.equal(guest.call('socket', 16, 3, 0), E.EAFNOSUPPORT);
});
