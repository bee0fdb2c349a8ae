/** Tests of TCP sockets whose other end is outside: published ports and streams of the LVM API. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LibosGuest } from '../../../test/libos/guest.ts';
import { E } from '../../abi/errno.ts';

const PORT = 6379;
const NONBLOCK = 0o4000;
const [IN, OUT, ERR, HUP, RDHUP] = [1, 4, 8, 0x10, 0x2000];
const PEEK = 2;
const EDGE = 0x8000_0000;

function listening(backlog = 511): { guest: LibosGuest; listener: number } {
  const guest = new LibosGuest({ published: [PORT] });
  const listener = guest.call('socket', 2, 1, 0);
  assert.equal(guest.call('bind', listener, guest.sim.guest.sockaddr4('0.0.0.0', PORT), 16), 0);
  assert.equal(guest.call('listen', listener, backlog), 0);
  return { guest, listener };
}

interface Connected {
  readonly guest: LibosGuest;
  readonly peer: ReturnType<LibosGuest['sim']['connect']>;
  readonly fd: number;
}

function connected(flags = NONBLOCK): Connected {
  const { guest, listener } = listening();
  const peer = guest.sim.connect(PORT);
  const fd = guest.call('accept4', listener, 0, 0, flags);
  assert.ok(fd >= 0);
  return { guest, peer, fd };
}

function pollBits(guest: LibosGuest, fd: number): number {
  const address = guest.sim.guest.u32s(fd, 0x7fff & ~0x20);
  guest.call('poll', address, 1, 0);
  return (guest.sim.guest.peekU32(address + 4) >>> 16) & ~0x5c0 & ~0x200;
}

test('a connection from outside is accepted with both its addresses', () => {
  const { guest, listener } = listening();
  assert.equal(pollBits(guest, listener), 0);
  const peer = guest.sim.connect(PORT, '10.1.2.3');
  assert.equal(pollBits(guest, listener), IN);
  const [name, size] = [guest.sim.guest.alloc(32), guest.sim.guest.u32s(32)];
  const fd = guest.call('accept', listener, name, size);
  assert.equal(guest.sim.guest.peekU32(size), 16);
  const address = guest.sim.guest.peek(name, 8);
  assert.deepEqual([...address.subarray(4)], [10, 1, 2, 3]);
  assert.equal(address.readUInt16BE(2), peer.address.port);
  assert.equal(guest.call('getsockname', fd, name, size), 0);
  assert.equal(guest.sim.guest.peek(name, 4).readUInt16BE(2), PORT);
  assert.equal(pollBits(guest, listener), 0, 'no connection is left');
});

test('a request is one epoll_wait, one read of the stream, one write', () => {
  const { guest, peer, fd } = connected();
  const epoll = guest.call('epoll_create1', 0);
  const event = guest.sim.guest.struct('IQ', IN, 42);
  guest.call('epoll_ctl', epoll, 1, fd, event);
  const events = guest.sim.guest.alloc(120);
  let reads = 0;
  const streamRead = guest.sim.streamRead.bind(guest.sim);
  guest.sim.streamRead = (stream, target) => {
    reads += 1;
    return streamRead(stream, target);
  };
  const buffer = guest.sim.guest.alloc(16_384);
  for (let round = 0; round < 3; round += 1) {
    assert.equal(guest.ask('epoll_wait', epoll, events, 10, -1), 'blocked');
    peer.send('PING');
    assert.equal(guest.sim.takeAnswer(1), 1);
    assert.equal(guest.sim.guest.peekU32(events + 4), 42);
    reads = 0;
    assert.equal(guest.call('read', fd, buffer, 16_384), 4);
    assert.equal(guest.call('write', fd, guest.bytes('PONG'), 4), 4);
    assert.equal(guest.call('epoll_wait', epoll, events, 10, 0), 0);
    assert.equal(reads, 1, 'a short read says that nothing is left');
    assert.equal(peer.text(), 'PONG');
  }
});

test('every byte of a large request and its answer arrives, in pieces, in order', () => {
  const { guest, peer, fd } = connected(0);
  peer.limit(10_000);
  const size = 600_000;
  const sent = Buffer.from(Array.from({ length: size }, (_, index) => (index * 31) & 0xff));
  const source = guest.bytes(sent);
  assert.equal(guest.ask('sendto', fd, source, size, 0, 0, 0), 'blocked');
  const parts: Buffer[] = [];
  for (let answer = guest.sim.takeAnswer(1); ; answer = guest.sim.takeAnswer(1)) {
    parts.push(peer.received());
    if (answer === null) continue;
    assert.equal(answer, size);
    break;
  }
  parts.push(peer.received());
  assert.deepEqual(Buffer.concat(parts), sent);
});

test('MSG_WAITALL waits for all, MSG_PEEK takes nothing, FIONREAD counts', () => {
  const { guest, peer, fd } = connected(0);
  const buffer = guest.sim.guest.alloc(100);
  assert.equal(guest.ask('recvfrom', fd, buffer, 10, 0x100, 0, 0), 'blocked');
  peer.send('01234');
  assert.equal(guest.sim.takeAnswer(1), null);
  peer.send('56789abcdef');
  assert.equal(guest.sim.takeAnswer(1), 10);
  assert.equal(guest.peek(buffer, 10), '0123456789');
  const count = guest.sim.guest.alloc(4);
  assert.equal(guest.call('ioctl', fd, 0x541b, count), 0);
  assert.equal(guest.sim.guest.peekU32(count), 6);
  assert.equal(guest.call('recvfrom', fd, buffer, 3, PEEK, 0, 0), 3);
  assert.equal(guest.call('recvfrom', fd, buffer, 100, 0, 0, 0), 6);
  assert.equal(guest.peek(buffer, 6), 'abcdef');
});

test('the end of the peer is read as the end, and the other way still works', () => {
  const { guest, peer, fd } = connected();
  peer.send('last');
  peer.end();
  const buffer = guest.sim.guest.alloc(100);
  assert.equal(guest.call('read', fd, buffer, 4), 4);
  assert.equal(guest.call('read', fd, buffer, 4), 0);
  assert.equal(pollBits(guest, fd), IN | OUT | RDHUP);
  assert.equal(guest.call('write', fd, guest.bytes('bye'), 3), 3);
  assert.equal(guest.call('shutdown', fd, 1), 0);
  assert.equal(peer.text(), 'bye');
  assert.ok(peer.isEnded);
  assert.equal(pollBits(guest, fd), IN | OUT | RDHUP | HUP);
});

test('a reset is an error once: by poll, SO_ERROR or the next call; then the end', () => {
  for (const how of ['read', 'write', 'SO_ERROR'] as const) {
    const { guest, peer, fd } = connected();
    peer.reset();
    assert.equal(pollBits(guest, fd), IN | OUT | ERR | HUP | RDHUP);
    const buffer = guest.sim.guest.u32s(0, 4);
    if (how === 'SO_ERROR') {
      assert.equal(guest.call('getsockopt', fd, 1, 4, buffer, buffer + 4), 0);
      assert.equal(guest.sim.guest.peekI32(buffer), -E.ECONNRESET);
    } else assert.equal(guest.call(how, fd, buffer, 4), E.ECONNRESET);
    assert.equal(guest.call('read', fd, buffer, 4), 0);
    assert.equal(guest.call('write', fd, buffer, 4), E.EPIPE);
    assert.equal(guest.sim.signals.at(-1)?.number, 13);
    assert.equal(pollBits(guest, fd), IN | OUT | HUP | RDHUP);
  }
});

test('after a takeover streams are found reset, and the port goes on', () => {
  const { guest, listener } = listening();
  const epoll = guest.call('epoll_create1', 0);
  guest.sim.connect(PORT);
  const fd = guest.call('accept4', listener, 0, 0, NONBLOCK);
  guest.call('epoll_ctl', epoll, 1, fd, guest.sim.guest.struct('IQ', IN | EDGE, 7));
  guest.call('epoll_ctl', epoll, 1, listener, guest.sim.guest.struct('IQ', IN, 8));
  const events = guest.sim.guest.alloc(120);
  assert.equal(guest.call('epoll_wait', epoll, events, 10, 0), 0);
  guest.restore();
  assert.equal(guest.sim.streamListen(PORT), 1);
  const again = guest.sim.guest.alloc(120);
  assert.equal(guest.call('epoll_wait', epoll, again, 10, -1), 1, 'no edge is needed');
  assert.equal(guest.sim.guest.peekU32(again + 4), 7);
  assert.equal(guest.sim.guest.peekU32(again) & (ERR | HUP), ERR | HUP);
  assert.equal(guest.call('read', fd, again, 10), E.ECONNRESET);
  assert.equal(guest.call('read', fd, again, 10), 0);
  guest.call('close', fd);
  guest.sim.connect(PORT);
  assert.equal(guest.call('epoll_wait', epoll, again, 10, -1), 1);
  assert.equal(guest.sim.guest.peekU32(again + 4), 8);
  assert.ok(guest.call('accept', listener, 0, 0) >= 0);
});

test('bytes that were only looked at survive a takeover, before the reset', () => {
  const { guest, peer, fd } = connected();
  peer.send('looked at');
  const buffer = guest.sim.guest.alloc(100);
  assert.equal(guest.call('recvfrom', fd, buffer, 100, PEEK, 0, 0), 9);
  guest.save();
  guest.restore();
  const after = guest.sim.guest.alloc(100);
  assert.equal(guest.call('read', fd, after, 6), 6);
  guest.restore();
  const last = guest.sim.guest.alloc(100);
  assert.equal(guest.call('read', fd, last, 100), 3);
  assert.equal(guest.peek(last, 3), ' at');
  assert.equal(guest.call('read', fd, last, 100), E.ECONNRESET);
});

test('a blocking socket that poll calls readable is, though the hint was old', () => {
  const { guest, peer, fd } = connected(0);
  const buffer = guest.sim.guest.alloc(100);
  peer.send('one');
  assert.equal(guest.call('read', fd, buffer, 100), 3);
  guest.kernel.ready(peer.handle, 1);
  assert.equal(pollBits(guest, fd), OUT);
  peer.send('two');
  assert.equal(pollBits(guest, fd), IN | OUT);
  assert.equal(guest.call('read', fd, buffer, 100), 3);
});

test('closing a stream closes it outside; SO_LINGER 0 resets', () => {
  const { guest, peer, fd } = connected();
  guest.call('close', fd);
  assert.ok(peer.isEnded && !peer.isReset);
  const other = connected();
  const linger = other.guest.sim.guest.u32s(1, 0);
  assert.equal(other.guest.call('setsockopt', other.fd, 1, 13, linger, 8), 0);
  other.guest.call('close', other.fd);
  assert.ok(other.peer.isReset);
});

test('of several listeners the first with IPv4 has the published port, then the next', () => {
  const guest = new LibosGuest({ published: [PORT] });
  const bindTo = (domain: number, address: Buffer, v6only: number): number => {
    const fd = guest.call('socket', domain, 1 | NONBLOCK, 0);
    const one = guest.sim.guest.u32s(v6only);
    if (domain === 10) guest.call('setsockopt', fd, 41, 26, one, 4);
    assert.equal(guest.call('bind', fd, guest.bytes(address), address.length), 0);
    assert.equal(guest.call('listen', fd, 5), 0);
    return fd;
  };
  const v6 = Buffer.alloc(28);
  v6.writeUInt16LE(10, 0);
  v6.writeUInt16BE(PORT, 2);
  const only6 = bindTo(10, v6, 1);
  guest.sim.connect(PORT);
  assert.ok(guest.call('accept4', only6, 0, 0, 0) >= 0, 'nobody else listens');
  const v4 = Buffer.from([2, 0, PORT >> 8, PORT & 0xff, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  const both = bindTo(2, v4, 0);
  guest.sim.connect(PORT);
  assert.equal(guest.call('accept4', only6, 0, 0, 0), E.EAGAIN);
  assert.ok(guest.call('accept4', both, 0, 0, 0) >= 0, 'whatever address it is bound to');
  guest.call('close', both);
  guest.sim.connect(PORT);
  assert.ok(guest.call('accept4', only6, 0, 0, 0) >= 0, 'the one that is left');
  guest.call('close', only6);
  assert.ok(Number(guest.sim.streamListen(PORT)) > 0, 'the port is free again');
});
