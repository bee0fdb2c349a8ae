/** Tests of telling one Ctrl-C from two. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pressed } from './pressed.ts';

test('what comes at once is one, what comes later is another', () => {
  const seen: string[] = [];
  let now = 5;
  const press = pressed(
    { first: () => seen.push('first'), second: () => seen.push('second') },
    () => now,
  );
  press();
  press();
  now += 200;
  press();
  assert.deepEqual(seen, ['first']);
  now += 200;
  press();
  assert.deepEqual(seen, ['first', 'second']);
});
