/**
 * sendto, sendmsg, sendmmsg. A blocking send of a stream goes on until all is sent; how far it
 * got is the call's progress, which outlives blocking, a checkpoint and a takeover.
 */
import { E } from '../../abi/errno.ts';
import { AF, IOVEC, MMSGHDR, MSG } from '../../abi/net.ts';
import { type GuestAddress, guestAddress } from '../../base/ids.ts';
import type { Args } from '../args.ts';
import { SCRATCH_BYTES } from '../ipc/scratch.ts';
import type { Outgoing, Socket } from '../net/socket.ts';
import type { Outcome } from '../outcome.ts';
import type { Task } from '../task.ts';
import { NO_CONTROL, readControl, readHeader, readName } from './message-header.ts';
import { isNonblocking, readAddress, socketOf } from './socket-common.ts';
import { Vectors } from './vectors.ts';

/** What the pieces after the first are sent with: no second signal, no second descriptors. */
function continued(message: Outgoing): Outgoing {
  return { ...message, flags: message.flags | MSG.nosignal, files: [] };
}

/** Sends all that `vectors` hold from the call's progress on, as far as it goes now. */
function send(task: Task, socket: Socket, vectors: Vectors, message: Outgoing): Outcome {
  if (!socket.isStream) return sendDatagram(task, socket, vectors, message);
  const { scratch } = task.kernel.net;
  let done = task.progress;
  for (;;) {
    const piece = scratch.take(vectors.total - done);
    vectors.gather(done, piece);
    const sent = socket.send(piece, done === 0 ? message : continued(message), task);
    if (sent < 0) return stopped(task, socket, message.flags, sent, done);
    done += sent;
    if (done === vectors.total) return done;
  }
}

function sendDatagram(task: Task, socket: Socket, vectors: Vectors, message: Outgoing): Outcome {
  if (vectors.total > SCRATCH_BYTES) return E.EMSGSIZE;
  const data = task.kernel.net.scratch.take(vectors.total);
  vectors.gather(0, data);
  const sent = socket.send(data, message, task);
  return sent < 0 ? stopped(task, socket, message.flags, sent, 0) : sent;
}

/** Sending stopped with an error after `done` bytes: the result, or to wait for room. */
function stopped(task: Task, socket: Socket, flags: number, error: number, done: number): Outcome {
  const isFinal = isNonblocking(socket) || (flags & MSG.dontwait) !== 0;
  if (error !== E.EAGAIN || isFinal) return done > 0 ? done : error;
  const { sendTimeoutNs } = socket.options;
  if (sendTimeoutNs !== Infinity) {
    task.deadline(sendTimeoutNs);
    if (task.isTimedOut) return done > 0 ? done : error;
  }
  if (done !== task.progress) task.progress = done;
  return task.waitOn(socket.queue);
}

export function sysSendto(task: Task, args: Args): Outcome {
  const socket = socketOf(task, args.int(0));
  if (typeof socket === 'number') return socket;
  let address: Buffer | null = null;
  if (args.pointer(4) !== 0) {
    const read = readAddress(task, args.pointer(4), args.int(5));
    if (typeof read === 'number') return read;
    address = read;
  }
  const vectors = Vectors.single(task.memory, args.pointer(1), args.size(2));
  return send(task, socket, vectors, {
    flags: args.uint(3),
    address,
    files: [],
    credentials: null,
  });
}

function sendMessage(task: Task, socket: Socket, address: GuestAddress, flags: number): Outcome {
  const header = readHeader(task, address);
  if (typeof header === 'number') return header;
  const early = socket.checkSend();
  if (early < 0) return early;
  // Only Unix sockets carry something beside the bytes; to others it means nothing.
  const control = socket.domain === AF.unix ? readControl(task, header) : NO_CONTROL;
  if (typeof control === 'number') return control;
  return send(task, socket, header.vectors, { flags, address: readName(task, header), ...control });
}

export function sysSendmsg(task: Task, args: Args): Outcome {
  const socket = socketOf(task, args.int(0));
  if (typeof socket === 'number') return socket;
  return sendMessage(task, socket, args.pointer(1), args.uint(2));
}

/** The first message may block; after that, what can't go now is left to the next call. */
export function sysSendmmsg(task: Task, args: Args): Outcome {
  const socket = socketOf(task, args.int(0));
  if (typeof socket === 'number') return socket;
  const count = Math.min(args.uint(2), IOVEC.countMax);
  for (let index = 0; index < count; index += 1) {
    const address = guestAddress(args.pointer(1) + index * MMSGHDR.sizeBytes);
    const flags = args.uint(3) | (index === 0 ? 0 : MSG.dontwait);
    const sent = sendMessage(task, socket, address, flags);
    if (typeof sent !== 'number') return sent;
    if (sent < 0) return index === 0 ? sent : index;
    task.memory.writeU32(guestAddress(address + MMSGHDR.length), sent);
    if (task.progress !== 0) task.progress = 0;
  }
  return count;
}
