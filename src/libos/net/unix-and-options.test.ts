/**
 * Tests of Unix socket names and credentials, socket options and the loopback interface, by
 * calls.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LibosGuest } from '../../../test/libos/guest.ts';
import { E } from '../../abi/errno.ts';

const [UNIX, INET, INET6] = [1, 2, 10];
const [STREAM, DGRAM] = [1, 2];
const NONBLOCK = 0o4000;
const [SOCKET, TCP, IPV6] = [1, 6, 41];

/** sockaddr_un in memory and its length. */
function unix(guest: LibosGuest, path: string): [number, number] {
  const bytes = Buffer.from(`\x01\0${path}`, 'latin1');
  return [guest.bytes(bytes), bytes.length];
}

function name(guest: LibosGuest, call: 'getsockname' | 'getpeername', fd: number): string {
  const [at, size] = [guest.sim.guest.alloc(128), guest.sim.guest.u32s(128)];
  assert.equal(guest.call(call, fd, at, size), 0);
  return guest.peek(at + 2, guest.sim.guest.peekU32(size) - 2);
}

test('a socket bound to a path is found by it, until it is closed or the path removed', () => {
  const guest = new LibosGuest();
  const server = guest.call('socket', UNIX, STREAM | NONBLOCK, 0);
  assert.equal(guest.call('bind', server, ...unix(guest, '/service\0')), 0);
  assert.equal(guest.call('listen', server, 5), 0);
  const second = guest.call('socket', UNIX, STREAM, 0);
  assert.equal(guest.call('bind', second, ...unix(guest, '/service')), E.EADDRINUSE);
  guest.restore();
  const client = guest.call('socket', UNIX, STREAM, 0);
  assert.equal(guest.call('connect', client, ...unix(guest, '/service')), 0);
  const accepted = guest.call('accept', server, 0, 0);
  assert.equal(name(guest, 'getpeername', client), '/service\0');
  assert.equal(name(guest, 'getsockname', accepted), '/service\0');
  assert.equal(name(guest, 'getpeername', accepted), '');
  const path = guest.bytes('/service\0');
  const stat = guest.sim.guest.alloc(144);
  assert.equal(guest.call('stat', path, stat), 0);
  assert.equal(guest.sim.guest.peekU32(stat + 24) & 0o170000, 0o140000);
  guest.call('rename', path, guest.bytes('/moved\0'));
  assert.equal(guest.call('connect', second, ...unix(guest, '/service')), E.ENOENT);
  assert.equal(guest.call('connect', second, ...unix(guest, '/moved')), 0);
  guest.call('close', server);
  const third = guest.call('socket', UNIX, STREAM, 0);
  assert.equal(guest.call('connect', third, ...unix(guest, '/moved')), E.ECONNREFUSED);
});

test('binding to no name takes an abstract one; datagrams tell who sent them', () => {
  const guest = new LibosGuest();
  const [one, other] = [0, 1].map(() => guest.call('socket', UNIX, DGRAM | NONBLOCK, 0)) as [
    number,
    number,
  ];
  assert.equal(guest.call('bind', one, ...unix(guest, '')), 0);
  const own = name(guest, 'getsockname', one);
  assert.match(own, /^\0[0-9a-f]{5}$/);
  assert.equal(guest.call('bind', other, ...unix(guest, '\0there')), 0);
  const [to, length] = unix(guest, '\0there');
  assert.equal(guest.call('sendto', one, guest.bytes('hello'), 5, 0, to, length), 5);
  guest.restore();
  const [at, size] = [guest.sim.guest.alloc(128), guest.sim.guest.u32s(128)];
  const buffer = guest.sim.guest.alloc(16);
  assert.equal(guest.call('recvfrom', other, buffer, 2, 0x20, at, size), 5, 'MSG_TRUNC');
  assert.equal(guest.peek(at + 2, guest.sim.guest.peekU32(size) - 2), own);
  assert.equal(guest.peek(buffer, 2), 'he');
});

test('credentials: SO_PEERCRED, and SCM_CREDENTIALS for one who asks', () => {
  const guest = new LibosGuest();
  const fds = guest.sim.guest.alloc(8);
  guest.call('socketpair', UNIX, STREAM, 0, fds);
  const [one, other] = [guest.sim.guest.peekI32(fds), guest.sim.guest.peekI32(fds + 4)];
  const [value, size] = [guest.sim.guest.alloc(12), guest.sim.guest.u32s(12)];
  assert.equal(guest.call('getsockopt', one, SOCKET, 17, value, size), 0);
  assert.deepEqual(
    [0, 4, 8].map((at) => guest.sim.guest.peekU32(value + at)),
    [1, 0, 0],
  );
  guest.call('setsockopt', other, SOCKET, 16, guest.sim.guest.u32s(1), 4);
  guest.call('write', one, guest.bytes('x'), 1);
  const control = guest.sim.guest.alloc(64);
  const vector = guest.sim.guest.words(guest.sim.guest.alloc(8), 8);
  const header = guest.sim.guest.words(0, 0, vector, 1, control, 64, 0);
  assert.equal(guest.call('recvmsg', other, header, 0), 1);
  assert.equal(guest.sim.guest.peekU32(header + 40), 32);
  assert.deepEqual(
    [8, 12, 16].map((at) => guest.sim.guest.peekU32(control + at)),
    [1, 2, 1],
  );
  const small = guest.sim.guest.words(0, 0, vector, 1, control, 20, 0);
  guest.call('write', one, guest.bytes('x'), 1);
  assert.equal(guest.call('recvmsg', other, small, 0), 1);
  assert.equal(guest.sim.guest.peekU32(small + 48) & 8, 8, 'MSG_CTRUNC');
});

test('options are kept as Linux keeps them, and unknown ones refused', () => {
  const guest = new LibosGuest();
  const tcp = guest.call('socket', INET, STREAM, 0);
  const set = (fd: number, level: number, option: number, value: number) =>
    guest.call('setsockopt', fd, level, option, guest.sim.guest.u32s(value), 4);
  const get = (fd: number, level: number, option: number) => {
    const at = guest.sim.guest.u32s(0, 4);
    const failed = guest.call('getsockopt', fd, level, option, at, at + 4);
    return failed < 0 ? failed : guest.sim.guest.peekI32(at);
  };
  assert.deepEqual(
    [3, 38, 39, 30].map((option) => get(tcp, SOCKET, option)),
    [1, 6, 2, 0],
  );
  for (const [level, option] of [
    [SOCKET, 2],
    [SOCKET, 9],
    [SOCKET, 15],
    [TCP, 1],
  ] as const) {
    assert.equal(get(tcp, level, option), 0);
    assert.equal(set(tcp, level, option, 5), 0);
    assert.equal(get(tcp, level, option), 1);
  }
  assert.equal(set(tcp, TCP, 4, 300), 0);
  guest.restore();
  assert.equal(get(tcp, TCP, 4), 300);
  assert.equal(set(tcp, TCP, 4, 0), E.EINVAL);
  assert.equal(set(tcp, SOCKET, 8, 10_000), 0);
  assert.equal(get(tcp, SOCKET, 8), 20_000, 'Linux doubles it');
  assert.equal(get(tcp, TCP, 11), E.ENOPROTOOPT, 'TCP_INFO');
  assert.equal(set(tcp, SOCKET, 999, 1), E.ENOPROTOOPT);
  assert.equal(set(tcp, SOCKET, 4, 1), E.ENOPROTOOPT, 'SO_ERROR is read only');
  assert.equal(set(tcp, IPV6, 26, 1), E.ENOPROTOOPT, 'no IPv6 socket');
  const six = guest.call('socket', INET6, STREAM, 0);
  assert.equal(set(six, IPV6, 26, 1), 0);
  assert.equal(get(six, IPV6, 26), 1);
  assert.equal(guest.call('getsockopt', 0, SOCKET, 3, 0, 0), E.ENOTSOCK);
  assert.equal(guest.call('getsockopt', 99, SOCKET, 3, 0, 0), E.EBADF);
});

test('ports: in use, shared by SO_REUSEPORT, dual-stack or apart by IPV6_V6ONLY', () => {
  const guest = new LibosGuest();
  const bind = (domain: number, options: readonly (readonly [number, number])[], port: number) => {
    const fd = guest.call('socket', domain, STREAM, 0);
    for (const [level, option] of options) {
      guest.call('setsockopt', fd, level, option, guest.sim.guest.u32s(1), 4);
    }
    const address = Buffer.alloc(domain === INET ? 16 : 28);
    address.writeUInt16LE(domain, 0);
    address.writeUInt16BE(port, 2);
    const failed = guest.call('bind', fd, guest.bytes(address), address.length);
    return failed < 0 ? failed : guest.call('listen', fd, 1);
  };
  const [REUSEADDR, REUSEPORT, V6ONLY] = [
    [SOCKET, 2],
    [SOCKET, 15],
    [IPV6, 26],
  ] as const;
  assert.equal(bind(INET, [], 80), 0);
  assert.equal(bind(INET, [], 80), E.EADDRINUSE);
  assert.equal(bind(INET, [REUSEADDR], 80), E.EADDRINUSE);
  assert.equal(bind(INET6, [], 80), E.EADDRINUSE, 'it would take IPv4 too');
  assert.equal(bind(INET6, [V6ONLY], 80), 0);
  assert.equal(bind(INET, [REUSEPORT], 81), 0);
  assert.equal(bind(INET, [REUSEPORT], 81), 0);
  assert.equal(bind(INET, [], 81), E.EADDRINUSE);
  guest.restore();
  assert.equal(bind(INET, [], 80), E.EADDRINUSE, 'also when restored');
});

test('an IPv6 listener takes IPv4 connections, and shows their mapped addresses', () => {
  const guest = new LibosGuest();
  const server = guest.call('socket', INET6, STREAM, 0);
  const any = Buffer.alloc(28);
  any.writeUInt16LE(INET6, 0);
  any.writeUInt16BE(8080, 2);
  guest.call('bind', server, guest.bytes(any), 28);
  guest.call('listen', server, 1);
  const client = guest.call('socket', INET, STREAM, 0);
  const address = guest.sim.guest.sockaddr4('127.0.0.1', 8080);
  assert.equal(guest.call('connect', client, address, 16), 0);
  const [at, size] = [guest.sim.guest.alloc(28), guest.sim.guest.u32s(28)];
  assert.ok(guest.call('accept', server, at, size) >= 0);
  const mapped = `${'0'.repeat(20)}ffff7f000001`;
  assert.equal(guest.sim.guest.peek(at + 8, 16).toString('hex'), mapped);
});

test('the loopback is the only interface', () => {
  const guest = new LibosGuest();
  const fd = guest.call('socket', INET, DGRAM, 0);
  const list = guest.sim.guest.alloc(80);
  const config = guest.sim.guest.words(80, list);
  assert.equal(guest.call('ioctl', fd, 0x8912, config), 0);
  assert.equal(guest.sim.guest.peekU32(config), 40);
  assert.equal(guest.peek(list, 3), 'lo\0');
  assert.equal(guest.call('ioctl', fd, 0x8913, list), 0);
  assert.equal(guest.sim.guest.peekU16(list + 16), 0x49);
  const eth = guest.bytes('eth0'.padEnd(40, '\0'));
  assert.equal(guest.call('ioctl', fd, 0x8913, eth), E.ENODEV);
  assert.equal(guest.call('ioctl', fd, 0x1234, eth), E.ENOTTY);
});
