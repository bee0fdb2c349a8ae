/**
 * GeneratedNode: a file of /proc or /sys, made when it is looked at. What there is and what it says
 * is described by values of `Generated` (proc.ts, sys.ts); nothing here is saved.
 */
import { E } from '../../abi/errno.ts';
import type { FileType } from '../../lvm/api.ts';
import type { Task } from '../task.ts';
import type { FsNode, Listed } from './node.ts';
import { joinPath } from './root.ts';
import { EPOCH_TIME, type FileStat, TYPE_BITS } from './stat.ts';

export type Generated =
  | {
      readonly kind: 'directory';
      readonly names: () => readonly string[];
      /** null: no such name. May know names that `names` does not list. */
      readonly child: (name: string) => Generated | null;
    }
  | {
      readonly kind: 'text';
      /** Each character one byte. */
      readonly read: () => string;
      /** 0 or -errno; without it the file can't be written. */
      readonly write?: (text: string) => number;
    }
  | {
      readonly kind: 'link';
      readonly target: (task: Task) => string;
      /** A link that leads to a thing; null: follow the path. */
      readonly follow?: (task: Task) => FsNode | number | null;
    };

/** A directory of fixed names. */
export function directory(children: Readonly<Record<string, Generated>>): Generated {
  const names = Object.keys(children);
  const byName = new Map(Object.entries(children));
  return { kind: 'directory', names: () => names, child: (name) => byName.get(name) ?? null };
}

export const text = (content: string | (() => string)): Generated => ({
  kind: 'text',
  read: typeof content === 'string' ? () => content : content,
});

const TYPES: Readonly<Record<Generated['kind'], FileType>> = {
  directory: 'directory',
  text: 'file',
  link: 'symlink',
};

/** FNV-1a: inode numbers that are the same on every machine. */
function inodeOf(path: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < path.length; at += 1) {
    hash = Math.imul(hash ^ path.charCodeAt(at), 0x01000193);
  }
  return (hash >>> 0) + 2;
}

export class GeneratedNode implements FsNode {
  readonly generated: Generated;
  readonly parent: FsNode;
  readonly name: string;
  readonly #device: number;

  constructor(generated: Generated, parent: FsNode, name: string, device: number) {
    this.generated = generated;
    this.parent = parent;
    this.name = name;
    this.#device = device;
  }

  get type(): FileType {
    return TYPES[this.generated.kind];
  }

  get mode(): number {
    const { generated } = this;
    if (generated.kind === 'text') return generated.write === undefined ? 0o444 : 0o644;
    return generated.kind === 'link' ? 0o777 : 0o555;
  }

  stat(): FileStat {
    return {
      device: this.#device,
      inode: inodeOf(this.path()),
      mode: TYPE_BITS[this.type] | this.mode,
      links: this.type === 'directory' ? 2 : 1,
      uid: 0,
      gid: 0,
      rdev: 0,
      sizeBytes: 0,
      blockSizeBytes: 1024,
      blocks: 0,
      atime: EPOCH_TIME,
      mtime: EPOCH_TIME,
      ctime: EPOCH_TIME,
      btime: EPOCH_TIME,
    };
  }

  path(): string {
    return joinPath(this.parent.path(), this.name);
  }

  lookup(name: string): FsNode | number {
    if (this.generated.kind !== 'directory') return E.ENOTDIR;
    const child = this.generated.child(name);
    return child === null ? E.ENOENT : new GeneratedNode(child, this, name, this.#device);
  }

  list(position: number): Iterable<Listed> | number {
    const { generated } = this;
    if (generated.kind !== 'directory') return E.ENOTDIR;
    const path = this.path();
    return generated
      .names()
      .slice(position)
      .map((name, index) => {
        const child = generated.child(name);
        return {
          name,
          inode: inodeOf(joinPath(path, name)),
          type: child === null ? 'file' : TYPES[child.kind],
          next: position + index + 1,
        };
      });
  }

  readlink(task: Task): string | number {
    return this.generated.kind === 'link' ? this.generated.target(task) : E.EINVAL;
  }

  follow(task: Task): FsNode | number | null {
    if (this.generated.kind !== 'link') return null;
    return this.generated.follow?.(task) ?? null;
  }
}
