/**
 * SimRoot: the read-only root of a simulated host, made from a plain object of path -> content.
 * Used by SimHost for the root calls. Symlinks are never followed; a path is a byte string as
 * latin1.
 */
import { E } from '../../abi/errno.ts';
import { assert } from '../../base/assert.ts';
import type { Handle } from '../../base/ids.ts';
import type { FileType, RootEntry, RootStat } from '../../lvm/api.ts';

interface Attributes {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtimeNs?: number;
}

/** A file's content, or something else with its attributes. */
export type RootNodeSpec =
  | string
  | Uint8Array
  | (Attributes & { readonly file: string | Uint8Array })
  | (Attributes & { readonly link: string })
  | (Attributes & { readonly dir: true })
  | (Attributes & { readonly device: 'char' | 'block'; readonly rdev: number })
  | (Attributes & { readonly special: 'fifo' | 'socket' });

/** Absolute path -> node; directories above a node come into being by themselves. */
export type RootSpec = Readonly<Record<string, RootNodeSpec>>;

interface RootNode {
  type: FileType;
  /** A file's bytes or a link's target. */
  content: Buffer;
  attributes: Attributes;
  rdev: number;
  readonly inode: number;
  readonly children: Map<string, RootNode>;
}

/** 2024-01-01, so that times are neither 0 nor today. */
const DEFAULT_TIME_NS = 1_704_067_200 * 1e9;
const DEFAULT_MODE: Readonly<Record<FileType, number>> = {
  file: 0o644,
  directory: 0o755,
  symlink: 0o777,
  fifo: 0o644,
  socket: 0o755,
  char: 0o666,
  block: 0o660,
};

export class SimRoot {
  readonly #top: RootNode;
  readonly #newHandle: () => Handle;
  readonly #open = new Map<Handle, Buffer>();
  #nextInode = 2;

  constructor(spec: RootSpec, newHandle: () => Handle) {
    this.#newHandle = newHandle;
    this.#top = this.#newDirectory();
    for (const [path, node] of Object.entries(spec)) this.add(path, node);
  }

  #newDirectory(): RootNode {
    const inode = this.#nextInode;
    this.#nextInode += 1;
    const content = Buffer.alloc(0);
    return { type: 'directory', content, attributes: {}, rdev: 0, inode, children: new Map() };
  }

  add(path: string, spec: RootNodeSpec): void {
    assert(path.startsWith('/'), `${path} is not absolute`);
    let node = this.#top;
    for (const name of path.split('/').filter((part) => part !== '')) {
      assert(node.type === 'directory', `${path} lies below something not a directory`);
      let child = node.children.get(name);
      if (child === undefined) {
        child = this.#newDirectory();
        node.children.set(name, child);
      }
      node = child;
    }
    this.#fill(node, spec);
  }

  #fill(node: RootNode, spec: RootNodeSpec): void {
    if (typeof spec === 'string' || spec instanceof Uint8Array) {
      node.type = 'file';
      node.content = Buffer.from(spec as string);
      return;
    }
    node.attributes = spec;
    if ('file' in spec) {
      node.type = 'file';
      node.content = Buffer.from(spec.file as string);
    } else if ('link' in spec) {
      node.type = 'symlink';
      node.content = Buffer.from(spec.link, 'latin1');
    } else if ('device' in spec) {
      node.type = spec.device;
      node.rdev = spec.rdev;
    } else if ('special' in spec) node.type = spec.special;
  }

  #find(path: string): RootNode | number {
    let node = this.#top;
    for (const name of path.split('/')) {
      if (name === '') continue;
      if (node.type === 'symlink') return E.ELOOP;
      if (node.type !== 'directory') return E.ENOTDIR;
      const child = node.children.get(name);
      if (child === undefined) return E.ENOENT;
      node = child;
    }
    return node;
  }

  stat(path: string): RootStat | number {
    const node = this.#find(path);
    if (typeof node === 'number') return node;
    const { mode, uid, gid, mtimeNs } = node.attributes;
    const time = mtimeNs ?? DEFAULT_TIME_NS;
    const isDirectory = node.type === 'directory';
    const below = [...node.children.values()].filter((child) => child.type === 'directory');
    return {
      type: node.type,
      mode: mode ?? DEFAULT_MODE[node.type],
      uid: uid ?? 0,
      gid: gid ?? 0,
      sizeBytes: isDirectory ? 4096 : node.content.length,
      links: isDirectory ? 2 + below.length : 1,
      inode: node.inode,
      atimeNs: time,
      mtimeNs: time,
      ctimeNs: time,
      rdev: node.rdev,
    };
  }

  readlink(path: string): string | number {
    const node = this.#find(path);
    if (typeof node === 'number') return node;
    return node.type === 'symlink' ? node.content.toString('latin1') : E.EINVAL;
  }

  list(path: string): readonly RootEntry[] | number {
    const node = this.#find(path);
    if (typeof node === 'number') return node;
    if (node.type === 'symlink') return E.ELOOP;
    if (node.type !== 'directory') return E.ENOTDIR;
    return [...node.children]
      .map(([name, child]) => ({ name, type: child.type, inode: child.inode }))
      .sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** The bytes of a regular file. */
  content(path: string): Buffer | number {
    const node = this.#find(path);
    if (typeof node === 'number') return node;
    if (node.type === 'directory') return E.EISDIR;
    if (node.type === 'symlink') return E.ELOOP;
    return node.type === 'file' ? node.content : E.EINVAL;
  }
  /** Why execve can't start this path, as -errno; 0 if it can. */
  programProblem(path: string): number {
    const node = this.#find(path);
    if (typeof node === 'number') return node;
    const mode = node.attributes.mode ?? DEFAULT_MODE[node.type];
    if (node.type !== 'file' || (mode & 0o111) === 0) return E.EACCES;
    const start = node.content.toString('latin1', 0, 4);
    return start === '\x7fELF' || start.startsWith('#!') ? 0 : E.ENOEXEC;
  }

  open(path: string): Handle | number {
    const content = this.content(path);
    if (typeof content === 'number') return content;
    const file = this.#newHandle();
    this.#open.set(file, content);
    return file;
  }

  /** The content of an open file. */
  contentOf(file: Handle): Buffer | null {
    return this.#open.get(file) ?? null;
  }

  read(file: Handle, offset: number, target: Uint8Array): number {
    const content = this.#open.get(file);
    if (content === undefined) return E.EBADF;
    const part = content.subarray(offset, offset + target.length);
    target.set(part);
    return part.length;
  }

  close(file: Handle): void {
    assert(this.#open.delete(file), `root file ${file} is open`);
  }

  /** Files that are open to the guest. */
  get openCount(): number {
    return this.#open.size;
  }
}
