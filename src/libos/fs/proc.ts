/**
 * /proc: what a guest reads of itself and of the machine. Made from the library OS's own state and
 * from `lvm.machine()`; nothing of the host's /proc is ever shown. Processes are in
 * proc-process.ts.
 */
import type { Process } from '../process.ts';
import type { FsContext } from './context.ts';
import { directory, type Generated, text } from './generated.ts';
import { memorySizes } from './proc-memory.ts';
import { processDirectory, threadDirectory } from './proc-process.ts';
import { sysctlDirectory } from './proc-sys.ts';
import { KERNEL_RELEASE, KERNEL_VERSION } from './uname.ts';

/** USER_HZ: ticks of /proc's times in a second. */
const TICKS = 100;
const ticksOf = (ns: number): number => Math.floor((ns / 1e9) * TICKS);

/** All live processes of the guest by id. */
function processesOf(context: FsContext): Map<number, Process> {
  const { kernel } = context;
  const found = new Map<number, Process>([[kernel.state.process.pid, kernel.state.process]]);
  for (const task of kernel.tasks.values()) found.set(task.process.pid, task.process);
  return found;
}

const kib = (bytes: number): string => `${Math.floor(bytes / 1024)}`.padStart(8);

function meminfo(context: FsContext): string {
  const total = context.kernel.lvm.machine().memoryBytes;
  const used = Math.min(total, context.budget.usedBytes + memorySizes(context).residentBytes);
  const lines: [string, number][] = [
    ['MemTotal', total],
    ['MemFree', total - used],
    ['MemAvailable', total - used],
    ['Buffers', 0],
    ['Cached', 0],
    ['SwapCached', 0],
    ['Active', used],
    ['Inactive', 0],
    ['SwapTotal', 0],
    ['SwapFree', 0],
    ['Dirty', 0],
    ['Writeback', 0],
    ['AnonPages', used],
    ['Mapped', 0],
    ['Shmem', context.budget.usedBytes],
    ['Slab', 0],
    ['CommitLimit', total],
    ['Committed_AS', used],
    ['VmallocTotal', 0x7fff_ffff_fc00],
    ['VmallocUsed', 0],
    ['AnonHugePages', 0],
  ];
  const rows = lines.map(([name, bytes]) => `${`${name}:`.padEnd(16)}${kib(bytes)} kB\n`);
  const huge = ['HugePages_Total', 'HugePages_Free', 'HugePages_Rsvd', 'HugePages_Surp'];
  const hugeRows = huge.map((name) => `${name}:       0\n`).join('');
  return `${rows.join('')}${hugeRows}Hugepagesize:       2048 kB\n`;
}

function stat(context: FsContext): string {
  const { lvm, tasks, state } = context.kernel;
  const busy = ticksOf(state.process.tellCpuNs());
  const up = lvm.clock('boottime');
  const count = lvm.machine().cpuCount;
  const all = ticksOf(up) * count;
  const row = (name: string, user: number, idle: number): string =>
    `${name} ${user} 0 0 ${Math.max(0, idle)} 0 0 0 0 0 0\n`;
  const cpus = Array.from({ length: count }, (_, cpu) =>
    row(`cpu${cpu}`, Math.floor(busy / count), Math.floor((all - busy) / count)),
  );
  const boot = Math.floor((lvm.clock('realtime') - up) / 1e9);
  return (
    `${row('cpu ', busy, all - busy)}${cpus.join('')}intr 0\nctxt 0\nbtime ${boot}\n` +
    `processes ${tasks.size}\nprocs_running 1\nprocs_blocked 0\nsoftirq 0\n`
  );
}

function uptime(context: FsContext): string {
  const seconds = context.kernel.lvm.clock('boottime') / 1e9;
  const idle = seconds * context.kernel.lvm.machine().cpuCount;
  return `${seconds.toFixed(2)} ${idle.toFixed(2)}\n`;
}

const MOUNTS: readonly (readonly [source: string, at: string, type: string])[] = [
  ['overlay', '/', 'overlay'],
  ['proc', '/proc', 'proc'],
  ['sysfs', '/sys', 'sysfs'],
];

const mounts = (): string =>
  MOUNTS.map(([source, at, type]) => `${source} ${at} ${type} rw,relatime 0 0\n`).join('');

const NET = directory({
  dev: text(
    'Inter-|   Receive                                                |  Transmit\n' +
      ' face |bytes    packets errs drop fifo frame compressed multicast|' +
      'bytes    packets errs drop fifo colls carrier compressed\n' +
      '    lo:       0       0    0    0    0     0          0         0' +
      '        0       0    0    0    0     0       0          0\n',
  ),
  if_inet6: text('00000000000000000000000000000001 01 80 10 80       lo\n'),
});

/** The tree of /proc. */
export function procTree(context: FsContext): Generated {
  const { lvm } = context.kernel;
  const fixed = directory({
    self: { kind: 'link', target: (task) => `${task.process.pid}` },
    'thread-self': { kind: 'link', target: (task) => `${task.process.pid}/task/${task.tid}` },
    cmdline: text('tardigrade\n'),
    cpuinfo: text(() => lvm.machine().cpuinfo),
    filesystems: text('nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\toverlay\n'),
    loadavg: text(() => `0.00 0.00 0.00 1/${context.kernel.tasks.size} ${lastPid(context)}\n`),
    meminfo: text(() => meminfo(context)),
    mounts: { kind: 'link', target: () => 'self/mounts' },
    net: NET,
    stat: text(() => stat(context)),
    swaps: text('Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n'),
    sys: sysctlDirectory(context),
    uptime: text(() => uptime(context)),
    version: text(`Linux version ${KERNEL_RELEASE} (tardigrade) ${KERNEL_VERSION}\n`),
    vmstat: text('nr_free_pages 0\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\n'),
  });
  if (fixed.kind !== 'directory') return fixed;
  return {
    kind: 'directory',
    names: () => [...[...processesOf(context).keys()].map(String), ...fixed.names()],
    child: (name) =>
      fixed.child(name) ?? (/^[1-9][0-9]*$/.test(name) ? numbered(context, name) : null),
  };
}

const lastPid = (context: FsContext): number => Math.max(0, ...context.kernel.tasks.keys());

/** /proc/N for a process; for a thread that is not its process's first, not listed but there. */
function numbered(context: FsContext, name: string): Generated | null {
  const number = Number(name);
  const process = processesOf(context).get(number);
  if (process !== undefined) return processDirectory(context, process, mounts);
  for (const task of context.kernel.tasks.values()) {
    if (task.tid === number) return threadDirectory(context, task.process, number, mounts);
  }
  return null;
}
