/**
 * Opens the listening sockets of published ports. The supervisor holds them and never accepts: each
 * replica gets the same sockets, and the primary accepts. So a connection that comes between two
 * primaries waits in the backlog. Raw sockets, as node's own server would accept by itself.
 */
import { closeSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { endianness } from 'node:os';
import { E } from '../abi/errno.ts';
import { AF, SO, SOCK, SOL_SOCKET } from '../abi/net.ts';
import { assert } from '../base/assert.ts';
import { TardigradeError } from '../base/errors.ts';
import * as native from '../ffi/native.ts';
import { formatEndpoint, type PublishSpec } from './publish.ts';

/** What Linux would cut a greater one to on older kernels is 128; programs ask for this. */
const BACKLOG = 511;
const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;

/** A listening socket in this process. */
export interface OpenPort extends PublishSpec {
  readonly fd: number;
}

/** struct sockaddr_in or sockaddr_in6. `address` is numeric. */
export function sockaddr(address: string, port: number): Buffer {
  const bytes = Buffer.alloc(isIPv6(address) ? SOCKADDR_IN6_BYTES : SOCKADDR_IN_BYTES);
  assert(endianness() === 'LE', 'sa_family is in the order of the machine');
  bytes.writeUInt16LE(isIPv6(address) ? AF.inet6 : AF.inet, 0);
  bytes.writeUInt16BE(port, 2);
  if (isIPv6(address)) ipv6Bytes(address).copy(bytes, 8);
  else Buffer.from(address.split('.').map(Number)).copy(bytes, 4);
  return bytes;
}

/** The 16 bytes of an IPv6 address, which `isIPv6` has accepted. */
export function ipv6Bytes(address: string): Buffer {
  const bytes = Buffer.alloc(16);
  // The URL parser writes it in hexadecimal groups, a trailing IPv4 part included.
  const plain = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail] = plain.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  groups(head).forEach((group, index) => {
    bytes.writeUInt16BE(group, 2 * index);
  });
  if (tail !== undefined) {
    const last = groups(tail);
    last.forEach((group, index) => {
      bytes.writeUInt16BE(group, 16 - 2 * (last.length - index));
    });
  }
  return bytes;
}

function portError(spec: PublishSpec, errno: number): TardigradeError {
  const where = formatEndpoint(spec.address, spec.port);
  switch (errno) {
    case E.EADDRINUSE:
      return new TardigradeError(
        'port',
        `${where} is in use by another program`,
        `stop that one (ss -ltnp shows it), or publish another port`,
      );
    case E.EACCES:
      return new TardigradeError(
        'port',
        `${where} needs a privilege that this user does not have`,
        'publish a port above 1023',
      );
    case E.EADDRNOTAVAIL:
      return new TardigradeError(
        'port',
        `${spec.address} is not an address of this machine`,
        'publish on an address that `ip address` shows',
      );
    case E.EAFNOSUPPORT:
      return new TardigradeError(
        'port',
        `this machine has no ${isIPv6(spec.address) ? 'IPv6' : 'IPv4'}`,
        'publish on an address of the other family',
      );
    default:
      return new TardigradeError(
        'port',
        `${where} can't be opened (errno ${-errno})`,
        'see errno(3)',
      );
  }
}

/** Opens one; throws a port error that says why it can't be. */
export function openPort(spec: PublishSpec): OpenPort {
  const family = isIPv6(spec.address) ? AF.inet6 : AF.inet;
  const fd = native.socket(family, SOCK.stream | SOCK.nonblock | SOCK.cloexec, 0);
  if (fd < 0) throw portError(spec, fd);
  try {
    const on = Buffer.alloc(4);
    on.writeInt32LE(1);
    const steps = [
      () => native.setsockopt(fd, SOL_SOCKET, SO.reuseaddr, on),
      () => native.bind(fd, sockaddr(spec.address, spec.port)),
      () => native.listen(fd, BACKLOG),
    ];
    for (const step of steps) {
      const result = step();
      if (result < 0) throw portError(spec, result);
    }
    return { ...spec, port: boundPort(spec, fd), fd };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function boundPort(spec: PublishSpec, fd: number): number {
  const name = Buffer.alloc(SOCKADDR_IN6_BYTES);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(name.length);
  const result = native.getsockname(fd, name, size);
  if (result < 0) throw portError(spec, result);
  return name.readUInt16BE(2);
}

/** Opens all or none. */
export function openPorts(specs: readonly PublishSpec[]): readonly OpenPort[] {
  const ports: OpenPort[] = [];
  try {
    for (const spec of specs) ports.push(openPort(spec));
    return ports;
  } catch (error) {
    closePorts(ports);
    throw error;
  }
}

export function closePorts(ports: readonly OpenPort[]): void {
  for (const { fd } of ports) closeSync(fd);
}
