/** The embedded master over JSON, and what it does with requests that are none. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { conformsToMaster } from '../../test/conformance/master.ts';
import { replicaId } from '../base/ids.ts';
import { MEMBERS_MAX } from '../reconfig/limits.ts';
import {
  EMBEDDED_BYTES_MAX,
  EmbeddedMaster,
  parseRequest,
  readReply,
  serveMaster,
} from './embedded.ts';
import { MemoryMaster } from './memory.ts';

/** Over the wire and back: within the limit, and nothing but JSON. */
function overJson(value: unknown): unknown {
  const text = JSON.stringify(value);
  assert.ok(text.length <= EMBEDDED_BYTES_MAX, `${text.length} bytes`);
  return JSON.parse(text);
}

conformsToMaster('embedded', async () => {
  const server = new MemoryMaster();
  const connect = (): EmbeddedMaster =>
    new EmbeddedMaster(async (request) => overJson(serveMaster(server, overJson(request))), {
      timeoutMs: 1000,
    });
  return { masters: [connect(), connect()], close: async () => {} };
});

const id = { replica: replicaId(1), sequence: 1 };
const read = { kind: 'read', id } as const;

describe('the embedded master', () => {
  it('answers malformed requests, and stays as it was', () => {
    const server = new MemoryMaster();
    const previous = { ballot: 1, version: 1 };
    const malformed: readonly (readonly [unknown, RegExp])[] = [
      [null, /not an object/],
      [[], /not an object/],
      [{ version: 2, request: read }, /version 2/],
      [{ version: 1, request: { kind: 'read' } }, /id is not an object/],
      [{ version: 1, request: { kind: 'shutdown', id } }, /unknown kind/],
      [{ version: 1, request: { ...read, id: { replica: 0, sequence: 1 } } }, /replica/],
      [{ version: 1, request: { ...read, id: { replica: 1, sequence: 1.5 } } }, /sequence/],
      [{ version: 1, request: { kind: 'newBallot', id, previous: { ballot: '1' } } }, /ballot/],
      [
        {
          version: 1,
          request: { kind: 'complete', id, ballot: 2, previous, members: [], base: 0 },
        },
        /members/,
      ],
      [
        {
          version: 1,
          request: {
            kind: 'complete',
            id,
            ballot: 2,
            previous,
            members: Array(MEMBERS_MAX + 1).fill(1),
            base: 0,
          },
        },
        /members/,
      ],
      [
        {
          version: 1,
          request: { kind: 'complete', id, ballot: 2, previous, members: [1], base: -1 },
        },
        /base/,
      ],
      [{ version: 1, request: { kind: 'addMember', id, previous } }, /member/],
    ];
    for (const [request, expected] of malformed) {
      const reply = serveMaster(server, request);
      assert.match('malformed' in reply ? reply.malformed : 'accepted', expected);
    }
    assert.equal(server.configuration, null);
  });

  it('never throws, whatever it is sent', () => {
    const server = new MemoryMaster();
    const shaped = fc.record({
      version: fc.constant(1),
      request: fc.record(
        {
          kind: fc.constantFrom('read', 'found', 'newBallot', 'complete', 'addMember'),
          id: fc.oneof(fc.constant(id), fc.jsonValue()),
          previous: fc.oneof(fc.constant({ ballot: 1, version: 1 }), fc.jsonValue()),
          ballot: fc.jsonValue(),
          members: fc.jsonValue(),
          member: fc.oneof(fc.integer(), fc.jsonValue()),
          base: fc.oneof(fc.nat(), fc.jsonValue()),
        },
        { requiredKeys: [] },
      ),
    });
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), shaped), (request) => {
        const reply = serveMaster(server, request);
        assert.equal('malformed' in reply, typeof parseRequest(request) === 'string');
      }),
      { numRuns: 2000 },
    );
  });

  it('is unavailable without a connection, without an answer, and with a wrong one', async () => {
    const ask = async (call: () => Promise<unknown>): Promise<string> => {
      const reply = await new EmbeddedMaster(call, { timeoutMs: 20 }).ask(read);
      assert.equal(reply.kind, 'unavailable');
      return reply.kind === 'unavailable' ? reply.reason : '';
    };
    assert.match(await ask(() => Promise.reject(new Error('refused'))), /refused/);
    assert.match(await ask(() => new Promise(() => {})), /did not answer/);
    assert.match(await ask(async () => 'no'), /not an object/);
    assert.match(await ask(async () => ({ version: 9 })), /another version/);
    assert.match(await ask(async () => ({ version: 1, malformed: 'x' })), /refused the request: x/);
    assert.match(await ask(async () => ({ version: 1, reply: { kind: 'yes' } })), /unknown kind/);
    const primary = { ballot: 1, version: 1, primary: 2, members: [1], base: 0 };
    const wrong = { version: 1, reply: { kind: 'refused', configuration: primary } };
    assert.match(await ask(async () => wrong), /not a member/);
  });

  it('hands on a reply that is one, and says what is wrong with any other', () => {
    const configuration = { ballot: 1, version: 1, primary: 1, members: [1], base: 0 };
    const granted = { kind: 'granted', ballot: 1, configuration };
    assert.deepEqual(readReply(granted), granted);
    for (const reply of [
      { kind: 'refused', configuration: null },
      { kind: 'unavailable', reason: 'x' },
    ]) {
      assert.deepEqual(readReply(reply), reply);
    }
    const odd: readonly (readonly [unknown, RegExp])[] = [
      [undefined, /reply is not an object/],
      [{ version: 1, reply: granted }, /unknown kind of reply/],
      [{ kind: 'refused' }, /configuration is not an object/],
      [{ kind: 'granted', ballot: 1 }, /configuration is not an object/],
      [{ ...granted, configuration: { ...configuration, primary: 3 } }, /not a member/],
    ];
    for (const [value, expected] of odd) {
      assert.match(String(readReply(value)), expected);
    }
    fc.assert(fc.property(fc.jsonValue(), (value) => typeof readReply(value) === 'string'));
  });
});
