/**
 * redis-server under `tardigrade exec`: it answers a recorded script as a native one beside it,
 * runs redis-benchmark whole, and lives on when it can't fork.
 */

import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type RedisService, startRedis } from '../support/redis.ts';
import { skipUnless } from '../support/requirements.ts';
import { formatReply } from '../support/resp.ts';
import { World } from '../support/world.ts';
import { redisScript } from './redis-script.ts';
import { commandCount, runScript } from './script.ts';

/** All that `redis-benchmark` runs by default. */
const benchmarks = [
  'PING_INLINE',
  'PING_MBULK',
  'SET',
  'GET',
  'INCR',
  'LPUSH',
  'RPUSH',
  'LPOP',
  'RPOP',
  'SADD',
  'HSET',
  'SPOP',
  'ZADD',
  'ZPOPMIN',
  'LPUSH (needed to benchmark LRANGE)',
  'LRANGE_100 (first 100 elements)',
  'LRANGE_300 (first 300 elements)',
  'LRANGE_500 (first 500 elements)',
  'LRANGE_600 (first 600 elements)',
  'MSET (10 keys)',
];

/** Steps whose answers differ, with both. */
function differences(native: readonly string[], other: readonly string[]): string[] {
  return native.flatMap((line, at) => {
    return line === other[at] ? [] : [`native: ${line}`, `exec:   ${other[at]}`];
  });
}

/** With a folder of its own for what SAVE writes; `exec` writes to the overlay. */
function redisIn(world: World, mode: 'native' | 'exec'): Promise<RedisService> {
  return startRedis(world, { mode, redisArgs: ['--dir', mkdtempSync(join(world.work, 'dir-'))] });
}

test('the script has 200 commands and more', () => {
  assert.ok(commandCount(redisScript) >= 200, String(commandCount(redisScript)));
});

const skipNative = skipUnless('redis-server');

test('two native servers answer the script alike', { skip: skipNative }, async (t) => {
  // Otherwise the comparison below would blame the sandbox for what the script can't know.
  const world = new World(t);
  const first = await runScript(redisScript, (await redisIn(world, 'native')).connect);
  const second = await runScript(redisScript, (await redisIn(world, 'native')).connect);
  assert.deepEqual(differences(first, second), []);
  const failed = first.filter((line) => / -> FAILED|-> open/.test(line));
  assert.deepEqual(failed, []);
});

const skip = skipUnless('redis-server', 'cli');

test('redis under exec answers the script as a native one', { skip }, async (t) => {
  const world = new World(t);
  const native = await redisIn(world, 'native');
  const sandboxed = await redisIn(world, 'exec');
  const expected = await runScript(redisScript, native.connect);
  const actual = await runScript(redisScript, sandboxed.connect);
  assert.deepEqual(differences(expected, actual), []);
  await native.service.stop();
  await sandboxed.service.stop();
  t.diagnostic(`${commandCount(redisScript)} commands, equal answers`);
});

test('BGSAVE is refused cleanly, and the server lives on', { skip }, async (t) => {
  const world = new World(t);
  const { service, connect } = await redisIn(world, 'exec');
  const client = await connect();
  await client.call('SET', 'k', 'v');
  const reply = await client.call('BGSAVE');
  // Once forks work it may as well succeed.
  assert.match(formatReply(reply), /^-ERR|^-MISCONF|^\+Background saving started/);
  assert.equal(formatReply(await client.call('GET', 'k')), '"v"');
  await client.call('BGREWRITEAOF');
  assert.equal(formatReply(await client.call('PING')), '+PONG');
  assert.equal(service.program.exit, null);
  client.close();
  await service.stop();
  await world.expectNothingLeft();
});

const skipBenchmark = skipUnless('redis-server', 'redis-benchmark', 'cli');

test('redis-benchmark runs whole', { skip: skipBenchmark }, async (t) => {
  const world = new World(t);
  const { service, port } = await redisIn(world, 'exec');
  const args = ['-p', String(port), '-n', '2000', '-c', '20', '--csv'];
  const benchmark = world.start('redis-benchmark', args);
  const exit = await benchmark.waitForExit(120_000);
  assert.equal(exit.code, 0, benchmark.describe());
  const rows = benchmark.lines('stdout').map((line) => line.split('","')[0]?.replace(/^"/, ''));
  assert.deepEqual(rows.slice(1), benchmarks);
  assert.doesNotMatch(benchmark.text('stderr'), /error/i);
  await service.stop();
  await world.expectNothingLeft();
});
