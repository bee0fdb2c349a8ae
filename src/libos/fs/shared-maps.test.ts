/** Tests of SharedMaps: which addresses a change of a file reaches. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Lvm } from '../../lvm/api.ts';
import { Budget, Content } from './content.ts';
import type { Inode } from './inode.ts';
import { SharedMaps } from './shared-maps.ts';

const START = 0x10_0000;
const BYTES = 6 * 4096;

/** A file of BYTES, and a guest memory of which the mapping is a part. */
function mapped() {
  const content = new Content(new Budget(1 << 24));
  content.write(0, Buffer.alloc(BYTES));
  const inode = { id: 7, content } as Inode;
  const memory = Buffer.alloc(BYTES);
  const lvm = {
    memoryWrite(address: number, bytes: Uint8Array, isForced: boolean): number {
      assert.ok(isForced);
      memory.set(bytes, address - START);
      return bytes.length;
    },
  } as unknown as Lvm;
  const maps = new SharedMaps();
  maps.add({ inode: 7, start: START, end: START + BYTES, offset: 0 });
  return { content, inode, memory, lvm, maps };
}

test('a change shows where the file is mapped still, and nowhere else', () => {
  const page = fc.nat(5);
  fc.assert(
    fc.property(page, page, fc.nat(BYTES - 1), fc.nat(9000), (first, last, from, size) => {
      const { content, inode, memory, lvm, maps } = mapped();
      const [hole, end] = [Math.min(first, last) * 4096, Math.max(first, last) * 4096];
      assert.equal(maps.unmap(START + hole, START + end), hole < end);
      const to = Math.min(BYTES, from + size);
      content.write(from, Buffer.alloc(to - from, 9));
      maps.changed(lvm, inode, from, to);
      for (let at = 0; at < BYTES; at += 1) {
        const isShown = at >= from && at < to && !(at >= hole && at < end);
        if (memory[at] !== (isShown ? 9 : 0)) assert.fail(`byte ${at}`);
      }
    }),
  );
});

test('what is cut off shows as zeros', () => {
  const { content, inode, memory, lvm, maps } = mapped();
  memory.fill(1);
  assert.equal(content.truncate(5000), 0);
  maps.changed(lvm, inode, 5000, BYTES);
  assert.ok(memory.subarray(0, 5000).every((byte) => byte === 1));
  assert.ok(memory.subarray(5000).every((byte) => byte === 0));
});

test('a file that is gone leaves its mapping as it is, whoever gets its id', () => {
  const { content, inode, memory, lvm, maps } = mapped();
  assert.equal(maps.forget(8), false);
  assert.equal(maps.forget(7), true);
  content.write(0, Buffer.alloc(10, 3));
  maps.changed(lvm, inode, 0, 10);
  assert.ok(memory.every((byte) => byte === 0));
});
