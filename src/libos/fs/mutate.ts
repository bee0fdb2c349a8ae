/**
 * What changes names and inodes: copy-up, create, link, unlink, rename. Used by the handlers and by
 * open.ts. Each checks all that can fail before it changes anything; results are -errno or 0.
 */
import { E } from '../../abi/errno.ts';
import { IN } from '../../abi/event.ts';
import { NAME_MAX, S } from '../../abi/fs.ts';
import type { FileType } from '../../lvm/api.ts';
import type { FsContext } from './context.ts';
import { Inode } from './inode.ts';
import type { FsNode } from './node.ts';
import { RootNode } from './root.ts';
import { fileTime } from './stat.ts';
import type { Found } from './walk.ts';

/**
 * The inode of a node, taken over from the read-only root if need be; -errno. Content isn't copied.
 */
export function copyUp(context: FsContext, node: FsNode): Inode | number {
  if (node instanceof Inode) return node;
  if (!(node instanceof RootNode)) return E.EPERM;
  const parent = copyUp(context, node.parent);
  if (typeof parent === 'number') return parent;
  // The node may be older than a copy-up of the same file.
  const known = parent.entries.get(node.name);
  if (known !== undefined) return known ?? E.ENOENT;
  if (!context.hasRoomForInode) return E.ENOSPC;
  const target = node.readlink();
  if (node.type === 'symlink' && typeof target === 'number') return target;
  const inode = new Inode(context, parent.objects).become(node.type, node.mode);
  const { root } = node;
  inode.number = root.inode;
  inode.uid = root.uid;
  inode.gid = root.gid;
  inode.rdev = root.rdev;
  // Names of the root that share a file come apart, as in Linux's overlayfs.
  inode.links = node.type === 'directory' ? root.links : 1;
  inode.atime = fileTime(root.atimeNs);
  inode.mtime = fileTime(root.mtimeNs);
  inode.ctime = fileTime(root.ctimeNs);
  inode.btime = inode.mtime;
  if (typeof target === 'string') inode.target = target;
  if (node.type === 'directory') inode.lowerPath = node.rootPath;
  if (node.type === 'file') inode.setLowerFile(node.rootPath, root.sizeBytes, root.sizeBytes);
  inode.placed(parent, node.name);
  parent.entries.set(node.name, inode);
  parent.touch();
  const places = context.rootPlaces.get(node.rootPath);
  if (places !== undefined) for (const place of [...places]) place.tookOver(inode);
  return inode;
}

/** Whether a name can be made in `found`; -errno. */
function mayCreate(found: Found): number {
  if (found.node !== null) return E.EEXIST;
  if (found.name.length > NAME_MAX) return E.ENAMETOOLONG;
  if (found.parent instanceof Inode && found.parent.links === 0) return E.ENOENT;
  return 0;
}

/** A new inode without a name yet; -ENOSPC. */
export function newInode(context: FsContext, type: FileType, mode: number): Inode | number {
  context.sweepFifos();
  if (!context.hasRoomForInode) return E.ENOSPC;
  return new Inode(context, context.top.objects).become(type, mode);
}

/** Makes a file of `type` with its name; the inode or -errno. */
export function create(
  context: FsContext,
  found: Found,
  type: FileType,
  mode: number,
): Inode | number {
  const failed = mayCreate(found);
  if (failed < 0) return failed;
  if (found.hasSlash && type !== 'directory') return E.ENOENT;
  const parent = copyUp(context, found.parent);
  if (typeof parent === 'number') return parent;
  const inode = newInode(context, type, mode);
  if (typeof inode === 'number') return inode;
  if (parent.mode & S.ISGID) {
    inode.gid = parent.gid;
    if (type === 'directory') inode.mode |= S.ISGID;
  }
  if (type === 'directory') parent.links += 1;
  else inode.links = 1;
  inode.placed(parent, found.name);
  parent.entries.set(found.name, inode);
  parent.modified();
  context.notifier.named(parent, found.name, IN.create, type === 'directory');
  return inode;
}

export function createSymlink(context: FsContext, found: Found, target: string): Inode | number {
  const inode = create(context, found, 'symlink', 0o777);
  if (typeof inode !== 'number') inode.target = target;
  return inode;
}

/** link(2): one more name for `node`. */
export function link(context: FsContext, node: FsNode, found: Found): number {
  const failed = mayCreate(found);
  if (failed < 0) return failed;
  if (found.hasSlash) return E.ENOENT;
  if (node.type === 'directory') return E.EPERM;
  if (!(node instanceof Inode) && !(node instanceof RootNode)) return E.EXDEV;
  const inode = copyUp(context, node);
  if (typeof inode === 'number') return inode;
  if (inode.links === 0 && !inode.isLinkable) return E.ENOENT;
  if (inode.links >= 65_000) return E.EMLINK;
  const parent = copyUp(context, found.parent);
  if (typeof parent === 'number') return parent === E.EPERM ? E.EXDEV : parent;
  inode.links += 1;
  inode.placed(parent, found.name);
  inode.changed();
  parent.entries.set(found.name, inode);
  parent.modified();
  context.notifier.self(inode, IN.attrib);
  context.notifier.named(parent, found.name, IN.create, false);
  return 0;
}

/** Takes a name away; the file too, if that was its last and nobody has it open. */
function removeName(context: FsContext, found: Found, node: FsNode): number {
  const parent = copyUp(context, found.parent);
  if (typeof parent === 'number') return parent;
  // Open files of a root's file must not lose it: only an inode can be without a name.
  const isOpen = node instanceof RootNode && context.rootPlaces.has(node.rootPath);
  const inode = isOpen ? copyUp(context, node) : node;
  if (typeof inode === 'number') return inode;
  parent.removeName(found.name);
  if (node.type === 'directory') parent.links -= 1;
  parent.modified();
  const isDirectory = node.type === 'directory';
  if (inode instanceof Inode) {
    if (!isDirectory) context.notifier.self(inode, IN.attrib);
    inode.unlinked();
  }
  context.notifier.named(parent, found.name, IN.delete, isDirectory);
  return 0;
}

export function unlink(context: FsContext, found: Found): number {
  const { node } = found;
  if (node === null) return E.ENOENT;
  if (found.name === '' || node.type === 'directory') return E.EISDIR;
  if (found.hasSlash) return E.ENOTDIR;
  return removeName(context, found, node);
}

export const isEmpty = (node: FsNode): boolean => {
  if (node instanceof Inode) return node.isEmpty;
  const names = node.list(0);
  return typeof names !== 'number' && names[Symbol.iterator]().next().done === true;
};

export function rmdir(context: FsContext, found: Found): number {
  const { node, name } = found;
  if (node === null) return E.ENOENT;
  if (node.type !== 'directory') return E.ENOTDIR;
  if (name === '.') return E.EINVAL;
  if (name === '..') return E.ENOTEMPTY;
  if (name === '' || isMountPoint(node)) return E.EBUSY;
  if (!(node instanceof Inode) && !(node instanceof RootNode)) return E.EPERM;
  if (!isEmpty(node)) return E.ENOTEMPTY;
  return removeName(context, found, node);
}

/** The root itself and the roots of generated trees. */
export function isMountPoint(node: FsNode): boolean {
  if (node instanceof Inode || node instanceof RootNode) return node.parent === node;
  return node.parent instanceof Inode;
}

/** Whether `node` is `directory` or lies below it. */
export function isWithin(node: FsNode, directory: FsNode): boolean {
  const path = directory.path();
  for (let at = node; ; at = at.parent) {
    if (at === directory || at.path() === path) return true;
    if (at.parent === at) return false;
  }
}

/** Lets `name` of `parent` lead to `inode`, which moves there. */
export function placeAt(inode: Inode, parent: Inode, name: string): void {
  if (inode.type === 'directory' && inode.parent !== parent) {
    inode.parent.links -= 1;
    parent.links += 1;
    inode.parent.touch();
  }
  parent.entries.set(name, inode);
  inode.placed(parent, name);
}
