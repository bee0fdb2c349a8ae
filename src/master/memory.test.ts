/** The pure decisions, and the order in which a change is announced. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { conformsToMaster } from '../../test/conformance/master.ts';
import { replicaId } from '../base/ids.ts';
import { decide, initialMasterState, MemoryMaster } from './memory.ts';

conformsToMaster('memory', async () => {
  const master = new MemoryMaster();
  return { masters: [master, master], close: async () => {} };
});

describe('decisions of a master', () => {
  const id = { replica: replicaId(1), sequence: 1 };

  it('leave the state as it is, the same object, where they change nothing', () => {
    const read = { kind: 'read', id } as const;
    assert.equal(decide(initialMasterState, read).state, initialMasterState);
    const { state } = decide(initialMasterState, { kind: 'found', id });
    assert.notEqual(state, initialMasterState);
    assert.equal(decide(state, { kind: 'found', id }).state, state);
    assert.equal(decide(state, read).state, state);
  });

  it('are announced once each', () => {
    const heard: number[] = [];
    const master = new MemoryMaster(({ version }) => heard.push(version));
    master.decide({ kind: 'found', id });
    master.decide({ kind: 'found', id });
    master.decide({ kind: 'read', id });
    const previous = master.configuration ?? assert.fail();
    const second = { replica: replicaId(1), sequence: 2 };
    master.decide({ kind: 'addMember', id: second, previous, member: replicaId(2) });
    assert.deepEqual(heard, [1, 2]);
  });
});
