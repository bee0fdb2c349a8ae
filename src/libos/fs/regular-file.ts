/**
 * RegularFile: a regular file that is open, be it the overlay's or the read-only root's. The latter
 * is open for reading only; when somebody else's write brings the file into the overlay, it reads
 * there.
 */
import { E } from '../../abi/errno.ts';
import { IN } from '../../abi/event.ts';
import { O, SEAL, SEEK } from '../../abi/fs.ts';
import type { MapSource } from '../../lvm/api.ts';
import { KIND } from '../kinds-ids.ts';
import type { Inode } from './inode.ts';
import { LowerFile } from './lower-file.ts';
import { SeekableFile } from './placed-file.ts';

/** A read of a root file is served in pieces of this size. */
const READ_BYTES = 131_072;
/** mmap of an overlay file copies its content to the host. */
const MAP_BYTES_MAX = 1024 ** 3;

export class RegularFile extends SeekableFile {
  readonly kind = KIND.regularFile;
  #lower: LowerFile | null = null;
  #scratch: Buffer | null = null;

  override get sizeBytes(): number {
    return this.place.inode?.sizeBytes ?? this.place.stat().sizeBytes;
  }

  override readAt(offset: number, count: number): Uint8Array | number {
    const inode = this.place.inode;
    if (inode !== null) return inode.content.view(offset, count);
    this.#scratch ??= Buffer.allocUnsafe(READ_BYTES);
    const target = this.#scratch.subarray(0, Math.min(count, READ_BYTES));
    const got = this.#lowerFile().read(offset, target);
    return got < 0 ? got : target.subarray(0, got);
  }

  #lowerFile(): LowerFile {
    this.#lower ??= new LowerFile(this.context.kernel.lvm, this.place.rootPath);
    return this.#lower;
  }

  /** How many bytes may be written at `offset`, given the seals; -errno. */
  mayWrite(inode: Inode, offset: number, count: number): number {
    if (inode.seals & (SEAL.write | SEAL.futureWrite)) return E.EPERM;
    if ((inode.seals & SEAL.grow) === 0 || offset + count <= inode.sizeBytes) return count;
    return offset < inode.sizeBytes ? inode.sizeBytes - offset : E.EPERM;
  }

  override writeAt(offset: number, data: Uint8Array): number {
    const inode = this.place.inode;
    if (inode === null) return E.EBADF;
    if (data.length === 0) return 0;
    const allowed = this.mayWrite(inode, offset, data.length);
    if (allowed < 0) return allowed;
    const done = inode.content.write(offset, data.subarray(0, allowed));
    if (done > 0) inode.modified();
    return done;
  }

  override truncate(sizeBytes: number): number {
    const done = this.place.inode?.truncate(sizeBytes) ?? E.EINVAL;
    if (done === 0) this.notify(IN.modify);
    return done;
  }

  protected override seekTarget(offset: number, whence: number): number {
    const inode = this.place.inode;
    if (inode !== null && whence === SEEK.DATA) return inode.content.seek(offset, 'data');
    if (inode !== null && whence === SEEK.HOLE) return inode.content.seek(offset, 'hole');
    return super.seekTarget(offset, whence);
  }

  override get contentId(): number | null {
    return this.place.inode?.id ?? null;
  }

  override mapSource(): MapSource | number {
    if ((this.flags & O.ACCMODE) === O.WRONLY) return E.EACCES;
    const inode = this.place.inode;
    const isRoots = inode === null || (inode.content.isLowerAlone && hasAllOfLower(inode));
    if (isRoots) {
      const file = inode === null ? this.#lowerFile().open() : inode.lower.open();
      return file < 0 ? (file as number) : { kind: 'root', file: file as never };
    }
    if (inode.sizeBytes > MAP_BYTES_MAX) return E.ENOMEM;
    const content = Buffer.allocUnsafe(inode.sizeBytes);
    const failed = inode.content.copyOut(0, content);
    return failed < 0 ? failed : { kind: 'bytes', name: this.describe(), content, isShared: false };
  }

  protected override close(): void {
    this.#lower?.close();
    super.close();
  }
}

/** Not cut, not extended. */
function hasAllOfLower(inode: Inode): boolean {
  const root = inode.fs.root.stat(inode.lowerPath);
  return (
    typeof root !== 'number' &&
    root.sizeBytes === inode.content.lowerBytes &&
    root.sizeBytes === inode.sizeBytes
  );
}
