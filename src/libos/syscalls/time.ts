/**
 * Rows of the time calls: sleeping, timer descriptors, interval and POSIX timers, processor times.
 * Reading a clock is Linux's own: see the rows.
 */
import { E } from '../../abi/errno.ts';
import { O } from '../../abi/event.ts';
import {
  CLOCK,
  CLOCK_TICKS,
  CPU_CLOCK,
  ITIMER,
  RUSAGE,
  RUSAGE_WHO,
  SIGEV,
  SIGEVENT,
  SIGNAL_MAX,
  TFD,
  TIMER_ABSTIME,
  TIMESPEC,
  TMS,
} from '../../abi/time.ts';
import type { GuestAddress } from '../../base/ids.ts';
import { tid } from '../../base/ids.ts';
import type { Args } from '../args.ts';
import type { Outcome } from '../outcome.ts';
import { full, nativeRow, partial, type Row, refused } from '../table-row.ts';
import type { Task } from '../task.ts';
import {
  putTimespec,
  putTimeval,
  readItimerspec,
  readItimerval,
  readTimespec,
  timerClock,
  toMonotonic,
  writeItimerspec,
  writeItimerval,
} from '../time/clocks.ts';
import type { TimerNotice } from '../time/process-timers.ts';
import { TimerFd } from '../time/timerfd.ts';
import { install } from './socket-common.ts';

function sysNanosleep(task: Task, args: Args): Outcome {
  const timeNs = readTimespec(task.memory, args.pointer(0));
  if (timeNs === null) return E.EINVAL;
  task.deadline(timeNs);
  return task.isTimedOut ? 0 : task.sleep();
}

function sysClockNanosleep(task: Task, args: Args): Outcome {
  const id = args.int(0);
  if (id === CLOCK.threadCpu) return E.EINVAL;
  const clock = id === CLOCK.tai ? 'realtime' : timerClock(id);
  if (clock === null) return id === CLOCK.processCpu ? E.EOPNOTSUPP : E.EINVAL;
  const timeNs = readTimespec(task.memory, args.pointer(2));
  if (timeNs === null) return E.EINVAL;
  if ((args.uint(1) & TIMER_ABSTIME) === 0) task.deadline(timeNs);
  else task.deadlineAt(toMonotonic(task.kernel.lvm, clock, timeNs));
  return task.isTimedOut ? 0 : task.sleep();
}

/* --- timerfd ---------------------------------------------------------------------------------- */

function sysTimerfdCreate(task: Task, args: Args): Outcome {
  const flags = args.uint(1);
  if ((flags & ~(TFD.nonblock | TFD.cloexec)) !== 0) return E.EINVAL;
  const clock = timerClock(args.int(0));
  if (clock === null) return E.EINVAL;
  const file = new TimerFd(task.kernel, task.kernel.objects);
  file.start(clock, O.rdwr | (flags & TFD.nonblock));
  return install(task, file, (flags & TFD.cloexec) !== 0);
}

function timerFdOf(task: Task, fd: number): TimerFd | number {
  const file = task.files.get(fd);
  if (file === null) return E.EBADF;
  return file instanceof TimerFd ? file : E.EINVAL;
}

function sysTimerfdSettime(task: Task, args: Args): Outcome {
  const flags = args.uint(1);
  if ((flags & ~(TFD.abstime | TFD.cancelOnSet)) !== 0) return E.EINVAL;
  const setting = readItimerspec(task.memory, args.pointer(2));
  if (setting === null) return E.EINVAL;
  const file = timerFdOf(task, args.int(0));
  if (typeof file === 'number') return file;
  const before = file.time();
  file.setTime(setting, (flags & TFD.abstime) !== 0);
  if (args.pointer(3) !== 0) writeItimerspec(task.memory, args.pointer(3), before);
  return 0;
}

function sysTimerfdGettime(task: Task, args: Args): Outcome {
  const file = timerFdOf(task, args.int(0));
  if (typeof file === 'number') return file;
  writeItimerspec(task.memory, args.pointer(1), file.time());
  return 0;
}

/* --- interval timers -------------------------------------------------------------------------- */

const NO_TIME = { valueNs: 0, intervalNs: 0 };

function sysGetitimer(task: Task, args: Args): Outcome {
  const which = args.int(0);
  if (which < ITIMER.real || which > ITIMER.profile) return E.EINVAL;
  const setting = which === ITIMER.real ? task.process.timers.real() : NO_TIME;
  writeItimerval(task.memory, args.pointer(1), setting);
  return 0;
}

function sysSetitimer(task: Task, args: Args): Outcome {
  const which = args.int(0);
  if (which < ITIMER.real || which > ITIMER.profile) return E.EINVAL;
  const isGiven = args.pointer(1) !== 0;
  const setting = isGiven ? readItimerval(task.memory, args.pointer(1)) : NO_TIME;
  if (setting === null) return E.EINVAL;
  const isReal = which === ITIMER.real;
  // Timers that run with the processor would need Linux's help.
  if (!isReal && setting.valueNs !== 0) return E.EINVAL;
  const before = isReal ? task.process.timers.real() : NO_TIME;
  if (isReal) task.process.timers.setReal(setting);
  if (args.pointer(2) !== 0) writeItimerval(task.memory, args.pointer(2), before);
  return 0;
}

function sysAlarm(task: Task, args: Args): Outcome {
  const { timers } = task.process;
  const { valueNs } = timers.real();
  timers.setReal({ valueNs: args.uint(0) * 1e9, intervalNs: 0 });
  // Rounded, but never to 0, which would mean that none was set.
  return valueNs === 0 ? 0 : Math.max(1, Math.round(valueNs / 1e9));
}

/* --- POSIX timers ----------------------------------------------------------------------------- */

/** struct sigevent; -errno. */
function readNotice(task: Task, address: GuestAddress): TimerNotice | number {
  const bytes = task.memory.read(address, SIGEVENT.sizeBytes);
  const notify = bytes.readInt32LE(SIGEVENT.notify);
  const signal = bytes.readInt32LE(SIGEVENT.signal);
  const thread = bytes.readInt32LE(SIGEVENT.thread);
  const value = bytes.readBigUInt64LE(SIGEVENT.value);
  const isThread = notify === (SIGEV.signal | SIGEV.threadId);
  if (!isThread && notify !== SIGEV.signal && notify !== SIGEV.none && notify !== SIGEV.thread) {
    return E.EINVAL;
  }
  if (notify !== SIGEV.none && (signal < 1 || signal > SIGNAL_MAX)) return E.EINVAL;
  if (isThread) {
    const target = task.kernel.tasks.get(tid(thread));
    if (target === undefined || target.process !== task.process) return E.EINVAL;
  }
  return {
    notify,
    signal: notify === SIGEV.none ? 0 : signal,
    value,
    thread: isThread ? thread : 0,
  };
}

function sysTimerCreate(task: Task, args: Args): Outcome {
  const id = args.int(0);
  const clock = id === CLOCK.tai ? 'realtime' : timerClock(id);
  if (clock === null) {
    const isCpu = id === CLOCK.processCpu || id === CLOCK.threadCpu || id < 0;
    return isCpu ? E.EOPNOTSUPP : E.EINVAL;
  }
  const notice = args.pointer(1) === 0 ? null : readNotice(task, args.pointer(1));
  if (typeof notice === 'number') return notice;
  const { timers } = task.process;
  const timer = timers.create(clock, notice);
  if (timer < 0) return timer;
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(timer);
  if (task.kernel.lvm.memoryWrite(args.pointer(2), bytes) === bytes.length) return 0;
  timers.remove(timer);
  return E.EFAULT;
}

function sysTimerSettime(task: Task, args: Args): Outcome {
  const setting = readItimerspec(task.memory, args.pointer(2));
  const { timers } = task.process;
  const id = args.int(0);
  if (setting === null || !timers.has(id)) return E.EINVAL;
  const before = timers.time(id);
  timers.setTime(id, setting, (args.uint(1) & TIMER_ABSTIME) !== 0);
  if (args.pointer(3) !== 0) writeItimerspec(task.memory, args.pointer(3), before);
  return 0;
}

function sysTimerGettime(task: Task, args: Args): Outcome {
  const { timers } = task.process;
  if (!timers.has(args.int(0))) return E.EINVAL;
  writeItimerspec(task.memory, args.pointer(1), timers.time(args.int(0)));
  return 0;
}

function sysTimerGetoverrun(task: Task, args: Args): Outcome {
  const { timers } = task.process;
  return timers.has(args.int(0)) ? timers.overrun(args.int(0)) : E.EINVAL;
}

function sysTimerDelete(task: Task, args: Args): Outcome {
  const { timers } = task.process;
  if (!timers.has(args.int(0))) return E.EINVAL;
  timers.remove(args.int(0));
  return 0;
}

/* --- processor times -------------------------------------------------------------------------- */

/**
 * Processor time by a negative clock id: a process's or thread's id, inverted, and in the low bits
 * which time. That of a process or thread that isn't there: null.
 */
function cpuTimeOf(task: Task, id: number): number | null {
  const which = id & CPU_CLOCK.which;
  if (which === CPU_CLOCK.descriptor) return null;
  const whose = ~(id >> CPU_CLOCK.idShift);
  if ((id & CPU_CLOCK.thread) === 0) {
    const { process } = task;
    return whose === 0 || whose === process.pid ? process.tellCpuNs() : null;
  }
  const target = whose === 0 ? task : task.kernel.tasks.get(tid(whose));
  return target === undefined ? null : target.tellCpuNs();
}

/** Of the clocks only those that count processor time come here: see the row. */
function sysClockGettime(task: Task, args: Args): Outcome {
  const id = args.int(0);
  let timeNs: number | null = null;
  if (id === CLOCK.processCpu) timeNs = task.process.tellCpuNs();
  else if (id === CLOCK.threadCpu) timeNs = task.tellCpuNs();
  else if (id < 0) timeNs = cpuTimeOf(task, id);
  if (timeNs === null) return E.EINVAL;
  const bytes = Buffer.alloc(TIMESPEC.sizeBytes);
  putTimespec(bytes, 0, timeNs);
  task.memory.write(args.pointer(1), bytes);
  return 0;
}

function sysTimes(task: Task, args: Args): Outcome {
  const ticks = (ns: number): bigint => BigInt(Math.floor(ns / (1e9 / CLOCK_TICKS)));
  if (args.pointer(0) !== 0) {
    const bytes = Buffer.alloc(TMS.sizeBytes);
    bytes.writeBigInt64LE(ticks(task.process.tellCpuNs()), TMS.user);
    task.memory.write(args.pointer(0), bytes);
  }
  return Number(ticks(task.kernel.monotonicNs()));
}

function sysGetrusage(task: Task, args: Args): Outcome {
  const who = args.int(0);
  const bytes = Buffer.alloc(RUSAGE.sizeBytes);
  switch (who) {
    case RUSAGE_WHO.self:
      putTimeval(bytes, RUSAGE.user, task.process.tellCpuNs());
      break;
    case RUSAGE_WHO.thread:
      putTimeval(bytes, RUSAGE.user, task.tellCpuNs());
      break;
    case RUSAGE_WHO.children:
      break;
    default:
      return E.EINVAL;
  }
  task.memory.write(args.pointer(1), bytes);
  return 0;
}

const READ_CLOCK =
  "reads the machine's clock into the guest's memory; a time namespace carries the offset on " +
  'another machine';
const CPU_CLOCKS = 'those of processor time are trapped, for a host counts them from zero';
const SET_CLOCK = "the machine's clock is not the guest's to set";
const CPU_TIMERS = 'no timers that run with the processor';

export const timeRows: readonly Row[] = [
  nativeRow('clock_gettime', `${READ_CLOCK}; ${CPU_CLOCKS}`, sysClockGettime),
  nativeRow('clock_getres', READ_CLOCK),
  nativeRow('gettimeofday', READ_CLOCK),
  nativeRow('time', READ_CLOCK),
  full('nanosleep', sysNanosleep),
  full('clock_nanosleep', sysClockNanosleep),
  full('timerfd_create', sysTimerfdCreate),
  full('timerfd_settime', sysTimerfdSettime),
  full('timerfd_gettime', sysTimerfdGettime),
  partial('getitimer', sysGetitimer, CPU_TIMERS),
  partial('setitimer', sysSetitimer, CPU_TIMERS),
  full('alarm', sysAlarm),
  partial('timer_create', sysTimerCreate, CPU_TIMERS),
  full('timer_settime', sysTimerSettime),
  full('timer_gettime', sysTimerGettime),
  full('timer_getoverrun', sysTimerGetoverrun),
  full('timer_delete', sysTimerDelete),
  partial('times', sysTimes, 'all of the time counts as user time'),
  partial('getrusage', sysGetrusage, 'processor time only, all of it as user time'),
  refused('clock_settime', E.EPERM, SET_CLOCK),
  refused('clock_adjtime', E.EPERM, SET_CLOCK),
  refused('settimeofday', E.EPERM, SET_CLOCK),
  refused('adjtimex', E.EPERM, SET_CLOCK),
];
