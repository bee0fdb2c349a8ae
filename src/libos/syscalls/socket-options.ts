/**
 * setsockopt and getsockopt: level SOL_SOCKET for all sockets; other levels go to the socket's
 * family.
 */
import { E } from '../../abi/errno.ts';
import { SO, SOL_SOCKET, UCRED } from '../../abi/net.ts';
import type { Args } from '../args.ts';
import { BUFFER_BYTES_MAX, RECEIVE_BYTES_MIN, SEND_BYTES_MIN } from '../net/options.ts';
import type { Credentials, Socket } from '../net/socket.ts';
import type { Outcome } from '../outcome.ts';
import type { Task } from '../task.ts';
import { socketOf } from './socket-common.ts';

const VALUE_BYTES_MAX = 4096;
const TIMEVAL_BYTES = 16;
const LINGER_BYTES = 8;

/** Options without an effect here: kept as a flag, or as the number given. */
const KEPT_FLAGS: ReadonlySet<number> = new Set([
  SO.debug,
  SO.dontroute,
  SO.broadcast,
  SO.keepalive,
  SO.oobinline,
  SO.noCheck,
  SO.timestamp,
  SO.rxqOvfl,
  SO.passsec,
]);
const KEPT_NUMBERS: ReadonlySet<number> = new Set([
  SO.priority,
  SO.rcvlowat,
  SO.busyPoll,
  SO.incomingCpu,
  SO.mark,
]);
/** Level and value of numbers that are not 0 to begin with. */
const NUMBER_DEFAULTS: ReadonlyMap<number, number> = new Map([
  [SO.rcvlowat, 1],
  [SO.incomingCpu, 0],
]);

export function sysSetsockopt(task: Task, args: Args): Outcome {
  const socket = socketOf(task, args.int(0));
  if (typeof socket === 'number') return socket;
  const length = args.int(4);
  if (length < 0) return E.EINVAL;
  const level = args.int(1);
  const option = args.int(2);
  const bytes = task.memory.read(args.pointer(3), Math.min(length, VALUE_BYTES_MAX));
  if (level !== SOL_SOCKET) {
    // Some options of other levels take a single byte.
    const small = bytes.length >= 1 ? (bytes[0] ?? 0) : 0;
    const value = bytes.length >= 4 ? bytes.readInt32LE(0) : small;
    return socket.setProtocolOption(level, option, value, bytes);
  }
  if (bytes.length < 4) return E.EINVAL;
  const result = setSocketOption(socket, option, bytes.readInt32LE(0), bytes);
  if (result === 0) socket.touch();
  return result;
}

function setSocketOption(socket: Socket, option: number, value: number, bytes: Buffer): number {
  const { options } = socket;
  switch (option) {
    case SO.reuseaddr:
      options.reuseAddress = value !== 0;
      return 0;
    case SO.reuseport:
      options.reusePort = value !== 0;
      return 0;
    case SO.passcred:
      options.passCredentials = value !== 0;
      return 0;
    case SO.sndbuf:
    case SO.sndbufforce:
      options.sendBytes = Math.max(Math.min(value >>> 0, BUFFER_BYTES_MAX / 2) * 2, SEND_BYTES_MIN);
      return 0;
    case SO.rcvbuf:
    case SO.rcvbufforce: {
      const doubled = Math.min(value >>> 0, BUFFER_BYTES_MAX / 2) * 2;
      options.receiveBytes = Math.max(doubled, RECEIVE_BYTES_MIN);
      return 0;
    }
    case SO.linger:
      if (bytes.length < LINGER_BYTES) return E.EINVAL;
      options.lingerSeconds = value === 0 ? null : Math.max(0, bytes.readInt32LE(4));
      return 0;
    case SO.rcvtimeo:
    case SO.sndtimeo:
      return setTimeLimit(socket, option, bytes);
    case SO.detachFilter:
      return E.ENOENT;
    case SO.type:
    case SO.error:
    case SO.domain:
    case SO.protocol:
    case SO.acceptconn:
      return E.ENOPROTOOPT;
    default:
      if (KEPT_FLAGS.has(option)) options.setNumber(SOL_SOCKET, option, value === 0 ? 0 : 1);
      else if (KEPT_NUMBERS.has(option)) options.setNumber(SOL_SOCKET, option, value >>> 0);
      else return E.ENOPROTOOPT;
      return 0;
  }
}

function setTimeLimit(socket: Socket, option: number, bytes: Buffer): number {
  if (bytes.length < TIMEVAL_BYTES) return E.EINVAL;
  const seconds = Number(bytes.readBigInt64LE(0));
  const micros = Number(bytes.readBigInt64LE(8));
  if (micros < 0 || micros >= 1_000_000) return E.EDOM;
  // A negative time means not to wait at all, 0 to wait for ever.
  let timeoutNs = seconds < 0 ? 0 : seconds * 1e9 + micros * 1000;
  if (seconds === 0 && micros === 0) timeoutNs = Infinity;
  if (option === SO.rcvtimeo) socket.options.receiveTimeoutNs = timeoutNs;
  else socket.options.sendTimeoutNs = timeoutNs;
  return 0;
}

export function sysGetsockopt(task: Task, args: Args): Outcome {
  const socket = socketOf(task, args.int(0));
  if (typeof socket === 'number') return socket;
  const level = args.int(1);
  const option = args.int(2);
  const room = task.memory.readI32(args.pointer(4));
  if (room < 0) return E.EINVAL;
  const isOwn = level === SOL_SOCKET;
  const value = isOwn ? socketOption(socket, option) : socket.getProtocolOption(level, option);
  if (typeof value === 'number' && value < 0) return value;
  const bytes = typeof value === 'number' ? int(value) : value;
  const count = Math.min(room, bytes.length);
  task.memory.write(args.pointer(3), bytes.subarray(0, count));
  task.memory.writeU32(args.pointer(4), count);
  return 0;
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value | 0);
  return bytes;
}

function socketOption(socket: Socket, option: number): number | Buffer {
  const { options } = socket;
  switch (option) {
    case SO.type:
      return socket.type;
    case SO.domain:
      return socket.domain;
    case SO.protocol:
      return socket.protocol;
    case SO.error:
      return socket.takeError();
    case SO.acceptconn:
      return socket.isListening ? 1 : 0;
    case SO.reuseaddr:
      return options.reuseAddress ? 1 : 0;
    case SO.reuseport:
      return options.reusePort ? 1 : 0;
    case SO.passcred:
      return options.passCredentials ? 1 : 0;
    case SO.sndbuf:
      return options.sendBytes;
    case SO.rcvbuf:
      return options.receiveBytes;
    case SO.linger:
      return Buffer.concat([
        int(options.lingerSeconds === null ? 0 : 1),
        int(options.lingerSeconds ?? 0),
      ]);
    case SO.rcvtimeo:
      return timeval(options.receiveTimeoutNs);
    case SO.sndtimeo:
      return timeval(options.sendTimeoutNs);
    case SO.peercred:
      return ucred(socket.peerCredentials);
    case SO.sndlowat:
      return 1;
    default:
      if (!KEPT_FLAGS.has(option) && !KEPT_NUMBERS.has(option)) return E.ENOPROTOOPT;
      return options.number(SOL_SOCKET, option) ?? NUMBER_DEFAULTS.get(option) ?? 0;
  }
}

function timeval(timeoutNs: number): Buffer {
  const bytes = Buffer.alloc(TIMEVAL_BYTES);
  if (timeoutNs === Infinity) return bytes;
  const seconds = Math.floor(timeoutNs / 1e9);
  bytes.writeBigInt64LE(BigInt(seconds), 0);
  bytes.writeBigInt64LE(BigInt(Math.floor((timeoutNs - seconds * 1e9) / 1000)), 8);
  return bytes;
}

/** Nobody at the other end: 0 and -1, as Linux shows it. */
function ucred(credentials: Credentials | null): Buffer {
  const bytes = Buffer.alloc(UCRED.sizeBytes);
  bytes.writeUInt32LE(credentials?.pid ?? 0, UCRED.pid);
  bytes.writeUInt32LE(credentials?.uid ?? 0xffff_ffff, UCRED.uid);
  bytes.writeUInt32LE(credentials?.gid ?? 0xffff_ffff, UCRED.gid);
  return bytes;
}
