/** Tests of transfer.ts and backlog.ts: large deltas neither pile up nor keep a joiner waiting. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { epoch, guestAddress } from '../base/ids.ts';
import { DeltaWriter, NO_PARENT, type SealedDelta } from '../checkpoint/delta-writer.ts';
import { PAGE_BYTES } from '../checkpoint/limits.ts';
import { SlabPool } from '../checkpoint/slab.ts';
import { Backlog } from './backlog.ts';
import { Transfer } from './transfer.ts';

const MIB = 2 ** 20;
const REGION = {
  start: guestAddress(0),
  end: guestAddress(64 * MIB),
  protection: 3,
  shared: false,
  name: '',
  fileOffset: 0,
  backed: false,
};

function frameOf(pool: SlabPool, number: number, sizeBytes: number): SealedDelta {
  const writer = new DeltaWriter(pool);
  if (number === 1) writer.begin('join-base', epoch(1), NO_PARENT);
  else writer.begin('delta', epoch(number), epoch(number - 1));
  const pages = sizeBytes / PAGE_BYTES;
  if (pages > 0) writer.pageRun(guestAddress(0), pages).fill(number);
  return writer.seal();
}

/** A guest whose every page is there, and a joiner that takes all it is given. */
function bench(): { transfer: Transfer; send: (number: number, sizeBytes: number) => boolean } {
  const pool = new SlabPool();
  const source = {
    populatedPages: (_region: unknown, visit: (start: never, count: number) => void) =>
      visit(REGION.start as never, (REGION.end - REGION.start) / PAGE_BYTES),
    pageRead: (_address: unknown, target: Uint8Array) => target.fill(1).length,
  };
  const base = { frame: frameOf(pool, 1, 0), epoch: epoch(1), regions: [REGION] };
  const sink = { room: () => MIB, frame: () => {}, done: () => {} };
  const transfer = new Transfer(source as never, pool, base, sink);
  const send = (number: number, sizeBytes: number): boolean => {
    const delta = frameOf(pool, number, sizeBytes);
    const isWhole = transfer.delta(delta.finish(), number);
    delta.release();
    return isWhole;
  };
  return { transfer, send };
}

test('pages follow a large delta before the next epoch may end, until all are sent', () => {
  const { transfer, send } = bench();
  let pumps = 0;
  let number = 2;
  while (!transfer.isSettling) {
    if (!transfer.isBehind) {
      send(number, 16 * MIB);
      number += 1;
      assert.equal(transfer.isBehind, true);
    }
    transfer.pump(2);
    pumps += 1;
    assert.ok(pumps < 1000);
  }
  // 64 MiB of pages and as much of deltas, the last one begun.
  assert.ok(number - 2 <= 5, `${number - 2} deltas`);
  assert.equal(transfer.isBehind, false);
  assert.equal(send(number, 16 * MIB), true);
});

test('small deltas wait for nothing', () => {
  const { transfer, send } = bench();
  for (let number = 2; number < 10; number += 1) {
    assert.equal(send(number, MIB), false);
    assert.equal(transfer.isBehind, false);
  }
});

test('a backlog is full by bytes, and gives back what everybody has', () => {
  const pool = new SlabPool();
  const backlog = new Backlog(3 * MIB);
  for (const number of [2, 3, 4]) {
    assert.equal(backlog.isFull, false);
    backlog.add(frameOf(pool, number, MIB));
  }
  assert.equal(backlog.isFull, true);
  assert.equal([...backlog.framesFrom(epoch(3))].length, 2);
  backlog.release(epoch(2));
  assert.equal(backlog.isFull, false);
  assert.equal([...backlog.framesFrom(epoch(1))].length, 2);
  backlog.release(epoch(4));
  assert.equal(pool.outCount, 0);
});
