/**
 * Address space: mmap(2) and its family. Linux does the work in the guest's own address space; we
 * see each call first, so that a checkpoint knows which ranges lost or got content, and decide
 * what a descriptor stands for.
 */
import { E } from '../../abi/errno.ts';
import { MAP, PAGE_BYTES, PROT } from '../../abi/memory.ts';
import { type GuestAddress, guestAddress } from '../../base/ids.ts';
import type { Args } from '../args.ts';
import { native, type Outcome } from '../outcome.ts';
import { pagesUp } from '../pages.ts';
import { full, nativeRow, partial, type Row, refused } from '../table-row.ts';
import type { Task } from '../task.ts';

/** Below this lies what is the host's; Linux refuses such addresses to ordinary processes too. */
const LOWEST_ADDRESS = 0x1_2000;

function sysMmap(task: Task, args: Args): Outcome {
  const flags = args.uint(3);
  const isFixed = (flags & (MAP.FIXED | MAP.FIXED_NOREPLACE)) !== 0;
  if (isFixed && args.pointer(0) < LOWEST_ADDRESS) return E.EPERM;
  if (isFixed) forgetShared(task, args);
  if ((flags & MAP.ANONYMOUS) !== 0) {
    // Huge pages come from a pool of the host's.
    return (flags & MAP.HUGETLB) !== 0 ? E.ENOMEM : native;
  }
  const fd = args.int(4);
  const file = task.files.get(fd);
  if (file === null) return E.EBADF;
  if (args.size(1) === 0) return E.EINVAL;
  if (args.long(5) % PAGE_BYTES !== 0) return E.EINVAL;
  const isShared = (flags & MAP.TYPE) === MAP.SHARED || (flags & MAP.TYPE) === MAP.SHARED_VALIDATE;
  if (isShared && (args.uint(2) & PROT.WRITE) !== 0) return E.ENODEV;
  const source = file.mapSource();
  if (typeof source === 'number') return source;
  const inode = file.contentId;
  if (!isShared || source.kind === 'root' || inode === null) {
    return { kind: 'map', fd, source, shows: null };
  }
  if (task.process.sharedMaps.isFull) return E.ENOMEM;
  const [offset, size] = [args.long(5), args.size(1)];
  const shows = { inode, offset, size };
  return { kind: 'map', fd, source: { ...source, isShared: true }, shows };
}

/** The range that address and length in the first two arguments name. */
const rangeOf = (args: Args): readonly [number, number] => [
  args.pointer(0),
  args.pointer(0) + pagesUp(args.size(1)),
];

/** What was there is not there any more. */
function forgetShared(task: Task, args: Args): void {
  const { process } = task;
  if (process.sharedMaps.unmap(...rangeOf(args))) process.touch();
}

const isShown = (task: Task, args: Args): boolean =>
  task.process.sharedMaps.overlaps(...rangeOf(args));

function sysMunmap(task: Task, args: Args): Outcome {
  forgetShared(task, args);
  return native;
}

/** A copy of a file stays one: it can't be moved, written to or given back. */
const sysMremap = (task: Task, args: Args): Outcome => (isShown(task, args) ? E.ENOMEM : native);

const sysMprotect = (task: Task, args: Args): Outcome =>
  (args.uint(2) & PROT.WRITE) !== 0 && isShown(task, args) ? E.EACCES : native;

const sysMadvise = (task: Task, args: Args): Outcome => (isShown(task, args) ? 0 : native);

/** The heap is mapped ahead of the break by a part of its size, within these. */
const HEAP_AHEAD_MIN = 1 << 20;
const HEAP_AHEAD_MAX = 64 << 20;
/** RLIMIT_DATA: how far a heap can grow. */
const HEAP_BYTES_MAX = 2 ** 40;

/** Within what is mapped the break is only a number; what it leaves behind reads as zeros again. */
function sysBrk(task: Task, args: Args): Outcome {
  const { process } = task;
  const wanted = args.pointer(0);
  const heapBytes = wanted - process.heapStart;
  if (wanted < process.heapStart || heapBytes > HEAP_BYTES_MAX) return process.programBreak;
  if (wanted < process.programBreak) return shrinkHeap(task, wanted);
  if (wanted > process.heapEnd) {
    if (process.isHeapFull) return process.programBreak;
    const ahead = Math.min(HEAP_AHEAD_MAX, Math.max(HEAP_AHEAD_MIN, heapBytes / 4));
    const end = Math.ceil((wanted + ahead) / PAGE_BYTES) * PAGE_BYTES;
    return { kind: 'grow-heap', start: process.heapEnd, end: guestAddress(end) };
  }
  process.programBreak = wanted;
  process.touch();
  return process.programBreak;
}

function shrinkHeap(task: Task, wanted: GuestAddress): Outcome {
  const { process } = task;
  const firstWhole = Math.ceil(wanted / PAGE_BYTES) * PAGE_BYTES;
  const partEnd = Math.min(firstWhole, process.programBreak);
  task.memory.write(wanted, Buffer.alloc(partEnd - wanted));
  const end = Math.ceil(process.programBreak / PAGE_BYTES) * PAGE_BYTES;
  process.programBreak = wanted;
  process.touch();
  if (end <= firstWhole) return wanted;
  return {
    kind: 'drop-heap',
    start: guestAddress(firstWhole),
    end: guestAddress(end),
    value: wanted,
  };
}

const MEMBARRIER_CMD_QUERY = 0;

const done = (): Outcome => 0;

export const memoryRows: readonly Row[] = [
  partial('mmap', sysMmap, 'shared mappings of files give ENODEV if writable; no huge pages'),
  full('munmap', sysMunmap),
  full('mprotect', sysMprotect),
  partial('mremap', sysMremap, 'not of shared mappings of files'),
  full('madvise', sysMadvise),
  full('brk', sysBrk),
  nativeRow('mincore', 'tells of the address space and changes nothing'),
  full('msync', done),
  full('mlock', done),
  full('mlock2', done),
  full('munlock', done),
  full('mlockall', done),
  full('munlockall', done),
  partial(
    'membarrier',
    (_task, args) => (args.int(0) === MEMBARRIER_CMD_QUERY ? 0 : E.EINVAL),
    'no command is supported, and it says so',
  ),
  refused('mbind', E.ENOSYS, 'as on a kernel without NUMA'),
  refused('get_mempolicy', E.ENOSYS, 'as on a kernel without NUMA'),
  refused('set_mempolicy', E.ENOSYS, 'as on a kernel without NUMA'),
  refused('migrate_pages', E.ENOSYS, 'as on a kernel without NUMA'),
  refused('move_pages', E.ENOSYS, 'as on a kernel without NUMA'),
  refused('remap_file_pages', E.ENOSYS, 'replaced by mmap long ago'),
  refused('pkey_mprotect', E.ENOSYS, 'as on a processor without protection keys'),
  refused('pkey_alloc', E.ENOSPC, 'as on a processor without protection keys'),
  refused('pkey_free', E.EINVAL, 'as on a processor without protection keys'),
  refused('userfaultfd', E.EPERM, 'the guest may not watch memory faults'),
  refused('process_vm_readv', E.EPERM, 'no other process is to be seen'),
  refused('process_vm_writev', E.EPERM, 'no other process is to be seen'),
  refused('process_madvise', E.EPERM, 'no other process is to be seen'),
];
