/**
 * Tests of JoinTransfer: a guest that changes while it is transferred arrives as it is at the end.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { epoch, type GuestAddress, guestAddress } from '../base/ids.ts';
import type { MemoryRegion } from '../lvm/api.ts';
import { DeltaReader } from './delta-reader.ts';
import type { SealedDelta } from './delta-writer.ts';
import { ALL_STEPS, apply, MEMORY_STEPS, step, World, type WorldStep } from './fixtures.ts';
import { FLAG } from './format.ts';
import { Image } from './image.ts';
import { RecordChunks } from './image-frames.ts';
import { JoinTransfer } from './join.ts';
import { PAGE_BYTES } from './limits.ts';
import { MemoryPageStore } from './page-store.ts';
import { SlabPool } from './slab.ts';

function applySealed(image: Image, sealed: SealedDelta): void {
  image.apply(DeltaReader.open(sealed.finish()));
  sealed.release();
}

const number = fc.nat({ max: 47 });
const value = fc.integer({ min: 1, max: 200 });
const worldStep = fc.tuple(fc.nat({ max: ALL_STEPS - 1 }), number, value);
const memoryStep = fc.tuple(fc.nat({ max: MEMORY_STEPS - 1 }), number, value);
const event = fc.oneof(
  { weight: 5, arbitrary: worldStep.map((one) => ({ kind: 'step' as const, one })) },
  { weight: 2, arbitrary: fc.constant({ kind: 'delta' as const }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'chunk' as const }) },
);

test('any interleaving of writes, maps, unmaps, chunks and deltas arrives whole', () => {
  const parameters = [
    fc.array(worldStep, { maxLength: 40 }),
    fc.array(event, { maxLength: 60 }),
    // Steps that happen while a page is read, and after how many half pages.
    fc.array(fc.tuple(fc.nat({ max: 6 }), memoryStep), { maxLength: 12 }),
    fc.integer({ min: 1, max: 8 }),
  ] as const;
  fc.assert(
    fc.property(...parameters, (before, events, torn, chunkPages) => {
      const world = new World();
      for (const one of before) step(world, one);
      const model = new Image(new MemoryPageStore());
      apply(model, world.capture());
      const joiner = new Image(new MemoryPageStore());
      apply(joiner, world.joinBase());
      const pending: (readonly [number, WorldStep])[] = [...torn];
      let wait = pending[0]?.[0] ?? 0;
      const source = world.source(() => {
        if (wait > 0) {
          wait -= 1;
          return;
        }
        const next = pending.shift();
        if (next !== undefined) step(world, next[1]);
        wait = pending[0]?.[0] ?? 0;
      });
      const transfer = new JoinTransfer(source, world.pool, {
        base: epoch(world.epoch),
        regions: world.regions(),
        chunkBytes: chunkPages * PAGE_BYTES,
      });
      const sendChunk = (): void => {
        const chunk = transfer.next();
        if (chunk === null) return;
        assert.ok(chunk.pageCount <= chunkPages);
        applySealed(joiner, chunk);
        // Its pages are of a guest that has gone on: no state that the guest ever was in.
        assert.equal(joiner.stage, transfer.isDone ? 'settling' : 'receiving');
      };
      const sendDelta = (): void => {
        const delta = world.capture();
        apply(model, delta);
        apply(joiner, delta);
        if (!transfer.isDone) assert.equal(joiner.stage, 'receiving');
      };
      for (const each of events) {
        if (each.kind === 'step') step(world, each.one);
        else if (each.kind === 'delta') sendDelta();
        else sendChunk();
      }
      while (!transfer.isDone) sendChunk();
      sendDelta();
      assert.equal(joiner.stage, 'complete');
      world.assertIn(joiner);
      assert.equal(joiner.digest(), model.digest());
    }),
    { numRuns: 500 },
  );
});

test('records too many for one frame come in chunks before pages, and never after a delta', () => {
  const world = new World();
  world.map(0, 3, 3, false);
  world.write(1, 1);
  world.capture();
  const big = Buffer.alloc(3 * 2 ** 20, 5);
  const frames: Buffer[] = [world.joinBase()];
  const records = new RecordChunks(world.pool, epoch(1), (frame) => {
    frames.push(Buffer.from(frame.finish()));
    frame.release();
  });
  for (let object = 1; object <= 5; object += 1) {
    world.records.set(object, new Map([[1, big]]));
    records.put(object, 1, big);
  }
  const firstSequence = records.end();
  assert.equal(firstSequence, 3);
  const transfer = new JoinTransfer(world.source(), world.pool, {
    base: epoch(1),
    regions: world.regions(),
    firstSequence,
  });
  const chunk = transfer.next() as SealedDelta;
  const delta = world.capture();

  const joiner = new Image(new MemoryPageStore());
  for (const frame of frames) apply(joiner, frame);
  applySealed(joiner, chunk);
  apply(joiner, delta);
  world.assertIn(joiner);

  const late = new Image(new MemoryPageStore());
  apply(late, frames[0] as Buffer);
  apply(late, delta);
  assert.throws(() => apply(late, frames[1] as Buffer), { message: /come after a delta/ });
});

const region = (start: number, end: number): MemoryRegion => ({
  start: guestAddress(start),
  end: guestAddress(end),
  protection: 3,
  shared: false,
  name: '',
  fileOffset: 0,
  backed: false,
});

test('terabytes of reserved but empty memory are passed in bounded steps', () => {
  let scans = 0;
  let windowBytesMax = 0;
  const transfer = new JoinTransfer(
    {
      populatedPages({ start, end }, visit) {
        scans += 1;
        windowBytesMax = Math.max(windowBytesMax, end - start);
        if (end === 2 ** 42) visit(guestAddress(end - PAGE_BYTES), 1);
      },
      pageRead: (_address, target) => target.fill(1).length,
    },
    new SlabPool(),
    { base: epoch(1), regions: [region(2 ** 40, 2 ** 42)] },
  );
  let chunks = 0;
  for (let chunk = transfer.next(); chunk !== null; chunk = transfer.next()) {
    const before = scans;
    chunks += 1;
    chunk.release();
    assert.ok(scans - before <= 16);
    assert.ok(chunks < 100);
  }
  assert.equal(transfer.pagesSent, 1);
  assert.ok(windowBytesMax <= 4 * 2 ** 30);
});

test('pages that cannot be read are left out, and cost no others', () => {
  const unreadable = new Set([3, 4, 9]);
  const transfer = new JoinTransfer(
    {
      populatedPages: (_region, visit) => visit(guestAddress(0), 12),
      pageRead(address: GuestAddress, target) {
        const first = address / PAGE_BYTES;
        for (let page = first; page < first + target.length / PAGE_BYTES; page += 1) {
          if (unreadable.has(page)) return -14;
        }
        return target.fill(1).length;
      },
    },
    new SlabPool(),
    { base: epoch(1), regions: [region(0, 12 * PAGE_BYTES)] },
  );
  const chunk = transfer.next() as SealedDelta;
  const reader = DeltaReader.open(chunk.finish());
  assert.equal(reader.header.flags, FLAG.last);
  const pages: number[] = [];
  reader.visitPages((start, count) => pages.push(start / PAGE_BYTES, count));
  assert.equal(reader.pageCount, 9);
  assert.equal(chunk.pageCount, 9);
  assert.deepEqual(pages, [0, 1, 1, 1, 2, 1, 5, 1, 6, 1, 7, 1, 8, 1, 10, 1, 11, 1]);
});
