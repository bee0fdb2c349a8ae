/**
 * open(2): from a path and flags to an open file. Used by the open family of handlers and by
 * whoever opens files for the guest (execve, /proc links).
 */
import { E } from '../../abi/errno.ts';
import { IN } from '../../abi/event.ts';
import { O, S } from '../../abi/fs.ts';
import { openFifo } from '../ipc/pipe.ts';
import type { OpenFile } from '../open-file.ts';
import type { Blocked } from '../outcome.ts';
import type { Task } from '../task.ts';
import { openSlave } from '../tty/pty-file.ts';
import { openControlling, openMaster, ptyOfDevice } from '../tty/pty-open.ts';
import { ConsoleFile } from './console.ts';
import type { FsContext } from './context.ts';
import { DeviceFile, RDEV } from './device-file.ts';
import { DirectoryFile } from './directory-file.ts';
import { GeneratedNode } from './generated.ts';
import { GeneratedFile } from './generated-file.ts';
import { Inode } from './inode.ts';
import { copyUp, create, newInode } from './mutate.ts';
import { type FsNode, OpenedNode } from './node.ts';
import { nodeOf } from './node-of.ts';
import { PathFile, type PlacedFile } from './placed-file.ts';
import { RegularFile } from './regular-file.ts';
import { type Found, walk } from './walk.ts';

/** Flags that stay with the open file (F_GETFL shows them). */
const KEPT =
  O.ACCMODE |
  O.APPEND |
  O.NONBLOCK |
  O.SYNC |
  O.ASYNC |
  O.DIRECT |
  O.LARGEFILE |
  O.NOATIME |
  O.PATH |
  O.DIRECTORY |
  O.NOFOLLOW |
  O.TMPFILE_BIT;
const OF_PATH = O.PATH | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC;
const DEVICES: ReadonlySet<number> = new Set([
  RDEV.null,
  RDEV.zero,
  RDEV.full,
  RDEV.random,
  RDEV.urandom,
]);

export interface OpenRequest {
  readonly start: FsNode;
  readonly path: string;
  readonly flags: number;
  /** Of a file that is created; the umask is taken off here. */
  readonly mode: number;
  /** RESOLVE_ flags. */
  readonly resolve: number;
}

/** Whether flags fit together; 0 or -EINVAL. Before anything is looked up. */
export function checkFlags(given: number): number {
  const flags = given & O.PATH ? given & OF_PATH : given;
  if (flags & O.TMPFILE_BIT) {
    const isWriter = (flags & O.ACCMODE) !== O.RDONLY;
    return (flags & (O.TMPFILE | O.CREAT)) === O.TMPFILE && isWriter ? 0 : E.EINVAL;
  }
  return flags & O.CREAT && flags & O.DIRECTORY ? E.EINVAL : 0;
}

/**
 * The open file (without references yet), or -errno, or `blocked` (a FIFO's other side is awaited).
 */
export function openPath(
  context: FsContext,
  task: Task,
  request: OpenRequest,
): OpenFile | Blocked | number {
  let { flags } = request;
  if (flags & O.PATH) flags &= OF_PATH;
  if (flags & O.TMPFILE_BIT) return openTemporary(context, task, request, flags);
  const isCreator = (flags & O.CREAT) !== 0;
  const isExclusive = isCreator && (flags & O.EXCL) !== 0;
  const follow = !isExclusive && (flags & O.NOFOLLOW) === 0;
  const found = walk(context, task, request.start, request.path, {
    follow,
    isName: isCreator,
    resolve: request.resolve,
  });
  if (typeof found === 'number') return found;
  const isDots = found.name === '' || found.name === '.' || found.name === '..';
  if (isCreator && found.hasSlash && !isDots) return E.EISDIR;
  if (found.node === null) {
    if (!isCreator) return E.ENOENT;
    return createAndOpen(context, task, found, request, flags);
  }
  if (isExclusive) return E.EEXIST;
  if (isCreator && found.node.type === 'directory') return E.EISDIR;
  return openNode(context, task, found.node, flags);
}

function createAndOpen(
  context: FsContext,
  task: Task,
  found: Found,
  request: OpenRequest,
  flags: number,
): OpenFile | Blocked | number {
  const mode = request.mode & 0o7777 & ~task.process.umask;
  const inode = create(context, found, 'file', mode);
  if (typeof inode === 'number') return inode;
  return openNode(context, task, inode, flags & ~O.TRUNC);
}

function openTemporary(
  context: FsContext,
  task: Task,
  request: OpenRequest,
  flags: number,
): OpenFile | Blocked | number {
  const found = walk(context, task, request.start, request.path, {
    follow: (flags & O.NOFOLLOW) === 0,
    resolve: request.resolve,
  });
  if (typeof found === 'number') return found;
  if (found.node === null) return E.ENOENT;
  if (found.node.type !== 'directory') return E.ENOTDIR;
  const parent = copyUp(context, found.node);
  if (typeof parent === 'number') return E.EOPNOTSUPP;
  const inode = newInode(context, 'file', request.mode & 0o7777 & ~task.process.umask);
  if (typeof inode === 'number') return inode;
  inode.name = `${parent.path() === '/' ? '' : parent.path().slice(1)}/#${inode.id}`;
  inode.isLinkable = (flags & O.EXCL) === 0;
  return openRegular(context, inode, flags);
}

/** What the flags forbid for a file of this type; 0 when nothing. */
function refusal(node: FsNode, flags: number): number {
  if (flags & O.DIRECTORY && node.type !== 'directory') return E.ENOTDIR;
  if (node.type === 'symlink' && (flags & O.PATH) === 0) return E.ELOOP;
  const isWriter = (flags & O.ACCMODE) !== O.RDONLY || (flags & O.TRUNC) !== 0;
  if (node.type === 'directory' && isWriter) return E.EISDIR;
  return 0;
}

/** Opens what a walk has found, and tells who watches. */
function openNode(
  context: FsContext,
  task: Task,
  node: FsNode,
  flags: number,
): OpenFile | Blocked | number {
  const file = openByType(context, task, node, flags);
  const { notifier } = context;
  if (!notifier.isActive || flags & O.PATH || typeof file === 'number' || !('queue' in file)) {
    return file;
  }
  const opened = nodeOf(file);
  if (opened !== null) {
    notifier.happened(opened, IN.open);
    if (flags & O.TRUNC && opened.type === 'file') notifier.happened(opened, IN.modify);
  }
  return file;
}

function openByType(
  context: FsContext,
  task: Task,
  node: FsNode,
  flags: number,
): OpenFile | Blocked | number {
  const refused = refusal(node, flags);
  if (refused < 0) return refused;
  if (node instanceof OpenedNode) return openAgain(node.file);
  if (flags & O.PATH) return placed(new PathFile(context, context.top.objects), node, flags);
  switch (node.type) {
    case 'directory':
      return placed(new DirectoryFile(context, context.top.objects), node, flags);
    case 'file':
      return openRegular(context, node, flags);
    case 'char':
      return node instanceof Inode ? openDevice(context, task, node, flags) : E.ENXIO;
    case 'fifo': {
      const inode = copyUp(context, node);
      if (typeof inode === 'number') return inode;
      return openFifo(task, inode.pipe, inode, flags & KEPT);
    }
    case 'block':
    case 'socket':
    case 'symlink':
      return E.ENXIO;
  }
}

function openDevice(context: FsContext, task: Task, node: Inode, flags: number): OpenFile | number {
  const { rdev } = node;
  if (DEVICES.has(rdev)) {
    return placed(new DeviceFile(context, context.top.objects), node, flags);
  }
  if (rdev === RDEV.ptmx) return openMaster(context, node, flags);
  if (rdev === RDEV.tty) return openControlling(context, task, node, flags);
  const pty = ptyOfDevice(context, rdev);
  return pty === null ? E.ENXIO : openSlave(pty, task, node, flags);
}

function placed<T extends PlacedFile>(file: T, node: FsNode, flags: number): T {
  file.place.set(node);
  file.setFlags(flags & KEPT);
  return file;
}

function openRegular(context: FsContext, node: FsNode, flags: number): OpenFile | number {
  const { objects } = context.top;
  const isWriter = (flags & O.ACCMODE) !== O.RDONLY;
  if (node instanceof GeneratedNode) {
    if (isWriter && (node.mode & 0o222) === 0) return E.EACCES;
    return placed(new GeneratedFile(context, objects), node, flags);
  }
  if (!isWriter && (flags & O.TRUNC) === 0) {
    return placed(new RegularFile(context, objects), node, flags);
  }
  const inode = copyUp(context, node);
  if (typeof inode === 'number') return inode;
  if (flags & O.TRUNC) {
    const failed = inode.truncate(0);
    if (failed < 0) return failed;
  }
  return placed(new RegularFile(context, objects), inode, flags);
}

/** /proc/self/fd/N of something without a name: the same open file once more. */
function openAgain(file: OpenFile): OpenFile | number {
  if (file instanceof ConsoleFile) return file;
  return file.stat().mode & S.IFMT & ~S.IFIFO ? E.ENXIO : file;
}

/** memfd_create(2): a file that never had a name. */
export function openMemory(
  context: FsContext,
  name: string,
  seals: number,
  mode: number,
): OpenFile | number {
  const inode = newInode(context, 'file', mode);
  if (typeof inode === 'number') return inode;
  inode.name = `memfd:${name}`;
  inode.seals = seals;
  return placed(new RegularFile(context, context.top.objects), inode, O.RDWR | O.LARGEFILE);
}
