/**
 * What every master must do, whatever it is made of. Call `conformsToMaster` from a test file with
 * a maker of fresh masters. A master that needs a server or a cluster sets that up in `make`.
 */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Ballot, ballot, epoch, type ReplicaId, replicaId } from '../../src/base/ids.ts';
import type { Master } from '../../src/master/master.ts';
import type { Configuration, ConfigurationId } from '../../src/reconfig/configuration.ts';
import { MEMBERS_MAX } from '../../src/reconfig/limits.ts';
import type { MasterReply, MasterRequest, RequestId } from '../../src/reconfig/types.ts';

/** Two handles on one master without a configuration, as two replicas have. */
export interface MasterFixture {
  readonly masters: readonly [Master, Master];
  readonly close: () => Promise<void>;
}

type Body = MasterRequest extends infer R
  ? R extends MasterRequest
    ? Omit<R, 'id'>
    : never
  : never;

/** Asks through either handle in turn, with a new id for each request unless one is given. */
class Client {
  readonly #masters: readonly [Master, Master];
  #sequence = 0;

  constructor(masters: readonly [Master, Master]) {
    this.#masters = masters;
  }

  ask(replica: number, body: Body, id = this.id(replica)): Promise<MasterReply> {
    const master = this.#masters[this.#sequence % 2] as Master;
    return master.ask({ ...body, id } as MasterRequest);
  }

  id(replica: number): RequestId {
    this.#sequence += 1;
    return { replica: replicaId(replica), sequence: this.#sequence };
  }

  async granted(replica: number, body: Body, id?: RequestId): Promise<Configuration> {
    const reply = await this.ask(replica, body, id);
    assert.equal(reply.kind, 'granted', `${body.kind} is granted`);
    return reply.kind === 'granted' ? reply.configuration : assert.fail();
  }

  /** Refused, with `current` as it is. */
  async refused(replica: number, body: Body, current: Configuration | null): Promise<void> {
    const reply = await this.ask(replica, body);
    assert.deepEqual(reply, { kind: 'refused', configuration: current }, body.kind);
  }

  async ballot(replica: number, previous: ConfigurationId): Promise<Ballot> {
    const reply = await this.ask(replica, { kind: 'newBallot', previous });
    assert.equal(reply.kind, 'granted', 'a ballot is granted');
    return reply.kind === 'granted' ? reply.ballot : assert.fail();
  }

  /** A service of these members, the first as its primary. */
  async service(...members: readonly number[]): Promise<Configuration> {
    const primary = members[0] as number;
    let current = await this.granted(primary, { kind: 'found' });
    for (const member of members.slice(1)) {
      current = await this.granted(primary, {
        kind: 'addMember',
        previous: current,
        member: replicaId(member),
      });
    }
    return current;
  }
}

function completeOf(
  given: Ballot,
  previous: ConfigurationId,
  members: readonly number[],
  base = 0,
): Body {
  const ids: readonly ReplicaId[] = members.map(replicaId);
  return { kind: 'complete', ballot: given, previous, members: ids, base: epoch(base) };
}

export function conformsToMaster(name: string, make: () => Promise<MasterFixture>): void {
  const check = (title: string, body: (client: Client) => Promise<void>): void => {
    it(title, async () => {
      const fixture = await make();
      try {
        await body(new Client(fixture.masters));
      } finally {
        await fixture.close();
      }
    });
  };

  describe(`the master: ${name}`, () => {
    describe('founding', () => {
      check('has no configuration at first', (client) => client.refused(1, { kind: 'read' }, null));

      check('makes the first replica alone, once', async (client) => {
        const id = client.id(1);
        const first = await client.granted(1, { kind: 'found' }, id);
        assert.deepEqual(first, { ballot: 1, version: 1, primary: 1, members: [1], base: 0 });
        assert.deepEqual(await client.granted(1, { kind: 'found' }, id), first, 'repeated');
        await client.refused(2, { kind: 'found' }, first);
        assert.deepEqual(await client.granted(2, { kind: 'read' }), first);
      });
    });

    describe('ballots', () => {
      check('rise, and go to members of the current configuration only', async (client) => {
        const current = await client.service(1, 2, 3);
        const one = await client.ballot(2, current);
        const two = await client.ballot(3, current);
        assert.ok(two > one && one > current.ballot);
        const stranger = { kind: 'newBallot', previous: current } as const;
        await client.refused(9, stranger, current);
        const old = { ballot: current.ballot, version: current.version - 1 };
        await client.refused(2, { kind: 'newBallot', previous: old }, current);
        const later = { ballot: ballot(99), version: current.version };
        await client.refused(2, { kind: 'newBallot', previous: later }, current);
      });

      check('are given once for a request', async (client) => {
        const current = await client.service(1, 2);
        const id = client.id(2);
        const body = { kind: 'newBallot', previous: current } as const;
        const first = await client.ask(2, body, id);
        assert.deepEqual(await client.ask(2, body, id), first);
      });

      check('change nothing by themselves', async (client) => {
        const current = await client.service(1, 2, 3);
        await client.ballot(2, current);
        const change = { kind: 'removeMember', previous: current, member: replicaId(2) } as const;
        const next = await client.granted(1, change);
        assert.deepEqual(next.members, [1, 3]);
        assert.equal(next.ballot, current.ballot);
      });
    });

    describe('completing', () => {
      check('activates what was made level, and repeats its answer', async (client) => {
        const previous = await client.service(1, 2, 3);
        const given = await client.ballot(2, previous);
        const id = client.id(2);
        const body = completeOf(given, previous, [2, 3], 17);
        const next = await client.granted(2, body, id);
        const version = previous.version + 1;
        const expected = { ballot: given, version, primary: 2, members: [2, 3], base: 17 };
        assert.deepEqual(next, expected);
        assert.deepEqual(await client.granted(2, body, id), next);
        assert.deepEqual(await client.granted(1, { kind: 'read' }), next);
      });

      check('needs the configuration that it continues to be current', async (client) => {
        const previous = await client.service(1, 2, 3);
        const given = await client.ballot(2, previous);
        const change = { kind: 'removeMember', previous, member: replicaId(3) } as const;
        const changed = await client.granted(1, change);
        await client.refused(2, completeOf(given, previous, [2]), changed);
        await client.refused(2, completeOf(given, changed, [2]), changed);
      });

      check('needs the highest ballot', async (client) => {
        const previous = await client.service(1, 2, 3);
        const low = await client.ballot(2, previous);
        const high = await client.ballot(3, previous);
        await client.refused(2, completeOf(low, previous, [2, 3]), previous);
        await client.refused(3, completeOf(ballot(high + 1), previous, [3]), previous);
        await client.granted(3, completeOf(high, previous, [2, 3]));
      });

      check('needs the ballot to be its own, and its members to be members', async (client) => {
        const previous = await client.service(1, 2, 3);
        const given = await client.ballot(2, previous);
        await client.refused(3, completeOf(given, previous, [3]), previous);
        await client.refused(2, completeOf(given, previous, [3]), previous);
        await client.refused(2, completeOf(given, previous, [2, 9]), previous);
      });

      check('leaves the one before with no say', async (client) => {
        const previous = await client.service(1, 2);
        const given = await client.ballot(2, previous);
        const next = await client.granted(2, completeOf(given, previous, [2]));
        const remove = { kind: 'removeMember', member: replicaId(2) } as const;
        await client.refused(1, { ...remove, previous }, next);
        await client.refused(1, { ...remove, previous: next }, next);
        await client.refused(1, { kind: 'newBallot', previous: next }, next);
      });
    });

    describe('members', () => {
      check('are added and removed by the primary, on the current version', async (client) => {
        const first = await client.service(1);
        const add = { kind: 'addMember', member: replicaId(5) } as const;
        const second = await client.granted(1, { ...add, previous: first });
        assert.deepEqual(second, { ...first, version: 2, members: [1, 5] });
        await client.refused(1, { ...add, previous: first }, second);
        await client.refused(1, { ...add, previous: second }, second);
        const remove = { kind: 'removeMember', member: replicaId(5), previous: second } as const;
        await client.refused(5, remove, second);
        await client.refused(1, { ...remove, member: replicaId(1) }, second);
        await client.refused(1, { ...remove, member: replicaId(9) }, second);
        const third = await client.granted(1, remove);
        assert.deepEqual(third, { ...first, version: 3 });
      });

      check('are changed once by a request, however often it comes', async (client) => {
        const first = await client.service(1);
        const id = client.id(1);
        const add = { kind: 'addMember', member: replicaId(2), previous: first } as const;
        const second = await client.granted(1, add, id);
        assert.deepEqual(await client.granted(1, add, id), second);
        const remove = { kind: 'removeMember', member: replicaId(2), previous: second } as const;
        const third = await client.granted(1, remove);
        const late = await client.ask(1, add, id);
        assert.deepEqual(late, { kind: 'refused', configuration: third });
      });

      check('have a limit', async (client) => {
        const all = Array.from({ length: MEMBERS_MAX }, (_, index) => index + 1);
        const full = await client.service(...all);
        const one = replicaId(MEMBERS_MAX + 1);
        await client.refused(1, { kind: 'addMember', previous: full, member: one }, full);
      });
    });

    check('lets one of two that race win', async (client) => {
      const previous = await client.service(1, 2, 3);
      const given = await client.ballot(2, previous);
      const replies = await Promise.all([
        client.ask(2, completeOf(given, previous, [2, 3])),
        client.ask(1, { kind: 'removeMember', previous, member: replicaId(2) }),
      ]);
      const winners = replies.filter(({ kind }) => kind === 'granted');
      assert.equal(winners.length, 1);
      const current = await client.granted(3, { kind: 'read' });
      assert.equal(current.version, previous.version + 1);
    });
  });
}
