/**
 * The process as a whole: ids, credentials (the guest is its own root), limits, names, and what a
 * sandboxed guest may not do at all.
 */
import { E } from '../../abi/errno.ts';
import { Encoder } from '../../base/codec.ts';
import { tid } from '../../base/ids.ts';
import type { Args } from '../args.ts';
import { KERNEL_RELEASE, KERNEL_VERSION } from '../fs/uname.ts';
import { gone, native, type Outcome } from '../outcome.ts';
import { UNLIMITED } from '../process.ts';
import { full, nativeRow, partial, type Row, refused } from '../table-row.ts';
import type { Task } from '../task.ts';
import { limitOf, setLimit } from './limits.ts';

const UTSNAME_FIELD_BYTES = 65;

function sysUname(task: Task, args: Args): Outcome {
  const { hostname } = task.kernel.lvm.machine();
  const fields = ['Linux', hostname, KERNEL_RELEASE, KERNEL_VERSION, 'x86_64', '(none)'];
  const bytes = Buffer.alloc(UTSNAME_FIELD_BYTES * fields.length);
  for (const [index, text] of fields.entries()) {
    bytes.write(text.slice(0, UTSNAME_FIELD_BYTES - 1), index * UTSNAME_FIELD_BYTES, 'latin1');
  }
  task.memory.write(args.pointer(0), bytes);
  return 0;
}

/** struct sysinfo, 112 bytes. */
function sysSysinfo(task: Task, args: Args): Outcome {
  const { memoryBytes } = task.kernel.lvm.machine();
  const out = new Encoder(128);
  out.u53(Math.floor(task.kernel.lvm.clock('boottime') / 1e9));
  out.u53(0).u53(0).u53(0); // loads
  out.u53(memoryBytes).u53(memoryBytes);
  out.u53(0).u53(0).u53(0).u53(0); // shared, buffers, swap
  out.u16(1).u16(0).u32(0); // processes
  out.u53(0).u53(0).u32(1).u32(0); // high memory, unit
  task.memory.write(args.pointer(0), out.view());
  return 0;
}

function sysExitGroup(task: Task, args: Args): Outcome {
  task.kernel.exit({ kind: 'exited', code: args.int(0) & 0xff });
  return gone;
}

const isSelf = (task: Task, target: number): boolean => target === 0 || target === task.process.pid;

const groupOf = (task: Task, args: Args): Outcome =>
  isSelf(task, args.int(0)) ? task.process.processGroup : E.ESRCH;

function sysSetpgid(task: Task, args: Args): Outcome {
  if (!isSelf(task, args.int(0))) return E.ESRCH;
  // The first process leads its session, and so can't leave its group.
  return E.EPERM;
}

const root = (): Outcome => 0;

const CAPABILITY_VERSION_3 = 0x2008_0522;

function sysCapget(task: Task, args: Args): Outcome {
  const header = args.pointer(0);
  const version = task.memory.readU32(header);
  if (version !== CAPABILITY_VERSION_3) {
    task.memory.writeU32(header, CAPABILITY_VERSION_3);
    return args.pointer(1) === 0 ? 0 : E.EINVAL;
  }
  // Two structs of effective, permitted, inheritable: none held.
  if (args.pointer(1) !== 0) task.memory.write(args.pointer(1), Buffer.alloc(24));
  return 0;
}

const PR = {
  SET_PDEATHSIG: 1,
  GET_PDEATHSIG: 2,
  GET_DUMPABLE: 3,
  SET_DUMPABLE: 4,
  GET_KEEPCAPS: 7,
  SET_NAME: 15,
  GET_NAME: 16,
  CAPBSET_READ: 23,
  SET_TIMERSLACK: 29,
  GET_TIMERSLACK: 30,
  SET_CHILD_SUBREAPER: 36,
  SET_NO_NEW_PRIVS: 38,
  GET_NO_NEW_PRIVS: 39,
  SET_THP_DISABLE: 41,
  GET_THP_DISABLE: 42,
} as const;
const COMM_BYTES = 16;

function sysPrctl(task: Task, args: Args): Outcome {
  const { memory, process } = task;
  switch (args.int(0)) {
    case PR.SET_NAME: {
      const bytes = memory.readCString(args.pointer(1), COMM_BYTES) ?? '';
      const name = bytes === '' ? truncatedName(task, args) : bytes;
      task.name = name.slice(0, COMM_BYTES - 1);
      task.touch();
      return 0;
    }
    case PR.GET_NAME: {
      const bytes = Buffer.alloc(COMM_BYTES);
      bytes.write(task.name.slice(0, COMM_BYTES - 1), 'latin1');
      memory.write(args.pointer(1), bytes);
      return 0;
    }
    case PR.GET_DUMPABLE:
      return process.isDumpable ? 1 : 0;
    case PR.SET_DUMPABLE:
      if (args.uint(1) > 1) return E.EINVAL;
      process.isDumpable = args.uint(1) === 1;
      process.touch();
      return 0;
    case PR.GET_PDEATHSIG:
      memory.writeU32(args.pointer(1), 0);
      return 0;
    case PR.GET_NO_NEW_PRIVS:
      return 1;
    case PR.GET_TIMERSLACK:
      return 50_000;
    case PR.GET_KEEPCAPS:
    case PR.GET_THP_DISABLE:
    case PR.CAPBSET_READ:
    case PR.SET_PDEATHSIG: // its parent lives as long as it does
    case PR.SET_TIMERSLACK:
    case PR.SET_CHILD_SUBREAPER:
    case PR.SET_NO_NEW_PRIVS:
    case PR.SET_THP_DISABLE:
      return 0;
    default:
      return E.EINVAL;
  }
}

/** prctl takes the first 15 bytes of a longer name. */
function truncatedName(task: Task, args: Args): string {
  const bytes = Buffer.alloc(COMM_BYTES - 1);
  const got = task.kernel.lvm.memoryRead(args.pointer(1), bytes);
  return bytes.toString('latin1', 0, Math.max(0, got)).split('\0', 1)[0] ?? '';
}

const ARCH = { SET_GS: 0x1001, SET_FS: 0x1002, GET_FS: 0x1003, GET_GS: 0x1004 } as const;

/** The segment bases are registers, which a checkpoint has; other commands change hidden state. */
function sysArchPrctl(_task: Task, args: Args): Outcome {
  const command = args.int(0);
  return command >= ARCH.SET_GS && command <= ARCH.GET_GS ? native : E.EINVAL;
}

function sysGetrlimit(task: Task, args: Args): Outcome {
  const limit = limitOf(task.process, args.uint(0));
  if (limit === null) return E.EINVAL;
  task.memory.write(args.pointer(1), encodeLimit(limit.soft, limit.hard));
  return 0;
}

function sysSetrlimit(task: Task, args: Args): Outcome {
  const bytes = task.memory.read(args.pointer(1), 16);
  return setLimit(task.process, args.uint(0), bytes);
}

function sysPrlimit(task: Task, args: Args): Outcome {
  if (!isSelf(task, args.int(0)) && !task.kernel.tasks.has(tid(args.int(0)))) return E.ESRCH;
  const before = limitOf(task.process, args.uint(1));
  if (before === null) return E.EINVAL;
  const old = encodeLimit(before.soft, before.hard);
  if (args.pointer(2) !== 0) {
    const failed = setLimit(task.process, args.uint(1), task.memory.read(args.pointer(2), 16));
    if (failed < 0) return failed;
  }
  if (args.pointer(3) !== 0) task.memory.write(args.pointer(3), old);
  return 0;
}

function encodeLimit(soft: number, hard: number): Buffer {
  const infinity = 0xffff_ffff_ffff_ffffn;
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(soft >= UNLIMITED ? infinity : BigInt(soft), 0);
  bytes.writeBigUInt64LE(hard >= UNLIMITED ? infinity : BigInt(hard), 8);
  return bytes;
}

/** The mask is rounded up to whole longs, as Linux does. */
function sysSchedGetaffinity(task: Task, args: Args): Outcome {
  const { cpuCount } = task.kernel.lvm.machine();
  const size = args.uint(1);
  if (size * 8 < cpuCount || size % 8 !== 0) return E.EINVAL;
  const bytes = Buffer.alloc(Math.ceil(cpuCount / 64) * 8);
  for (let cpu = 0; cpu < cpuCount; cpu += 1) {
    const at = cpu >> 3;
    bytes[at] = (bytes[at] as number) | (1 << (cpu & 7));
  }
  task.memory.write(args.pointer(2), bytes);
  return bytes.length;
}

function sysGetcpu(task: Task, args: Args): Outcome {
  for (const index of [0, 1]) {
    if (args.pointer(index) !== 0) task.memory.writeU32(args.pointer(index), 0);
  }
  return 0;
}

function sysSchedGetparam(task: Task, args: Args): Outcome {
  task.memory.writeU32(args.pointer(1), 0);
  return 0;
}

const PERSONALITY_QUERY = 0xffff_ffff;
const NICE_DEFAULT = 20;

export const processRows: readonly Row[] = [
  full('exit_group', sysExitGroup),
  full('getpid', (task) => task.process.pid),
  full('getppid', (task) => task.process.parentPid),
  full('getpgrp', (task) => task.process.processGroup),
  full('getpgid', groupOf),
  full('getsid', (task, args) => (isSelf(task, args.int(0)) ? task.process.session : E.ESRCH)),
  partial('setpgid', sysSetpgid, 'one process, which leads its session'),
  partial('setsid', () => E.EPERM, 'one process, which leads its session'),
  partial('capget', sysCapget, 'no capability is held'),
  refused('capset', E.EPERM, 'no capability is held'),
  partial('prctl', sysPrctl, 'names, dumpable and what needs no effect; others EINVAL'),
  partial('arch_prctl', sysArchPrctl, 'segment bases'),
  full('uname', sysUname),
  full('sysinfo', sysSysinfo),
  full('getrlimit', sysGetrlimit),
  full('setrlimit', sysSetrlimit),
  full('prlimit64', sysPrlimit),
  full('sched_getaffinity', sysSchedGetaffinity),
  partial('sched_setaffinity', root, 'accepted; placement is the host’s'),
  partial('sched_getscheduler', root, 'SCHED_OTHER'),
  partial('sched_setscheduler', root, 'accepted without effect'),
  partial('sched_getparam', sysSchedGetparam, 'SCHED_OTHER'),
  partial('sched_setparam', root, 'accepted without effect'),
  partial('sched_get_priority_max', root, 'SCHED_OTHER'),
  partial('sched_get_priority_min', root, 'SCHED_OTHER'),
  partial('getpriority', () => NICE_DEFAULT, 'nice 0'),
  partial('setpriority', root, 'accepted without effect'),
  partial('ioprio_get', root, 'no priority'),
  partial('ioprio_set', root, 'accepted without effect'),
  partial('getcpu', sysGetcpu, 'always the first'),
  partial(
    'personality',
    (_task, args) => (args.uint(0) === PERSONALITY_QUERY || args.uint(0) === 0 ? 0 : E.EINVAL),
    'PER_LINUX only',
  ),
  nativeRow('getrandom', 'fills memory of the guest; what it got is in the checkpoint'),
  refused('wait4', E.ECHILD, 'one process only'),
  refused('waitid', E.ECHILD, 'one process only'),
  refused('pidfd_open', E.ENOSYS, 'one process only'),
  refused('ptrace', E.EPERM, 'nobody is to be traced'),
  refused('kcmp', E.EPERM, 'nobody is to be compared'),
  refused('seccomp', E.EINVAL, 'the guest is behind a filter already'),
  refused('unshare', E.EPERM, 'no namespaces'),
  refused('setns', E.EPERM, 'no namespaces'),
  refused('bpf', E.EPERM, 'the host’s'),
  refused('perf_event_open', E.EACCES, 'the host’s'),
  refused('keyctl', E.ENOSYS, 'no keys'),
  refused('add_key', E.ENOSYS, 'no keys'),
  refused('request_key', E.ENOSYS, 'no keys'),
  refused('io_uring_setup', E.ENOSYS, 'programs fall back to epoll'),
  refused('io_uring_enter', E.ENOSYS, 'programs fall back to epoll'),
  refused('io_uring_register', E.ENOSYS, 'programs fall back to epoll'),
  refused('io_setup', E.ENOSYS, 'programs fall back to threads'),
  refused('syslog', E.EPERM, 'the host’s'),
  refused('reboot', E.EPERM, 'the host’s'),
  refused('sethostname', E.EPERM, 'the host’s'),
  refused('setdomainname', E.EPERM, 'the host’s'),
  refused('acct', E.EPERM, 'the host’s'),
  refused('swapon', E.EPERM, 'the host’s'),
  refused('swapoff', E.EPERM, 'the host’s'),
  refused('iopl', E.EPERM, 'the host’s'),
  refused('ioperm', E.EPERM, 'the host’s'),
  refused('init_module', E.EPERM, 'the host’s'),
  refused('finit_module', E.EPERM, 'the host’s'),
  refused('delete_module', E.EPERM, 'the host’s'),
  refused('kexec_load', E.EPERM, 'the host’s'),
  refused('vhangup', E.EPERM, 'the host’s'),
  refused('modify_ldt', E.ENOSYS, 'segments of 16-bit programs'),
];
