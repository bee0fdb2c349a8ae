/**
 * Options of levels IPPROTO_TCP, IPPROTO_IP and IPPROTO_IPV6 of TCP sockets. Most tune a network
 * that is the host's, so they are checked and remembered, as programs read them back, and change
 * nothing.
 */
import { E } from '../../abi/errno.ts';
import { IP, IPPROTO, IPV6, TCP } from '../../abi/net.ts';
import type { Socket } from './socket.ts';

const DEFAULTS: ReadonlyMap<number, number> = new Map([
  [TCP.nodelay, 0],
  [TCP.maxseg, 536],
  [TCP.cork, 0],
  [TCP.keepidle, 7200],
  [TCP.keepintvl, 75],
  [TCP.keepcnt, 9],
  [TCP.syncnt, 6],
  [TCP.linger2, 60],
  [TCP.deferAccept, 0],
  [TCP.windowClamp, 0],
  [TCP.quickack, 1],
  [TCP.userTimeout, 0],
  [TCP.fastopen, 0],
  [TCP.notsentLowat, 0],
]);

/** Lowest and highest value that Linux takes. */
const RANGES: ReadonlyMap<number, readonly [number, number]> = new Map([
  [TCP.maxseg, [88, 32_767]],
  [TCP.keepidle, [1, 32_767]],
  [TCP.keepintvl, [1, 32_767]],
  [TCP.keepcnt, [1, 127]],
  [TCP.syncnt, [1, 127]],
  [TCP.userTimeout, [0, 0x7fff_ffff]],
]);

const FLAGS: ReadonlySet<number> = new Set([TCP.nodelay, TCP.cork]);

const IP_DEFAULTS: ReadonlyMap<number, number> = new Map([
  [IP.tos, 0],
  [IP.ttl, 64],
  [IP.recverr, 0],
  [IP.mtuDiscover, 1],
  [IP.pktinfo, 0],
  [IP.recvtos, 0],
  [IP.freebind, 0],
  [IP.bindAddressNoPort, 0],
  [IP.multicastTtl, 1],
  [IP.multicastLoop, 1],
]);

const IPV6_DEFAULTS: ReadonlyMap<number, number> = new Map([
  [IPV6.unicastHops, 64],
  [IPV6.multicastHops, 1],
  [IPV6.multicastLoop, 1],
  [IPV6.mtuDiscover, 1],
  [IPV6.recverr, 0],
  [IPV6.recvpktinfo, 0],
  [IPV6.tclass, 0],
]);

const CONGESTION = 'cubic';

/** Levels that UDP has too. */
export function setIpOption(socket: Socket, level: number, option: number, value: number): number {
  const known = level === IPPROTO.ip ? IP_DEFAULTS : IPV6_DEFAULTS;
  if (level !== IPPROTO.ip && level !== IPPROTO.ipv6) return E.ENOPROTOOPT;
  if (!known.has(option)) return E.ENOPROTOOPT;
  socket.options.setNumber(level, option, value);
  socket.touch();
  return 0;
}

export function getIpOption(socket: Socket, level: number, option: number): number {
  if (level !== IPPROTO.ip && level !== IPPROTO.ipv6) return E.ENOPROTOOPT;
  const known = level === IPPROTO.ip ? IP_DEFAULTS : IPV6_DEFAULTS;
  const standard = known.get(option);
  return standard === undefined
    ? E.ENOPROTOOPT
    : (socket.options.number(level, option) ?? standard);
}

export function setTcpOption(
  socket: Socket,
  level: number,
  option: number,
  value: number,
  raw: Buffer,
): number {
  if (level !== IPPROTO.tcp) return setIpOption(socket, level, option, value);
  if (option === TCP.congestion) {
    const name = raw.toString('latin1').replace(/\0.*$/s, '');
    return name === CONGESTION ? 0 : E.ENOENT;
  }
  if (!DEFAULTS.has(option)) return E.ENOPROTOOPT;
  const range = RANGES.get(option);
  if (range !== undefined && (value < range[0] || value > range[1])) return E.EINVAL;
  const kept = FLAGS.has(option) && value !== 0 ? 1 : value;
  socket.options.setNumber(level, option, kept);
  socket.touch();
  return 0;
}

export function getTcpOption(socket: Socket, level: number, option: number): number | Buffer {
  if (level !== IPPROTO.tcp) return getIpOption(socket, level, option);
  if (option === TCP.congestion) return Buffer.from(CONGESTION.padEnd(16, '\0'), 'latin1');
  const standard = DEFAULTS.get(option);
  if (standard === undefined) return E.ENOPROTOOPT;
  return socket.options.number(level, option) ?? standard;
}
