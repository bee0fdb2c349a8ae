/**
 * Replaces mappings of the image by memory of the guest's own with the same content, for calls that
 * a mapping of a file can't take: mremap(2). Used by LinuxHost with all threads stopped.
 */
import { MAP, PAGE_BYTES, PROT } from '../../abi/memory.ts';
import type { SYS } from '../../abi/syscalls.ts';
import { assert } from '../../base/assert.ts';
import { guestAddress } from '../../base/ids.ts';
import type { ProcessMemory } from '../../guest/memory.ts';
import type { AddressSpace } from './address-space.ts';
import { roundUp } from './elf.ts';
import type { Range } from './ranges.ts';

/** Runs a call in the guest; gives its result or -errno. */
export type InjectedCall = (name: keyof typeof SYS, ...args: readonly number[]) => number;

/** Copied at once; bounds what is in our memory meanwhile. */
const CHUNK_BYTES = 4 << 20;
const chunk = Buffer.alloc(CHUNK_BYTES);

/** What mremap(2) is to move, from its arguments. */
export function mremapRange(args: Buffer): Range {
  const word = (index: number): number =>
    args.readUInt32LE(index * 8 + 4) * 0x1_0000_0000 + args.readUInt32LE(index * 8);
  return { start: word(0), end: word(0) + roundUp(word(1)) };
}

export function leaveImage(
  space: AddressSpace,
  memory: ProcessMemory,
  call: InjectedCall,
  wanted: Range,
): void {
  // Brings what the space knows up to date.
  space.regions();
  for (const { range, protection } of space.standingOnImage(wanted)) {
    for (let start = range.start; start < range.end; start += CHUNK_BYTES) {
      const end = Math.min(range.end, start + CHUNK_BYTES);
      copyChunk(space, memory, call, { start, end });
    }
    const result = call('mprotect', range.start, range.end - range.start, protection);
    assert(result === 0, `mprotect of copied memory: ${result}`);
    space.leftImage();
  }
}

function copyChunk(
  space: AddressSpace,
  memory: ProcessMemory,
  call: InjectedCall,
  { start, end }: Range,
): void {
  const runs: Range[] = [];
  space.populated(start, end, (from, pages) => {
    runs.push({ start: from, end: from + pages * PAGE_BYTES });
  });
  for (const run of runs) {
    const target = chunk.subarray(run.start - start, run.end - start);
    const got = memory.readForced(guestAddress(run.start), target);
    assert(got === target.length, 'the guest’s memory can be read');
  }
  const flags = MAP.PRIVATE | MAP.ANONYMOUS | MAP.NORESERVE | MAP.FIXED;
  const result = call('mmap', start, end - start, PROT.READ | PROT.WRITE, flags, -1, 0);
  assert(result === start, `mmap of copied memory: ${result}`);
  for (const run of runs) {
    memory.writeForced(run.start, chunk.subarray(run.start - start, run.end - start));
  }
}
