/**
 * The read-only root as the path walk sees it: RootNode, one file of it that the overlay has not
 * taken over, and RootCache, which remembers what the LVM API said of the root (it never changes),
 * within limits. Nothing here is saved.
 */
import { E } from '../../abi/errno.ts';
import type { FileType, Lvm, RootEntry, RootStat } from '../../lvm/api.ts';
import type { FsNode, Listed } from './node.ts';
import { DEVICE, type FileStat, fileTime, TYPE_BITS } from './stat.ts';

/**
 * A program's libraries, locales and scripts are some thousand names; each takes some 300 bytes.
 */
const STATS_MAX = 16_384;
/** Names in all remembered lists together. */
const LISTED_MAX = 65_536;

export const joinPath = (directory: string, name: string): string =>
  directory === '/' ? `/${name}` : `${directory}/${name}`;

export interface RootList {
  readonly entries: readonly RootEntry[];
  readonly names: ReadonlySet<string>;
}

const NOTHING: RootList = { entries: [], names: new Set() };

export class RootCache {
  readonly #lvm: Lvm;
  readonly #stats = new Map<string, RootStat | number>();
  readonly #lists = new Map<string, RootList>();
  #listedCount = 0;

  constructor(lvm: Lvm) {
    this.#lvm = lvm;
  }

  /** lstat in the root; -errno. */
  stat(path: string): RootStat | number {
    const known = this.#stats.get(path);
    if (known !== undefined) return known;
    const stat = this.#lvm.rootStat(path);
    if (this.#stats.size >= STATS_MAX) {
      for (const oldest of this.#stats.keys()) {
        this.#stats.delete(oldest);
        break;
      }
    }
    this.#stats.set(path, stat);
    return stat;
  }

  /** The names of a directory in an order that is the same on every machine; none for ''. */
  list(path: string): RootList {
    if (path === '') return NOTHING;
    const known = this.#lists.get(path);
    if (known !== undefined) return known;
    const found = this.#lvm.rootList(path);
    if (typeof found === 'number') return NOTHING;
    const entries = [...found].sort((left, right) => (left.name < right.name ? -1 : 1));
    const list = { entries, names: new Set(entries.map((entry) => entry.name)) };
    this.#listedCount += entries.length;
    for (const [oldest, old] of this.#lists) {
      if (this.#listedCount <= LISTED_MAX) break;
      this.#lists.delete(oldest);
      this.#listedCount -= old.entries.length;
    }
    this.#lists.set(path, list);
    return list;
  }

  readlink(path: string): string | number {
    return this.#lvm.rootReadlink(path);
  }

  /** The file `name` in the directory `lowerPath` of the root, or -errno. */
  child(parent: FsNode, lowerPath: string, name: string): RootNode | number {
    const path = joinPath(lowerPath, name);
    const stat = this.stat(path);
    return typeof stat === 'number' ? stat : new RootNode(this, parent, name, path, stat);
  }
}

export class RootNode implements FsNode {
  readonly #cache: RootCache;
  /** An Inode or a RootNode: what it is found in. */
  readonly parent: FsNode;
  readonly name: string;
  /** In the root; differs from `path()` below a directory that was renamed. */
  readonly rootPath: string;
  readonly root: RootStat;

  constructor(cache: RootCache, parent: FsNode, name: string, rootPath: string, root: RootStat) {
    this.#cache = cache;
    this.parent = parent;
    this.name = name;
    this.rootPath = rootPath;
    this.root = root;
  }

  get type(): FileType {
    return this.root.type;
  }

  get mode(): number {
    return this.root.mode;
  }

  stat(): FileStat {
    return statOfRoot(this.root);
  }

  path(): string {
    return joinPath(this.parent.path(), this.name);
  }

  lookup(name: string): FsNode | number {
    if (this.type !== 'directory') return E.ENOTDIR;
    return this.#cache.child(this, this.rootPath, name);
  }

  list(position: number): Iterable<Listed> | number {
    if (this.type !== 'directory') return E.ENOTDIR;
    const { entries } = this.#cache.list(this.rootPath);
    return entries
      .slice(position)
      .map((entry, index) => ({ ...entry, next: position + index + 1 }));
  }

  readlink(): string | number {
    return this.type === 'symlink' ? this.#cache.readlink(this.rootPath) : E.EINVAL;
  }

  follow(): null {
    return null;
  }
}

export function statOfRoot(root: RootStat): FileStat {
  const mtime = fileTime(root.mtimeNs);
  return {
    device: DEVICE.root,
    inode: root.inode,
    mode: TYPE_BITS[root.type] | root.mode,
    links: root.links,
    uid: root.uid,
    gid: root.gid,
    rdev: root.rdev,
    sizeBytes: root.sizeBytes,
    blockSizeBytes: 4096,
    blocks: Math.ceil(root.sizeBytes / 4096) * 8,
    atime: fileTime(root.atimeNs),
    mtime,
    ctime: fileTime(root.ctimeNs),
    btime: mtime,
  };
}
