/**
 * MemfdStore: a guest's memory as one sparse file in memory whose offset is the guest's address.
 * A backup applies deltas to it; a takeover maps it, so its cost does not grow with the guest.
 */
import { E, errnoName } from '../../abi/errno.ts';
import { FALLOC_FL, PAGE_BYTES, SEEK, TASK_SIZE } from '../../abi/memory.ts';
import { assert } from '../../base/assert.ts';
import { guestAddress } from '../../base/ids.ts';
import {
  close,
  fallocate,
  ftruncate,
  lseek,
  memfdCreate,
  pread,
  pwrite,
} from '../../ffi/native.ts';
import type { PageVisitor } from '../../lvm/api.ts';

/** How the file shows in /proc/PID/maps. */
export const IMAGE_NAME = 'tardigrade-image';

export class MemfdStore {
  readonly fd: number;

  constructor() {
    const MFD_CLOEXEC = 1;
    this.fd = memfdCreate(IMAGE_NAME, MFD_CLOEXEC);
    assert(this.fd >= 0, `memfd_create: ${errnoName(this.fd)}`);
    assert(ftruncate(this.fd, TASK_SIZE) === 0, 'a sparse file of the address space');
  }

  write(address: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const rest = bytes.subarray(done);
      const put = pwrite(this.fd, rest, rest.length, address + done);
      assert(put > 0, `memory image: ${errnoName(put)}`);
      done += put;
    }
  }

  /** The range reads as zeros from now on and takes no memory. */
  zero(start: number, end: number): void {
    const mode = FALLOC_FL.PUNCH_HOLE | FALLOC_FL.KEEP_SIZE;
    const result = fallocate(this.fd, mode, start, end - start);
    assert(result === 0, `memory image: ${errnoName(result)}`);
  }

  read(address: number, target: Uint8Array): void {
    for (let done = 0; done < target.length; ) {
      const rest = target.subarray(done);
      const got = pread(this.fd, rest, rest.length, address + done);
      assert(got > 0, `memory image: ${errnoName(got)}`);
      done += got;
    }
  }

  /** Runs of pages that hold data (possibly zeros). */
  populated(start: number, end: number, visit: PageVisitor): void {
    for (let from = start; from < end; ) {
      const data = lseek(this.fd, from, SEEK.DATA);
      if (data === E.ENXIO || data >= end) return;
      assert(data >= 0, `memory image: ${errnoName(data)}`);
      const hole = Math.min(end, lseek(this.fd, data, SEEK.HOLE));
      visit(guestAddress(data), (hole - data) / PAGE_BYTES);
      from = hole;
    }
  }

  close(): void {
    close(this.fd);
  }
}
