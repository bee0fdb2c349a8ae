/**
 * Tests of replica.ts: what a peer sends that can't be used costs the connection, with one reason
 * for a person, and nothing else.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setImmediate as turnOfNode } from 'node:timers/promises';
import { noFaults } from '../base/fault-points.ts';
import { ballot, epoch, replicaId } from '../base/ids.ts';
import { DeltaWriter, NO_PARENT } from '../checkpoint/delta-writer.ts';
import { FORMAT_VERSION } from '../checkpoint/format.ts';
import { SlabPool } from '../checkpoint/slab.ts';
import { Loop } from '../loop/loop.ts';
import { encodeMessage } from '../reconfig/codec.ts';
import { defaultTiming, WINDOW_EPOCHS_DEFAULT } from '../reconfig/limits.ts';
import { Machine } from '../reconfig/machine.ts';
import {
  deltaHead,
  encodeHello,
  PACKET,
  packetHeader,
  stateHead,
  TOKEN_BYTES,
  WIRE_VERSION,
} from '../replication/wire.ts';
import type { SentryEvent } from './messages.ts';
import { Replica } from './replica.ts';

const token = Buffer.alloc(TOKEN_BYTES, 7);
const SELF = replicaId(2);
const PRIMARY = replicaId(3);
/** Turns of both loops; more than any exchange takes. */
const TURNS_MAX = 20_000;

const configuration = {
  ballot: ballot(1),
  version: 1,
  primary: PRIMARY,
  members: [PRIMARY],
  base: epoch(0),
};

/** A replica that wants to join, and this test as what calls it. */
class Bench {
  readonly posted: SentryEvent[] = [];
  readonly replica: Replica;
  readonly #loop = new Loop();
  readonly #test: TestContext;

  constructor(t: TestContext) {
    this.#test = t;
    const machine = new Machine({
      self: SELF,
      start: 'join',
      timing: defaultTiming,
      windowEpochs: WINDOW_EPOCHS_DEFAULT,
      minReplicas: 1,
      random: () => 0,
    });
    this.replica = new Replica({
      loop: this.#loop,
      machine,
      faults: noFaults,
      runner: undefined as never, // this one never runs a guest
      token,
      post: (event) => this.posted.push(event),
    });
    this.replica.start();
  }

  of<Type extends SentryEvent['type']>(type: Type): Extract<SentryEvent, { type: Type }>[] {
    return this.posted.filter((event) => event.type === type) as never;
  }

  async until(what: string, isDone: () => boolean): Promise<void> {
    for (let left = TURNS_MAX; left > 0; left -= 1) {
      if (isDone()) return;
      this.#loop.turn(0);
      await turnOfNode();
    }
    assert.fail(`${what}: ${JSON.stringify(this.posted)}`);
  }

  async call(version: number): Promise<Socket> {
    const socket = connect(this.replica.peers.port, '127.0.0.1');
    this.#test.after(() => socket.destroy());
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.resume();
    socket.write(encodeHello({ version, token, sender: PRIMARY, receiver: SELF }));
    return socket;
  }

  /** The test is its primary and has let it join. */
  async joining(): Promise<Socket> {
    const socket = await this.call(WIRE_VERSION);
    await this.until('connected', () => this.replica.peers.isUp(PRIMARY));
    const { id } = this.of('master-request')[0] ?? assert.fail('the master is asked');
    this.replica.masterReply(id, { kind: 'granted', ballot: 1, configuration });
    const welcome = encodeMessage({ kind: 'welcome', configuration });
    socket.write(Buffer.concat([packetHeader(PACKET.control, welcome.length), welcome]));
    await this.until('receiving', () => this.replica.backup !== null);
    return socket;
  }
}

/** A frame of a later version of the format. */
function foreignFrame(kind: 'join-base' | 'delta'): Buffer {
  const writer = new DeltaWriter(new SlabPool());
  writer.begin(kind, epoch(2), kind === 'delta' ? epoch(1) : NO_PARENT);
  writer.clock(0, 0);
  const frame = Buffer.from(writer.seal().finish());
  frame.writeUInt16LE(FORMAT_VERSION + 1, 8);
  return frame;
}

const cases = [
  { what: 'a delta', frame: foreignFrame('delta'), head: (size: number) => deltaHead(1, 0, size) },
  { what: 'a base', frame: foreignFrame('join-base'), head: (size: number) => stateHead(1, size) },
] as const;

for (const { what, frame, head } of cases) {
  test(`${what} of another version costs the connection, and says so once`, async (t) => {
    const bench = new Bench(t);
    const socket = await bench.joining();
    socket.write(Buffer.concat([head(frame.length), frame]));
    // Without its primary it can't become a member: it ends.
    await assert.rejects(
      bench.until('the end', () => false),
      { name: 'TardigradeError', message: /no longer part of the service \(joinLost/ },
    );
    const lost = bench.of('lost');
    assert.equal(lost.length, 1);
    assert.equal(lost[0]?.replica, PRIMARY);
    assert.match(lost[0]?.reason ?? '', /version 2 of the checkpoint format.*; use the version/);
    assert.deepEqual(bench.of('report'), []);
  });
}

test('a replica that speaks another version is a stranger, and is named once', async (t) => {
  const bench = new Bench(t);
  const socket = await bench.call(WIRE_VERSION + 1);
  let isClosed = false;
  socket.on('close', () => {
    isClosed = true;
  });
  await bench.until('closed', () => isClosed);
  const reports = bench.of('report').map(({ detail }) => detail);
  assert.equal(reports.length, 1);
  assert.match(reports[0] ?? '', /refused: it speaks version 2, not 1/);
  assert.deepEqual(bench.of('lost'), []);
});
