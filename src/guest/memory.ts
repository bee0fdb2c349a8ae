/**
 * ProcessMemory: reads and writes the memory of a guest process from outside.
 * `read` and `write` respect the guest's page protections (process_vm_readv(2)) and serve the
 * library OS; `readForced` does not (/proc/PID/mem) and serves checkpoints. A hot path: no
 * allocation.
 */

import { E } from '../abi/errno.ts';
import { PAGE_BYTES } from '../abi/memory.ts';
import { assert } from '../base/assert.ts';
import type { GuestAddress } from '../base/ids.ts';
import {
  allocateArena,
  close,
  open,
  pread,
  processVmReadv,
  processVmWritev,
  pwrite,
} from '../ffi/native.ts';

/** Larger transfers go piece by piece. */
const STAGE_BYTES = 1 << 20;
const O_RDWR_CLOEXEC = 2 | 0o2000000;

const stage = allocateArena(STAGE_BYTES);
/** Two struct iovec: ours, then the guest's. */
const iovecs = allocateArena(PAGE_BYTES);
const LOCAL = iovecs.address;
const REMOTE = iovecs.address + 16;

function setIovecs(address: number, count: number): void {
  const bytes = iovecs.bytes;
  writeWord(bytes, 0, stage.address);
  writeWord(bytes, 8, count);
  writeWord(bytes, 16, address);
  writeWord(bytes, 24, count);
}

function writeWord(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32LE(value >>> 0, at);
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}

export class ProcessMemory {
  readonly #pid: number;
  readonly #mem: number;

  constructor(hostPid: number) {
    this.#pid = hostPid;
    this.#mem = open(`/proc/${hostPid}/mem`, O_RDWR_CLOEXEC);
    assert(this.#mem >= 0, `/proc/${hostPid}/mem can be opened`);
  }

  close(): void {
    close(this.#mem);
  }

  /** Bytes read, fewer where memory ends, or -EFAULT. */
  read(address: GuestAddress, target: Uint8Array): number {
    let done = 0;
    while (done < target.length) {
      const count = Math.min(STAGE_BYTES, target.length - done);
      setIovecs(address + done, count);
      const got = processVmReadv(this.#pid, LOCAL, 1, REMOTE, 1);
      if (got <= 0) return done > 0 ? done : E.EFAULT;
      target.set(stage.bytes.subarray(0, got), done);
      done += got;
      if (got < count) break;
    }
    return done;
  }

  /** Bytes written, fewer where memory ends, or -EFAULT. */
  write(address: GuestAddress, source: Uint8Array): number {
    let done = 0;
    while (done < source.length) {
      const count = Math.min(STAGE_BYTES, source.length - done);
      stage.bytes.set(count === source.length ? source : source.subarray(done, done + count), 0);
      setIovecs(address + done, count);
      const put = processVmWritev(this.#pid, LOCAL, 1, REMOTE, 1);
      if (put <= 0) return done > 0 ? done : E.EFAULT;
      done += put;
      if (put < count) break;
    }
    return done;
  }

  /** Whatever the protection; bytes read (fewer or 0 where nothing is mapped). */
  readForced(address: number, target: Uint8Array): number {
    let done = 0;
    while (done < target.length) {
      const rest = done === 0 ? target : target.subarray(done);
      const got = pread(this.#mem, rest, rest.length, address + done);
      if (got <= 0) break;
      done += got;
    }
    return done;
  }

  /** Bytes written, or -errno where nothing private is mapped. */
  tryWriteForced(address: number, source: Uint8Array): number {
    return pwrite(this.#mem, source, source.length, address);
  }

  writeForced(address: number, source: Uint8Array): void {
    const put = this.tryWriteForced(address, source);
    assert(put === source.length, `guest memory at ${address.toString(16)} can be written`);
  }
}
