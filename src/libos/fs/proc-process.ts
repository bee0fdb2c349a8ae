/** /proc/PID and /proc/PID/task/TID: what one process or thread of the guest shows of itself. */

import { E } from '../../abi/errno.ts';
import type { IdSet } from '../credentials.ts';
import { type Process, UNLIMITED } from '../process.ts';
import type { FsContext } from './context.ts';
import { directory, type Generated, text } from './generated.ts';
import { type FsNode, OpenedNode } from './node.ts';
import { nodeOf } from './node-of.ts';
import { SeekableFile } from './placed-file.ts';
import { mapsText, memorySizes } from './proc-memory.ts';

const TICKS = 100;
const SIG_IGN = 1n;

/** Name of /proc/PID/limits, number of RLIMIT_, unit. */
const LIMITS: readonly (readonly [string, number, string])[] = [
  ['Max cpu time', 0, 'seconds'],
  ['Max file size', 1, 'bytes'],
  ['Max data size', 2, 'bytes'],
  ['Max stack size', 3, 'bytes'],
  ['Max core file size', 4, 'bytes'],
  ['Max resident set', 5, 'bytes'],
  ['Max processes', 6, 'processes'],
  ['Max open files', 7, 'files'],
  ['Max locked memory', 8, 'bytes'],
  ['Max address space', 9, 'bytes'],
  ['Max file locks', 10, 'locks'],
  ['Max pending signals', 11, 'signals'],
  ['Max msgqueue size', 12, 'bytes'],
  ['Max nice priority', 13, ''],
  ['Max realtime priority', 14, ''],
  ['Max realtime timeout', 15, 'us'],
];

function limits(process: Process): string {
  const show = (value: number | undefined): string =>
    value === undefined || value >= UNLIMITED ? 'unlimited' : `${value}`;
  const row = (name: string, soft: string, hard: string, unit: string): string =>
    `${name.padEnd(26)}${soft.padEnd(21)}${hard.padEnd(21)}${unit.padEnd(10)}\n`;
  const rows = LIMITS.map(([name, number, unit]) => {
    const limit = process.limits.get(number);
    return row(name, show(limit?.soft), show(limit?.hard), unit);
  });
  return row('Limit', 'Soft Limit', 'Hard Limit', 'Units') + rows.join('');
}

/** comm: the base name, cut to 15 bytes, unless the thread has given itself another. */
const idLine = ({ real, effective, saved, fs }: IdSet): string =>
  [real, effective, saved, fs].join('\t');

function nameOf(context: FsContext, process: Process, thread: number): string {
  let name = process.argv[0] ?? '';
  for (const task of context.kernel.tasks.values()) {
    if (task.tid === thread && task.name !== '') name = task.name;
  }
  return name.slice(name.lastIndexOf('/') + 1).slice(0, 15);
}

const threadsOf = (context: FsContext, process: Process): number[] =>
  [...context.kernel.tasks.values()]
    .filter((task) => task.process === process)
    .map((task) => task.tid);

/** The calling thread runs; so may others, but a waiting one sleeps. */
function stateOf(context: FsContext, thread: number): string {
  for (const task of context.kernel.tasks.values()) {
    if (task.tid === thread) return task.state === 'idle' ? 'R' : 'S';
  }
  return 'S';
}

function signalSets(process: Process): { ignored: bigint; caught: bigint } {
  let ignored = 0n;
  let caught = 0n;
  for (const [signal, action] of process.signalActions) {
    const handler = Buffer.from(action).readBigUInt64LE(0);
    const bit = 1n << BigInt(signal - 1);
    if (handler === SIG_IGN) ignored |= bit;
    else if (handler !== 0n) caught |= bit;
  }
  return { ignored, caught };
}

function stat(context: FsContext, process: Process, thread: number): string {
  const { sizeBytes, residentBytes } = memorySizes(context);
  const cpu = Math.floor((process.tellCpuNs() / 1e9) * TICKS);
  const { ignored, caught } = signalSets(process);
  const state = stateOf(context, thread);
  const head = `${thread} (${nameOf(context, process, thread)}) ${state}`;
  const ids = `${process.parentPid} ${process.processGroup} ${process.session} 0 -1 4194304`;
  const times = `0 0 0 0 ${cpu} 0 0 0 20 0 ${threadsOf(context, process).length} 0 0`;
  const memory = `${sizeBytes} ${Math.floor(residentBytes / 4096)} 18446744073709551615`;
  const low = 0x7fff_ffffn;
  const signals = `0 0 ${ignored & low} ${caught & low}`;
  return (
    `${head} ${ids} ${times} ${memory} 1 1 0 0 0 ${signals} 0 0 0 17 0 0 0 0 0 0` +
    ' 0 0 0 0 0 0 0 0\n'
  );
}

function status(context: FsContext, process: Process, thread: number): string {
  const { sizeBytes, residentBytes } = memorySizes(context);
  const { ignored, caught } = signalSets(process);
  const hex = (value: bigint): string => value.toString(16).padStart(16, '0');
  const kib = (bytes: number): string => `${Math.floor(bytes / 1024)}`.padStart(8);
  const cpus = context.kernel.lvm.machine().cpuCount;
  const state = stateOf(context, thread) === 'R' ? 'R (running)' : 'S (sleeping)';
  const capabilities = hex(0n);
  return [
    `Name:\t${nameOf(context, process, thread)}`,
    `Umask:\t${process.umask.toString(8).padStart(4, '0')}`,
    `State:\t${state}`,
    `Tgid:\t${process.pid}`,
    'Ngid:\t0',
    `Pid:\t${thread}`,
    `PPid:\t${process.parentPid}`,
    'TracerPid:\t0',
    `Uid:\t${idLine(process.credentials.user)}`,
    `Gid:\t${idLine(process.credentials.group)}`,
    `FDSize:\t${Math.max(64, process.files.size)}`,
    `Groups:\t${process.credentials.groups.map((group) => `${group} `).join('')}`,
    `NStgid:\t${process.pid}`,
    `NSpid:\t${thread}`,
    `NSpgid:\t${process.processGroup}`,
    `NSsid:\t${process.session}`,
    `VmPeak:\t${kib(sizeBytes)} kB`,
    `VmSize:\t${kib(sizeBytes)} kB`,
    `VmLck:\t${kib(0)} kB`,
    `VmHWM:\t${kib(residentBytes)} kB`,
    `VmRSS:\t${kib(residentBytes)} kB`,
    `RssAnon:\t${kib(residentBytes)} kB`,
    `VmData:\t${kib(sizeBytes)} kB`,
    `VmSwap:\t${kib(0)} kB`,
    `Threads:\t${threadsOf(context, process).length}`,
    'SigQ:\t0/65536',
    `SigPnd:\t${hex(0n)}`,
    `ShdPnd:\t${hex(0n)}`,
    `SigBlk:\t${hex(0n)}`,
    `SigIgn:\t${hex(ignored)}`,
    `SigCgt:\t${hex(caught)}`,
    `CapInh:\t${hex(0n)}`,
    `CapPrm:\t${capabilities}`,
    `CapEff:\t${capabilities}`,
    `CapBnd:\t${capabilities}`,
    `CapAmb:\t${hex(0n)}`,
    'NoNewPrivs:\t1',
    'Seccomp:\t0',
    `Cpus_allowed:\t${((1n << BigInt(cpus)) - 1n).toString(16)}`,
    `Cpus_allowed_list:\t${cpus > 1 ? `0-${cpus - 1}` : '0'}`,
    'Mems_allowed:\t1',
    'Mems_allowed_list:\t0',
    'voluntary_ctxt_switches:\t0',
    'nonvoluntary_ctxt_switches:\t0',
    '',
  ].join('\n');
}

function fdDirectory(process: Process): Generated {
  return {
    kind: 'directory',
    names: () => [...process.files.open()].map(([fd]) => `${fd}`),
    child: (name) => (fileOf(process, name) === null ? null : fdLink(process, name)),
  };
}

const fileOf = (process: Process, name: string) =>
  /^(0|[1-9][0-9]{0,9})$/.test(name) ? process.files.get(Number(name)) : null;

function fdLink(process: Process, name: string): Generated {
  return {
    kind: 'link',
    target: () => fileOf(process, name)?.describe() ?? '',
    follow: (): FsNode | number => {
      const file = fileOf(process, name);
      if (file === null) return E.ENOENT;
      return nodeOf(file) ?? new OpenedNode(file);
    },
  };
}

function fdInfoDirectory(process: Process): Generated {
  return {
    kind: 'directory',
    names: () => [...process.files.open()].map(([fd]) => `${fd}`),
    child: (name) => {
      if (fileOf(process, name) === null) return null;
      return text(() => {
        const file = fileOf(process, name);
        if (file === null) return '';
        const offset = file instanceof SeekableFile ? file.offset : 0;
        const flags =
          (file.flags | (process.files.closeOnExec(Number(name)) ? 0o2000000 : 0)) >>> 0;
        const { device, inode } = file.stat();
        const head = `pos:\t${offset}\nflags:\t0${flags.toString(8)}\n`;
        return `${head}mnt_id:\t${device}\nino:\t${inode}\n`;
      });
    },
  };
}

const zeroEnded = (list: readonly string[]): string => list.map((item) => `${item}\0`).join('');

/** What /proc/PID and /proc/PID/task/TID share. */
function common(
  context: FsContext,
  process: Process,
  thread: number,
  mounts: () => string,
): Record<string, Generated> {
  const pages = (bytes: number): number => Math.floor(bytes / 4096);
  return {
    cgroup: text('0::/\n'),
    cmdline: text(() => zeroEnded(process.argv)),
    comm: {
      kind: 'text',
      read: () => `${nameOf(context, process, thread)}\n`,
      write: (name) => {
        for (const task of context.kernel.tasks.values()) {
          if (task.tid !== thread) continue;
          task.name = name.replace(/[\0\n].*$/s, '').slice(0, 15);
          task.touch();
        }
        return 0;
      },
    },
    cwd: { kind: 'link', target: () => process.cwd },
    environ: text(() => zeroEnded(process.env)),
    exe: { kind: 'link', target: () => process.executable },
    fd: fdDirectory(process),
    fdinfo: fdInfoDirectory(process),
    io: text('rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\n'),
    limits: text(() => limits(process)),
    maps: text(() => mapsText(context)),
    mountinfo: text(
      '32 1 0:32 / / rw,relatime - overlay overlay rw\n' +
        '33 32 0:33 / /proc rw,relatime - proc proc rw\n' +
        '34 32 0:34 / /sys ro,relatime - sysfs sysfs ro\n',
    ),
    mounts: text(mounts),
    oom_adj: context.setting(`${process.pid}/oom_adj`, '0\n'),
    oom_score: text('0\n'),
    oom_score_adj: context.setting(`${process.pid}/oom_score_adj`, '0\n'),
    root: { kind: 'link', target: () => '/' },
    smaps_rollup: text(() => {
      const rss = Math.floor(memorySizes(context).residentBytes / 1024);
      return `Rss: ${rss} kB\nPss: ${rss} kB\nPrivate_Dirty: ${rss} kB\nSwap: 0 kB\n`;
    }),
    stat: text(() => stat(context, process, thread)),
    statm: text(() => {
      const { sizeBytes, residentBytes } = memorySizes(context);
      return `${pages(sizeBytes)} ${pages(residentBytes)} 0 0 0 ${pages(sizeBytes)} 0\n`;
    }),
    status: text(() => status(context, process, thread)),
  };
}

export function threadDirectory(
  context: FsContext,
  process: Process,
  thread: number,
  mounts: () => string,
): Generated {
  return directory(common(context, process, thread, mounts));
}

export function processDirectory(
  context: FsContext,
  process: Process,
  mounts: () => string,
): Generated {
  return directory({
    ...common(context, process, process.pid, mounts),
    net: { kind: 'link', target: () => '../net' },
    task: {
      kind: 'directory',
      names: () => threadsOf(context, process).map(String),
      child: (name) =>
        threadsOf(context, process).includes(Number(name))
          ? threadDirectory(context, process, Number(name), mounts)
          : null,
    },
  });
}
