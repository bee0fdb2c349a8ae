/** Tests of plan.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT_POINTS } from '../../src/base/fault-points.ts';
import { planPair, planTakeovers, pointsAt } from './plan.ts';

test('every fault point is somebody’s', () => {
  const all = (['primary', 'backup', 'takeover', 'join', 'file'] as const).flatMap(pointsAt);
  assert.deepEqual(all.sort(), [...FAULT_POINTS].sort());
});

test('with two replicas the next victim is known', () => {
  const plan = planPair(['delta-sent', 'during-apply', 'during-join', 'after-release']);
  const summary = plan.map(({ victim, primaryBefore, primaryAfter }) => {
    return [victim, primaryBefore, primaryAfter];
  });
  // 1 dies, 2 goes on with 3; 3 dies, 4 comes; 4 is killed, 5 dies, 6 comes; 2 dies, 6 goes on.
  assert.deepEqual(summary, [
    [1, 1, 2],
    [3, 2, 2],
    [5, 2, 2],
    [2, 2, 6],
  ]);
  assert.equal(plan[2]?.fault, '5:during-join:1=kill');
});

test('with three, two die at each step', () => {
  const plan = planTakeovers(['before-takeover', 'during-restore']);
  assert.deepEqual(
    plan.map(({ victim, primaryBefore, primaryAfter }) => [victim, primaryBefore, primaryAfter]),
    [
      [2, 1, 3],
      [4, 3, 5],
    ],
  );
});
