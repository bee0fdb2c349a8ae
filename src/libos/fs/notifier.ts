/**
 * Notifier: who watches which inode, and the ways in which something that was done to a file is
 * told to them (inotify(7)). One belongs to a file system's context. Called by whoever changes or
 * uses files, after it is done; costs next to nothing while nobody watches. Not saved but for the
 * last cookie: the instances register their watches again when they are loaded.
 */
import { IN } from '../../abi/event.ts';
import { Inode } from './inode.ts';
import type { FsNode } from './node.ts';
import { RootNode } from './root.ts';

/** One watch of one inotify instance. */
export interface Watcher {
  /** Events that are wanted, and IN_EXCL_UNLINK. */
  readonly mask: number;
  /** An event that is wanted; `name` is '' if it is about the watched file itself. */
  tell(mask: number, name: string, cookie: number): void;
  /** The inode is gone. */
  end(): void;
}

/** What is done by way of an open file or a path, which IN_EXCL_UNLINK keeps silent about. */
const BY_OPEN_FILE = IN.access | IN.modify | IN.closeWrite | IN.closeNowrite | IN.open;
const COOKIE_MAX = 0xffff_ffff;

export class Notifier {
  readonly #watchers = new Map<Inode, Set<Watcher>>();
  /** The last number that tied the two events of a rename together. */
  lastCookie = 0;
  /** `lastCookie` has changed. */
  cookieTaken: () => void = () => {};
  /** Watches of all instances together. */
  watchCount = 0;
  instanceCount = 0;

  get isActive(): boolean {
    return this.#watchers.size > 0;
  }

  add(inode: Inode, watcher: Watcher): void {
    const here = this.#watchers.get(inode);
    if (here === undefined) this.#watchers.set(inode, new Set([watcher]));
    else here.add(watcher);
  }

  remove(inode: Inode, watcher: Watcher): void {
    const here = this.#watchers.get(inode);
    here?.delete(watcher);
    if (here?.size === 0) this.#watchers.delete(inode);
  }

  /** Tells those who watch the directory of a file, then those who watch the file. */
  happened(node: FsNode, mask: number): void {
    if (!this.isActive) return;
    const isDirectory = node.type === 'directory';
    if (node instanceof RootNode) {
      // Nobody watches it: that would have taken it over.
      if (node.parent instanceof Inode) this.named(node.parent, node.name, mask, isDirectory);
      return;
    }
    if (!(node instanceof Inode)) return;
    const isNameless = node.links === 0 && (mask & BY_OPEN_FILE) !== 0;
    const directory = node.lastDirectory;
    const told = isDirectory ? mask | IN.isDirectory : mask;
    if (directory !== null) this.#tell(directory, told, node.lastName, 0, isNameless);
    this.#tell(node, told, '', 0, isNameless);
  }

  /** Something was done to a name of a directory. */
  named(directory: Inode, name: string, mask: number, isDirectory: boolean, cookie = 0): void {
    if (!this.isActive) return;
    this.#tell(directory, isDirectory ? mask | IN.isDirectory : mask, name, cookie, false);
  }

  /** Something that only those who watch the file itself are told. */
  self(inode: Inode, mask: number): void {
    this.#tell(inode, mask, '', 0, false);
  }

  /** A file has got another name, elsewhere perhaps. */
  moved(
    inode: Inode,
    from: readonly [directory: Inode, name: string],
    to: readonly [directory: Inode, name: string],
  ): void {
    if (!this.isActive) return;
    this.lastCookie = (this.lastCookie % COOKIE_MAX) + 1;
    this.cookieTaken();
    const isDirectory = inode.type === 'directory';
    this.named(...from, IN.movedFrom, isDirectory, this.lastCookie);
    this.named(...to, IN.movedTo, isDirectory, this.lastCookie);
    this.self(inode, IN.moveSelf);
  }

  /** An inode that nothing refers to any more: its watches end. */
  removed(inode: Inode): void {
    const here = this.#watchers.get(inode);
    if (here === undefined) return;
    this.self(inode, IN.deleteSelf);
    for (const watcher of [...here]) watcher.end();
  }

  #tell(inode: Inode, mask: number, name: string, cookie: number, isNameless: boolean): void {
    const here = this.#watchers.get(inode);
    if (here === undefined) return;
    // A copy: a watch for one event alone goes with it.
    for (const watcher of [...here]) {
      if ((watcher.mask & mask & IN.events) === 0) continue;
      if (isNameless && watcher.mask & IN.exclUnlink) continue;
      watcher.tell(mask, name, cookie);
    }
  }
}
