/**
 * What redis-server can do, replicated, in several threads: the same answers as native before and
 * after the death of the primary, redis-benchmark whole, and forks that fail cleanly.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redisFeatures } from '../exec/redis-features.ts';
import { runScript } from '../exec/script.ts';
import { compileGuest } from '../support/compile.ts';
import { startRedis } from '../support/redis.ts';
import { skipUnless } from '../support/requirements.ts';
import { formatReply } from '../support/resp.ts';
import { Service } from '../support/service.ts';
import { eventually } from '../support/wait.ts';
import { World } from '../support/world.ts';

const skip = skipUnless('redis-server', 'redis-benchmark', 'cli');
const threads = ['--io-threads', '2', '--io-threads-do-reads', 'yes'];
const huge = Buffer.alloc(64 << 20, 'as large as it gets\0\r\n');
const timeoutMs = 60_000;

/** What is looked at of a line of `run --json`. */
interface RunLine {
  readonly event: string;
  readonly what?: string;
  readonly reason?: string;
}

test('the features of redis, before and after a takeover', { skip }, async (t) => {
  const world = new World(t);
  const native = await startRedis(world, { mode: 'native', redisArgs: threads });
  const expected = await runScript(redisFeatures, native.connect);
  await native.service.stop();
  const { service, connect } = await startRedis(world, {
    mode: 'run',
    replicas: 2,
    redisArgs: threads,
  });
  await service.waitForMembers(2);
  assert.deepEqual(await runScript(redisFeatures, connect), expected);

  const before = await connect();
  for (const command of ['BGSAVE', 'BGREWRITEAOF']) {
    const reply = formatReply(await before.call(command));
    assert.match(reply, /^-(ERR|MISCONF)|^\+Background/, command);
  }
  assert.equal(formatReply(await before.call('SET', 'huge', huge)), '+OK');
  before.close();

  const { primary } = service;
  service.signal(primary, 'SIGKILL');
  await service.waitForPrimary((now) => now !== primary, timeoutMs);
  const after = await connect();
  assert.equal(formatReply(await after.call('GET', 'kept')), '"yes"');
  const reply = await after.call('GET', 'huge');
  assert.ok(reply.type === 'bulk' && reply.bytes?.equals(huge), 'the huge value has changed');
  after.close();
  assert.deepEqual(await runScript(redisFeatures, connect), expected);
  assert.equal(service.events.takeovers.length, 1);
  await service.stop();
  await world.expectNothingLeft();
});

test('redis-benchmark runs whole on a replicated redis', { skip }, async (t) => {
  const world = new World(t);
  const { service, port } = await startRedis(world, { mode: 'run', replicas: 2 });
  await service.waitForMembers(2);
  const args = ['-p', String(port), '-n', '500', '-c', '20', '--csv'];
  const benchmark = world.start('redis-benchmark', args);
  assert.equal((await benchmark.waitForExit(timeoutMs)).code, 0, benchmark.describe());
  assert.equal(benchmark.lines('stdout').length, 21);
  assert.doesNotMatch(benchmark.text('stderr'), /error/i);
  assert.deepEqual(service.events.takeovers, []);
  await service.stop();
  await world.expectNothingLeft();
});

test('unsupported calls are in status, and named once at the end', {
  skip: skipUnless('gcc', 'static-libc', 'cli'),
}, async (t) => {
  const world = new World(t);
  const program = compileGuest('hostile', 'static');
  const service = new Service(world, { mode: 'run', program, args: ['unknown-and-stay'] });
  await service.waitForMembers(2);
  await service.waitForGuestLine(/^REFUSED/, timeoutMs);
  const calls = async () => (await service.status()).unsupportedCalls;
  // Those of another architecture are refused before anybody counts them.
  const expected = [
    { name: 'syscall_600', count: 3 },
    { name: 'syscall_999', count: 1 },
  ];
  // The figures come a little after the line.
  const hasAll = async () => {
    const found = await calls();
    return found.length === expected.length && found[0]?.count === 3 && found;
  };
  assert.deepEqual(await eventually('the counts', timeoutMs, hasAll), expected);
  const { primary } = service;
  service.signal(primary, 'SIGKILL');
  await service.waitForPrimary((now) => now !== primary, timeoutMs);
  assert.deepEqual(await calls(), expected);
  await service.stop();
  const reports = service.program.lines('stdout').map((line) => JSON.parse(line) as RunLine);
  const named = reports.filter(
    ({ event, what }) => event === 'report' && what === 'unsupported-call',
  );
  assert.equal(named.length, expected.length, JSON.stringify(named));
  const reason = reports.at(-1)?.reason ?? '';
  for (const { name, count } of expected) {
    assert.equal(reason.split(`${name} (${count})`).length, 2, reason);
  }
  await world.expectNothingLeft();
});
