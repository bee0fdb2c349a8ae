/**
 * FdTable: a process's descriptors. Lowest free number first, as POSIX promises; saved as one
 * object. Used by the handlers and by clone; finding the lowest free number does not grow with the
 * table.
 */
import { E } from '../abi/errno.ts';
import { assert } from '../base/assert.ts';
import type { Decoder, Encoder } from '../base/codec.ts';
import { KIND } from './kinds-ids.ts';
import { KernelObject } from './object.ts';
import { OpenFile } from './open-file.ts';

interface Slot {
  file: OpenFile;
  closeOnExec: boolean;
}

export class FdTable extends KernelObject {
  readonly kind = KIND.fdTable;
  /** RLIMIT_NOFILE, soft. */
  limit = 1_048_576;
  readonly #slots: (Slot | undefined)[] = [];
  /** No descriptor below this is free. */
  #lowest = 0;

  /** The file behind a descriptor, or null (EBADF). */
  get(fd: number): OpenFile | null {
    return this.#slots[fd]?.file ?? null;
  }

  closeOnExec(fd: number): boolean {
    return this.#slots[fd]?.closeOnExec ?? false;
  }

  setCloseOnExec(fd: number, value: boolean): void {
    const slot = this.#slots[fd];
    assert(slot !== undefined, 'descriptor is open');
    slot.closeOnExec = value;
    this.touch();
  }

  /** Installs `file` at the lowest free number from `from` on; -EMFILE. Takes a reference. */
  add(file: OpenFile, closeOnExec: boolean, from = 0): number {
    let fd = Math.max(from, this.#lowest);
    while (this.#slots[fd] !== undefined) fd += 1;
    if (fd >= this.limit) return E.EMFILE;
    this.#install(fd, file, closeOnExec);
    if (from <= this.#lowest) this.#lowest = fd + 1;
    return fd;
  }

  /** Installs `file` at `fd`, closing what was there (dup2). */
  replace(fd: number, file: OpenFile, closeOnExec: boolean): number {
    if (fd < 0 || fd >= this.limit) return E.EBADF;
    const old = this.#slots[fd];
    this.#install(fd, file, closeOnExec);
    old?.file.release();
    return fd;
  }

  #install(fd: number, file: OpenFile, closeOnExec: boolean): void {
    file.retain();
    this.#slots[fd] = { file, closeOnExec };
    this.touch();
  }

  close(fd: number): number {
    const slot = this.#slots[fd];
    if (slot === undefined) return E.EBADF;
    this.#slots[fd] = undefined;
    this.#lowest = Math.min(this.#lowest, fd);
    this.touch();
    slot.file.release();
    return 0;
  }

  closeAll(): void {
    for (const [fd] of this.open()) this.close(fd);
  }

  /** All open descriptors in order. */
  *open(): Iterable<[number, OpenFile]> {
    for (const [fd, slot] of this.#slots.entries()) if (slot !== undefined) yield [fd, slot.file];
  }

  /** One above the highest descriptor that was ever open. */
  get size(): number {
    return this.#slots.length;
  }

  override save(encoder: Encoder): void {
    encoder.u32(this.limit).u32(this.#lowest).u32(this.#slots.length);
    for (const slot of this.#slots) {
      encoder.u32(slot === undefined ? 0 : slot.file.id);
      if (slot !== undefined) encoder.bool(slot.closeOnExec);
    }
  }

  override load(decoder: Decoder): void {
    this.limit = decoder.u32();
    this.#lowest = decoder.u32();
    const count = decoder.u32();
    for (let fd = 0; fd < count; fd += 1) {
      const file = this.objects.find(decoder.u32(), OpenFile);
      this.#slots[fd] = file === null ? undefined : { file, closeOnExec: decoder.bool() };
    }
  }
}
