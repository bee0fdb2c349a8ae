/**
 * Internet addresses: between guest sockaddr structures, the numeric text of the LVM API, and the
 * one form used inside: 32 hexadecimal digits of an IPv6 address, IPv4 as ::ffff:a.b.c.d. Pure
 * functions.
 */
import { E } from '../../abi/errno.ts';
import { AF, SOCKADDR } from '../../abi/net.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { StreamAddress } from '../../lvm/api.ts';

export interface Endpoint {
  /** 32 hexadecimal digits. */
  readonly ip: string;
  readonly port: number;
}

const MAPPED = `${'0'.repeat(20)}ffff`;
export const ANY_V6 = '0'.repeat(32);
export const ANY_V4 = `${MAPPED}00000000`;
export const LOOPBACK_V6 = `${'0'.repeat(31)}1`;
export const LOOPBACK_V4 = `${MAPPED}7f000001`;

export const isV4 = (ip: string): boolean => ip.startsWith(MAPPED);
export const isAny = (ip: string): boolean => ip === ANY_V6 || ip === ANY_V4;

/** One of the guest's own addresses: 127.0.0.0/8, ::1. */
export const isLoopback = (ip: string): boolean =>
  ip === LOOPBACK_V6 || ip.startsWith(`${MAPPED}7f`);

/** Connecting or sending to "any" means this machine. */
export function toOwn(endpoint: Endpoint): Endpoint {
  if (endpoint.ip === ANY_V4) return { ip: LOOPBACK_V4, port: endpoint.port };
  if (endpoint.ip === ANY_V6) return { ip: LOOPBACK_V6, port: endpoint.port };
  return endpoint;
}

/** Reads struct sockaddr_in or sockaddr_in6; -errno. */
export function decodeInet(bytes: Buffer, family: number): Endpoint | number {
  if (bytes.length < 2) return E.EINVAL;
  const isV6 = family === AF.inet6;
  if (bytes.length < (isV6 ? SOCKADDR.inet6BytesMin : SOCKADDR.inetBytes)) return E.EINVAL;
  if (bytes.readUInt16LE(SOCKADDR.family) !== family) return E.EAFNOSUPPORT;
  const port = bytes.readUInt16BE(SOCKADDR.port);
  if (isV6) {
    const at = SOCKADDR.inet6Address;
    return { ip: bytes.toString('hex', at, at + 16), port };
  }
  const at = SOCKADDR.inetAddress;
  return { ip: MAPPED + bytes.toString('hex', at, at + 4), port };
}

/** struct sockaddr_in or sockaddr_in6. An IPv4 socket never sees an address that is not IPv4. */
export function encodeInet(endpoint: Endpoint, family: number): Buffer {
  if (family === AF.inet6) {
    const bytes = Buffer.alloc(SOCKADDR.inet6Bytes);
    bytes.writeUInt16LE(family, SOCKADDR.family);
    bytes.writeUInt16BE(endpoint.port, SOCKADDR.port);
    bytes.write(endpoint.ip, SOCKADDR.inet6Address, 'hex');
    return bytes;
  }
  const bytes = Buffer.alloc(SOCKADDR.inetBytes);
  bytes.writeUInt16LE(family, SOCKADDR.family);
  bytes.writeUInt16BE(endpoint.port, SOCKADDR.port);
  const ip = isV4(endpoint.ip) ? endpoint.ip : ANY_V4;
  bytes.write(ip.slice(24), SOCKADDR.inetAddress, 'hex');
  return bytes;
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

function v4Digits(text: string): string | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  let digits = '';
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return null;
    digits += hex(Number(part), 2);
  }
  return digits;
}

/** The 32 digits of a numeric address (a zone after % is dropped), or null. */
export function parseIp(text: string): string | null {
  if (!text.includes(':')) {
    const digits = v4Digits(text);
    return digits === null ? null : MAPPED + digits;
  }
  const halves = text.replace(/%.*$/, '').split('::');
  if (halves.length > 2) return null;
  const sides: string[] = [];
  for (const half of halves) {
    let digits = '';
    for (const group of half === '' ? [] : half.split(':')) {
      const part = group.includes('.') ? v4Digits(group) : group;
      if (part === null || !/^[0-9a-fA-F]{1,8}$/.test(part)) return null;
      if (!group.includes('.') && part.length > 4) return null;
      digits += group.includes('.') ? part : part.padStart(4, '0');
    }
    sides.push(digits.toLowerCase());
  }
  const [left = '', right] = sides;
  if (right === undefined) return left.length === 32 ? left : null;
  const gap = 32 - left.length - right.length;
  return gap < 0 ? null : left + '0'.repeat(gap) + right;
}

/** What the LVM API tells of a stream's end; something unreadable becomes "any". */
export function fromStreamAddress(address: StreamAddress): Endpoint {
  const any = address.family === 4 ? ANY_V4 : ANY_V6;
  return { ip: parseIp(address.host) ?? any, port: address.port };
}

export function saveEndpoint(encoder: Encoder, endpoint: Endpoint | null): void {
  encoder.bool(endpoint !== null);
  if (endpoint !== null) encoder.string(endpoint.ip).u16(endpoint.port);
}

export function loadEndpoint(decoder: Decoder): Endpoint | null {
  return decoder.bool() ? { ip: decoder.string(), port: decoder.u16() } : null;
}
