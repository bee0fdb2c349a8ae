/**
 * recvfrom, recvmsg, recvmmsg. With MSG_WAITALL, and for the messages of recvmmsg, what the guest
 * has already got is the call's progress, which outlives blocking, a checkpoint and a takeover.
 */
import { E } from '../../abi/errno.ts';
import { AF, IOVEC, MMSGHDR, MSG, SCM, UCRED } from '../../abi/net.ts';
import { type GuestAddress, guestAddress } from '../../base/ids.ts';
import type { Args } from '../args.ts';
import { GuestFault } from '../memory.ts';
import type { Received, Socket } from '../net/socket.ts';
import type { Outcome } from '../outcome.ts';
import type { Task } from '../task.ts';
import { readTimespec } from '../time/clocks.ts';
import { ControlWriter, type MessageHeader, readHeader, writeHeader } from './message-header.ts';
import { isNonblocking, socketOf, writeAddress } from './socket-common.ts';
import { Vectors } from './vectors.ts';

const isWaiting = (socket: Socket, flags: number): boolean =>
  !isNonblocking(socket) && (flags & MSG.dontwait) === 0;

/** Nothing there now: to wait, or the result after `done` bytes or messages. */
function waitForMore(task: Task, socket: Socket, done: number): Outcome {
  const { receiveTimeoutNs } = socket.options;
  if (receiveTimeoutNs !== Infinity) {
    task.deadline(receiveTimeoutNs);
    if (task.isTimedOut) return done > 0 ? done : E.EAGAIN;
  }
  if (done !== task.progress) task.progress = done;
  return task.waitOn(socket.queue);
}

/** Puts received bytes where they belong; a fault gives back what came along. */
function deliver(vectors: Vectors, offset: number, received: Received): void {
  try {
    vectors.scatter(offset, received.bytes);
  } catch (error) {
    if (error instanceof GuestFault) for (const file of received.files) file.release();
    throw error;
  }
}

/** Receives bytes into `vectors`. Given `last`, it is told what came beside them. */
function receive(
  task: Task,
  socket: Socket,
  vectors: Vectors,
  flags: number,
  last: (received: Received) => void,
): Outcome {
  const isPatient = isWaiting(socket, flags);
  const isAll = (flags & MSG.waitall) !== 0 && socket.isStream && (flags & MSG.peek) === 0;
  // TCP throws away what MSG_TRUNC asks for.
  const isThrown = (flags & MSG.trunc) !== 0 && socket.isStream && socket.domain !== AF.unix;
  let done = isAll ? task.progress : 0;
  for (;;) {
    const received = socket.receive(vectors.total - done, flags, task);
    if (typeof received === 'number') {
      if (received === E.EAGAIN && isPatient) return waitForMore(task, socket, done);
      if (done === 0) return received;
      // TCP keeps an error for the next call when this one has bytes to give.
      if (received !== E.EAGAIN && socket.domain !== AF.unix) {
        socket.pendingError = received;
        socket.touch();
      }
      return done;
    }
    if (!isThrown) deliver(vectors, done, received);
    done += received.bytes.length;
    const isEnd = received.bytes.length === 0 || received.files.length > 0;
    if (isAll && done < vectors.total && !isEnd) continue;
    last(received);
    const isWhole = (flags & MSG.trunc) !== 0 && !socket.isStream;
    return isWhole ? received.wholeBytes : done;
  }
}

export function sysRecvfrom(task: Task, args: Args): Outcome {
  const socket = socketOf(task, args.int(0));
  if (typeof socket === 'number') return socket;
  const vectors = Vectors.single(task.memory, args.pointer(1), args.size(2));
  let address: Buffer | null = null;
  const count = receive(task, socket, vectors, args.uint(3), (received) => {
    address = received.address;
    for (const file of received.files) file.release();
  });
  if (typeof count !== 'number' || count < 0 || args.pointer(4) === 0) return count;
  const name = address ?? Buffer.alloc(0);
  const failed = writeAddress(task, name, args.pointer(4), args.pointer(5));
  return failed < 0 ? failed : count;
}

/** Installs received descriptors, as many as the guest has room for, and tells their numbers. */
function takeFiles(task: Task, received: Received, control: ControlWriter, flags: number): void {
  const room = Math.floor(control.dataRoom / 4);
  const numbers: number[] = [];
  for (const file of received.files) {
    if (numbers.length < room) {
      const fd = task.files.add(file, (flags & MSG.cmsgCloexec) !== 0);
      if (fd >= 0) numbers.push(fd);
      else control.isTruncated = true;
    } else control.isTruncated = true;
    file.release();
  }
  if (numbers.length === 0) return;
  const bytes = Buffer.alloc(numbers.length * 4);
  for (const [index, fd] of numbers.entries()) bytes.writeInt32LE(fd, index * 4);
  control.add(SCM.rights, bytes);
}

function credentialsBytes(received: Received): Buffer {
  const bytes = Buffer.alloc(UCRED.sizeBytes);
  const { credentials } = received;
  // The overflow ids stand for "unknown".
  bytes.writeUInt32LE(credentials?.pid ?? 0, UCRED.pid);
  bytes.writeUInt32LE(credentials?.uid ?? 65_534, UCRED.uid);
  bytes.writeUInt32LE(credentials?.gid ?? 65_534, UCRED.gid);
  return bytes;
}

function finishMessage(
  task: Task,
  socket: Socket,
  header: MessageHeader,
  received: Received,
  flags: number,
): void {
  const control = new ControlWriter(header);
  if (socket.options.passCredentials) control.add(SCM.credentials, credentialsBytes(received));
  if (received.files.length > 0) takeFiles(task, received, control, flags);
  let shown = flags & MSG.cmsgCloexec;
  if (control.isTruncated) shown |= MSG.ctrunc;
  if (!socket.isStream && received.wholeBytes > received.bytes.length) shown |= MSG.trunc;
  writeHeader(task, header, received.address, control.bytes, shown);
}

function receiveMessage(task: Task, socket: Socket, address: GuestAddress, flags: number): Outcome {
  const header = readHeader(task, address);
  if (typeof header === 'number') return header;
  return receive(task, socket, header.vectors, flags, (received) =>
    finishMessage(task, socket, header, received, flags),
  );
}

export function sysRecvmsg(task: Task, args: Args): Outcome {
  const socket = socketOf(task, args.int(0));
  if (typeof socket === 'number') return socket;
  return receiveMessage(task, socket, args.pointer(1), args.uint(2));
}

export function sysRecvmmsg(task: Task, args: Args): Outcome {
  const socket = socketOf(task, args.int(0));
  if (typeof socket === 'number') return socket;
  if (args.pointer(4) !== 0) {
    const timeoutNs = readTimespec(task.memory, args.pointer(4));
    if (timeoutNs === null) return E.EINVAL;
    task.deadline(timeoutNs);
  }
  const count = Math.min(args.uint(2), IOVEC.countMax);
  const flags = args.uint(3) & ~(MSG.waitforone | MSG.waitall);
  let done = task.progress;
  while (done < count) {
    const address = guestAddress(args.pointer(1) + done * MMSGHDR.sizeBytes);
    const got = receiveMessage(task, socket, address, flags | MSG.dontwait);
    if (typeof got !== 'number') return got;
    if (got < 0) {
      const isEnough = done > 0 && (args.uint(3) & MSG.waitforone) !== 0;
      const mustWait = got === E.EAGAIN && isWaiting(socket, flags) && !isEnough;
      if (mustWait && !task.isTimedOut) return waitForMore(task, socket, done);
      return done > 0 ? done : got;
    }
    task.memory.writeU32(guestAddress(address + MMSGHDR.length), got);
    done += 1;
  }
  return done;
}
