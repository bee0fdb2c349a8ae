/**
 * What a blocked call ends with when a signal handler interrupts it (signal(7), "Interruption of
 * system calls and library functions by signal handlers"). Called by the kernel before the signal
 * is delivered; must not change the task but for what the interrupted call writes to its caller.
 */
import { E } from '../../abi/errno.ts';
import { SYS } from '../../abi/syscalls.ts';
import { TIMER_ABSTIME, TIMESPEC } from '../../abi/time.ts';
import { guestAddress } from '../../base/ids.ts';
import { GuestFault } from '../memory.ts';
import type { Task } from '../task.ts';
import { putTimespec } from '../time/clocks.ts';

/** struct kernel_sigaction: handler at 0, flags at 8. */
const FLAGS_AT = 8;
const SA_RESTART = 0x1000_0000;
const SIG_DFL = 0n;
const SIG_IGN = 1n;

/** Never made again, whatever SA_RESTART says. */
const NEVER_RESTARTED = new Set<number>([
  SYS.poll,
  SYS.ppoll,
  SYS.select,
  SYS.pselect6,
  SYS.epoll_wait,
  SYS.epoll_pwait,
  SYS.epoll_pwait2,
  SYS.nanosleep,
  SYS.clock_nanosleep,
]);
/** Calls whose `task.progress` is what they return when they end early. */
const PIECEWISE = new Set<number>([
  SYS.read,
  SYS.readv,
  SYS.write,
  SYS.writev,
  SYS.sendto,
  SYS.sendmsg,
  SYS.recvfrom,
  SYS.recvmsg,
  SYS.recvmmsg,
]);

/** The result of the task's call, or null: it is made again after the handler, or there is none. */
export function interruption(task: Task, signal: number): number | null {
  const action = task.process.signalActions.get(signal);
  if (action === undefined) return null;
  const bytes = Buffer.from(action.buffer, action.byteOffset, action.length);
  const handler = bytes.readBigUInt64LE(0);
  if (handler === SIG_DFL || handler === SIG_IGN) return null;
  const call = task.callNumber;
  if (PIECEWISE.has(call) && task.progress > 0) return task.progress;
  // A socket with a timeout does not begin it again either.
  const isRestarted =
    (bytes.readUInt32LE(FLAGS_AT) & SA_RESTART) !== 0 &&
    !NEVER_RESTARTED.has(call) &&
    task.remainingNs === null;
  if (isRestarted) return null;
  return tellRemainder(task) ? E.EINTR : E.EFAULT;
}

/** nanosleep(2) tells how long it would still have slept. */
function tellRemainder(task: Task): boolean {
  const { args, callNumber, remainingNs } = task;
  if (remainingNs === null) return true;
  let target = guestAddress(0);
  if (callNumber === SYS.nanosleep) target = args.pointer(1);
  else if (callNumber === SYS.clock_nanosleep && (args.uint(1) & TIMER_ABSTIME) === 0) {
    target = args.pointer(3);
  }
  if (target === 0) return true;
  try {
    const bytes = Buffer.alloc(TIMESPEC.sizeBytes);
    putTimespec(bytes, 0, remainingNs);
    task.memory.write(target, bytes);
    return true;
  } catch (error) {
    if (error instanceof GuestFault) return false;
    throw error;
  }
}
