/**
 * Reads /proc: which processes there are, whose children they are, what they are called. Used to
 * find everything that a test has started, also what its children left behind.
 */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A millisecond each. */
const STOP_LOOKS_MAX = 10_000;

export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  /** One letter of ps: R, S, T (stopped), Z (zombie). */
  readonly state: string;
  /** Clock ticks since boot: with `pid`, an identity that is not reused. */
  readonly startTime: string;
  /** Arguments separated by spaces. Empty for zombies and restored guests. */
  readonly commandLine: string;
}

/** The process, or null if it is gone. */
export function readProcess(pid: number): ProcessInfo | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may contain anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
    return {
      pid,
      state: fields[0] ?? '?',
      parent: Number(fields[1]),
      session: Number(fields[3]),
      startTime: fields[19] ?? '',
      commandLine: commandLine.replaceAll('\0', ' ').trim(),
    };
  } catch {
    return null;
  }
}

/** Waits until each thread of a process that was sent SIGSTOP stands still, or it is gone. */
export function awaitStop(pid: number): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let left = STOP_LOOKS_MAX; left > 0; left -= 1) {
    let states: string[];
    try {
      states = readdirSync(`/proc/${pid}/task`).map((thread) => {
        const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1');
        return stat.charAt(stat.lastIndexOf(')') + 2);
      });
    } catch {
      // A thread or the process went away meanwhile.
      if (readProcess(pid) === null) return;
      continue;
    }
    if (states.every((state) => 'TtZX'.includes(state))) return;
    Atomics.wait(pause, 0, 0, 1);
  }
  throw new Error(`process ${pid} did not stop`);
}

function listProcesses(): ProcessInfo[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((info) => info !== null);
}

/** Whether `mark` stands in the arguments or the environment that the process was started with. */
function isMarked(info: ProcessInfo, mark: string): boolean {
  if (info.commandLine.includes(mark)) return true;
  try {
    return readFileSync(`/proc/${info.pid}/environ`, 'latin1').includes(mark);
  } catch {
    return false;
  }
}

/** Every process that is one of `roots`, descends from one, is in its session, or is marked. */
export function family(roots: ReadonlySet<number>, mark: string): ProcessInfo[] {
  const all = listProcesses();
  const members = new Set(roots);
  const belongs = (info: ProcessInfo): boolean =>
    members.has(info.parent) || members.has(info.session) || isMarked(info, mark);
  for (let size = -1; size !== members.size; ) {
    size = members.size;
    for (const info of all) if (!members.has(info.pid) && belongs(info)) members.add(info.pid);
  }
  return all.filter((info) => members.has(info.pid) && info.pid !== process.pid);
}

/** Whether it is still the same process and not a zombie. */
export function isAlive(info: Pick<ProcessInfo, 'pid' | 'startTime'>): boolean {
  const now = readProcess(info.pid);
  return now !== null && now.startTime === info.startTime && now.state !== 'Z';
}

/** TCP ports (IPv4 and IPv6) on which the process listens. */
export function listeningPorts(pid: number): number[] {
  const inodes = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const link = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`));
      if (link) inodes.add(link[1] as string);
    } catch {
      // Closed meanwhile.
    }
  }
  const lines = ['tcp', 'tcp6'].flatMap((name) => {
    return readFileSync(`/proc/${pid}/net/${name}`, 'latin1').trim().split('\n').slice(1);
  });
  const ports = lines
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === '0A' && inodes.has(fields[9] ?? ''))
    .map((fields) => Number.parseInt((fields[1] ?? '').split(':').at(-1) ?? '', 16));
  return [...new Set(ports)];
}
