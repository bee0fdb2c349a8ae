/**
 * WrittenPages: which pages of a guest process were written (userfaultfd write protection in its
 * asynchronous mode, and the PAGEMAP_SCAN ioctl; see docs/architecture.md). Works for writes by the
 * guest and from outside. New mappings must be watched before the next scan.
 */
import { E, errnoName } from '../abi/errno.ts';
import {
  PAGE_BYTES,
  PAGE_IS,
  PAGE_REGION_BYTES,
  PAGEMAP_SCAN,
  PM_SCAN,
  PM_SCAN_ARG,
  UFFD_API,
  UFFD_FEATURES,
  UFFDIO,
  UFFDIO_REGISTER_MODE_WP,
} from '../abi/memory.ts';
import { assert } from '../base/assert.ts';
import { guestAddress } from '../base/ids.ts';
import { allocateArena, close, ioctl, open } from '../ffi/native.ts';
import type { PageVisitor } from '../lvm/api.ts';

const VECTOR_LENGTH = 4096;
const THERE = PAGE_IS.PRESENT | PAGE_IS.SWAPPED;
const vector = allocateArena(VECTOR_LENGTH * PAGE_REGION_BYTES);

export class WrittenPages {
  readonly #uffd: number;
  readonly #pagemap: number;
  readonly #argument = Buffer.alloc(PM_SCAN_ARG.bytes);
  readonly #register = Buffer.alloc(32);

  /** `uffd` was made by the guest process itself; it is ours from now on. */
  constructor(hostPid: number, uffd: number) {
    this.#uffd = uffd;
    this.#pagemap = open(`/proc/${hostPid}/pagemap`, 0o2000000);
    assert(this.#pagemap >= 0, 'pagemap can be opened');
    const api = Buffer.alloc(24);
    api.writeBigUInt64LE(UFFD_API, 0);
    api.writeBigUInt64LE(UFFD_FEATURES, 8);
    check('UFFDIO_API', ioctl(uffd, UFFDIO.API, api));
  }

  close(): void {
    close(this.#uffd);
    close(this.#pagemap);
  }

  /** Starts to watch all mappings in a range. What is there now counts as written. */
  watch(start: number, end: number): void {
    const range = this.#register;
    range.writeBigUInt64LE(BigInt(start), 0);
    range.writeBigUInt64LE(BigInt(end - start), 8);
    range.writeBigUInt64LE(UFFDIO_REGISTER_MODE_WP, 16);
    range.writeBigUInt64LE(0n, 24);
    const result = ioctl(this.#uffd, UFFDIO.REGISTER, range);
    // EINVAL: nothing is mapped there.
    if (result !== E.EINVAL) check('UFFDIO_REGISTER', result);
  }

  /**
   * Reports the pages of the private mappings in a range written since the last call, and watches
   * them again. All mappings in the range are watched. A page of a file that was only read is not
   * "written", though a copy of it is; nor is one that isn't there, though Linux says so of all
   * that was mapped since (a thread's stack is 8 MiB of it).
   */
  take(start: number, end: number, visit: PageVisitor): void {
    const flags = PM_SCAN.WP_MATCHING | PM_SCAN.CHECK_WPASYNC;
    const inverted = PAGE_IS.FILE | PAGE_IS.PFNZERO;
    this.#scan(start, end, flags, inverted, PAGE_IS.WRITTEN | inverted, THERE, visit);
  }

  /**
   * The same for one shared mapping, whose pages all belong to a file; what isn't there may have
   * been written and swapped out.
   */
  takeShared(start: number, end: number, visit: PageVisitor): void {
    const flags = PM_SCAN.WP_MATCHING | PM_SCAN.CHECK_WPASYNC;
    this.#scan(start, end, flags, 0n, PAGE_IS.WRITTEN, 0n, visit);
  }

  /**
   * Pages of a range that are the process's own (not those of a file behind it, not zero). It may
   * run, and so may have ended just now: then it has none.
   */
  populated(start: number, end: number, isShared: boolean, visit: PageVisitor): void {
    const inverted = isShared ? PAGE_IS.PFNZERO : PAGE_IS.FILE | PAGE_IS.PFNZERO;
    this.#scan(start, end, 0n, inverted, inverted, THERE, visit);
  }

  #scan(
    start: number,
    end: number,
    flags: bigint,
    inverted: bigint,
    mask: bigint,
    anyOf: bigint,
    visit: PageVisitor,
  ): void {
    const argument = this.#argument;
    argument.fill(0);
    argument.writeBigUInt64LE(BigInt(PM_SCAN_ARG.bytes), PM_SCAN_ARG.size);
    argument.writeBigUInt64LE(flags, PM_SCAN_ARG.flags);
    argument.writeBigUInt64LE(BigInt(end), PM_SCAN_ARG.end);
    argument.writeBigUInt64LE(BigInt(vector.address), PM_SCAN_ARG.vec);
    argument.writeBigUInt64LE(BigInt(VECTOR_LENGTH), PM_SCAN_ARG.vecLength);
    argument.writeBigUInt64LE(inverted, PM_SCAN_ARG.categoryInverted);
    argument.writeBigUInt64LE(mask, PM_SCAN_ARG.categoryMask);
    argument.writeBigUInt64LE(anyOf, PM_SCAN_ARG.categoryAnyOfMask);
    argument.writeBigUInt64LE(PAGE_IS.PRESENT, PM_SCAN_ARG.returnMask);
    for (let from = start; from < end; ) {
      writeWord(argument, PM_SCAN_ARG.start, from);
      const result = ioctl(this.#pagemap, PAGEMAP_SCAN, argument);
      if (result === E.ESRCH && flags === 0n) return;
      const count = check('PAGEMAP_SCAN', result);
      for (let index = 0; index < count; index += 1) {
        const at = index * PAGE_REGION_BYTES;
        const first = readWord(vector.bytes, at);
        const last = readWord(vector.bytes, at + 8);
        visit(guestAddress(first), (last - first) / PAGE_BYTES);
      }
      const walked = readWord(argument, PM_SCAN_ARG.walkEnd);
      assert(walked > from, 'PAGEMAP_SCAN goes on');
      from = walked;
    }
  }
}

function readWord(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 4) * 0x1_0000_0000 + bytes.readUInt32LE(at);
}

function writeWord(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32LE(value >>> 0, at);
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}

function check(name: string, result: number): number {
  assert(result >= 0, `${name}: ${errnoName(result)}`);
  return result;
}
