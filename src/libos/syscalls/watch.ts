/** Calls of inotify(7), with their table rows. Thin: fs/inotify.ts decides. */
import { E } from '../../abi/errno.ts';
import { IN } from '../../abi/event.ts';
import { AT, O } from '../../abi/fs.ts';
import { INOTIFY_LIMITS, Inotify } from '../fs/inotify.ts';
import type { Handler } from '../outcome.ts';
import { full, partial, type Row } from '../table-row.ts';
import type { Task } from '../task.ts';
import { readPath } from './path-argument.ts';
import { install } from './socket-common.ts';

/** What inotify_add_watch knows; other bits are passed over if one of these is there. */
const KNOWN =
  IN.events |
  IN.unmount |
  IN.overflow |
  IN.ignored |
  IN.onlyDirectory |
  IN.dontFollow |
  IN.exclUnlink |
  IN.maskCreate |
  IN.maskAdd |
  IN.isDirectory |
  IN.oneshot;

function create(task: Task, flags: number): number {
  if (flags & ~(IN.nonblock | IN.cloexec)) return E.EINVAL;
  const { context } = task.kernel.fs;
  if (context.notifier.instanceCount >= INOTIFY_LIMITS.instances) return E.EMFILE;
  const file = new Inotify(context, task.kernel.objects);
  file.setFlags(O.RDONLY | (flags & IN.nonblock));
  return install(task, file, (flags & IN.cloexec) !== 0);
}

const inotifyInit: Handler = (task) => create(task, 0);

const inotifyInit1: Handler = (task, args) => create(task, args.uint(0));

const inotifyAddWatch: Handler = (task, args) => {
  const flags = args.uint(2);
  if ((flags & KNOWN) === 0) return E.EINVAL;
  const file = task.files.get(args.int(0));
  if (file === null) return E.EBADF;
  if (flags & IN.maskAdd && flags & IN.maskCreate) return E.EINVAL;
  if (!(file instanceof Inotify)) return E.EINVAL;
  const path = readPath(task, args.pointer(1));
  if (typeof path === 'number') return path;
  const follow = (flags & IN.dontFollow) === 0;
  const node = task.kernel.fs.walkTo(task, AT.FDCWD, path, { follow });
  if (typeof node === 'number') return node;
  if (flags & IN.onlyDirectory && node.type !== 'directory') return E.ENOTDIR;
  return file.add(node, flags);
};

const inotifyRmWatch: Handler = (task, args) => {
  const file = task.files.get(args.int(0));
  if (file === null) return E.EBADF;
  return file instanceof Inotify ? file.remove(args.int(1)) : E.EINVAL;
};

export const watchRows: readonly Row[] = [
  full('inotify_init', inotifyInit),
  full('inotify_init1', inotifyInit1),
  partial(
    'inotify_add_watch',
    inotifyAddWatch,
    'a file with several names is told of by its latest; nothing is told of /proc and /sys',
  ),
  full('inotify_rm_watch', inotifyRmWatch),
];
