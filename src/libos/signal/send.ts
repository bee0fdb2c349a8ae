/**
 * Sends signals on behalf of system calls, timers and broken pipes. The kernel below delivers them:
 * it alone knows masks, dispositions and handlers. Must not decide what a signal does.
 */
import { assert } from '../../base/assert.ts';
import type { Process } from '../process.ts';
import type { Task } from '../task.ts';

/** si_code: by kill(2) or as if by it; by the kernel itself. */
const SI_USER = 0;
const SI_KERNEL = 0x80;
const SIGINFO_BYTES = 128;

/** siginfo_t of a signal that a process sends; `uid` is its real user. */
export function userSignalInfo(signal: number, pid: number, uid = 0, code = SI_USER): Buffer {
  const info = kernelSignalInfo(signal, code);
  info.writeInt32LE(pid, 16);
  info.writeUInt32LE(uid, 20);
  return info;
}

/** siginfo_t of a signal that the kernel sends by itself, such as SIGALRM. */
export function kernelSignalInfo(signal: number, code = SI_KERNEL): Buffer {
  const info = Buffer.alloc(SIGINFO_BYTES);
  info.writeInt32LE(signal, 0);
  info.writeInt32LE(code, 8);
  return info;
}

/** Sends to one thread; by default as if its own process had. No effect if the thread is gone. */
export function sendSignalToTask(task: Task, signal: number, info?: Buffer): void {
  assert(signal >= 1 && signal <= 64, `${signal} is not a signal`);
  task.kernel.signal(task, signal, info ?? userSignalInfo(signal, task.process.pid));
}

/** Sends to a process: Linux chooses the thread that takes it. */
export function sendSignalToProcess(process: Process, signal: number, info?: Buffer): void {
  assert(signal >= 1 && signal <= 64, `${signal} is not a signal`);
  process.kernel.signal(null, signal, info ?? userSignalInfo(signal, process.pid));
}
