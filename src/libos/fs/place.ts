/**
 * Place: which file an open file is open on, in a form that survives a checkpoint, a copy-up and a
 * rename: an inode; a path in the read-only root with the overlay directory that it hangs from; or
 * a path in a generated tree. Owned by one PlacedFile.
 */
import { assert, present } from '../../base/assert.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { KernelObject } from '../object.ts';
import type { FsContext } from './context.ts';
import { directory, GeneratedNode } from './generated.ts';
import { Inode } from './inode.ts';
import type { FsNode } from './node.ts';
import { joinPath, RootNode, statOfRoot } from './root.ts';
import { DEVICE, type FileStat } from './stat.ts';

export class Place {
  readonly #context: FsContext;
  readonly #owner: KernelObject;
  #inode: Inode | null = null;
  /** The nearest overlay directory above, for a file that is the root's. */
  #anchor: Inode | null = null;
  #rootPath = '';
  #generated: GeneratedNode | null = null;
  #generatedPath = '';

  constructor(context: FsContext, owner: KernelObject) {
    this.#context = context;
    this.#owner = owner;
  }

  /** Once, for a new file. */
  set(node: FsNode): void {
    if (node instanceof Inode) {
      this.#inode = node;
    } else if (node instanceof RootNode) {
      let above = node.parent;
      while (!(above instanceof Inode)) above = above.parent;
      this.#anchor = above;
      this.#rootPath = node.rootPath;
    } else {
      assert(node instanceof GeneratedNode, 'a node that files are opened on');
      this.#generated = node;
      this.#generatedPath = node.path();
    }
    this.#register();
  }

  #register(): void {
    this.#inode?.opened();
    if (this.#anchor === null) return;
    this.#anchor.opened();
    const places = this.#context.rootPlaces;
    let here = places.get(this.#rootPath);
    if (here === undefined) {
      here = new Set();
      places.set(this.#rootPath, here);
    }
    here.add(this);
  }

  /** The file is closed. */
  close(): void {
    this.#inode?.closed();
    this.#inode = null;
    this.#leaveRoot();
  }

  #leaveRoot(): void {
    if (this.#anchor === null) return;
    const here = present(this.#context.rootPlaces.get(this.#rootPath), 'places in the root');
    here.delete(this);
    if (here.size === 0) this.#context.rootPlaces.delete(this.#rootPath);
    this.#anchor.closed();
    this.#anchor = null;
  }

  /** The overlay has taken the file over. */
  tookOver(inode: Inode): void {
    this.#leaveRoot();
    this.#inode = inode;
    inode.opened();
    this.#owner.touch();
  }

  /** A directory of the root on the way to it is renamed: it hangs from that now. */
  reanchor(inode: Inode): void {
    const anchor = present(this.#anchor, 'anchor of a place in the root');
    if (anchor.lowerPath.length >= inode.lowerPath.length) return;
    inode.opened();
    anchor.closed();
    this.#anchor = inode;
    this.#owner.touch();
  }

  /** The inode, if the file is the overlay's. */
  get inode(): Inode | null {
    return this.#inode;
  }

  /** Path in the read-only root, or ''. */
  get rootPath(): string {
    return this.#anchor === null ? '' : this.#rootPath;
  }

  node(): FsNode {
    if (this.#inode !== null) return this.#inode;
    if (this.#anchor === null) return this.#generatedNode();
    let node: FsNode = this.#anchor;
    const start = this.#anchor.lowerPath === '/' ? 1 : this.#anchor.lowerPath.length + 1;
    for (const name of this.#rootPath.slice(start).split('/')) {
      const next = node.lookup(name);
      assert(typeof next !== 'number', 'an open file of the root is where it was');
      node = next;
    }
    return node;
  }

  #generatedNode(): FsNode {
    this.#generated ??= this.#context.generatedAt(this.#generatedPath);
    // What it told of is gone: an empty directory with no name.
    this.#generated ??= new GeneratedNode(directory({}), this.#context.top, '', DEVICE.proc);
    return this.#generated;
  }

  stat(): FileStat {
    if (this.#inode !== null) return this.#inode.stat();
    if (this.#anchor === null) return this.#generatedNode().stat();
    const root = this.#context.root.stat(this.#rootPath);
    return typeof root === 'number' ? this.node().stat() : statOfRoot(root);
  }

  path(): string {
    return this.#generatedPath === '' ? this.node().path() : this.#generatedPath;
  }

  save(encoder: Encoder): void {
    encoder.u32(this.#inode?.id ?? 0).u32(this.#anchor?.id ?? 0);
    encoder.string(this.#rootPath).string(this.#generatedPath);
  }

  load(decoder: Decoder): void {
    this.#inode = this.#owner.objects.find(decoder.u32(), Inode);
    this.#anchor = this.#owner.objects.find(decoder.u32(), Inode);
    this.#rootPath = decoder.string();
    this.#generatedPath = decoder.string();
    this.#register();
  }
}

/** A directory that shows `inode.lowerPath` is about to be renamed. */
export function reanchorBelow(context: FsContext, inode: Inode): void {
  const prefix = joinPath(inode.lowerPath, '');
  for (const [path, places] of context.rootPlaces) {
    if (path.startsWith(prefix)) for (const place of places) place.reanchor(inode);
  }
}
