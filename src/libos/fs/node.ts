/**
 * FsNode: what a name leads to, wherever it lives: an inode of the overlay (Inode), a file of the
 * read-only root (RootNode), something generated (GeneratedNode) or an open file without a name
 * (OpenedNode, behind the links of /proc/self/fd). The path walk and the handlers see only this.
 */
import { E } from '../../abi/errno.ts';
import type { FileType } from '../../lvm/api.ts';
import type { OpenFile } from '../open-file.ts';
import type { Task } from '../task.ts';
import type { FileStat } from './stat.ts';

/** One name of a directory, for getdents. `next` is the position after it. */
export interface Listed {
  readonly name: string;
  readonly inode: number;
  readonly type: FileType;
  readonly next: number;
}

export interface FsNode {
  readonly type: FileType;
  /** Permission bits, 0o7777. */
  readonly mode: number;
  /** The directory above; itself for the root. */
  readonly parent: FsNode;
  stat(): FileStat;
  /** Absolute, as the guest sees it; `... (deleted)` when it has no name any more. */
  path(): string;
  /** Directories only; -errno. */
  lookup(name: string): FsNode | number;
  /** Directories only: from `position` on, without `.` and `..`; -errno. */
  list(position: number): Iterable<Listed> | number;
  /** Symlinks only. */
  readlink(task: Task): string | number;
  /** Symlinks that lead to a thing rather than to a path (/proc/self/fd/3): that thing. */
  follow(task: Task): FsNode | number | null;
}

/** A file that is open but has no node of its own: a pipe, a socket, the console. */
export class OpenedNode implements FsNode {
  readonly file: OpenFile;
  readonly parent: FsNode = this;

  constructor(file: OpenFile) {
    this.file = file;
  }

  get type(): FileType {
    return 'fifo';
  }

  get mode(): number {
    return this.stat().mode & 0o7777;
  }

  stat(): FileStat {
    return this.file.stat();
  }

  path(): string {
    return this.file.describe();
  }

  lookup(): number {
    return E.ENOTDIR;
  }

  list(): number {
    return E.ENOTDIR;
  }

  readlink(): number {
    return E.EINVAL;
  }

  follow(): null {
    return null;
  }
}
