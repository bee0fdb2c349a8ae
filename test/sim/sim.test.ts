/** The protocol under seeded faults: 300 seeds here, any number by `npm run sim -- --seeds N`. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Probe, World } from './world.ts';

const firstSeed = 1;
const seeds = 300;

/** What these seeds must reach, or they don't test the protocol. */
const wanted: readonly Probe[] = [
  'activate',
  'apply',
  'candidateYields',
  'dropPartial',
  'forget',
  'joinerLearnsFromMaster',
  'joinLost',
  'lateRelease',
  'receive',
  'release',
  'removed',
  'shipRange',
  'stream',
  'superseded',
  'tailKept',
  'truncate',
];

describe('the reconfiguration protocol, simulated', () => {
  it(`keeps its promises in ${seeds} seeds, and gets to all of its corners`, () => {
    const reached = new Map<Probe, number>();
    let takeovers = 0;
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      try {
        const outcome = new World({ seed }).run();
        takeovers += outcome.ballots - 1;
        for (const [probe, count] of outcome.probes) {
          reached.set(probe, (reached.get(probe) ?? 0) + count);
        }
      } catch (error) {
        throw new Error(`seed ${seed} fails: npm run sim -- --seed=${seed}`, { cause: error });
      }
    }
    const missed = wanted.filter((probe) => !reached.has(probe));
    assert.deepEqual(missed, [], 'corners that no seed reached');
    assert.ok(takeovers > seeds / 2, `only ${takeovers} takeovers`);
  });

  it('replays a seed exactly', () => {
    const traceOf = (seed: number): string => {
      const lines: string[] = [];
      new World({ seed, trace: (line) => lines.push(line) }).run();
      return lines.join('\n');
    };
    const first = traceOf(7);
    assert.ok(first.includes('fault'));
    assert.equal(traceOf(7), first);
    assert.notEqual(traceOf(8), first);
  });
});
