/**
 * What open(2) does for the terminals of /dev: ptmx makes a new one, pts/N is a slave of one, tty
 * the caller's controlling terminal.
 */
import { E } from '../../abi/errno.ts';
import { PTS_MAJOR } from '../../abi/tty.ts';
import type { FsContext } from '../fs/context.ts';
import { Inode } from '../fs/inode.ts';
import { create } from '../fs/mutate.ts';
import type { Task } from '../task.ts';
import { controlling, Pty } from './pty.ts';
import { openSlave, PtyMaster, type PtySlave } from './pty-file.ts';

/** As Linux's: of kernel.pty.max. Each takes some 20 KiB when it is full. */
const PTYS_MAX = 4096;

/** dev_t of /dev/pts/N: the minor has 8 bits below the major and more above it. */
const slaveDevice = (index: number): number =>
  ((PTS_MAJOR << 8) | (index & 0xff) | ((index & ~0xff) << 12)) >>> 0;

/** /dev/ptmx: a new pseudo-terminal, of which this is the master; -errno. */
export function openMaster(context: FsContext, node: Inode, flags: number): PtyMaster | number {
  const dev = context.top.lookup('dev');
  const directory = dev instanceof Inode ? dev.lookup('pts') : E.ENODEV;
  if (!(directory instanceof Inode) || directory.type !== 'directory') return E.ENODEV;
  if (context.ptys.size >= PTYS_MAX) return E.ENOSPC;
  let index = 0;
  while (context.ptys.has(index)) index += 1;
  const found = { parent: directory, name: `${index}`, node: null, hasSlash: false };
  const inode = create(context, found, 'char', 0o620);
  if (typeof inode === 'number') return inode;
  inode.rdev = slaveDevice(index);
  inode.gid = 5;
  const pty = new Pty(context, context.top.objects);
  pty.begin(index, inode);
  const master = new PtyMaster(context, context.top.objects);
  master.start(pty, node, flags);
  return master;
}

/** The pseudo-terminal of /dev/pts/N by its device number, or null. */
export function ptyOfDevice(context: FsContext, rdev: number): Pty | null {
  if (((rdev >>> 8) & 0xfff) !== PTS_MAJOR) return null;
  return context.ptys.get((rdev & 0xff) | ((rdev >>> 12) & ~0xff)) ?? null;
}

/** /dev/tty. */
export function openControlling(
  context: FsContext,
  task: Task,
  node: Inode,
  flags: number,
): PtySlave | number {
  const pty = controlling(context, task);
  return pty === null ? E.ENXIO : openSlave(pty, task, node, flags);
}
