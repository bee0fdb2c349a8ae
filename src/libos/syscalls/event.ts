/**
 * Rows of the calls that make and wait for events: pipes, eventfd, epoll, and by poll.ts poll and
 * select, by watch.ts inotify. Thin: the objects of ipc/ and fs/ decide.
 */
import { E } from '../../abi/errno.ts';
import { EFD, EPOLL, EPOLL_CTL, EPOLL_EVENT, O } from '../../abi/event.ts';
import type { Args } from '../args.ts';
import { Epoll } from '../ipc/epoll.ts';
import { EventFd } from '../ipc/eventfd.ts';
import { makePipe } from '../ipc/pipe.ts';
import { SCRATCH_BYTES } from '../ipc/scratch.ts';
import { GuestFault } from '../memory.ts';
import type { Outcome } from '../outcome.ts';
import { full, partial, type Row, refused } from '../table-row.ts';
import type { Task } from '../task.ts';
import { readTimespec } from '../time/clocks.ts';
import { sysPoll, sysPpoll, sysPselect6, sysSelect } from './poll.ts';
import { install, installPair } from './socket-common.ts';
import { watchRows } from './watch.ts';

/** A call tells no more events than this at once; the rest come with the next. */
const EVENTS_MAX = 4096;
/** EP_MAX_EVENTS. */
const EVENTS_ARGUMENT_MAX = Math.floor(0x7fff_ffff / EPOLL_EVENT.sizeBytes);

function pipe(task: Task, args: Args, flags: number): Outcome {
  if ((flags & ~(O.nonblock | O.cloexec | O.direct)) !== 0) return E.EINVAL;
  const { reader, writer } = makePipe(task.kernel.objects, flags & ~O.cloexec);
  return installPair(task, reader, writer, (flags & O.cloexec) !== 0, args.pointer(0));
}

const sysPipe = (task: Task, args: Args): Outcome => pipe(task, args, 0);
const sysPipe2 = (task: Task, args: Args): Outcome => pipe(task, args, args.uint(1));

function eventfd(task: Task, args: Args, flags: number): Outcome {
  if ((flags & ~(EFD.nonblock | EFD.cloexec | EFD.semaphore)) !== 0) return E.EINVAL;
  const file = new EventFd(task.kernel.objects);
  file.start(args.uint(0), (flags & EFD.semaphore) !== 0, O.rdwr | (flags & EFD.nonblock));
  return install(task, file, (flags & EFD.cloexec) !== 0);
}

const sysEventfd = (task: Task, args: Args): Outcome => eventfd(task, args, 0);
const sysEventfd2 = (task: Task, args: Args): Outcome => eventfd(task, args, args.uint(1));

function epollCreate(task: Task, closeOnExec: boolean): Outcome {
  const file = new Epoll(task.kernel.objects);
  file.setFlags(O.rdwr);
  return install(task, file, closeOnExec);
}

const sysEpollCreate = (task: Task, args: Args): Outcome =>
  args.int(0) <= 0 ? E.EINVAL : epollCreate(task, false);

function sysEpollCreate1(task: Task, args: Args): Outcome {
  const flags = args.uint(0);
  if ((flags & ~EPOLL.cloexec) !== 0) return E.EINVAL;
  return epollCreate(task, (flags & EPOLL.cloexec) !== 0);
}

function sysEpollCtl(task: Task, args: Args): Outcome {
  const operation = args.int(1);
  const fd = args.int(2);
  const event =
    operation === EPOLL_CTL.delete
      ? null
      : task.memory.read(args.pointer(3), EPOLL_EVENT.sizeBytes);
  const epoll = task.files.get(args.int(0));
  const file = task.files.get(fd);
  if (epoll === null || file === null) return E.EBADF;
  if (!file.isPollable) return E.EPERM;
  if (!(epoll instanceof Epoll) || epoll === file) return E.EINVAL;
  if (event === null) return epoll.remove(fd, file);
  const events = event.readUInt32LE(EPOLL_EVENT.events);
  const low = event.readUInt32LE(EPOLL_EVENT.data);
  const high = event.readUInt32LE(EPOLL_EVENT.data + 4);
  if (operation === EPOLL_CTL.add) return epoll.add(fd, file, events, low, high);
  if (operation === EPOLL_CTL.modify) return epoll.modify(fd, file, events, low, high);
  return E.EINVAL;
}

/** `timeoutNs` is Infinity to wait for ever. */
function epollWait(task: Task, args: Args, timeoutNs: number): Outcome {
  const countMax = args.int(2);
  if (countMax <= 0 || countMax > EVENTS_ARGUMENT_MAX) return E.EINVAL;
  const epoll = task.files.get(args.int(0));
  if (epoll === null) return E.EBADF;
  if (!(epoll instanceof Epoll)) return E.EINVAL;
  const room = Math.min(countMax, EVENTS_MAX);
  const { scratch } = task.kernel.net;
  const count = epoll.collect(scratch.take(SCRATCH_BYTES), room);
  if (count > 0) {
    try {
      task.memory.write(args.pointer(1), scratch.take(count * EPOLL_EVENT.sizeBytes));
    } catch (error) {
      if (error instanceof GuestFault) epoll.cancel();
      throw error;
    }
    epoll.commit();
    return count;
  }
  if (timeoutNs === 0) return 0;
  if (timeoutNs !== Infinity) {
    task.deadline(timeoutNs);
    if (task.isTimedOut) return 0;
  }
  return task.waitOn(epoll.queue);
}

function sysEpollWait(task: Task, args: Args): Outcome {
  const timeoutMs = args.int(3);
  return epollWait(task, args, timeoutMs < 0 ? Infinity : timeoutMs * 1e6);
}

function sysEpollPwait2(task: Task, args: Args): Outcome {
  if (args.pointer(3) === 0) return epollWait(task, args, Infinity);
  const timeoutNs = readTimespec(task.memory, args.pointer(3));
  return timeoutNs === null ? E.EINVAL : epollWait(task, args, timeoutNs);
}

const MASK = 'the signal mask of the call is not applied while it waits';
/** A descriptor that takes signals which are not blocked, or misses some, would be worse. */
const NO_SIGNALFD =
  'masks and pending signals are Linux’s, and the LVM API has no call that takes what is pending';

export const eventRows: readonly Row[] = [
  full('pipe', sysPipe),
  full('pipe2', sysPipe2),
  full('eventfd', sysEventfd),
  full('eventfd2', sysEventfd2),
  full('epoll_create', sysEpollCreate),
  full('epoll_create1', sysEpollCreate1),
  full('epoll_ctl', sysEpollCtl),
  full('epoll_wait', sysEpollWait),
  partial('epoll_pwait', sysEpollWait, MASK),
  partial('epoll_pwait2', sysEpollPwait2, MASK),
  full('poll', sysPoll),
  partial('ppoll', sysPpoll, MASK),
  full('select', sysSelect),
  partial('pselect6', sysPselect6, MASK),
  refused('signalfd', E.ENOSYS, NO_SIGNALFD),
  refused('signalfd4', E.ENOSYS, NO_SIGNALFD),
  ...watchRows,
];
