/** Tests of assert.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as ours from './assert.ts';

test('assert passes a true condition and throws its message on a false one', () => {
  ours.assert(true, 'not thrown');
  assert.throws(() => ours.assert(false, 'count below limit'), {
    name: 'AssertionError',
    message: 'count below limit',
  });
});

test('present returns what is there, zero and the empty string included', () => {
  assert.equal(ours.present(0, 'zero'), 0);
  assert.equal(ours.present('', 'text'), '');
  assert.throws(() => ours.present(null, 'socket'), { message: 'socket is missing' });
  assert.throws(() => ours.present(undefined, 'socket'), { message: 'socket is missing' });
});

test('unreachable names the value that should not exist', () => {
  assert.throws(() => ours.unreachable('blue' as never), { message: 'unreachable: "blue"' });
});
