/**
 * Tests of the small containers: page stores, page runs, slabs and records, against plain models.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AssertionError } from '../base/assert.ts';
import { guestAddress, tid } from '../base/ids.ts';
import { DeltaHistory } from './delta-history.ts';
import { ADDRESS_END, FRAME_BYTES_MAX, PAGE_BYTES, SLAB_BYTES_FIRST } from './limits.ts';
import { PageRuns } from './page-runs.ts';
import { PageSet } from './page-set.ts';
import { MemoryPageStore } from './page-store.ts';
import { RecordTable } from './record-table.ts';
import { strippedSize } from './sections.ts';
import { Slab, SlabPool } from './slab.ts';

/** Around the border between two bitmaps of a PageSet. */
const FIRST_PAGE = 32_768 - 20;
const operation = fc.tuple(
  fc.constantFrom('write', 'zero'),
  fc.nat({ max: 39 }),
  fc.integer({ min: 1, max: 25 }),
  fc.integer({ min: 1, max: 255 }),
);

test('page stores agree with a plain map on content, holes and runs', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
      const store = new MemoryPageStore();
      const set = new PageSet();
      const model = new Map<number, number>();
      for (const [kind, slot, count, value] of operations) {
        const start = guestAddress((FIRST_PAGE + slot) * PAGE_BYTES);
        const end = guestAddress(start + count * PAGE_BYTES);
        for (let at = slot; at < slot + count; at += 1) {
          if (kind === 'write') model.set(at, value);
          else model.delete(at);
        }
        for (const one of [store, set]) {
          if (kind === 'zero') one.zero(start, end);
          else one.write(start, Buffer.alloc(count * PAGE_BYTES, value));
        }
      }
      const target = Buffer.alloc(70 * PAGE_BYTES, 1);
      store.read(guestAddress(FIRST_PAGE * PAGE_BYTES), target);
      for (let at = 0; at < 70; at += 1) {
        assert.equal(target[at * PAGE_BYTES], model.get(at) ?? 0);
        assert.equal(target[at * PAGE_BYTES + 4095], model.get(at) ?? 0);
      }
      for (const [from, to] of [
        [0, ADDRESS_END / PAGE_BYTES],
        [FIRST_PAGE + 10, FIRST_PAGE + 30],
      ] as const) {
        const expected = [...model.keys()]
          .map((slot) => FIRST_PAGE + slot)
          .filter((page) => page >= from && page < to)
          .sort((one, other) => one - other);
        for (const one of [store, set]) {
          const found: number[] = [];
          const [start, end] = [guestAddress(from * PAGE_BYTES), guestAddress(to * PAGE_BYTES)];
          one.populated(start, end, (runStart, count) => {
            for (let at = 0; at < count; at += 1) found.push(runStart / PAGE_BYTES + at);
          });
          assert.deepEqual(found, expected);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('the whole address space is dropped in no time, and half pages are refused', () => {
  const store = new MemoryPageStore();
  store.write(guestAddress(2 ** 46), Buffer.alloc(PAGE_BYTES, 1));
  store.zero(guestAddress(0), guestAddress(ADDRESS_END));
  const target = Buffer.alloc(PAGE_BYTES, 1);
  store.read(guestAddress(2 ** 46), target);
  assert.equal(strippedSize(target), 0);
  assert.throws(() => store.write(guestAddress(1), target), AssertionError);
  assert.throws(() => store.write(guestAddress(0), target.subarray(1)), AssertionError);
  assert.throws(() => store.zero(guestAddress(0), guestAddress(2 * ADDRESS_END)), AssertionError);
});

test('runs that touch are joined, and the list grows', () => {
  const runs = new PageRuns();
  for (let index = 0; index < 3000; index += 1) {
    runs.visit(guestAddress(index * 3 * PAGE_BYTES), 1);
    runs.visit(guestAddress((index * 3 + 1) * PAGE_BYTES), 1);
  }
  assert.equal(runs.length, 3000);
  assert.equal(runs.pageCount, 6000);
  assert.equal(runs.start(2999), 2999 * 3 * PAGE_BYTES);
  assert.equal(runs.count(2999), 2);
  assert.throws(() => runs.start(3000), AssertionError);
  runs.clear();
  assert.equal(runs.length + runs.pageCount, 0);
});

test('a stripped size is that up to the last byte that is not zero', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 3000 }), (bytes, zeros) => {
      const padded = Buffer.concat([bytes, Buffer.alloc(zeros)]);
      const size = strippedSize(padded);
      assert.ok(size === 0 || padded[size - 1] !== 0);
      assert.ok(padded.subarray(size).every((byte) => byte === 0));
    }),
  );
});

test('a pool has a bounded number of slabs out, gives them again and follows what was used', () => {
  const sizes: number[] = [];
  const pool = new SlabPool({
    slabsMax: 2,
    firstBytes: 4096,
    allocate(sizeBytes) {
      sizes.push(sizeBytes);
      return Buffer.alloc(sizeBytes);
    },
  });
  pool.prepare();
  const one = new Slab(pool);
  const other = new Slab(pool);
  assert.ok(pool.isExhausted);
  assert.throws(() => pool.take(), AssertionError);
  assert.deepEqual(sizes, [4096, 4096]);
  one.reserve(3 * SLAB_BYTES_FIRST).fill(7);
  one.u8(8);
  assert.equal(one.buffer[3 * SLAB_BYTES_FIRST - 1], 7);
  assert.equal(one.buffer[3 * SLAB_BYTES_FIRST], 8);
  one.release();
  other.release();
  assert.equal(pool.outCount, 0);
  const before = sizes.length;
  // The biggest is given first, so it needn't grow again.
  const again = new Slab(pool);
  again.reserve(3 * SLAB_BYTES_FIRST);
  assert.equal(sizes.length, before);
  again.release();
  assert.throws(() => pool.give(Buffer.alloc(1), 1), AssertionError);
});

test('a slab never grows beyond the limit of a frame', () => {
  const pool = new SlabPool({ firstBytes: 16 });
  const slab = new Slab(pool);
  slab.u32(1);
  assert.throws(() => slab.ensure(FRAME_BYTES_MAX), { code: 'service', message: /more than/ });
  slab.release();
  assert.equal(pool.outCount, 0);
});

test('a history tells every kind of change of a thread, once', () => {
  const history = new DeltaHistory();
  const context = {
    thread: tid(5),
    registers: Buffer.alloc(216),
    extendedState: Buffer.alloc(64),
    signalMask: 0n,
    pendingSignals: [] as Buffer[],
  };
  const changes: (() => void)[] = [
    () => {},
    () => {
      context.registers[215] = 1;
    },
    () => {
      context.extendedState[63] = 1;
    },
    () => {
      context.signalMask = 1n << 63n;
    },
    () => context.pendingSignals.push(Buffer.alloc(128, 1)),
    () => context.pendingSignals[0]?.fill(2),
    () => context.pendingSignals.pop(),
    () => {
      context.extendedState = Buffer.alloc(65);
    },
    () => history.keepThreads([]),
    () => history.clear(),
  ];
  for (const change of changes) {
    change();
    assert.equal(history.takeContext(context), true);
    assert.equal(history.takeContext(context), false);
  }
});

test('a record table is a map of maps, whose sizes add up', () => {
  const step = fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 3 }), fc.nat({ max: 3 }), fc.nat(5));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (operations) => {
      const table = new RecordTable();
      const model = new Map<string, Buffer>();
      const bytes = Buffer.alloc(5);
      for (const [kind, object, part, size] of operations) {
        bytes.fill(size + part);
        if (kind === 0) {
          // The bytes are the caller's again: what was put must be a copy.
          table.put(object, part, bytes.subarray(0, size));
          model.set(`${object} ${part}`, Buffer.from(bytes.subarray(0, size)));
        } else if (kind === 1) {
          table.remove(object, part);
          model.delete(`${object} ${part}`);
        } else {
          table.removeObject(object);
          for (let at = 0; at < 4; at += 1) model.delete(`${object} ${at}`);
        }
      }
      const found = new Map<string, Buffer>();
      for (const object of table.objects()) {
        for (const part of table.parts(object)) {
          found.set(`${object} ${part}`, table.get(object, part) as Buffer);
        }
      }
      assert.deepEqual(found, model);
      assert.equal(
        table.sizeBytes,
        [...model.values()].reduce((sum, one) => sum + one.length, 0),
      );
      assert.equal(table.get(99, 0), null);
    }),
  );
});
