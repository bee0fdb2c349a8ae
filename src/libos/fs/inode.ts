/**
 * Inode: one file of the writable overlay, of any type, as long as a name or an open file refers to
 * it. A directory may show the names of a directory of the read-only root below its own, a regular
 * file the bytes of a file of the root. Changed by mutate.ts and the open files; finds no paths
 * itself.
 */
import { E } from '../../abi/errno.ts';
import { IN } from '../../abi/event.ts';
import { S, SEAL } from '../../abi/fs.ts';
import { assert, present } from '../../base/assert.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { ObjectId } from '../../base/ids.ts';
import type { FileType, RecordSink } from '../../lvm/api.ts';
import { makeFifo, Pipe } from '../ipc/pipe.ts';
import { KIND } from '../kinds-ids.ts';
import { KernelObject, type Objects } from '../object.ts';
import { Content } from './content.ts';
import type { FsContext } from './context.ts';
import { Entries } from './directory.ts';
import { LowerFile } from './lower-file.ts';
import type { FsNode, Listed } from './node.ts';
import { joinPath } from './root.ts';
import { DEVICE, EPOCH_TIME, type FileStat, type FileTime, TYPE_BITS } from './stat.ts';

/** By number in a saved inode; only ever extended. */
const TYPES: readonly FileType[] = [
  'file',
  'directory',
  'symlink',
  'fifo',
  'socket',
  'char',
  'block',
];

/** Inode numbers of files that never were in the root start here. */
const OWN_INODES = 2 ** 40;
/** In a directory's positions, the root's names come first, the overlay's own from here on. */
const OVERLAY_POSITION = 2 ** 32;

/** A generated tree that hides what is below a directory. */
export type Mount = '' | 'proc' | 'sys';

export class Inode extends KernelObject implements FsNode {
  readonly kind = KIND.inode;
  readonly fs: FsContext;
  type: FileType = 'file';
  mode = 0;
  uid = 0;
  gid = 0;
  links = 0;
  rdev = 0;
  number = 0;
  atime: FileTime = EPOCH_TIME;
  mtime: FileTime = EPOCH_TIME;
  ctime: FileTime = EPOCH_TIME;
  btime: FileTime = EPOCH_TIME;
  /** Where its (latest) name is. Itself for the root; of a file without a name where it was. */
  #parent: Inode | null = null;
  name = '';
  /** Of a file without a name: the last that it had, and where, unless that is gone too. */
  #lastDirectory: Inode | null = null;
  #lastName = '';
  /** Of a directory: those whose last name was here; null while there are none. */
  #orphans: Set<Inode> | null = null;
  /** Of a symlink. */
  target = '';
  mount: Mount = '';
  /** memfd_create's seals; null is not sealable (F_SEAL_SEAL set from the start). */
  seals: number = SEAL.seal;
  /** A file without a name may get one (O_TMPFILE without O_EXCL). */
  isLinkable = false;
  readonly attributes = new Map<string, Buffer>();
  /** Path in the read-only root that shows through, or ''. */
  lowerPath = '';
  #lower: LowerFile | null = null;
  #content: Content | null = null;
  #entries: Entries<Inode> | null = null;
  #pipe: Pipe | null = null;
  /** Open files on it; not saved, they count themselves again when loaded. */
  #openCount = 0;
  isReaped = false;

  constructor(fs: FsContext, objects: Objects, id?: ObjectId) {
    super(objects, id);
    this.fs = fs;
    fs.inodeCount += 1;
  }

  /** Makes a new inode what it is to be, once. */
  become(type: FileType, mode: number): this {
    this.type = type;
    this.mode = mode;
    this.number = OWN_INODES + this.id;
    this.mtime = this.fs.now();
    this.atime = this.mtime;
    this.ctime = this.mtime;
    this.btime = this.mtime;
    this.#makeBody();
    if (type === 'directory') this.links = 2;
    return this;
  }

  #makeBody(): void {
    if (this.type === 'file') {
      this.#content = new Content(this.fs.budget, (from, to) =>
        this.fs.contentChanged(this, from, to),
      );
    } else if (this.type === 'directory') this.#entries = new Entries<Inode>();
  }

  /** The middle of a FIFO, made when it is first opened. */
  get pipe(): Pipe {
    if (this.#pipe === null) {
      this.#pipe = makeFifo(this.objects);
      this.touch();
    }
    return this.#pipe;
  }

  /** The bytes of a regular file. */
  get content(): Content {
    return present(this.#content, 'content of a regular file');
  }

  /** The names of a directory. */
  get entries(): Entries<Inode> {
    return present(this.#entries, 'entries of a directory');
  }

  get parent(): Inode {
    return this.#parent ?? this;
  }

  /** The directory that it is in, or was in when it lost its last name; null if there is none. */
  get lastDirectory(): Inode | null {
    return this.#parent ?? this.#lastDirectory;
  }

  /** Its name there. */
  get lastName(): string {
    return this.#parent === null ? this.#lastName : this.name;
  }

  /** Says where its name is now. */
  placed(parent: Inode, name: string): void {
    this.#parent = parent;
    this.#orphanedIn(null);
    this.name = name;
    this.touch();
  }

  /** Lets a regular file of the root show through. */
  setLowerFile(path: string, lowerBytes: number, sizeBytes: number): void {
    this.lowerPath = path;
    this.content.setLower(lowerBytes, sizeBytes, (offset, target) =>
      this.lower.read(offset, target),
    );
  }

  get lower(): LowerFile {
    this.#lower ??= new LowerFile(this.fs.kernel.lvm, this.lowerPath);
    return this.#lower;
  }

  get sizeBytes(): number {
    if (this.#content !== null) return this.#content.sizeBytes;
    if (this.type === 'directory') return 4096;
    return this.target.length;
  }

  stat(): FileStat {
    return {
      device: DEVICE.root,
      inode: this.number,
      mode: TYPE_BITS[this.type] | this.mode,
      links: this.links,
      uid: this.uid,
      gid: this.gid,
      rdev: this.rdev,
      sizeBytes: this.sizeBytes,
      blockSizeBytes: 4096,
      blocks: this.#content?.blocks ?? (this.type === 'directory' ? 8 : 0),
      atime: this.atime,
      mtime: this.mtime,
      ctime: this.ctime,
      btime: this.btime,
    };
  }

  describe(): string {
    return this.path();
  }

  path(): string {
    const path = this.#livePath();
    return this.links === 0 ? `${path} (deleted)` : path;
  }

  #livePath(): string {
    let path = '';
    // The root has no name; a memfd has one but no parent.
    for (let at: Inode | null = this; at !== null && at.name !== ''; at = at.#parent) {
      path = `/${at.name}${path}`;
    }
    return path === '' ? '/' : path;
  }

  /* --- directories --- */

  lookup(name: string): FsNode | number {
    if (this.#entries === null) return E.ENOTDIR;
    const child = this.#entries.get(name);
    if (child === null) return E.ENOENT;
    if (child !== undefined) return child.mount === '' ? child : this.fs.mounted(child);
    return this.lowerPath === '' ? E.ENOENT : this.fs.root.child(this, this.lowerPath, name);
  }

  /** Whether the root has a name that only a whiteout would hide. */
  hasLower(name: string): boolean {
    if (this.lowerPath === '') return false;
    return typeof this.fs.root.stat(joinPath(this.lowerPath, name)) !== 'number';
  }

  /** Lets `name` lead nowhere. */
  removeName(name: string): void {
    if (this.hasLower(name)) this.entries.set(name, null);
    else this.entries.delete(name);
    this.touch();
  }

  get isEmpty(): boolean {
    if (this.entries.childCount > 0) return false;
    if (this.lowerPath === '') return true;
    const names = this.fs.root.list(this.lowerPath);
    return names.entries.every((entry) => this.entries.get(entry.name) === null);
  }

  list(position: number): Iterable<Listed> | number {
    if (this.#entries === null) return E.ENOTDIR;
    if (this.links === 0) return [];
    return this.#list(position, this.#entries);
  }

  *#list(position: number, entries: Entries<Inode>): Iterable<Listed> {
    const lower = this.fs.root.list(this.lowerPath);
    for (let index = position; index < lower.entries.length; index += 1) {
      const entry = present(lower.entries[index], 'entry of a list');
      const own = entries.get(entry.name);
      const next = index + 1;
      if (own === undefined) yield { ...entry, next };
      else if (own !== null) yield { name: entry.name, inode: own.number, type: own.type, next };
    }
    const first = Math.max(0, position - OVERLAY_POSITION);
    for (const { name, slot, child } of entries.from(first)) {
      // Names that the root has too were listed at their place there.
      if (child === null || lower.names.has(name)) continue;
      yield { name, inode: child.number, type: child.type, next: OVERLAY_POSITION + slot + 1 };
    }
  }

  /* --- symlinks --- */

  readlink(): string | number {
    return this.type === 'symlink' ? this.target : E.EINVAL;
  }

  follow(): null {
    return null;
  }

  /* --- times and life --- */

  /** Its bytes or names have changed. */
  modified(): void {
    this.mtime = this.fs.now();
    this.ctime = this.mtime;
    this.touch();
  }

  /** Its attributes or links have changed. */
  changed(): void {
    this.ctime = this.fs.now();
    this.touch();
  }

  /** Of a regular file: sets the size; 0 or -errno. */
  truncate(sizeBytes: number): number {
    if (this.seals & SEAL.shrink && sizeBytes < this.sizeBytes) return E.EPERM;
    if (this.seals & SEAL.grow && sizeBytes > this.sizeBytes) return E.EPERM;
    const failed = this.content.truncate(sizeBytes);
    if (failed < 0) return failed;
    this.modified();
    return 0;
  }

  /** A new owner takes away what made it run as its owner (the guest's root keeps it on writes). */
  dropSetId(): void {
    if (this.mode & S.ISUID || (this.mode & (S.ISGID | 0o010)) === (S.ISGID | 0o010)) {
      this.mode &= ~S.ISUID & ~(this.mode & 0o010 ? S.ISGID : 0);
    }
  }

  opened(): void {
    this.#openCount += 1;
  }

  closed(): void {
    this.#openCount -= 1;
    assert(this.#openCount >= 0, 'an inode is closed as often as it was opened');
    if (this.#openCount > 0) return;
    this.#lower?.close();
    this.#reap();
  }

  #orphanedIn(directory: Inode | null): void {
    const old = this.#lastDirectory;
    if (old !== null) old.#orphans?.delete(this);
    this.#lastDirectory = directory;
    if (directory === null) return;
    directory.#orphans ??= new Set();
    directory.#orphans.add(this);
  }

  /** A name less. */
  unlinked(): void {
    this.links = this.type === 'directory' ? 0 : this.links - 1;
    if (this.links === 0) {
      this.#lastName = this.name;
      this.#orphanedIn(this.#parent);
      // Directories above may go before it does.
      this.name = this.#livePath().slice(1);
      this.#parent = null;
    }
    this.changed();
    this.#reap();
  }

  /** Frees it when nothing refers to it any more. */
  #reap(): void {
    if (this.isReaped || this.links > 0 || this.#openCount > 0) return;
    if (this.#pipe !== null && !this.reapFifo()) return;
    this.isReaped = true;
    this.fs.notifier.removed(this);
    this.#orphanedIn(null);
    for (const orphan of this.#orphans ?? []) {
      orphan.#lastDirectory = null;
      orphan.touch();
    }
    this.#lower?.close();
    this.#content?.dispose();
    this.fs.contentGone(this);
    this.fs.inodeCount -= 1;
    this.destroy();
  }

  /** Open ends of a FIFO keep its inode, but do not say when they close: false is "later". */
  reapFifo(): boolean {
    const pipe = this.#pipe;
    if (pipe === null) return true;
    this.fs.nameless.add(this);
    if (pipe.readerCount + pipe.writerCount > 0) return false;
    this.fs.nameless.delete(this);
    this.#pipe = null;
    pipe.removeName();
    this.#reap();
    return true;
  }

  /** An end of it, a FIFO, is closed. */
  endClosed(isWriter: boolean): void {
    this.fs.notifier.happened(this, isWriter ? IN.closeWrite : IN.closeNowrite);
  }

  /* --- saving --- */

  override save(encoder: Encoder): void {
    encoder.u8(TYPES.indexOf(this.type)).u16(this.mode).u32(this.uid).u32(this.gid);
    encoder.u32(this.links).u32(this.rdev).u53(this.number);
    for (const time of [this.atime, this.mtime, this.ctime, this.btime]) {
      encoder.f64(time.seconds).u32(time.nanoseconds);
    }
    const parent = this.#parent?.isReaped === false ? this.#parent.id : 0;
    encoder.u32(parent).string(this.name).string(this.target).string(this.mount);
    encoder.u32(this.#lastDirectory?.id ?? 0);
    encoder.string(this.#lastDirectory === null ? '' : this.#lastName);
    encoder.string(this.lowerPath).u8(this.seals).bool(this.isLinkable);
    encoder.u53(this.#content?.sizeBytes ?? 0).u53(this.#content?.lowerBytes ?? 0);
    encoder.u53(this.#entries?.nextSlot ?? 0).u32(this.#pipe?.id ?? 0);
    encoder.u32(this.attributes.size);
    for (const [name, value] of this.attributes) encoder.string(name).bytes(value);
  }

  override load(decoder: Decoder): void {
    this.type = present(TYPES[decoder.u8()], 'file type');
    this.mode = decoder.u16();
    this.uid = decoder.u32();
    this.gid = decoder.u32();
    this.links = decoder.u32();
    this.rdev = decoder.u32();
    this.number = decoder.u53();
    const time = (): FileTime => ({ seconds: decoder.f64(), nanoseconds: decoder.u32() });
    this.atime = time();
    this.mtime = time();
    this.ctime = time();
    this.btime = time();
    this.#makeBody();
    this.#parent = this.objects.find(decoder.u32(), Inode);
    this.name = decoder.string();
    this.target = decoder.string();
    this.mount = decoder.string() as Mount;
    this.#lastDirectory = this.objects.find(decoder.u32(), Inode);
    this.#lastName = decoder.string();
    this.lowerPath = decoder.string();
    this.seals = decoder.u8();
    this.isLinkable = decoder.bool();
    const sizeBytes = decoder.u53();
    const lowerBytes = decoder.u53();
    if (this.#content !== null) {
      if (this.lowerPath === '') this.#content.setLower(0, sizeBytes, null);
      else this.setLowerFile(this.lowerPath, lowerBytes, sizeBytes);
    }
    const nextSlot = decoder.u53();
    this.#entries?.setNextSlot(nextSlot);
    this.#pipe = this.objects.find(decoder.u32(), Pipe);
    for (let left = decoder.u32(); left > 0; left -= 1) {
      this.attributes.set(decoder.string(), Buffer.from(decoder.bytes()));
    }
  }

  override loaded(): void {
    this.#entries?.loaded();
    this.#orphanedIn(this.#lastDirectory);
    if (this.#pipe !== null && this.links === 0) this.fs.nameless.add(this);
  }

  override savePages(sink: RecordSink, scope: 'all' | 'changes'): void {
    this.#content?.savePages(this.id, sink, scope);
    this.#entries?.savePages(this.id, sink, scope);
  }

  override loadPage(part: number, bytes: Uint8Array): void {
    if (this.#content !== null) this.#content.loadPage(part, bytes);
    else this.entries.loadPage(part, bytes, (id) => this.objects.find(id, Inode));
  }
}
