/** Files of the root that the library OS has open, by its handles. Used by LinuxHost. */
import { present } from '../../base/assert.ts';
import { type Handle, handle } from '../../base/ids.ts';
import type { Root } from './root.ts';

export class RootFiles {
  readonly #root: Root;
  readonly #descriptors = new Map<Handle, number>();
  #next = 1;

  constructor(root: Root) {
    this.#root = root;
  }

  /** -errno when it can't be opened. */
  open(path: string): Handle | number {
    const fd = this.#root.open(path);
    if (fd < 0) return fd;
    const file = handle(this.#next);
    this.#next += 1;
    this.#descriptors.set(file, fd);
    return file;
  }

  /** Ours to read from; it stays the root's. */
  descriptor(file: Handle): number {
    return present(this.#descriptors.get(file), `root file ${file}`);
  }

  close(file: Handle): void {
    this.#root.close(this.descriptor(file));
    this.#descriptors.delete(file);
  }
}
