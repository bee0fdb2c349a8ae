/**
 * Output commit, seen from outside: as long as one backup doesn't acknowledge, nothing that the
 * guest says comes out: no reply, no end of a connection, no line of its standard output. Backups
 * are frozen for it, with a failure timeout so long that the primary goes on waiting.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileGuest } from '../support/compile.ts';
import { startRedis } from '../support/redis.ts';
import { skipUnless } from '../support/requirements.ts';
import { formatReply } from '../support/resp.ts';
import { Service } from '../support/service.ts';
import { delay, eventually } from '../support/wait.ts';
import { World } from '../support/world.ts';

const skip = skipUnless('redis-server', 'cli');
/** No reply of a healthy group takes nearly as long. */
const silenceMs = 1500;

for (const replicas of [2, 3]) {
  test(`no reply before each of ${replicas - 1} backups has it`, { skip }, async (t) => {
    const world = new World(t);
    const redis = await startRedis(world, { mode: 'run', replicas, failureTimeoutMs: 60_000 });
    const { service } = redis;
    await service.waitForMembers(replicas);
    const client = await redis.connect();
    const leaving = await redis.connect();
    assert.equal(formatReply(await client.call('SET', 'k', 'before')), '+OK');

    // With three, one frozen backup of two is enough.
    const backup = service.backups.at(-1) as number;
    service.signal(backup, 'SIGSTOP');
    const receivedBytes = client.receivedBytes;
    client.send('SET', 'k', 'after');
    client.send('GET', 'k');
    leaving.send('QUIT');
    await delay(silenceMs);
    assert.equal(client.receivedBytes, receivedBytes, 'a reply before the acknowledgement');
    assert.equal(leaving.isLost, false, 'a close before the acknowledgement');

    service.signal(backup, 'SIGCONT');
    assert.equal(formatReply(await client.read()), '+OK');
    assert.equal(formatReply(await client.read()), '"after"');
    assert.equal(formatReply(await leaving.read()), '+OK');
    await eventually('the close of the other connection', 10_000, () => leaving.isLost);
    client.close();
    await service.stop();
    await world.expectNothingLeft();
  });
}

test('a backup that stays frozen is dropped, and the reply comes', { skip }, async (t) => {
  const world = new World(t);
  const redis = await startRedis(world, { mode: 'run', replicas: 2, failureTimeoutMs: 500 });
  const { service } = redis;
  await service.waitForMembers(2);
  const client = await redis.connect();
  const [backup = 0] = service.backups;
  const primary = service.primary;
  service.signal(backup, 'SIGSTOP');
  assert.equal(formatReply(await client.call('SET', 'k', 'v')), '+OK');
  // Asked of the master itself: what the service reports comes on a way of its own, maybe later.
  const { members } = (await service.status()).configuration;
  assert.ok(!members.includes(backup), 'answered while the frozen backup is a member');
  await eventually('the report of it', 10_000, () => !service.members.includes(backup));
  await service.waitForMembers(2);
  assert.equal(service.primary, primary);
  await eventually('the end of the frozen backup', 10_000, () => !service.isRunning(backup));
  assert.equal(formatReply(await client.call('GET', 'k')), '"v"');
  client.close();
  await service.stop();
  await world.expectNothingLeft();
});

const needsGuest = { skip: skipUnless('gcc', 'cli') };

test('standard output is held too, and loses nothing', needsGuest, async (t) => {
  const world = new World(t);
  const service = new Service(world, {
    mode: 'run',
    program: compileGuest('clocks', 'dynamic'),
    args: ['--rounds', '400'],
    replicas: 2,
    failureTimeoutMs: 60_000,
  });
  await service.waitForMembers(2);
  await service.waitForGuestLine(/^round 3$/, 20_000);
  const [backup = 0] = service.backups;
  service.signal(backup, 'SIGSTOP');
  // What was acknowledged before may still be on its way.
  await delay(300);
  const linesBefore = service.guestLines().length;
  await delay(silenceMs);
  assert.equal(service.guestLines().length, linesBefore, 'a line before the acknowledgement');
  service.signal(backup, 'SIGCONT');
  assert.equal((await service.program.waitForExit(60_000)).code, 0);
  const expected = Array.from({ length: 400 }, (_, at) => `round ${at + 1}`);
  assert.deepEqual(service.guestLines(), [...expected, 'PASS clocks']);
  await world.expectNothingLeft();
});
