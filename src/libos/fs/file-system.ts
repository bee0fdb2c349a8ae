/**
 * FileSystem: the guest's files as one kernel object: the overlay's root, the mounts, the settings;
 * and what other parts of the library OS ask of files by path. Handlers work through `context`.
 */
import { E } from '../../abi/errno.ts';
import { AT } from '../../abi/fs.ts';
import { assert } from '../../base/assert.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { ObjectId } from '../../base/ids.ts';
import type { Kernel } from '../kernel.ts';
import { KIND } from '../kinds-ids.ts';
import { KernelObject, type Objects } from '../object.ts';
import type { OpenFile } from '../open-file.ts';
import type { Blocked } from '../outcome.ts';
import type { Process } from '../process.ts';
import type { Task } from '../task.ts';
import { FsContext } from './context.ts';
import { makeDevices } from './devices.ts';
import { Inode, type Mount } from './inode.ts';
import { FileLocks, lockKey } from './locks.ts';
import { copyUp, create } from './mutate.ts';
import type { FsNode } from './node.ts';
import { checkFlags, openPath } from './open.ts';
import { PlacedFile } from './placed-file.ts';
import { procTree } from './proc.ts';
import { sysTree } from './proc-sys.ts';
import { fileTime } from './stat.ts';
import { type Found, type WalkOptions, walk, walkTo } from './walk.ts';

export class FileSystem extends KernelObject {
  readonly kind = KIND.overlay;
  readonly context: FsContext;

  /** A new one makes its root; `context` is for loading. */
  constructor(kernel: Kernel, objects: Objects, id?: ObjectId, context = new FsContext(kernel)) {
    super(objects, id);
    this.context = context;
    context.settingsChanged = () => this.touch();
    context.notifier.cookieTaken = () => this.touch();
    if (id === undefined) this.#create(kernel);
    context.trees.set('proc', procTree(context));
    context.trees.set('sys', sysTree(context));
  }

  #create(kernel: Kernel): void {
    const { context } = this;
    new FileLocks(context, this.objects);
    const bootId = new Uint8Array(16);
    kernel.lvm.random(bootId);
    context.bootId = bootId;
    const top = new Inode(context, this.objects).become('directory', 0o755);
    const root = context.root.stat('/');
    if (typeof root !== 'number') {
      top.mode = root.mode;
      top.number = root.inode;
      top.links = root.links;
      top.mtime = fileTime(root.mtimeNs);
      top.lowerPath = '/';
    }
    context.top = top;
    this.#mount('proc');
    this.#mount('sys');
    makeDevices(context, this.#emptyDirectory('dev', 0o755));
  }

  /** A directory in `/` that hides the root's. */
  #emptyDirectory(name: string, mode: number): Inode {
    const { context } = this;
    const found = { parent: context.top, name, node: null, hasSlash: false };
    const inode = create(context, found, 'directory', mode);
    assert(typeof inode !== 'number', 'a new overlay has room');
    return inode;
  }

  #mount(name: Mount): void {
    this.#emptyDirectory(name, 0o555).mount = name;
  }

  /* --- by path, for handlers and other families --- */

  /** Where a relative path starts: the working directory, or that of `dirfd`; -errno. */
  start(task: Task, dirfd: number, path: string): FsNode | number {
    if (path.startsWith('/')) return this.context.top;
    if (dirfd === AT.FDCWD) return this.workingDirectory(task);
    const file = task.files.get(dirfd);
    if (file === null) return E.EBADF;
    if (!(file instanceof PlacedFile)) return E.ENOTDIR;
    const node = file.place.node();
    return node.type === 'directory' ? node : E.ENOTDIR;
  }

  workingDirectory(task: Task): FsNode | number {
    const { cwd } = task.process;
    if (cwd === '/') return this.context.top;
    return walkTo(this.context, task, this.context.top, cwd, { follow: true });
  }

  walk(task: Task, dirfd: number, path: string, options: WalkOptions): Found | number {
    const start = this.start(task, dirfd, path);
    if (typeof start === 'number') return path === '' && start !== E.EBADF ? E.ENOENT : start;
    return walk(this.context, task, start, path, options);
  }

  walkTo(task: Task, dirfd: number, path: string, options: WalkOptions): FsNode | number {
    const found = this.walk(task, dirfd, path, options);
    return typeof found === 'number' ? found : (found.node ?? E.ENOENT);
  }

  /** Opens a path as open(2) does; no reference is taken yet. */
  open(task: Task, path: string, flags: number, mode = 0): OpenFile | Blocked | number {
    const wrong = checkFlags(flags);
    if (wrong < 0) return wrong;
    const start = this.start(task, AT.FDCWD, path);
    if (typeof start === 'number') return start;
    return openPath(this.context, task, { start, path, flags, mode, resolve: 0 });
  }

  /** bind(2) of a Unix socket: makes its name; the inode is what `findSocket` gives for it. */
  bindSocket(task: Task, path: string, mode = 0o777): Inode | number {
    const found = this.walk(task, AT.FDCWD, path, { follow: false, isName: true });
    if (typeof found === 'number') return found;
    const made = create(this.context, found, 'socket', mode & ~task.process.umask);
    return made === E.EEXIST ? E.EADDRINUSE : made;
  }

  /**
   * The inode of a Unix socket's name; -ENOENT, or -ECONNREFUSED when it is no socket of the guest.
   */
  findSocket(task: Task, path: string): Inode | number {
    const node = this.walkTo(task, AT.FDCWD, path, { follow: true });
    if (typeof node === 'number') return node;
    return node instanceof Inode && node.type === 'socket' ? node : E.ECONNREFUSED;
  }

  /** The inode behind a node, taken into the overlay; -errno where nothing can be changed. */
  writable(node: FsNode): Inode | number {
    return copyUp(this.context, node);
  }

  /* --- locks --- */

  /** A process closes a descriptor of `file`: its record locks on it go. */
  closing(process: Process, file: OpenFile): void {
    const { locks } = this.context;
    if (locks.isEmpty) return;
    const key = lockKey(file.stat());
    locks.releaseOwner(key, `p${process.pid}`);
    if (file.references === 1) locks.releaseFile(key, file.id);
  }

  override save(encoder: Encoder): void {
    const { context } = this;
    encoder.u32(context.top.id).raw(context.bootId).u32(context.notifier.lastCookie);
    encoder.u32(context.settings.size);
    for (const [name, value] of context.settings) encoder.string(name).string(value);
  }

  override load(decoder: Decoder): void {
    const { context } = this;
    context.top = this.objects.get(decoder.u32(), Inode);
    context.bootId = Uint8Array.from(decoder.raw(16));
    context.notifier.lastCookie = decoder.u32();
    for (let left = decoder.u32(); left > 0; left -= 1) {
      context.settings.set(decoder.string(), decoder.string());
    }
  }
}
