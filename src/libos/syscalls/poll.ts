/**
 * poll, ppoll, select, pselect6: waiting for some of the files given in the call. They look at
 * all of them each time, as their interface has it; epoll does not.
 */
import { E } from '../../abi/errno.ts';
import { POLLFD } from '../../abi/event.ts';
import type { GuestAddress } from '../../base/ids.ts';
import type { Args } from '../args.ts';
import { type OpenFile, POLL } from '../open-file.ts';
import type { Outcome } from '../outcome.ts';
import type { Task } from '../task.ts';
import { putTimespec, putTimeval, readTimespec, readTimeval } from '../time/clocks.ts';

const ALWAYS = POLL.error | POLL.hup;

/** Nothing is ready: 0 when the time is up, or to wait on the files for the rest of it. */
function waitFor(task: Task, files: readonly OpenFile[], timeoutNs: number): Outcome {
  if (timeoutNs === 0) return 0;
  if (timeoutNs !== Infinity) {
    task.deadline(timeoutNs);
    if (task.isTimedOut) return 0;
  }
  for (const file of files) task.waitOn(file.queue);
  return task.sleep();
}

function poll(task: Task, args: Args, timeoutNs: number): Outcome {
  const count = args.uint(1);
  if (count > task.files.limit) return E.EINVAL;
  const address = args.pointer(0);
  const bytes = task.memory.read(address, count * POLLFD.sizeBytes);
  const files: OpenFile[] = [];
  let ready = 0;
  for (let at = 0; at < bytes.length; at += POLLFD.sizeBytes) {
    const fd = bytes.readInt32LE(at + POLLFD.fd);
    let events = 0;
    if (fd >= 0) {
      const file = task.files.get(fd);
      if (file === null) events = POLL.nval;
      else {
        events = file.poll() & (bytes.readUInt16LE(at + POLLFD.events) | ALWAYS);
        files.push(file);
      }
    }
    bytes.writeUInt16LE(events & 0xffff, at + POLLFD.revents);
    if (events !== 0) ready += 1;
  }
  const outcome = ready > 0 ? ready : waitFor(task, files, timeoutNs);
  if (typeof outcome === 'number') task.memory.write(address, bytes);
  return outcome;
}

export function sysPoll(task: Task, args: Args): Outcome {
  const timeoutMs = args.int(2);
  return poll(task, args, timeoutMs < 0 ? Infinity : timeoutMs * 1e6);
}

export function sysPpoll(task: Task, args: Args): Outcome {
  if (args.pointer(2) === 0) return poll(task, args, Infinity);
  const timeoutNs = readTimespec(task.memory, args.pointer(2));
  return timeoutNs === null ? E.EINVAL : poll(task, args, timeoutNs);
}

/** The three sets of select: which bits count for each. */
const SETS = [
  POLL.in | POLL.rdnorm | POLL.rdband | POLL.hup | POLL.error,
  POLL.out | POLL.wrnorm | POLL.wrband | POLL.error,
  POLL.pri,
] as const;

/** Reads one fd_set; null when it is not given. */
function readSet(task: Task, address: GuestAddress, sizeBytes: number): Buffer | null {
  return address === 0 ? null : task.memory.read(address, sizeBytes);
}

const hasBit = (set: Buffer | null, fd: number): boolean =>
  set !== null && ((set[fd >> 3] ?? 0) & (1 << (fd & 7))) !== 0;

function select(task: Task, args: Args, timeoutNs: number): Outcome {
  const wanted = args.int(0);
  if (wanted < 0) return E.EINVAL;
  // Bits beyond the descriptors that ever were are not looked at.
  const count = Math.min(wanted, Math.max(task.files.size, 64));
  const sizeBytes = Math.ceil(count / 64) * 8;
  const given = [1, 2, 3].map((index) => readSet(task, args.pointer(index), sizeBytes));
  const results = given.map((set) => (set === null ? null : Buffer.alloc(sizeBytes)));
  const files: OpenFile[] = [];
  let ready = 0;
  for (let fd = 0; fd < count; fd += 1) {
    if (!given.some((set) => hasBit(set, fd))) continue;
    const file = task.files.get(fd);
    if (file === null) return E.EBADF;
    const events = file.poll();
    files.push(file);
    for (const [index, mask] of SETS.entries()) {
      const result = results[index] ?? null;
      if (result === null || !hasBit(given[index] ?? null, fd) || (events & mask) === 0) continue;
      result[fd >> 3] = (result[fd >> 3] ?? 0) | (1 << (fd & 7));
      ready += 1;
    }
  }
  const outcome = ready > 0 ? ready : waitFor(task, files, timeoutNs);
  if (typeof outcome !== 'number') return outcome;
  for (const [index, result] of results.entries()) {
    if (result !== null) task.memory.write(args.pointer(index + 1), result);
  }
  return outcome;
}

type PutTime = (bytes: Buffer, at: number, ns: number) => void;

/** Linux tells in the timeout how much of it is left. */
function writeTimeLeft(task: Task, address: GuestAddress, timeoutNs: number, put: PutTime): void {
  const leftNs = Math.max(0, task.deadline(timeoutNs) - task.kernel.monotonicNs());
  const bytes = Buffer.alloc(16);
  put(bytes, 0, leftNs);
  // A timeout in memory that can't be written is no error.
  task.kernel.lvm.memoryWrite(address, bytes);
}

function selectFor(task: Task, args: Args, timeoutNs: number | null, put: PutTime): Outcome {
  if (timeoutNs === null) return E.EINVAL;
  const isTimed = timeoutNs > 0 && timeoutNs !== Infinity;
  if (isTimed) task.deadline(timeoutNs);
  const outcome = select(task, args, timeoutNs);
  if (isTimed && typeof outcome === 'number') {
    writeTimeLeft(task, args.pointer(4), timeoutNs, put);
  }
  return outcome;
}

export function sysSelect(task: Task, args: Args): Outcome {
  const address = args.pointer(4);
  const timeoutNs = address === 0 ? Infinity : readTimeval(task.memory, address);
  return selectFor(task, args, timeoutNs, putTimeval);
}

export function sysPselect6(task: Task, args: Args): Outcome {
  const address = args.pointer(4);
  const timeoutNs = address === 0 ? Infinity : readTimespec(task.memory, address);
  return selectFor(task, args, timeoutNs, putTimespec);
}
