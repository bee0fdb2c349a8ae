/**
 * The machine by hand: the few sequences on which the safety argument in docs/protocol.md rests,
 * each in its shortest form. What random faults find is the simulator's (test/sim).
 */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Ballot, ballot, epoch, type ReplicaId, replicaId } from '../base/ids.ts';
import type { Configuration } from './configuration.ts';
import { defaultTiming } from './limits.ts';
import { Machine } from './machine.ts';
import type { Effect, MasterReply, MasterRequest, Message } from './types.ts';

const [r1, r2, r3] = [1, 2, 3].map(replicaId) as [ReplicaId, ReplicaId, ReplicaId];

function configuration(
  of: { ballot: number; version: number; base?: number },
  primary: ReplicaId,
  ...members: ReplicaId[]
): Configuration {
  const { version } = of;
  return { ballot: ballot(of.ballot), version, primary, members, base: epoch(of.base ?? 0) };
}

/** A machine with its clock, and the effects of its last step. */
class Bench {
  readonly machine: Machine;
  nowMs = 0;
  effects: readonly Effect[] = [];

  constructor(self: ReplicaId, start: 'found' | 'join', minReplicas = 1) {
    const random = (): number => 0.5;
    const options = { self, start, timing: defaultTiming, windowEpochs: 8, minReplicas, random };
    this.machine = new Machine(options);
    this.effects = this.machine.step(0, { kind: 'start' });
  }

  receive(from: ReplicaId, message: Message): this {
    this.effects = this.machine.step(this.nowMs, { kind: 'message', from, message });
    return this;
  }

  /** Answer the request that the last step made. */
  answer(reply: MasterReply): this {
    const { id } = this.request();
    this.effects = this.machine.step(this.nowMs, { kind: 'masterReply', id, reply });
    return this;
  }

  grant(next: Configuration, given: Ballot = next.ballot): this {
    return this.answer({ kind: 'granted', ballot: given, configuration: next });
  }

  down(peer: ReplicaId): this {
    this.effects = this.machine.step(this.nowMs, { kind: 'peerDown', peer });
    return this;
  }

  /** Let time pass in ticks, until one has an effect of this kind. */
  tickUntil(kind: Effect['kind'], limitMs = 10_000): this {
    for (const endMs = this.nowMs + limitMs; this.nowMs < endMs; ) {
      this.nowMs += 10;
      this.effects = this.machine.step(this.nowMs, { kind: 'tick' });
      if (this.effects.some((effect) => effect.kind === kind)) return this;
    }
    return assert.fail(`no ${kind} within ${limitMs} ms`);
  }

  request(): MasterRequest {
    const asked = this.effects.find((effect) => effect.kind === 'askMaster');
    assert.ok(asked?.kind === 'askMaster', 'the master was asked');
    return asked.request;
  }

  sent(kind: Message['kind']): readonly ReplicaId[] {
    return this.effects.flatMap((effect) =>
      effect.kind === 'send' && effect.message.kind === kind ? [effect.to] : [],
    );
  }

  kinds(): readonly Effect['kind'][] {
    return this.effects.map((effect) => effect.kind);
  }
}

/** The founder, with `others` joined as members and everything acknowledged up to `last`. */
function primaryWith(others: readonly ReplicaId[], last: number, minReplicas = 1): Bench {
  const bench = new Bench(r1, 'found', minReplicas);
  let current = configuration({ ballot: 1, version: 1 }, r1, r1);
  bench.grant(current);
  for (const other of others) {
    bench.receive(other, { kind: 'join' });
    bench.receive(other, joined(0, 0));
    const members = [...current.members, other];
    current = { ...current, version: current.version + 1, members };
    bench.grant(current);
  }
  for (let next = 1; next <= last; next++) {
    assert.equal(bench.machine.captured(epoch(next)), true);
    for (const other of others) bench.machine.ackReceived(other, ballot(1), epoch(next));
  }
  return bench;
}

const joined = (base: number, last: number): Message => ({
  kind: 'joined',
  ballot: ballot(1),
  base: epoch(base),
  epoch: epoch(last),
});

/** A member that follows r1 in ballot 1, with a log up to `last`. */
function backupWith(self: ReplicaId, members: readonly ReplicaId[], last: number): Bench {
  const bench = new Bench(self, 'join');
  const alone = configuration({ ballot: 1, version: 1 }, r1, r1);
  bench.grant(alone);
  bench.receive(r1, { kind: 'welcome', configuration: alone });
  const complete = { kind: 'imageComplete', base: epoch(0), epoch: epoch(0) } as const;
  bench.machine.step(bench.nowMs, complete);
  const all = configuration({ ballot: 1, version: members.length }, r1, ...members);
  bench.receive(r1, { kind: 'configuration', configuration: all });
  for (let next = 1; next <= last; next++) {
    assert.equal(bench.machine.deltaStored(r1, ballot(1), epoch(next), epoch(0)), true);
  }
  return bench;
}

describe('a primary', () => {
  it('releases alone at once, and with members only what all acknowledged', () => {
    const bench = primaryWith([r2, r3], 3);
    const { machine } = bench;
    assert.equal(machine.commit.released, 3);
    machine.captured(epoch(4));
    machine.ackReceived(r2, ballot(1), epoch(4));
    assert.equal(machine.commit.released, 3);
    machine.ackReceived(r3, ballot(1), epoch(4));
    assert.equal(machine.commit.released, 4);
  });

  it('does not count an acknowledgement of another ballot', () => {
    const { machine } = primaryWith([r2], 0);
    machine.captured(epoch(1));
    machine.ackReceived(r2, ballot(2), epoch(1));
    assert.equal(machine.commit.released, 0);
  });

  it('has no effects on the hot path, and makes nothing anew there', () => {
    const { machine } = primaryWith([r2], 0);
    machine.captured(epoch(1));
    const first = machine.ackReceived(r2, ballot(1), epoch(1));
    machine.captured(epoch(2));
    assert.equal(first.length, 0);
    assert.equal(machine.ackReceived(r2, ballot(1), epoch(2)), first);
  });

  it('requires a dead member until the master has removed it', () => {
    const bench = primaryWith([r2], 2);
    bench.machine.captured(epoch(3));
    bench.down(r2);
    const request = bench.request();
    assert.equal(request.kind, 'removeMember');
    bench.answer({ kind: 'unavailable', reason: 'test' });
    assert.equal(bench.machine.commit.released, 2);
    bench.tickUntil('askMaster');
    assert.deepEqual(bench.request().id, request.id, 'a repetition has the same id');
    bench.grant(configuration({ ballot: 1, version: 3 }, r1, r1));
    assert.equal(bench.machine.commit.released, 3);
    assert.ok(bench.kinds().includes('release'));
  });

  it('ends when the master has activated another', () => {
    const bench = primaryWith([r2], 1);
    bench.machine.captured(epoch(2));
    bench.down(r2);
    bench.answer({
      kind: 'refused',
      configuration: configuration({ ballot: 2, version: 3, base: 1 }, r2, r2),
    });
    assert.deepEqual(bench.effects, [{ kind: 'deposed', reason: 'superseded' }]);
    assert.equal(bench.machine.captured(epoch(3)), false);
    assert.equal(bench.machine.commit.released, 1);
  });

  it('stays when it only hears of a higher ballot', () => {
    const bench = primaryWith([r2], 1);
    bench.receive(r2, { kind: 'refused', ballot: ballot(2), configuration: null });
    assert.equal(bench.machine.role.kind, 'primary');
  });

  it('requires a joiner before it asks for its membership', () => {
    const bench = primaryWith([], 5);
    bench.receive(r2, { kind: 'join' });
    bench.machine.captured(epoch(6));
    assert.equal(bench.machine.commit.released, 6);
    bench.receive(r2, joined(5, 5));
    assert.ok(!bench.kinds().includes('askMaster'), 'it lacks what is released');
    bench.machine.captured(epoch(7));
    assert.equal(bench.machine.commit.released, 6);
    bench.effects = bench.machine.ackReceived(r2, ballot(1), epoch(6));
    assert.equal(bench.request().kind, 'addMember');
  });

  it('asks for no joiner whose image is not chosen', () => {
    const bench = primaryWith([r2], 3);
    bench.receive(r3, { kind: 'join' });
    bench.machine.captured(epoch(4));
    bench.receive(r3, joined(4, 4));
    assert.ok(!bench.kinds().includes('askMaster'));
    bench.effects = bench.machine.ackReceived(r2, ballot(1), epoch(4));
    assert.equal(bench.request().kind, 'addMember');
  });

  it('releases nothing while members are fewer than minReplicas', () => {
    const bench = primaryWith([], 0, 2);
    bench.machine.captured(epoch(1));
    assert.equal(bench.machine.commit.released, 0);
    bench.receive(r2, { kind: 'join' });
    bench.receive(r2, joined(1, 1));
    bench.grant(configuration({ ballot: 1, version: 2 }, r1, r1, r2));
    assert.equal(bench.machine.commit.released, 1);
  });
});

describe('a backup', () => {
  it('asks for a ballot at once when the connection is lost, the second later', () => {
    const first = backupWith(r2, [r1, r2, r3], 1).down(r1);
    assert.equal(first.request().kind, 'newBallot');
    const second = backupWith(r3, [r1, r2, r3], 1).down(r1);
    assert.deepEqual(second.effects, []);
    second.tickUntil('askMaster', 2 * defaultTiming.staggerMs);
  });

  it('suspects after silence, but not for its own pause', () => {
    const bench = backupWith(r2, [r1, r2], 1);
    bench.effects = bench.machine.step(60_000, { kind: 'tick' });
    assert.deepEqual(bench.effects, []);
    bench.nowMs = 60_000;
    bench.tickUntil('askMaster', defaultTiming.failureTimeoutMs + 20);
  });

  it('lets a ballot go that comes when the primary is heard again', () => {
    const bench = backupWith(r2, [r1, r2], 1).down(r1);
    const { id } = bench.request();
    bench.receive(r1, { kind: 'heartbeat', ballot: ballot(1), chosen: epoch(1) });
    const all = configuration({ ballot: 1, version: 2 }, r1, r1, r2);
    const reply = { kind: 'granted', ballot: ballot(2), configuration: all } as const;
    assert.deepEqual(bench.machine.step(0, { kind: 'masterReply', id, reply }), []);
    assert.equal(bench.machine.role.kind, 'backup');
    assert.equal(bench.machine.deltaStored(r1, ballot(1), epoch(2), epoch(1)), true);
  });

  it('acknowledges nothing older than its promise', () => {
    const bench = backupWith(r3, [r1, r2, r3], 1);
    const previous = configuration({ ballot: 1, version: 3 }, r1, r1, r2, r3);
    bench.receive(r2, { kind: 'prepare', ballot: ballot(2), previous, epoch: epoch(1) });
    assert.equal(bench.machine.deltaStored(r1, ballot(1), epoch(2), epoch(1)), false);
    bench.receive(r1, { kind: 'heartbeat', ballot: ballot(1), chosen: epoch(1) });
    assert.deepEqual(bench.sent('alive'), []);
    assert.deepEqual(bench.sent('refused'), [r1]);
  });

  it('keeps its tail until the candidate is active, then cuts it', () => {
    const bench = backupWith(r3, [r1, r2, r3], 4);
    const previous = configuration({ ballot: 1, version: 3 }, r1, r1, r2, r3);
    bench.receive(r2, { kind: 'prepare', ballot: ballot(2), previous, epoch: epoch(2) });
    assert.ok(!bench.kinds().includes('truncate'));
    assert.equal(bench.machine.intake.last, 4);
    const next = configuration({ ballot: 2, version: 4, base: 2 }, r2, r2, r3);
    bench.receive(r2, { kind: 'configuration', configuration: next });
    assert.deepEqual(bench.kinds(), ['truncate', 'apply', 'configured']);
    assert.equal(bench.machine.intake.last, 2);
  });

  it('takes its tail along when the candidate comes to nothing', () => {
    // r1 goes on without the candidate r2, on the acknowledgements that this one gave before.
    const bench = backupWith(r3, [r1, r2, r3], 4);
    const previous = configuration({ ballot: 1, version: 3 }, r1, r1, r2, r3);
    bench.receive(r2, { kind: 'prepare', ballot: ballot(2), previous, epoch: epoch(2) });
    bench.down(r2);
    const without = configuration({ ballot: 1, version: 4 }, r1, r1, r3);
    bench.answer({ kind: 'refused', configuration: without });
    bench.tickUntil('askMaster').grant(without, ballot(3));
    const request = bench.request();
    assert.equal(request.kind, 'complete');
    assert.equal(request.kind === 'complete' && request.base, 4);
  });

  it('leaves when the current configuration is without it', () => {
    const bench = backupWith(r2, [r1, r2], 1).down(r1);
    bench.answer({
      kind: 'refused',
      configuration: configuration({ ballot: 1, version: 3 }, r1, r1),
    });
    assert.deepEqual(bench.effects, [{ kind: 'deposed', reason: 'removed' }]);
  });
});

describe('a candidate', () => {
  const previous = configuration({ ballot: 1, version: 3 }, r1, r1, r2, r3);

  it('brings the other level, asks to complete, and only then runs', () => {
    const bench = backupWith(r2, [r1, r2, r3], 4).down(r1).grant(previous, ballot(2));
    assert.deepEqual(bench.sent('prepare'), [r3]);
    bench.receive(r3, { kind: 'prepared', ballot: ballot(2), epoch: epoch(2) });
    assert.deepEqual(bench.effects, [{ kind: 'shipRange', member: r3, ballot: 2, from: 3, to: 4 }]);
    assert.deepEqual(bench.machine.ackReceived(r3, ballot(2), epoch(3)), []);
    bench.effects = bench.machine.ackReceived(r3, ballot(2), epoch(4));
    const request = bench.request();
    assert.ok(request.kind === 'complete');
    assert.deepEqual(request.members, [r2, r3]);
    assert.deepEqual(request.previous, { ballot: 1, version: 3 });
    bench.grant(configuration({ ballot: 2, version: 4, base: 4 }, r2, r2, r3));
    const kinds = bench.kinds();
    assert.ok(kinds.indexOf('apply') < kinds.indexOf('activate'));
    assert.equal(bench.machine.role.kind, 'primary');
    assert.deepEqual(bench.sent('configuration'), [r3, r1]);
  });

  it('leaves out who does not answer', () => {
    const bench = backupWith(r2, [r1, r2, r3], 4).down(r1).grant(previous, ballot(2));
    bench.tickUntil('askMaster', defaultTiming.failureTimeoutMs + 20);
    const request = bench.request();
    assert.deepEqual(request.kind === 'complete' && request.members, [r2]);
  });

  it('yields to a later ballot, with its own request on the way', () => {
    const bench = backupWith(r2, [r1, r2, r3], 4).down(r1).grant(previous, ballot(2));
    bench.down(r3);
    assert.equal(bench.request().kind, 'complete');
    bench.receive(r3, { kind: 'prepare', ballot: ballot(3), previous, epoch: epoch(4) });
    assert.deepEqual(bench.sent('prepared'), [r3]);
    assert.equal(bench.machine.role.kind, 'backup');
  });

  it('asserts that every member has what is chosen', () => {
    const bench = backupWith(r2, [r1, r2, r3], 4);
    bench.receive(r1, { kind: 'heartbeat', ballot: ballot(1), chosen: epoch(3) });
    bench.machine.intake.applied(epoch(3));
    bench.down(r1).grant(previous, ballot(2));
    const message = { kind: 'prepared', ballot: ballot(2), epoch: epoch(2) } as const;
    assert.throws(() => bench.receive(r3, message), /less than what is chosen/);
  });
});

describe('a joiner', () => {
  it('asks again when who it asked does not know yet that it is primary', () => {
    const founder = new Bench(r1, 'found').receive(r2, { kind: 'join' });
    assert.deepEqual(founder.sent('refused'), [r2]);
    const bench = new Bench(r2, 'join');
    const alone = configuration({ ballot: 1, version: 1 }, r1, r1);
    bench.grant(alone);
    assert.deepEqual(bench.sent('join'), [r1]);
    bench.receive(r1, { kind: 'refused', ballot: ballot(0), configuration: null });
    bench.tickUntil('askMaster').grant(alone);
    assert.deepEqual(bench.sent('join'), [r1]);
  });

  it('does not take a sign of life for an answer', () => {
    const bench = new Bench(r2, 'join').grant(configuration({ ballot: 1, version: 1 }, r1, r1));
    const { takeoverTimeoutMs } = defaultTiming;
    for (const endMs = bench.nowMs + 2 * takeoverTimeoutMs; bench.nowMs < endMs; ) {
      bench.machine.heard(r1, bench.machine.intake.promised);
      bench.nowMs += 10;
      bench.effects = bench.machine.step(bench.nowMs, { kind: 'tick' });
      if (bench.effects.length > 0) break;
    }
    assert.deepEqual(bench.effects, [{ kind: 'deposed', reason: 'joinLost' }]);
  });

  it('leaves with its primary while it has only a part', () => {
    const bench = new Bench(r2, 'join');
    const alone = configuration({ ballot: 1, version: 1 }, r1, r1);
    bench.grant(alone).receive(r1, { kind: 'welcome', configuration: alone });
    assert.deepEqual(bench.kinds(), ['receive']);
    assert.deepEqual(bench.down(r1).effects, [{ kind: 'deposed', reason: 'joinLost' }]);
  });

  it('that is whole stays, for it may be a member, and takes over if it is', () => {
    const bench = new Bench(r2, 'join');
    const alone = configuration({ ballot: 1, version: 1 }, r1, r1);
    bench.grant(alone).receive(r1, { kind: 'welcome', configuration: alone });
    bench.machine.step(0, { kind: 'imageComplete', base: epoch(3), epoch: epoch(4) });
    bench.down(r1).tickUntil('askMaster');
    assert.equal(bench.request().kind, 'read');
    bench.grant(alone);
    assert.equal(bench.machine.role.kind, 'joining', 'the primary may yet have it added');
    bench.tickUntil('askMaster');
    const both = configuration({ ballot: 1, version: 2 }, r1, r1, r2);
    bench.grant(both).tickUntil('askMaster').grant(both, ballot(2));
    const request = bench.request();
    assert.ok(request.kind === 'complete');
    assert.deepEqual([request.base, request.members], [4, [r2]]);
  });
});
