/**
 * Tests of sockets, pipes and event descriptors against Linux: random scripts of calls give the
 * same results, also when the library OS is saved and loaded before each call.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skipUnless } from '../support/requirements.ts';
import { compare, type Plan } from './compare.ts';

function same(plan: Plan): void {
  const differences = compare(plan);
  const shown = differences.map(({ seed, text }) => `seed ${seed}: Linux, library OS\n${text}`);
  assert.equal(differences.length, 0, shown.join('\n'));
}

test('random calls give what they give on Linux', { skip: skipUnless('gcc') }, () => {
  same({ seed: 1, count: 1500, restores: false });
});

test('... and when the library OS is loaded anew before each', { skip: skipUnless('gcc') }, () => {
  same({ seed: 100_000, count: 120, restores: true });
});
