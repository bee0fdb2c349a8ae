/**
 * rename(2) and renameat2(2), with the order of checks that Linux has. Used by syscalls/path.ts.
 */
import { E } from '../../abi/errno.ts';
import { IN } from '../../abi/event.ts';
import { RENAME } from '../../abi/fs.ts';
import type { FsContext } from './context.ts';
import { Inode } from './inode.ts';
import { copyUp, isEmpty, isMountPoint, isWithin, placeAt } from './mutate.ts';
import type { FsNode } from './node.ts';
import { reanchorBelow } from './place.ts';
import { RootNode } from './root.ts';
import type { Found } from './walk.ts';

const isNamed = (found: Found): boolean =>
  found.name !== '' && found.name !== '.' && found.name !== '..';

/** What stands against the rename; 0 when nothing does. */
function refusal(from: Found, to: Found, flags: number): number {
  if (!isNamed(from)) return E.EBUSY;
  if (!isNamed(to)) return flags & RENAME.NOREPLACE ? E.EEXIST : E.EBUSY;
  const { node } = from;
  if (node === null) return E.ENOENT;
  if (flags & RENAME.NOREPLACE && to.node !== null) return E.EEXIST;
  const isExchange = (flags & RENAME.EXCHANGE) !== 0;
  if (isExchange && to.node === null) return E.ENOENT;
  if (isExchange && to.node?.type !== 'directory' && to.hasSlash) return E.ENOTDIR;
  if (node.type !== 'directory' && (from.hasSlash || (to.hasSlash && !isExchange))) {
    return E.ENOTDIR;
  }
  for (const end of [node, from.parent, to.parent]) {
    if (!(end instanceof Inode) && !(end instanceof RootNode)) return E.EXDEV;
  }
  if (isMountPoint(node) || (to.node !== null && isMountPoint(to.node))) return E.EBUSY;
  if (to.parent instanceof Inode && to.parent.links === 0) return E.ENOENT;
  if (node.type === 'directory' && isWithin(to.parent, node)) return E.EINVAL;
  if (to.node?.type === 'directory' && isWithin(from.parent, to.node)) {
    return isExchange ? E.EINVAL : E.ENOTEMPTY;
  }
  if (to.node === null || isExchange) return 0;
  return replaceRefusal(node, to.node);
}

function replaceRefusal(node: FsNode, target: FsNode): number {
  if (isSame(node, target)) return 0;
  if (node.type === 'directory') {
    if (target.type !== 'directory') return E.ENOTDIR;
    return isEmpty(target) ? 0 : E.ENOTEMPTY;
  }
  return target.type === 'directory' ? E.EISDIR : 0;
}

const isSame = (left: FsNode, right: FsNode): boolean =>
  left === right ||
  (left instanceof RootNode && right instanceof RootNode && left.rootPath === right.rootPath);

/**
 * Renames `from` to `to`; 0 or -errno. `flags` has RENAME_NOREPLACE or RENAME_EXCHANGE, not both.
 */
export function rename(context: FsContext, from: Found, to: Found, flags: number): number {
  const refused = refusal(from, to, flags);
  if (refused < 0) return refused;
  const node = from.node as FsNode;
  if (to.node !== null && isSame(node, to.node)) return 0;
  const fromParent = copyUp(context, from.parent);
  if (typeof fromParent === 'number') return fromParent;
  const toParent = copyUp(context, to.parent);
  if (typeof toParent === 'number') return toParent;
  const inode = copyUp(context, node);
  if (typeof inode === 'number') return inode;
  const isTargetOpen = to.node instanceof RootNode && context.rootPlaces.has(to.node.rootPath);
  const needsTarget = isTargetOpen || (flags & RENAME.EXCHANGE) !== 0;
  const target = needsTarget && to.node !== null ? copyUp(context, to.node) : to.node;
  if (typeof target === 'number') return target;

  const oldPath = inode.path();
  follow(context, inode);
  if (flags & RENAME.EXCHANGE) {
    const other = target as Inode;
    const otherPath = other.path();
    follow(context, other);
    placeAt(inode, toParent, to.name);
    placeAt(other, fromParent, from.name);
    other.changed();
    if (inode.type === 'directory') moveCwd(context, oldPath, `${otherPath}\0`);
    if (other.type === 'directory') moveCwd(context, otherPath, oldPath);
    if (inode.type === 'directory') moveCwd(context, `${otherPath}\0`, otherPath);
  } else {
    if (target?.type === 'directory') toParent.links -= 1;
    placeAt(inode, toParent, to.name);
    fromParent.removeName(from.name);
    if (inode.type === 'directory') moveCwd(context, oldPath, inode.path());
  }
  inode.changed();
  fromParent.modified();
  if (toParent !== fromParent) toParent.modified();
  const { notifier } = context;
  notifier.moved(inode, [fromParent, from.name], [toParent, to.name]);
  if (flags & RENAME.EXCHANGE) {
    notifier.moved(target as Inode, [toParent, to.name], [fromParent, from.name]);
  } else if (target instanceof Inode) {
    if (target.type !== 'directory') notifier.self(target, IN.attrib);
    target.unlinked();
  }
  return 0;
}

/** Open files of the root below a directory find their way through its inode from now on. */
function follow(context: FsContext, inode: Inode): void {
  if (inode.type === 'directory' && inode.lowerPath !== '') reanchorBelow(context, inode);
}

/** Working directories are paths: those at or below a directory that moves are renamed with it. */
function moveCwd(context: FsContext, from: string, to: string): void {
  const processes = new Set([...context.kernel.tasks.values()].map((task) => task.process));
  for (const process of processes) {
    if (process.cwd !== from && !process.cwd.startsWith(`${from}/`)) continue;
    process.cwd = to + process.cwd.slice(from.length);
    process.touch();
  }
}
