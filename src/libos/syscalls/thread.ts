/**
 * Threads: clone(2) of a thread, its ids, its end. Threads are real threads of the guest process;
 * their ids are the guest's own and stay when it goes on in another process.
 */
import { E } from '../../abi/errno.ts';
import { type GuestAddress, tid } from '../../base/ids.ts';
import type { Args } from '../args.ts';
import { blocked, gone, native, type Outcome } from '../outcome.ts';
import { full, nativeRow, partial, type Row, refused } from '../table-row.ts';
import type { Task } from '../task.ts';

const CLONE = {
  VM: 0x100,
  FS: 0x200,
  FILES: 0x400,
  SIGHAND: 0x800,
  THREAD: 0x1_0000,
  SYSVSEM: 0x4_0000,
  SETTLS: 0x8_0000,
  PARENT_SETTID: 0x10_0000,
  CHILD_CLEARTID: 0x20_0000,
  DETACHED: 0x40_0000,
  CHILD_SETTID: 0x100_0000,
} as const;
/** What a thread shares with its creator, all of it. */
const THREAD_FLAGS = CLONE.VM | CLONE.FS | CLONE.FILES | CLONE.SIGHAND | CLONE.THREAD;
const KNOWN_FLAGS = Object.values(CLONE).reduce((all, flag) => all | flag, 0);
/** RLIMIT_NPROC of a guest. */
const THREADS_MAX = 4096;

function sysClone(task: Task, args: Args): Outcome {
  const flags = args.uint(0);
  if ((flags & CLONE.THREAD) === 0) return E.EAGAIN;
  if ((flags & THREAD_FLAGS) !== THREAD_FLAGS || (flags & ~KNOWN_FLAGS) !== 0) return E.EINVAL;
  const { kernel } = task;
  if (kernel.tasks.size >= THREADS_MAX) return E.EAGAIN;
  const child = kernel.addTask(task.process, tid(kernel.state.takeTid()), task.name);
  const tidTargets: GuestAddress[] = [];
  if ((flags & CLONE.PARENT_SETTID) !== 0) tidTargets.push(args.pointer(2));
  if ((flags & CLONE.CHILD_SETTID) !== 0) tidTargets.push(args.pointer(3));
  if ((flags & CLONE.CHILD_CLEARTID) !== 0) child.clearChildTid = args.pointer(3);
  return { kind: 'clone', child, tidTargets };
}

function sysExit(task: Task, args: Args): Outcome {
  const { kernel } = task;
  if (kernel.tasks.size === 1) {
    kernel.exit({ kind: 'exited', code: args.int(0) & 0xff });
    return gone;
  }
  if (Number(task.tid) === Number(task.process.pid)) {
    // The first thread carries the process for the host: it stays, but never runs again.
    if (task.clearChildTid !== 0) task.memory.writeU32(task.clearChildTid, 0);
    return blocked;
  }
  kernel.removeTask(task);
  return native;
}

/**
 * Linux learns the address when the thread is made anew at a takeover; until then only we know it.
 */
function sysSetTidAddress(task: Task, args: Args): Outcome {
  task.clearChildTid = args.pointer(0);
  task.touch();
  return task.tid;
}

const ROBUST_LIST_HEAD_BYTES = 24;

function sysSetRobustList(task: Task, args: Args): Outcome {
  if (args.size(1) !== ROBUST_LIST_HEAD_BYTES) return E.EINVAL;
  task.robustList = args.pointer(0);
  task.robustListSize = args.size(1);
  task.touch();
  return native;
}

function sysGetRobustList(task: Task, args: Args): Outcome {
  const wanted = args.int(0);
  const target = wanted === 0 ? task : task.kernel.tasks.get(tid(wanted));
  if (target === undefined) return E.ESRCH;
  task.memory.writeU64(args.pointer(1), BigInt(target.robustList));
  task.memory.writeU64(args.pointer(2), BigInt(ROBUST_LIST_HEAD_BYTES));
  return 0;
}

export const threadRows: readonly Row[] = [
  partial('clone', sysClone, 'threads only; a new process gives EAGAIN'),
  refused('clone3', E.ENOSYS, 'its flags lie in memory; every libc falls back to clone'),
  refused('fork', E.EAGAIN, 'one process only'),
  refused('vfork', E.EAGAIN, 'one process only'),
  partial('exit', sysExit, 'joining the first thread after it exited alone does not wake'),
  full('gettid', (task) => task.tid),
  full('set_tid_address', sysSetTidAddress),
  full('set_robust_list', sysSetRobustList),
  full('get_robust_list', sysGetRobustList),
  nativeRow(
    'futex',
    'words in the guest’s memory; a thread that waits asks again when it is brought back',
  ),
  nativeRow('restart_syscall', 'goes on with a native wait that a stop or signal interrupted'),
  nativeRow('sched_yield', 'no effect beyond the thread'),
  refused('rseq', E.ENOSYS, 'its area would name the host’s processors; libc does without'),
];
