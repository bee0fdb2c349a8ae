/**
 * LowerFile: a regular file of the read-only root, opened through the LVM API when it is first
 * read. Its handle is not saved: a name in the root is enough to open it again anywhere.
 */
import { E } from '../../abi/errno.ts';
import type { Handle } from '../../base/ids.ts';
import type { Lvm } from '../../lvm/api.ts';

export class LowerFile {
  readonly path: string;
  readonly #lvm: Lvm;
  #handle: Handle | null = null;

  constructor(lvm: Lvm, path: string) {
    this.#lvm = lvm;
    this.path = path;
  }

  /** The open handle, or -errno. */
  open(): Handle | number {
    if (this.#handle !== null) return this.#handle;
    const opened = this.#lvm.rootOpen(this.path);
    // A handle may be 0; what is negative is an error.
    if (opened >= 0) this.#handle = opened as Handle;
    return opened;
  }

  read(offset: number, target: Uint8Array): number {
    const file = this.open();
    if (file < 0) return E.EIO;
    return this.#lvm.rootRead(file as Handle, offset, target);
  }

  close(): void {
    if (this.#handle !== null) this.#lvm.rootClose(this.#handle);
    this.#handle = null;
  }
}
