/** Tests of memory.ts and guest-memory.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { E } from '../../abi/errno.ts';
import { guestAddress } from '../../base/ids.ts';
import type { MemoryRegion } from '../../lvm/api.ts';
import { SimGuest } from './guest-memory.ts';
import { PAGE_BYTES, SimMemory } from './memory.ts';

const region = (start: number, end: number, protection = 3): MemoryRegion => ({
  start: guestAddress(start * PAGE_BYTES),
  end: guestAddress(end * PAGE_BYTES),
  protection,
  shared: false,
  name: '',
  fileOffset: 0,
  backed: false,
});

function runs(report: (visit: (start: number, count: number) => void) => void): number[][] {
  const found: number[][] = [];
  report((start, count) => {
    found.push([start / PAGE_BYTES, count]);
  });
  return found;
}

test('access stops where memory or the permission ends', () => {
  const memory = new SimMemory();
  memory.map(region(1, 3));
  memory.map(region(3, 4, 1));
  const at = guestAddress(3 * PAGE_BYTES - 2);
  assert.equal(memory.write(at, Buffer.from('abcd')), 2);
  assert.equal(memory.read(at, Buffer.alloc(4)), 4);
  assert.equal(memory.read(guestAddress(4 * PAGE_BYTES - 1), Buffer.alloc(9)), 1);
  assert.equal(memory.read(guestAddress(4 * PAGE_BYTES), Buffer.alloc(9)), E.EFAULT);
  assert.equal(memory.read(guestAddress(0), Buffer.alloc(9)), E.EFAULT);
  assert.equal(memory.write(guestAddress(3 * PAGE_BYTES), Buffer.from('x')), E.EFAULT);
  assert.equal(memory.read(guestAddress(0), Buffer.alloc(0)), 0);
});

test('pageRead minds no protection', () => {
  const memory = new SimMemory();
  memory.map(region(1, 2));
  memory.write(guestAddress(PAGE_BYTES), Buffer.from('secret'));
  memory.protect(PAGE_BYTES, 2 * PAGE_BYTES, 0);
  const target = Buffer.alloc(2 * PAGE_BYTES);
  assert.equal(memory.read(guestAddress(PAGE_BYTES), target), E.EFAULT);
  assert.equal(memory.pageRead(guestAddress(PAGE_BYTES), target), PAGE_BYTES);
  assert.equal(target.toString('latin1', 0, 6), 'secret');
  assert.equal(memory.pageRead(guestAddress(5 * PAGE_BYTES), target), 0);
});

test('written pages are told once, in runs', () => {
  const memory = new SimMemory();
  memory.map(region(1, 20));
  memory.write(guestAddress(2 * PAGE_BYTES - 1), Buffer.from('ab'));
  memory.write(guestAddress(9 * PAGE_BYTES), Buffer.from('c'));
  memory.fill(15 * PAGE_BYTES, Buffer.from('d'));
  assert.deepEqual(
    runs((visit) => memory.takeWrittenPages(visit)),
    [
      [1, 2],
      [9, 1],
    ],
  );
  assert.deepEqual(
    runs((visit) => memory.takeWrittenPages(visit)),
    [],
  );
  assert.deepEqual(
    runs((visit) => memory.populatedPages(region(2, 20), visit)),
    [
      [2, 1],
      [9, 1],
      [15, 1],
    ],
  );
});

test('unmapping splits regions, drops the content and says so', () => {
  const memory = new SimMemory();
  memory.map(region(1, 10));
  memory.takeDroppedRanges(() => {});
  memory.takeRegions();
  memory.write(guestAddress(4 * PAGE_BYTES), Buffer.from('gone'));
  assert.equal(memory.isChanged, false);
  memory.unmap(4 * PAGE_BYTES, 6 * PAGE_BYTES);
  assert.equal(memory.isChanged, true);
  assert.deepEqual(memory.takeRegions(), [region(1, 4), region(6, 10)]);
  assert.deepEqual(
    runs((visit) => memory.takeDroppedRanges(visit)),
    [[4, 2]],
  );
  assert.deepEqual(
    runs((visit) => memory.takeWrittenPages(visit)),
    [],
  );
  memory.map(region(4, 6));
  const target = Buffer.alloc(4, 'x');
  assert.equal(memory.read(guestAddress(4 * PAGE_BYTES), target), 4);
  assert.deepEqual(target, Buffer.alloc(4));
});

test('protection changes the part of a region', () => {
  const memory = new SimMemory();
  memory.map(region(1, 10));
  memory.write(guestAddress(3 * PAGE_BYTES), Buffer.from('kept'));
  memory.protect(3 * PAGE_BYTES, 5 * PAGE_BYTES, 1);
  assert.deepEqual(memory.takeRegions(), [region(1, 3), region(3, 5, 1), region(5, 10)]);
  assert.equal(memory.write(guestAddress(3 * PAGE_BYTES), Buffer.from('x')), E.EFAULT);
  const target = Buffer.alloc(4);
  memory.read(guestAddress(3 * PAGE_BYTES), target);
  assert.equal(target.toString(), 'kept');
});

test('memory behaves as a flat array of bytes', () => {
  const pages = 6;
  const access = fc.record({
    at: fc.nat(pages * PAGE_BYTES - 1),
    bytes: fc.uint8Array({ maxLength: 2 * PAGE_BYTES }),
  });
  fc.assert(
    fc.property(fc.array(access, { maxLength: 12 }), (writes) => {
      const memory = new SimMemory();
      memory.map(region(1, 1 + pages));
      const flat = Buffer.alloc(pages * PAGE_BYTES);
      const written = new Set<number>();
      for (const { at, bytes } of writes) {
        const count = memory.write(guestAddress(at + PAGE_BYTES), bytes);
        const expected = Math.min(bytes.length, flat.length - at);
        assert.equal(count, expected);
        flat.set(bytes.subarray(0, expected), at);
        for (let byte = at; byte < at + expected; byte += 1) {
          written.add(1 + Math.floor(byte / PAGE_BYTES));
        }
      }
      const all = Buffer.alloc(flat.length);
      assert.equal(memory.read(guestAddress(PAGE_BYTES), all), flat.length);
      assert.ok(all.equals(flat));
      const told = new Set<number>();
      memory.takeWrittenPages((start, count) => {
        for (let page = 0; page < count; page += 1) told.add(start / PAGE_BYTES + page);
      });
      assert.deepEqual([...told].sort(), [...written].sort());
    }),
    { numRuns: 100 },
  );
});

test('C values are laid out as a compiler would', () => {
  const guest = new SimGuest(new SimMemory());
  guest.mapInitial();
  const text = guest.cstring('naïve');
  assert.equal(guest.peekText(text), 'naïve');
  assert.deepEqual(
    guest.peek(guest.words(-1, 2n), 16),
    Buffer.from(`${'ff'.repeat(8)}02${'00'.repeat(7)}`, 'hex'),
  );
  const struct = guest.struct('HBxIQ', 0x1234, 0xff, -2, 1);
  assert.equal(guest.peek(struct, 16).toString('hex'), '3412ff00feffffff0100000000000000');
  assert.equal(guest.peekI32(struct + 4), -2);
  assert.throws(() => guest.struct('II', 1), /fields/);
  assert.equal(guest.peekU64(guest.timespec(3_000_000_005) + 8), 5n);
  const address = guest.sockaddr4('10.0.0.1', 80);
  assert.equal(guest.peek(address, 8).toString('hex'), '020000500a000001');
  assert.equal(guest.peekU16(address), 2);
  assert.equal(text % 16, 0);
});
