/** Output commit against a model that keeps every acknowledgement. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AssertionError } from '../base/assert.ts';
import { epoch, type ReplicaId, replicaId } from '../base/ids.ts';
import { OutputCommit } from './output-commit.ts';

type Step =
  | { readonly kind: 'capture' }
  | { readonly kind: 'acknowledge'; readonly member: number; readonly back: number }
  | { readonly kind: 'require'; readonly member: number; readonly back: number }
  | { readonly kind: 'drop'; readonly member: number }
  | { readonly kind: 'open'; readonly open: boolean };

const members = 4;
const member = fc.integer({ min: 1, max: members });
const back = fc.integer({ min: 0, max: 6 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constant({ kind: 'capture' as const }) },
    {
      weight: 5,
      arbitrary: fc.record({ kind: fc.constant('acknowledge' as const), member, back }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('require' as const), member, back }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const), member }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('open' as const), open: fc.boolean() }),
    },
  ),
  { maxLength: 120 },
);

/** What must hold of every step, from the set of acknowledgements alone. */
function run(all: readonly Step[], base: number, windowEpochs: number): void {
  const commit = new OutputCommit(windowEpochs);
  commit.start(epoch(base));
  commit.setOpen(true);
  const acks = new Map<ReplicaId, number>();
  let captured = base;
  let open = true;
  let chosen = base;
  let released = base;
  for (const step of all) {
    switch (step.kind) {
      case 'capture':
        assert.equal(commit.mayCapture, captured - released < windowEpochs);
        if (!commit.mayCapture) continue;
        captured += 1;
        commit.capture(epoch(captured));
        break;
      case 'acknowledge': {
        const id = replicaId(step.member);
        const stored = Math.max(base, captured - step.back);
        const known = acks.get(id);
        if (known !== undefined) acks.set(id, Math.max(known, stored));
        commit.acknowledge(id, epoch(stored));
        break;
      }
      case 'require': {
        const id = replicaId(step.member);
        if (acks.has(id)) continue;
        const stored = Math.max(base, captured - step.back);
        acks.set(id, stored);
        commit.require(id, epoch(stored));
        break;
      }
      case 'drop': {
        const id = replicaId(step.member);
        if (!acks.delete(id)) continue;
        commit.drop(id);
        break;
      }
      case 'open':
        open = step.open;
        commit.setOpen(open);
        break;
    }
    chosen = Math.max(chosen, Math.min(captured, ...acks.values()));
    if (open) released = chosen;
    assert.equal(commit.captured, captured);
    assert.equal(commit.chosen, chosen);
    assert.equal(commit.released, released);
    for (const [id, stored] of acks) assert.equal(commit.acknowledged(id), stored);
  }
}

describe('output commit', () => {
  it('releases what all that are required have, and never goes back', () => {
    fc.assert(fc.property(steps, back, fc.integer({ min: 1, max: 9 }), run), { numRuns: 500 });
  });

  it('releases at once while nobody is required', () => {
    const commit = new OutputCommit(1);
    commit.start(epoch(7));
    commit.setOpen(true);
    assert.equal(commit.capture(epoch(8)), 8);
    assert.equal(commit.mayCapture, true);
  });

  it('releases nothing before it is open', () => {
    const commit = new OutputCommit(4);
    commit.start(epoch(0));
    assert.equal(commit.capture(epoch(1)), 0);
    assert.equal(commit.chosen, 1);
    assert.equal(commit.setOpen(true), 1);
  });

  it('ignores acknowledgements of strangers', () => {
    const commit = new OutputCommit(4);
    commit.start(epoch(0));
    commit.setOpen(true);
    commit.require(replicaId(2), epoch(0));
    commit.capture(epoch(1));
    assert.equal(commit.acknowledge(replicaId(3), epoch(1)), 0);
    assert.equal(commit.acknowledge(replicaId(2), epoch(1)), 1);
  });

  it('asserts the order of captures, the window, and that nobody is ahead', () => {
    const commit = new OutputCommit(1);
    commit.start(epoch(0));
    commit.require(replicaId(2), epoch(0));
    assert.throws(() => commit.capture(epoch(2)), AssertionError);
    commit.capture(epoch(1));
    assert.throws(() => commit.capture(epoch(2)), /window/);
    assert.throws(() => commit.acknowledge(replicaId(2), epoch(2)), /before it was captured/);
    assert.throws(() => commit.require(replicaId(2), epoch(1)), /already/);
    assert.throws(() => commit.drop(replicaId(3)), /not required/);
  });
});
