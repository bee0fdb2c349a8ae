/** Every planted bug is found within a bounded number of seeds: the checkers can fail. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Mutation, mutations } from './mutations.ts';
import { World } from './world.ts';

/** Ten times what the hardest one has needed so far. */
const seedsMax = 1500;

/** The first seed that fails under the mutation. */
function findingSeed(mutation: Mutation): number | null {
  for (let seed = 1; seed <= seedsMax; seed++) {
    try {
      new World({ seed, mutation }).run();
    } catch {
      return seed;
    }
  }
  return null;
}

describe('planted bugs', () => {
  for (const mutation of mutations) {
    it(`finds: ${mutation.name}`, () => {
      const seed = findingSeed(mutation);
      assert.notEqual(seed, null, `not found in ${seedsMax} seeds`);
      // The mutation, not the seed, is at fault.
      new World({ seed: seed ?? 0 }).run();
    });
  }

  it('has a name for each', () => {
    assert.equal(new Set(mutations.map(({ name }) => name)).size, mutations.length);
    assert.ok(mutations.length >= 8);
  });
});
