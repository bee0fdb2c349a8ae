/**
 * Tests of classes.ts. The compiler sees to it that every call of `Lvm`, and nothing else, has a
 * class.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimHost } from '../host/sim/sim-host.ts';
import { CALL_COUNT_MAX, callClasses } from './classes.ts';

test('the LVM API stays narrow', () => {
  const count = Object.keys(callClasses).length;
  assert.ok(count <= CALL_COUNT_MAX, `${count} calls, ${CALL_COUNT_MAX} allowed`);
});

test('every call that has a class is there in a host', () => {
  const host = new SimHost() as unknown as Record<string, unknown>;
  const missing = Object.keys(callClasses).filter((call) => typeof host[call] !== 'function');
  assert.deepEqual(missing, []);
});

test('all that leaves the machine is output', () => {
  const leaving = ['streamWrite', 'streamShutdown', 'streamClose', 'consoleWrite', 'exit'] as const;
  for (const call of leaving) assert.equal(callClasses[call], 'output', call);
});
