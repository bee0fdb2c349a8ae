/** Tests of the listening sockets: real ones on loopback. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { TardigradeError } from '../base/errors.ts';
import { closePorts, ipv6Bytes, openPort, openPorts, sockaddr } from './listen.ts';

const loopback = { address: '127.0.0.1', port: 0, guestPort: 80 };

const connected = (port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', reject);
  });

test('addresses are encoded as the kernel takes them', () => {
  assert.equal(sockaddr('1.2.3.4', 258).toString('hex'), '0200010201020304'.padEnd(32, '0'));
  assert.equal(sockaddr('::1', 80).length, 28);
  assert.equal(ipv6Bytes('::').toString('hex'), '0'.repeat(32));
  assert.equal(ipv6Bytes('::1').toString('hex'), '1'.padStart(32, '0'));
  assert.equal(ipv6Bytes('2001:db8::a:b').toString('hex'), '20010db80000000000000000000a000b');
  assert.equal(ipv6Bytes('1:2:3:4:5:6:7:8').toString('hex'), '00010002000300040005000600070008');
  assert.equal(ipv6Bytes('::ffff:1.2.3.4').toString('hex'), 'ffff01020304'.padStart(32, '0'));
});

test('a connection waits in the backlog: nobody here accepts it', async () => {
  const port = openPort(loopback);
  assert.ok(port.port > 0);
  const client = await connected(port.port);
  let isAnswered = false;
  client.on('data', () => {
    isAnswered = true;
  });
  let isClosed = false;
  client.on('close', () => {
    isClosed = true;
  });
  client.write('hello');
  await delay(50);
  assert.deepEqual([isAnswered, isClosed], [false, false]);
  client.destroy();
  closePorts([port]);
  await assert.rejects(connected(port.port), /ECONNREFUSED/);
});

test('ports that can not be opened are named with the reason, and none stays open', async () => {
  const taken = openPort(loopback);
  const other = openPort(loopback);
  closePorts([other]);
  const isPortError = (pattern: RegExp) => (error: unknown) =>
    error instanceof TardigradeError && error.code === 'port' && pattern.test(error.line);
  assert.throws(
    () => openPorts([other, { ...loopback, port: taken.port }]),
    isPortError(/127\.0\.0\.1:\d+ is in use by another program; /),
  );
  await assert.rejects(connected(other.port), /ECONNREFUSED/);
  assert.throws(
    () => openPort({ ...loopback, address: '192.0.2.1' }),
    isPortError(/192\.0\.2\.1 is not an address of this machine; /),
  );
  closePorts([taken]);
});
