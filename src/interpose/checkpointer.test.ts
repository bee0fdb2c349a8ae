/**
 * Tests of checkpointer.ts: what is handed on makes a whole history for everybody who follows,
 * whenever they began.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Recorder } from '../../test/conformance/recorder.ts';
import { noFaults } from '../base/fault-points.ts';
import { type GuestAddress, guestAddress } from '../base/ids.ts';
import { DeltaReader } from '../checkpoint/delta-reader.ts';
import type { SealedDelta } from '../checkpoint/delta-writer.ts';
import { PAGE_BYTES } from '../checkpoint/limits.ts';
import { SlabPool } from '../checkpoint/slab.ts';
import { SimHost } from '../host/sim/sim-host.ts';
import type { ClockName, PageVisitor } from '../lvm/api.ts';
import { type Base, Checkpointer } from './checkpointer.ts';
import { ForwardingLvm } from './forwarding.ts';

/** A host on which handing on takes time. */
class SlowHost extends ForwardingLvm {
  lateNs = 0;

  override clock(name: ClockName): number {
    return this.inner.clock(name) + this.lateNs;
  }
}

const SECOND_NS = 1e9;

/** Takes the frames of one follower: a base, then every delta after it. */
class Follower {
  readonly epochs: number[] = [];

  constructor(base: Base) {
    this.#take(base.frame, 'join-base');
  }

  delta(delta: SealedDelta): void {
    this.#take(delta, 'delta');
  }

  #take(sealed: SealedDelta, kind: string): void {
    const { header } = DeltaReader.open(sealed.finish());
    assert.equal(header.kind, kind);
    if (kind === 'delta') assert.equal(header.parent, this.epochs.at(-1));
    this.epochs.push(header.epoch);
  }
}

function started(): {
  sim: SimHost;
  slow: SlowHost;
  checkpointer: Checkpointer;
  followers: Follower[];
  join: () => void;
  whenCaptured: { act: () => void };
  room: { isLeft: boolean };
} {
  const sim = new SimHost();
  const slow = new SlowHost(sim);
  const followers: Follower[] = [];
  const whenCaptured = { act: () => {} };
  const room = { isLeft: true };
  const checkpointer: Checkpointer = new Checkpointer(
    slow,
    {
      mayCapture: () => room.isLeft,
      captured: ({ delta }) => {
        for (const follower of followers) follower.delta(delta);
        delta.release();
        whenCaptured.act();
      },
    },
    new SlabPool(),
    noFaults,
  );
  checkpointer.attach(new Recorder());
  assert.equal(checkpointer.launch({ program: '/bin/guest', argv: ['guest'], env: [] }), 0);
  const join = (): void => {
    checkpointer.captureBase((base) => {
      followers.push(new Follower(base));
      base.frame.release();
    });
  };
  return { sim, slow, checkpointer, followers, join, whenCaptured, room };
}

test('who joins gets every epoch after its base, though another is due while that is sent', () => {
  const { sim, slow, checkpointer, followers, join, whenCaptured } = started();
  join();
  whenCaptured.act = () => {
    // Sending took long, and everybody has it already.
    slow.lateNs += SECOND_NS;
    checkpointer.release(checkpointer.epoch);
    checkpointer.reconsider();
  };
  join();
  checkpointer.capture();
  join();
  whenCaptured.act = () => {};
  sim.advance(SECOND_NS);
  checkpointer.capture();
  assert.equal(followers.length, 3);
  for (const { epochs } of followers) assert.equal(epochs.at(-1), checkpointer.epoch);
});

test('a full window asks for no alarm, and room in it makes the epoch that is due', () => {
  const { sim, checkpointer, join, room } = started();
  join();
  const before = checkpointer.epoch;
  room.isLeft = false;
  sim.advance(SECOND_NS);
  assert.equal(checkpointer.epoch, before);
  assert.equal(sim.alarmNs, Infinity);
  room.isLeft = true;
  checkpointer.reconsider();
  assert.equal(checkpointer.epoch, before + 1);
  assert.ok(sim.alarmNs < Infinity);
});

const RUN = guestAddress(0x40_0000);
const RUN_PAGES = 5;
const HOLES = [1, 4];

/** A host whose pages are written in one run, of which some can't be read. */
class HoledHost extends ForwardingLvm {
  override takeWrittenPages(visit: PageVisitor): void {
    visit(RUN, RUN_PAGES);
  }

  override pageRead(address: GuestAddress, target: Uint8Array): number {
    const first = (address - RUN) / PAGE_BYTES;
    const hole = HOLES.find((page) => page >= first) ?? RUN_PAGES;
    const count = Math.min(target.length, (hole - first) * PAGE_BYTES);
    for (let at = 0; at < count; at += PAGE_BYTES) {
      target.fill(first + at / PAGE_BYTES + 1, at, at + PAGE_BYTES);
    }
    return count;
  }
}

test('pages behind one that cannot be read are in the delta all the same', () => {
  const bytes: number[] = [];
  const checkpointer = new Checkpointer(
    new HoledHost(new SimHost()),
    {
      mayCapture: () => true,
      captured: ({ delta }) => {
        DeltaReader.open(delta.finish()).visitPages((start, pageCount, content) => {
          assert.equal(start, RUN);
          assert.equal(pageCount, RUN_PAGES);
          for (let at = 0; at < content.length; at += PAGE_BYTES) {
            const page = content.subarray(at, at + PAGE_BYTES);
            assert.ok(page.every((byte) => byte === page[0]));
            bytes.push(page[0] as number);
          }
        });
        delta.release();
      },
    },
    new SlabPool(),
    noFaults,
  );
  checkpointer.attach(new Recorder());
  assert.equal(checkpointer.launch({ program: '/bin/guest', argv: ['guest'], env: [] }), 0);
  checkpointer.captureBase(({ frame }) => frame.release());
  checkpointer.capture();
  assert.deepEqual(bytes, [1, 0, 3, 4, 0]);
});
