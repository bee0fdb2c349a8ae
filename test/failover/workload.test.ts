/**
 * Tests of the failover tests themselves, on native redis: a server that keeps its data across
 * kills (an append-only file that is synced on each write) is passed, one that forgets is caught.
 * Without the second, a workload that checks nothing would look like a service that loses nothing.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Prng } from '../../src/base/prng.ts';
import { freePort } from '../support/ports.ts';
import { type RedisService, startRedis } from '../support/redis.ts';
import { skipUnless } from '../support/requirements.ts';
import { World } from '../support/world.ts';
import { History } from './history.ts';
import { Workload } from './workload.ts';

const skip = skipUnless('redis-server');
const options = { clients: 4, thinkMs: 1, requestTimeoutMs: 5000, patienceMs: 20_000 };

async function kill(world: World, redis: RedisService): Promise<void> {
  world.signal(redis.service.program.pid, 'SIGKILL');
  await redis.service.program.waitForExit(5000);
}

test('a server that keeps its data across kills passes', { skip }, async (t) => {
  const world = new World(t);
  const port = await freePort();
  const redisArgs = ['--appendonly', 'yes', '--appendfsync', 'always', '--dir', world.work];
  const start = (): Promise<RedisService> => startRedis(world, { mode: 'native', port, redisArgs });
  let redis = await start();
  const history = new History();
  const workload = new Workload(history, new Prng(1), { ...options, port });
  workload.start();
  t.after(() => workload.stop().catch(() => {}));
  for (let kills = 0; kills < 3; kills += 1) {
    await workload.progress(200);
    workload.mark();
    await kill(world, redis);
    redis = await start();
    await workload.progress(20);
    assert.ok((workload.answeredAfterMs ?? 0) > 0);
    await workload.pause();
    await workload.verify(`after kill ${kills}`);
    workload.resume();
  }
  await workload.stop();
  await workload.verify('at the end');
  assert.ok(workload.acknowledged > 600);
});

test('a server that forgets is caught', { skip }, async (t) => {
  const world = new World(t);
  const port = await freePort();
  let redis = await startRedis(world, { mode: 'native', port });
  const history = new History();
  const workload = new Workload(history, new Prng(2), { ...options, port });
  workload.start();
  t.after(() => workload.stop().catch(() => {}));
  await workload.progress(100);
  await workload.pause();
  await workload.verify('before the kill');
  await kill(world, redis);
  redis = await startRedis(world, { mode: 'native', port });
  await assert.rejects(workload.verify('after the kill'), /lost: read 0 after/);
  await redis.service.stop();
});

test('a server that loses its newest writes alone is caught', { skip }, async (t) => {
  const world = new World(t);
  const port = await freePort();
  const redisArgs = ['--dir', world.work, '--dbfilename', 'snapshot.rdb'];
  let redis = await startRedis(world, { mode: 'native', port, redisArgs });
  const history = new History();
  const workload = new Workload(history, new Prng(3), { ...options, port });
  workload.start();
  t.after(() => workload.stop().catch(() => {}));
  await workload.progress(200);
  // A checkpoint, and then a few writes that are acknowledged without one.
  const client = await redis.connect();
  assert.equal((await client.call('SAVE')).type, 'simple', join(world.work, 'snapshot.rdb'));
  await workload.progress(8);
  await workload.pause();
  client.close();
  await kill(world, redis);
  redis = await startRedis(world, { mode: 'native', port, redisArgs });
  await assert.rejects(workload.verify('after the kill'), /lost/);
  await redis.service.stop();
});

test('a service that does not come back is a failure, not a wait', { skip }, async (t) => {
  const world = new World(t);
  const redis = await startRedis(world, { mode: 'native' });
  const limits = { ...options, requestTimeoutMs: 300, patienceMs: 700 };
  const workload = new Workload(new History(), new Prng(4), { ...limits, port: redis.port });
  workload.start();
  t.after(() => workload.stop().catch(() => {}));
  await workload.progress(10);
  await kill(world, redis);
  await assert.rejects(workload.progress(10_000), /writes in 700 ms|connect/);
});
