/** Control messages: what is encoded decodes to the same, and nothing else decodes. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ballot, epoch, type ReplicaId, replicaId } from '../base/ids.ts';
import { decodeMessage, encodeMessage, MESSAGE_VERSION } from './codec.ts';
import { type Configuration, sortedMembers } from './configuration.ts';
import { MEMBERS_MAX, MESSAGE_BYTES_MAX } from './limits.ts';
import type { Message } from './types.ts';

const positive = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
);
const ballots = positive.map(ballot);
const epochs = fc.oneof(fc.constant(0), positive).map(epoch);
const configurations: fc.Arbitrary<Configuration> = fc
  .record({
    ballot: ballots,
    version: positive,
    base: epochs,
    ids: fc.uniqueArray(positive.map(replicaId), { minLength: 1, maxLength: MEMBERS_MAX }),
    index: fc.nat(),
  })
  .map(({ ids, index, ...rest }) => {
    const members = sortedMembers(ids);
    return { ...rest, members, primary: members[index % members.length] as ReplicaId };
  });

const messages: fc.Arbitrary<Message> = fc.oneof(
  fc.constant<Message>({ kind: 'join' }),
  fc.record({ kind: fc.constant('welcome' as const), configuration: configurations }),
  fc
    .record({ kind: fc.constant('joined' as const), ballot: ballots, base: epochs, epoch: epochs })
    .filter((message) => message.base <= message.epoch),
  fc.record({ kind: fc.constant('configuration' as const), configuration: configurations }),
  fc.record({ kind: fc.constant('heartbeat' as const), ballot: ballots, chosen: epochs }),
  fc.record({ kind: fc.constant('alive' as const), ballot: ballots, epoch: epochs }),
  fc
    .record({
      kind: fc.constant('prepare' as const),
      ballot: ballots,
      previous: configurations,
      epoch: epochs,
    })
    .filter((message) => message.previous.ballot < message.ballot),
  fc.record({ kind: fc.constant('prepared' as const), ballot: ballots, epoch: epochs }),
  fc.record({
    kind: fc.constant('refused' as const),
    ballot: fc.oneof(fc.constant(ballot(0)), ballots),
    configuration: fc.oneof(fc.constant(null), configurations),
  }),
);

function problemOf(bytes: readonly number[]): string {
  const decoded = decodeMessage(Uint8Array.from(bytes));
  assert.equal(decoded.ok, false, `decoded ${bytes.join(' ')}`);
  return decoded.ok ? '' : decoded.problem;
}

describe('codec of control messages', () => {
  it('decodes what it encoded, within the limit', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const bytes = encodeMessage(message);
        assert.ok(bytes.length <= MESSAGE_BYTES_MAX);
        // A copy: records of fast-check have no prototype.
        const expected = JSON.parse(JSON.stringify(message));
        assert.deepEqual(decodeMessage(bytes), { ok: true, message: expected });
      }),
      { numRuns: 1000 },
    );
  });

  it('decodes nothing that is truncated or has a tail', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const bytes = encodeMessage(message);
        for (let length = 0; length < bytes.length; length++) {
          assert.equal(decodeMessage(bytes.subarray(0, length)).ok, false);
        }
        assert.equal(decodeMessage(Uint8Array.from([...bytes, 0])).ok, false);
      }),
    );
  });

  it('accepts only bytes that it would make itself', () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(messages, flips, (message, changes) => {
        const bytes = encodeMessage(message);
        for (const [index, value] of changes) bytes[index % bytes.length] = value;
        const decoded = decodeMessage(bytes);
        if (decoded.ok) assert.deepEqual(encodeMessage(decoded.message), bytes);
      }),
      { numRuns: 3000 },
    );
  });

  it('survives noise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: MESSAGE_BYTES_MAX + 9 }), (bytes) => {
        const decoded = decodeMessage(bytes);
        if (decoded.ok) assert.deepEqual(encodeMessage(decoded.message), bytes);
      }),
      { numRuns: 2000 },
    );
  });

  it('says what is wrong', () => {
    const heartbeat = [MESSAGE_VERSION, 5];
    assert.match(problemOf([MESSAGE_VERSION + 1, 5, 1, 1]), /version 2/);
    assert.match(problemOf([MESSAGE_VERSION, 99]), /unknown kind/);
    assert.match(problemOf([...heartbeat, 0, 1]), /ballot 0/);
    assert.match(problemOf([...heartbeat, 0x81, 0x00, 1]), /longer than needed/);
    assert.match(problemOf([...heartbeat, ...Array(8).fill(0xff), 1]), /without end/);
    assert.match(problemOf([...heartbeat, ...Array(7).fill(0xff), 0x7f, 1]), /beyond 2\^53/);
    assert.match(problemOf([MESSAGE_VERSION, 3, 1, 5, 4]), /ends before the image/);
    assert.match(problemOf([MESSAGE_VERSION, 4, 1, 1, 1, 0, 2, 2, 1]), /ascend/);
    assert.match(problemOf([MESSAGE_VERSION, 4, 1, 1, 9, 0, 1, 1]), /not a member/);
    assert.match(problemOf([MESSAGE_VERSION, 4, 1, 1, 1, 0, 99]), /too many/);
    assert.match(problemOf([MESSAGE_VERSION, 9, 0, 2]), /neither there nor absent/);
    assert.match(problemOf(Array(MESSAGE_BYTES_MAX + 1).fill(1)), /longer than any/);
  });
});
