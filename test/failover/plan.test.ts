/** Tests of plan.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT_POINTS, type FaultPoint } from '../../src/base/fault-points.ts';
import { planPair, pointsAt } from './plan.ts';

test('every fault point is somebody’s', () => {
  const all = (['primary', 'backup', 'takeover', 'join', 'file'] as const).flatMap(pointsAt);
  assert.deepEqual(all.sort(), [...FAULT_POINTS].sort());
});

test('with two replicas the next victim is known', () => {
  const summary = (points: readonly FaultPoint[]): number[][] => {
    return planPair(points).map(({ victim, primaryBefore, primaryAfter }) => {
      return [victim, primaryBefore, primaryAfter];
    });
  };
  // Each primary in turn.
  assert.deepEqual(summary(['delta-sent', 'after-release', 'delta-sent']), [
    [1, 1, 2],
    [2, 2, 3],
    [3, 3, 4],
  ]);
  // 2 dies, 3 comes; 3 is killed, 4 dies, 5 comes; 5 dies.
  assert.deepEqual(summary(['during-apply', 'during-join', 'backup-before-ack']), [
    [2, 1, 1],
    [4, 1, 1],
    [5, 1, 1],
  ]);
  assert.equal(planPair(['during-join'])[0]?.fault, '3:during-join:1=kill');
  assert.throws(() => planPair(['delta-sent', 'during-apply']), /mixed/);
});
