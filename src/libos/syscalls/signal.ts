/**
 * Signals: dispositions, masks and delivery are Linux's own, in the guest process. What can't be
 * read back from Linux (dispositions, alternate stacks) is noted here on its way, so that a
 * checkpoint has it; signals between threads go by the guest's own ids.
 */
import { E } from '../../abi/errno.ts';
import { tid } from '../../base/ids.ts';
import type { Args } from '../args.ts';
import { native, type Outcome } from '../outcome.ts';
import { userSignalInfo } from '../signal/send.ts';
import { full, nativeRow, type Row } from '../table-row.ts';
import type { Task } from '../task.ts';

const SIGNAL_MAX = 64;
const SIGKILL = 9;
const SIGSTOP = 19;
const SIGSET_BYTES = 8;
/** struct kernel_sigaction and stack_t on x86-64. */
const SIGACTION_BYTES = 32;
const STACK_BYTES = 24;
const SIGINFO_BYTES = 128;
const SI_TKILL = -6;

const isSignal = (signal: number): boolean => signal >= 1 && signal <= SIGNAL_MAX;

function sysRtSigaction(task: Task, args: Args): Outcome {
  const signal = args.int(0);
  const action = args.pointer(1);
  if (args.size(3) !== SIGSET_BYTES) return E.EINVAL;
  if (action !== 0 && isSignal(signal) && signal !== SIGKILL && signal !== SIGSTOP) {
    task.process.signalActions.set(signal, task.memory.read(action, SIGACTION_BYTES));
    task.process.touch();
  }
  return native;
}

function sysSigaltstack(task: Task, args: Args): Outcome {
  const stack = args.pointer(0);
  if (stack !== 0) {
    task.alternateStack = task.memory.read(stack, STACK_BYTES);
    task.touch();
  }
  return native;
}

/** A process id as kill(2) takes it: ourselves, our group, everyone; there is nobody else. */
const isOurs = (task: Task, target: number): boolean =>
  target === task.process.pid || target === 0 || target === -task.process.processGroup;

function sysKill(task: Task, args: Args): Outcome {
  const signal = args.int(1);
  if (signal < 0 || signal > SIGNAL_MAX) return E.EINVAL;
  if (!isOurs(task, args.int(0))) return E.ESRCH;
  return sendToProcess(signal, userSignalInfo(signal, task.process.pid));
}

function sendToProcess(signal: number, info: Buffer): Outcome {
  return signal === 0 ? 0 : { kind: 'signal', target: null, number: signal, info };
}

function sendToThread(task: Task, thread: number, signal: number, info?: Buffer): Outcome {
  if (thread <= 0 || signal < 0 || signal > SIGNAL_MAX) return E.EINVAL;
  const target = task.kernel.tasks.get(tid(thread));
  if (target === undefined) return E.ESRCH;
  if (signal === 0) return 0;
  return { kind: 'signal', target, number: signal, info: info ?? threadInfo(task, signal) };
}

/** siginfo_t of tgkill(2). */
function threadInfo(task: Task, signal: number): Buffer {
  const info = Buffer.alloc(SIGINFO_BYTES);
  info.writeInt32LE(signal, 0);
  info.writeInt32LE(SI_TKILL, 8);
  info.writeInt32LE(task.process.pid, 16);
  return info;
}

function sysTkill(task: Task, args: Args): Outcome {
  return sendToThread(task, args.int(0), args.int(1));
}

function sysTgkill(task: Task, args: Args): Outcome {
  if (args.int(0) <= 0) return E.EINVAL;
  if (args.int(0) !== task.process.pid) return E.ESRCH;
  return sendToThread(task, args.int(1), args.int(2));
}

function sysRtSigqueueinfo(task: Task, args: Args): Outcome {
  const signal = args.int(1);
  if (signal < 0 || signal > SIGNAL_MAX) return E.EINVAL;
  const info = task.memory.read(args.pointer(2), SIGINFO_BYTES);
  if (args.int(0) !== task.process.pid) return E.ESRCH;
  info.writeInt32LE(signal, 0);
  return sendToProcess(signal, info);
}

function sysRtTgsigqueueinfo(task: Task, args: Args): Outcome {
  const info = task.memory.read(args.pointer(3), SIGINFO_BYTES);
  if (args.int(0) !== task.process.pid) return E.ESRCH;
  info.writeInt32LE(args.int(2), 0);
  return sendToThread(task, args.int(1), args.int(2), info);
}

export const signalRows: readonly Row[] = [
  full('rt_sigaction', sysRtSigaction),
  full('sigaltstack', sysSigaltstack),
  nativeRow('rt_sigprocmask', 'the mask of a thread is read by each checkpoint'),
  nativeRow('rt_sigreturn', 'restores registers and mask of the thread from its own stack'),
  nativeRow('rt_sigpending', 'tells of the thread; pending signals are read by each checkpoint'),
  nativeRow('rt_sigsuspend', 'waits with a mask of its own; asked again when it is brought back'),
  nativeRow(
    'rt_sigtimedwait',
    'waits for pending signals; with a timeout a checkpoint may end it with EINTR, as signals may',
  ),
  nativeRow('pause', 'waits for a signal; asked again when it is brought back'),
  full('kill', sysKill),
  full('tkill', sysTkill),
  full('tgkill', sysTgkill),
  full('rt_sigqueueinfo', sysRtSigqueueinfo),
  full('rt_tgsigqueueinfo', sysRtTgsigqueueinfo),
];
