/**
 * Tests of written-pages.ts, on memory of this process, which it watches as it would a guest's.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAP, PAGE_BYTES, PROT, UFFD_OPEN_FLAGS } from '../abi/memory.ts';
import { SYS } from '../abi/syscalls.ts';
import { guestAddress } from '../base/ids.ts';
import { syscall } from '../ffi/native.ts';
import { ProcessMemory } from './memory.ts';
import { WrittenPages } from './written-pages.ts';

const PAGES = 2048;
const uffd = syscall(SYS.userfaultfd, UFFD_OPEN_FLAGS);
const skip = uffd < 0 && `userfaultfd(2) is not to be had here (${uffd}): Linux 6.7 has it`;

/** Mappings with a hole between them. */
function mapping(): number {
  const sizeBytes = (PAGES + 1) * PAGE_BYTES;
  const flags = MAP.PRIVATE | MAP.ANONYMOUS | MAP.NORESERVE;
  const start = syscall(SYS.mmap, 0, sizeBytes, PROT.READ | PROT.WRITE, flags, -1, 0);
  assert.ok(start > 0);
  assert.equal(syscall(SYS.munmap, start + PAGES * PAGE_BYTES, PAGE_BYTES), 0);
  return start;
}

test('pages written are told once; those that nobody touched never', { skip }, () => {
  const memory = new ProcessMemory(process.pid);
  const written = new WrittenPages(process.pid, uffd);
  const start = mapping();
  const end = start + PAGES * PAGE_BYTES;
  const write = (page: number): void => {
    assert.equal(memory.write(guestAddress(start + page * PAGE_BYTES), Buffer.alloc(8, 1)), 8);
  };
  const take = (): number[] => {
    const pages: number[] = [];
    written.take(start, end, (first, count) => {
      for (let index = 0; index < count; index += 1) {
        pages.push((first - start) / PAGE_BYTES + index);
      }
    });
    return pages;
  };
  written.watch(start, end);
  write(2);
  assert.deepEqual(take(), [2], 'of a mapping that is new');
  assert.deepEqual(take(), []);
  write(2);
  write(3);
  write(700);
  assert.deepEqual(take(), [2, 3, 700]);
  const target = Buffer.alloc(8);
  memory.read(guestAddress(start + 900 * PAGE_BYTES), target);
  assert.deepEqual(take(), [], 'what was only read');
  write(900);
  assert.deepEqual(take(), [900], 'and then written');
  written.close();
  memory.close();
});
