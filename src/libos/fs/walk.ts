/**
 * The path walk (path_resolution(7)): from a path to what it names, through overlay, root and
 * generated trees alike. Used by all handlers that take paths.
 */
import { E } from '../../abi/errno.ts';
import { NAME_MAX, RESOLVE, SYMLINKS_MAX } from '../../abi/fs.ts';
import type { Task } from '../task.ts';
import type { FsContext } from './context.ts';
import { GeneratedNode } from './generated.ts';
import type { FsNode } from './node.ts';

/** Where a path leads. */
export interface Found {
  /** The directory that has, or would have, the last name. */
  readonly parent: FsNode;
  /** The last name; '' when the path ends in `/`-only, a magic link or ''. */
  readonly name: string;
  /** null: the last name is not there. */
  readonly node: FsNode | null;
  /** The path ended in a slash. */
  readonly hasSlash: boolean;
}

export interface WalkOptions {
  /** Whether a symlink at the end is followed. */
  readonly follow: boolean;
  /** The last name is to be made or taken away: a slash behind it changes nothing here. */
  readonly isName?: boolean;
  /** RESOLVE_ flags of openat2(2). */
  readonly resolve?: number;
}

const SLASH = 47;

/** State of one walk; `path` and `at` change when a symlink's target is put in. */
class Walk {
  readonly #context: FsContext;
  readonly #task: Task;
  readonly #start: FsNode;
  readonly #follow: boolean;
  readonly #isName: boolean;
  readonly #resolve: number;
  #path: string;
  #at = 0;
  #node: FsNode;
  #links = 0;

  constructor(context: FsContext, task: Task, start: FsNode, path: string, options: WalkOptions) {
    this.#context = context;
    this.#task = task;
    this.#start = start;
    this.#node = start;
    this.#path = path;
    this.#follow = options.follow;
    this.#isName = options.isName ?? false;
    this.#resolve = options.resolve ?? 0;
  }

  run(): Found | number {
    if (this.#path === '') return E.ENOENT;
    const failed = this.#enterRoot();
    if (failed < 0) return failed;
    for (;;) {
      const step = this.#step();
      if (step !== 0) return step;
    }
  }

  /** A path (or target) that starts with a slash starts at the root. */
  #enterRoot(): number {
    if (this.#path.charCodeAt(this.#at) !== SLASH) return 0;
    if (this.#resolve & RESOLVE.BENEATH) return E.EXDEV;
    const top = this.#resolve & RESOLVE.IN_ROOT ? this.#start : this.#context.top;
    return this.#enter(top);
  }

  #enter(node: FsNode): number {
    const isOther = node instanceof GeneratedNode !== this.#node instanceof GeneratedNode;
    if (isOther && this.#resolve & RESOLVE.NO_XDEV) return E.EXDEV;
    this.#node = node;
    return 0;
  }

  /** Takes one name; 0 to go on. */
  #step(): Found | number {
    const path = this.#path;
    let at = this.#at;
    while (path.charCodeAt(at) === SLASH) at += 1;
    if (this.#node.type !== 'directory') return E.ENOTDIR;
    if (at === path.length) {
      return { parent: this.#node.parent, name: '', node: this.#node, hasSlash: true };
    }
    let end = path.indexOf('/', at);
    if (end < 0) end = path.length;
    const name = path.slice(at, end);
    let next = end;
    while (path.charCodeAt(next) === SLASH) next += 1;
    const isLast = next === path.length;
    const hasSlash = end < path.length;
    this.#at = isLast ? path.length : end;
    if (name === '.' || name === '..') return this.#dots(name, isLast, hasSlash);
    if (name.length > NAME_MAX) return E.ENAMETOOLONG;
    const parent = this.#node;
    const child = parent.lookup(name);
    if (typeof child === 'number') {
      if (child !== E.ENOENT || !isLast) return child;
      return { parent, name, node: null, hasSlash };
    }
    const isFollowed = !isLast || (hasSlash ? !this.#isName : this.#follow);
    if (child.type === 'symlink' && isFollowed) {
      return this.#link(child, end, isLast);
    }
    if (isLast) {
      if (hasSlash && !this.#isName && child.type !== 'directory') return E.ENOTDIR;
      const failed = this.#enter(child);
      return failed < 0 ? failed : { parent, name, node: child, hasSlash };
    }
    return this.#enter(child);
  }

  #dots(name: string, isLast: boolean, hasSlash: boolean): Found | number {
    if (name === '..') {
      const isStart = this.#node === this.#start;
      if (isStart && this.#resolve & RESOLVE.BENEATH) return E.EXDEV;
      if (!isStart || (this.#resolve & RESOLVE.IN_ROOT) === 0) {
        const failed = this.#enter(this.#node.parent);
        if (failed < 0) return failed;
      }
    }
    if (!isLast) return 0;
    return { parent: this.#node.parent, name, node: this.#node, hasSlash };
  }

  #link(link: FsNode, end: number, isLast: boolean): Found | number {
    this.#links += 1;
    if (this.#links > SYMLINKS_MAX || this.#resolve & RESOLVE.NO_SYMLINKS) return E.ELOOP;
    const jump = link.follow(this.#task);
    if (typeof jump === 'number') return jump;
    if (jump !== null) {
      if (this.#resolve & RESOLVE.NO_MAGICLINKS) return E.ELOOP;
      if (this.#resolve & (RESOLVE.BENEATH | RESOLVE.IN_ROOT)) return E.EXDEV;
      const failed = this.#enter(jump);
      if (failed < 0 || !isLast) return failed;
      return { parent: jump.parent, name: '', node: jump, hasSlash: false };
    }
    const target = link.readlink(this.#task);
    if (typeof target === 'number') return target;
    if (target === '') return E.ENOENT;
    this.#path = target + this.#path.slice(end);
    this.#at = 0;
    return this.#enterRoot();
  }
}

/** Walks `path` from `start` (for relative paths); -errno. A missing last name is no error yet. */
export function walk(
  context: FsContext,
  task: Task,
  start: FsNode,
  path: string,
  options: WalkOptions,
): Found | number {
  return new Walk(context, task, start, path, options).run();
}

/** Like `walk`, to a file that must be there. */
export function walkTo(
  context: FsContext,
  task: Task,
  start: FsNode,
  path: string,
  options: WalkOptions,
): FsNode | number {
  const found = walk(context, task, start, path, options);
  if (typeof found === 'number') return found;
  return found.node ?? E.ENOENT;
}
