/** DirectoryFile: an open directory; getdents reads names from its position on. */
import { E } from '../../abi/errno.ts';
import { SEEK } from '../../abi/fs.ts';
import { KIND } from '../kinds-ids.ts';
import type { Listed } from './node.ts';
import { SeekableFile } from './placed-file.ts';

/** Positions 0 and 1 are `.` and `..`; a node's own positions follow. */
const DOTS = 2;

export class DirectoryFile extends SeekableFile {
  readonly kind = KIND.directoryFile;

  override get sizeBytes(): number {
    return Number.MAX_SAFE_INTEGER;
  }

  override read(): number {
    return E.EISDIR;
  }

  override readAt(): number {
    return E.EISDIR;
  }

  override write(): number {
    return E.EBADF;
  }

  override writeAt(): number {
    return E.EBADF;
  }

  protected override seekTarget(offset: number, whence: number): number {
    return whence === SEEK.SET || whence === SEEK.CUR ? super.seekTarget(offset, whence) : E.EINVAL;
  }

  /** Names from the position on, `next` being the position after each; -errno. */
  list(): Iterable<Listed> | number {
    const node = this.place.node();
    if (this.place.inode?.links === 0) return E.ENOENT;
    const names = node.list(Math.max(0, this.offset - DOTS));
    if (typeof names === 'number') return names;
    return this.#withDots(names);
  }

  *#withDots(names: Iterable<Listed>): Iterable<Listed> {
    const node = this.place.node();
    if (this.offset < 1) {
      yield { name: '.', inode: node.stat().inode, type: 'directory', next: 1 };
    }
    if (this.offset < DOTS) {
      yield { name: '..', inode: node.parent.stat().inode, type: 'directory', next: DOTS };
    }
    for (const listed of names) yield { ...listed, next: listed.next + DOTS };
  }
}
