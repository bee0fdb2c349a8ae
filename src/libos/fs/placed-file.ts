/**
 * PlacedFile: an open file that has a name in the file system (or had one). PathFile is one of
 * O_PATH, which can only be looked at and walked from; SeekableFile one with a position.
 */
import { E } from '../../abi/errno.ts';
import { IN } from '../../abi/event.ts';
import { O, SEEK } from '../../abi/fs.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { ObjectId } from '../../base/ids.ts';
import { KIND } from '../kinds-ids.ts';
import type { Objects } from '../object.ts';
import { OpenFile } from '../open-file.ts';
import type { FsContext } from './context.ts';
import { lockKey } from './locks.ts';
import { Place } from './place.ts';
import type { FileStat } from './stat.ts';

export abstract class PlacedFile extends OpenFile {
  readonly context: FsContext;
  readonly place: Place;

  constructor(context: FsContext, objects: Objects, id?: ObjectId) {
    super(objects, id);
    this.context = context;
    this.place = new Place(context, this);
  }

  override describe(): string {
    return this.place.path();
  }

  override stat(): FileStat {
    return this.place.stat();
  }

  override get isPollable(): boolean {
    return false;
  }

  /** Something was done to the file: tells those who watch it. */
  notify(mask: number): void {
    const { notifier } = this.context;
    if (notifier.isActive && (this.flags & O.PATH) === 0) {
      notifier.happened(this.place.node(), mask);
    }
  }

  protected override close(): void {
    const isReader = (this.flags & O.ACCMODE) === O.RDONLY;
    this.notify(isReader ? IN.closeNowrite : IN.closeWrite);
    const { locks } = this.context;
    if (!locks.isEmpty) locks.releaseFile(lockKey(this.stat()), this.id);
    this.place.close();
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    this.place.save(encoder);
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.place.load(decoder);
  }
}

/** open(2) with O_PATH: every call that would use the file itself gives EBADF. */
export class PathFile extends PlacedFile {
  readonly kind = KIND.pathFile;

  override read(): number {
    return E.EBADF;
  }

  override write(): number {
    return E.EBADF;
  }

  override readAt(): number {
    return E.EBADF;
  }

  override writeAt(): number {
    return E.EBADF;
  }

  override seek(): number {
    return E.EBADF;
  }

  override truncate(): number {
    return E.EBADF;
  }

  override ioctl(): number {
    return E.EBADF;
  }

  override mapSource(): number {
    return E.EBADF;
  }
}

export abstract class SeekableFile extends PlacedFile {
  /** Where the next read or write begins; shared by all descriptors. */
  offset = 0;

  abstract get sizeBytes(): number;

  /**
   * Some bytes at `offset`, at least one unless it is the end; -errno. Valid until the next call.
   */
  abstract override readAt(offset: number, count: number): Uint8Array | number;

  override read(count: number): Uint8Array | number {
    const view = this.readAt(this.offset, count);
    if (typeof view !== 'number') this.moveTo(this.offset + view.length);
    return view;
  }

  override write(data: Uint8Array): number {
    const done = this.writeAt(this.offset, data);
    if (done > 0) this.moveTo(this.offset + done);
    return done;
  }

  moveTo(offset: number): void {
    if (offset === this.offset) return;
    this.offset = offset;
    this.touch();
  }

  override seek(offset: number, whence: number): number {
    const target = this.seekTarget(offset, whence);
    if (target < 0) return target;
    if (!Number.isSafeInteger(target)) return E.EOVERFLOW;
    this.moveTo(target);
    return target;
  }

  protected seekTarget(offset: number, whence: number): number {
    let target: number;
    if (whence === SEEK.SET) target = offset;
    else if (whence === SEEK.CUR) target = this.offset + offset;
    else if (whence === SEEK.END) target = this.sizeBytes + offset;
    else if (whence === SEEK.DATA) return offset < 0 || offset >= this.sizeBytes ? E.ENXIO : offset;
    else if (whence === SEEK.HOLE) {
      return offset < 0 || offset >= this.sizeBytes ? E.ENXIO : this.sizeBytes;
    } else return E.EINVAL;
    return target < 0 ? E.EINVAL : target;
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    encoder.u53(this.offset);
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.offset = decoder.u53();
  }
}
