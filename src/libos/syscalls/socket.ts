/**
 * Socket calls but those that move data (socket-send.ts, socket-receive.ts): making, naming,
 * connecting, accepting. Thin: the sockets of net/ decide. Makes the rows of all socket calls.
 */
import { E } from '../../abi/errno.ts';
import { O } from '../../abi/event.ts';
import { AF, SHUT, SOCK } from '../../abi/net.ts';
import type { Args } from '../args.ts';
import { UnixDatagramSocket } from '../net/unix-datagram.ts';
import { UnixStreamSocket } from '../net/unix-stream.ts';
import type { Outcome } from '../outcome.ts';
import { full, partial, type Row } from '../table-row.ts';
import type { Task } from '../task.ts';
import {
  install,
  installPair,
  isNonblocking,
  readAddress,
  socketOf,
  writeAddress,
} from './socket-common.ts';
import { sysGetsockopt, sysSetsockopt } from './socket-options.ts';
import { sysRecvfrom, sysRecvmmsg, sysRecvmsg } from './socket-receive.ts';
import { sysSendmmsg, sysSendmsg, sysSendto } from './socket-send.ts';

const TYPE_FLAGS = SOCK.nonblock | SOCK.cloexec;

function sysSocket(task: Task, args: Args): Outcome {
  const type = args.uint(1);
  if ((type & ~(SOCK.typeMask | TYPE_FLAGS)) !== 0) return E.EINVAL;
  const made = task.kernel.net.create(args.int(0), type & SOCK.typeMask, args.int(2));
  if (typeof made === 'number') return made;
  made.setFlags(O.rdwr | (type & SOCK.nonblock));
  return install(task, made, (type & SOCK.cloexec) !== 0);
}

function sysSocketpair(task: Task, args: Args): Outcome {
  const type = args.uint(1);
  if ((type & ~(SOCK.typeMask | TYPE_FLAGS)) !== 0) return E.EINVAL;
  if (args.int(0) !== AF.unix) {
    const isKnown = args.int(0) === AF.inet || args.int(0) === AF.inet6;
    return isKnown ? E.EOPNOTSUPP : E.EAFNOSUPPORT;
  }
  if (args.int(2) !== 0 && args.int(2) !== AF.unix) return E.EPROTONOSUPPORT;
  const { net } = task.kernel;
  const one = net.createUnix(type & SOCK.typeMask);
  const other = net.createUnix(type & SOCK.typeMask);
  if (typeof one === 'number' || typeof other === 'number') return E.ESOCKTNOSUPPORT;
  if (one instanceof UnixStreamSocket && other instanceof UnixStreamSocket) {
    one.pairWith(other, task);
  } else if (one instanceof UnixDatagramSocket && other instanceof UnixDatagramSocket) {
    one.pairWith(other);
  }
  for (const socket of [one, other]) socket.setFlags(O.rdwr | (type & SOCK.nonblock));
  return installPair(task, one, other, (type & SOCK.cloexec) !== 0, args.pointer(3));
}

function sysBind(task: Task, args: Args): Outcome {
  const socket = socketOf(task, args.int(0));
  if (typeof socket === 'number') return socket;
  const address = readAddress(task, args.pointer(1), args.int(2));
  return typeof address === 'number' ? address : socket.bind(address, task);
}

function sysListen(task: Task, args: Args): Outcome {
  const socket = socketOf(task, args.int(0));
  return typeof socket === 'number' ? socket : socket.listen(args.int(1), task);
}

function sysConnect(task: Task, args: Args): Outcome {
  const socket = socketOf(task, args.int(0));
  if (typeof socket === 'number') return socket;
  const address = readAddress(task, args.pointer(1), args.int(2));
  if (typeof address === 'number') return address;
  let result = socket.connect(address, task);
  if (isNonblocking(socket)) return result;
  // Inside the guest most connections are there at once: ask how it went.
  if (result === E.EINPROGRESS) result = socket.connect(address, task);
  if (result !== E.EALREADY && result !== E.EAGAIN) return result;
  const { sendTimeoutNs } = socket.options;
  if (sendTimeoutNs !== Infinity) {
    task.deadline(sendTimeoutNs);
    if (task.isTimedOut) return result === E.EAGAIN ? E.EAGAIN : E.EINPROGRESS;
  }
  return task.waitOn(socket.connectQueue);
}

function accept(task: Task, args: Args, flags: number): Outcome {
  if ((flags & ~TYPE_FLAGS) !== 0) return E.EINVAL;
  const socket = socketOf(task, args.int(0));
  if (typeof socket === 'number') return socket;
  const accepted = socket.accept(flags & SOCK.nonblock);
  if (typeof accepted === 'number') {
    if (accepted !== E.EAGAIN || isNonblocking(socket)) return accepted;
    const { receiveTimeoutNs } = socket.options;
    if (receiveTimeoutNs !== Infinity) {
      task.deadline(receiveTimeoutNs);
      if (task.isTimedOut) return E.EAGAIN;
    }
    return task.waitOn(socket.queue);
  }
  const peer = accepted.peerAddress();
  const fd = install(task, accepted, (flags & SOCK.cloexec) !== 0);
  if (fd < 0 || args.pointer(1) === 0 || typeof peer === 'number') return fd;
  const failed = writeAddress(task, peer, args.pointer(1), args.pointer(2));
  if (failed === 0) return fd;
  task.files.close(fd);
  return failed;
}

const sysAccept = (task: Task, args: Args): Outcome => accept(task, args, 0);
const sysAccept4 = (task: Task, args: Args): Outcome => accept(task, args, args.uint(3));

function sysGetsockname(task: Task, args: Args): Outcome {
  const socket = socketOf(task, args.int(0));
  if (typeof socket === 'number') return socket;
  return writeAddress(task, socket.localAddress(), args.pointer(1), args.pointer(2));
}

function sysGetpeername(task: Task, args: Args): Outcome {
  const socket = socketOf(task, args.int(0));
  if (typeof socket === 'number') return socket;
  const peer = socket.peerAddress();
  if (typeof peer === 'number') return peer;
  return writeAddress(task, peer, args.pointer(1), args.pointer(2));
}

function sysShutdown(task: Task, args: Args): Outcome {
  const socket = socketOf(task, args.int(0));
  if (typeof socket === 'number') return socket;
  const how = args.int(1);
  if (how < SHUT.rd || how > SHUT.rdwr) return E.EINVAL;
  return socket.shutdown(how);
}

const OUTSIDE = 'TCP and UDP reach published ports and the loopback of the guest only';
const MESSAGES =
  'control messages SCM_RIGHTS and SCM_CREDENTIALS only; no MSG_OOB, no MSG_ERRQUEUE';

export const socketRows: readonly Row[] = [
  partial(
    'socket',
    sysSocket,
    'AF_UNIX, and TCP and UDP of AF_INET and AF_INET6; no raw, netlink or packet sockets',
  ),
  full('socketpair', sysSocketpair),
  full('bind', sysBind),
  full('listen', sysListen),
  partial('connect', sysConnect, OUTSIDE),
  full('accept', sysAccept),
  full('accept4', sysAccept4),
  full('getsockname', sysGetsockname),
  full('getpeername', sysGetpeername),
  full('shutdown', sysShutdown),
  partial('setsockopt', sysSetsockopt, 'options of the network below are remembered only'),
  partial('getsockopt', sysGetsockopt, 'no TCP_INFO'),
  partial('sendto', sysSendto, OUTSIDE),
  partial('sendmsg', sysSendmsg, MESSAGES),
  partial('sendmmsg', sysSendmmsg, MESSAGES),
  partial('recvfrom', sysRecvfrom, 'no MSG_OOB, no MSG_ERRQUEUE; MSG_PEEK does not wait for all'),
  partial('recvmsg', sysRecvmsg, MESSAGES),
  partial('recvmmsg', sysRecvmmsg, MESSAGES),
];
