/**
 * Checkpoints in files: `checkpoint` while the service works, `inspect` to look at one, `restore`
 * to go on from it, replicated as before.
 */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileGuest, type Linking } from '../support/compile.ts';
import { startRedis } from '../support/redis.ts';
import type { RedisClient } from '../support/redis-client.ts';
import { skipUnless } from '../support/requirements.ts';
import { formatReply } from '../support/resp.ts';
import { Service } from '../support/service.ts';
import { World } from '../support/world.ts';

const skip = skipUnless('redis-server', 'cli');
const keys = 2000;
const large = Buffer.alloc(2_000_000, 'tardigrade ');

async function checkpoint(world: World, service: Service, path: string): Promise<void> {
  const program = await world.runTardigrade(['checkpoint', service.name, path]);
  assert.equal(program.exit?.code, 0, program.describe());
  assert.ok(statSync(path).size > 0);
}

async function write(client: RedisClient): Promise<void> {
  const commands = Array.from({ length: keys }, (_, at) => ['SET', `key:${at}`, `value ${at}`]);
  for (const reply of await client.pipeline(commands)) assert.equal(formatReply(reply), '+OK');
  await client.call('SET', 'large', large);
  await client.call('RPUSH', 'list', 'a', 'b', 'c');
}

async function check(client: RedisClient): Promise<void> {
  const commands = Array.from({ length: keys }, (_, at) => ['GET', `key:${at}`]);
  const replies = await client.pipeline(commands);
  replies.forEach((reply, at) => {
    assert.equal(formatReply(reply), `"value ${at}"`);
  });
  const reply = await client.call('GET', 'large');
  assert.ok(reply.type === 'bulk' && reply.bytes?.equals(large), 'the large value has changed');
  assert.equal(formatReply(await client.call('LRANGE', 'list', 0, -1)), '["a", "b", "c"]');
}

test('redis goes on from a checkpoint in a file, and fails over then', { skip }, async (t) => {
  const world = new World(t);
  const file = join(world.work, 'redis.tg');
  const first = await startRedis(world, { mode: 'run', replicas: 2 });
  await first.service.waitForMembers(2);
  const client = await first.connect();
  await write(client);
  await checkpoint(world, first.service, file);
  await client.call('SET', 'after', 'the checkpoint');
  await check(client);
  client.close();
  await first.service.stop();
  await world.expectNothingLeft();

  const inspect = await world.runTardigrade(['inspect', file]);
  assert.equal(inspect.exit?.code, 0, inspect.describe());
  assert.match(inspect.text('stdout'), /redis-server/);

  const again = await startRedis(world, { mode: 'run', replicas: 2, restore: file });
  const { service } = again;
  await service.waitForMembers(2);
  const reader = await again.connect();
  await check(reader);
  assert.equal(formatReply(await reader.call('EXISTS', 'after')), ':0');
  await reader.call('SET', 'restored', 'yes');
  reader.close();
  const { primary } = service;
  service.signal(primary, 'SIGKILL');
  await service.waitForPrimary((id) => id !== primary, 20_000);
  const last = await again.connect();
  await check(last);
  assert.equal(formatReply(await last.call('GET', 'restored')), '"yes"');
  last.close();
  await service.stop();
  await world.expectNothingLeft();
});

test('a primary that dies while it writes a checkpoint leaves no file', { skip }, async (t) => {
  const world = new World(t);
  const folder = join(world.folder, 'home');
  const redis = await startRedis(world, {
    mode: 'run',
    replicas: 2,
    faults: ['1:during-checkpoint-file=kill'],
  });
  const { service } = redis;
  await service.waitForMembers(2);
  await write(await redis.connect());
  const program = await world.runTardigrade(['checkpoint', service.name, join(folder, 'x.tg')]);
  assert.notEqual(program.exit?.code, 0);
  assert.equal(program.lines('stderr').length, 1, program.describe());
  assert.equal(existsSync(join(folder, 'x.tg')), false);
  await service.waitForPrimary((primary) => primary !== 1, 20_000);
  await service.waitForMembers(2);
  const client = await redis.connect();
  await check(client);
  client.close();
  // And it works with the new primary.
  await checkpoint(world, service, join(world.work, 'y.tg'));
  await service.stop();
  assert.deepEqual(readdirSync(folder), []);
  await world.expectNothingLeft();
});

for (const linking of ['dynamic', 'static'] satisfies Linking[]) {
  const needs = linking === 'static' ? (['static-libc'] as const) : [];
  const skipGuest = skipUnless('gcc', 'cli', ...needs);
  test(`threads (${linking}) go on from a file`, { skip: skipGuest }, async (t) => {
    const world = new World(t);
    const file = join(world.work, 'threads.tg');
    const program = compileGuest('threads', linking);
    const rounds = 150;
    const args = ['--rounds', String(rounds)];
    const service = new Service(world, { mode: 'run', program, args, replicas: 2 });
    await service.waitForMembers(2);
    await service.waitForGuestLine(/^round 20$/, 30_000);
    await checkpoint(world, service, file);
    await service.waitForGuestLine(/^round 30$/, 30_000);
    await service.stop();

    const again = new Service(world, { mode: 'run', program, args, replicas: 2, restore: file });
    const exit = await again.program.waitForExit(60_000);
    const lines = again.guestLines();
    assert.equal(exit.code, 0, again.program.describe());
    const next = Number(/^round (\d+)$/.exec(lines[0] ?? '')?.[1]);
    assert.ok(next >= 20 && next <= rounds, `goes on with ${lines[0]}`);
    const expected = Array.from({ length: rounds - next + 1 }, (_, at) => `round ${next + at}`);
    assert.deepEqual(lines, [...expected, 'PASS threads']);
    await world.expectNothingLeft();
  });
}
