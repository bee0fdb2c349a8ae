/** Tests of the test support, with native programs: clean-up that misses things hides bugs. */

import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileGuest } from './compile.ts';
import { Scope } from './owner.ts';
import { freePort } from './ports.ts';
import { isAlive, listeningPorts, readProcess } from './process-table.ts';
import { exitStatus } from './program.ts';
import { startRedis } from './redis.ts';
import { skipUnless } from './requirements.ts';
import { formatReply } from './resp.ts';
import { checkStatus } from './status.ts';
import { eventually, TimeoutError } from './wait.ts';
import { World } from './world.ts';

test('a program gives its lines, its exit and its signal', async (t) => {
  const world = new World(t);
  const script = 'echo one; read word; echo "got $word"; echo wrong >&2; exit 7';
  const program = world.start('sh', ['-c', script], { hasInput: true });
  await program.waitForLine(/^one$/, 5000);
  program.write('hello\n');
  assert.equal(await program.waitForLine(/^got/, 5000), 'got hello');
  assert.equal(exitStatus(await program.waitForExit(5000)), 7);
  assert.equal(program.text('stderr'), 'wrong\n');
  const killed = world.start('sleep', ['1000']);
  killed.signal('SIGTERM');
  assert.equal(exitStatus(await killed.waitForExit(5000)), 143);
  const missing = world.start('/nonexistent/program', []);
  assert.equal(exitStatus(await missing.waitForExit(5000)), 127);
});

test('waits end in time and say what they waited for', async (t) => {
  const world = new World(t);
  const program = world.start('sleep', ['1000']);
  await assert.rejects(program.waitForLine(/never/, 100), TimeoutError);
  await assert.rejects(program.waitForExit(100), /the end of sleep 1000/);
  await assert.rejects(
    eventually('a miracle', 100, () => false),
    /a miracle/,
  );
  const ended = world.start('true', []);
  await assert.rejects(ended.waitForLine(/never/, 5000), /ended before/);
});

test('everything that came of a world is found and ended', async (t) => {
  const scope = new Scope();
  t.after(() => scope.end());
  const world = new World(scope);
  // An orphan in another session, without the mark in its environment.
  const script = 'env -i setsid sleep 1000 & echo $!; setsid sh -c "sleep 2000 & wait" & wait';
  const program = world.start('bash', ['-c', script]);
  const orphan = Number(await program.waitForLine(/^\d+$/, 5000));
  const found = await eventually('four processes', 5000, () => {
    const all = world.look();
    return all.length >= 4 && all;
  });
  program.signal('SIGKILL');
  await program.waitForExit(5000);
  assert.ok(world.look().some((info) => info.pid === orphan));
  await assert.rejects(world.expectNothingLeft(100), /something is left behind/);
  await scope.end();
  assert.deepEqual(found.filter(isAlive), []);
  assert.equal(existsSync(world.folder), false);
});

test('a file that is left behind is found', async (t) => {
  const world = new World(t);
  await world.expectNothingLeft(1);
  writeFileSync(join(world.folder, 'run', 'socket'), '');
  await assert.rejects(world.expectNothingLeft(50), /file socket/);
});

test('a process that is not of the world is not signalled', (t) => {
  const world = new World(t);
  assert.throws(() => world.signal(process.ppid, 'SIGCONT'), /not of this test/);
});

test('a guest is compiled once', { skip: skipUnless('gcc') }, async (t) => {
  const world = new World(t);
  const path = compileGuest('clocks', 'dynamic');
  assert.equal(compileGuest('clocks', 'dynamic'), path);
  const program = world.start(path, ['--rounds', '2']);
  assert.equal(exitStatus(await program.waitForExit(10_000)), 0);
  assert.deepEqual(program.lines('stdout'), ['round 1', 'round 2', 'PASS clocks']);
});

test('native redis as a service', { skip: skipUnless('redis-server') }, async (t) => {
  const world = new World(t);
  const { service, port, connect } = await startRedis(world, { mode: 'native' });
  assert.deepEqual(listeningPorts(service.program.pid), [port]);
  const client = await connect();
  const commands = Array.from({ length: 1000 }, (_, index) => ['INCRBY', 'n', index] as const);
  const replies = await client.pipeline(commands);
  assert.equal(formatReply(replies.at(-1) ?? assert.fail()), ':499500');
  await assert.rejects(client.read(50), TimeoutError);
  assert.ok(client.isLost);
  await service.stop();
  assert.equal(readProcess(service.program.pid), null);
  await world.expectNothingLeft();
  await assert.rejects(connect({ timeoutMs: 200 }), /connect/);
});

test('a status of another form is refused', () => {
  const good = {
    service: 'x',
    configuration: { ballot: 1, primary: 1, members: [1, 2] },
    replicas: [{ id: 1, pid: 10, role: 'primary', epoch: 5 }],
    published: [{ address: '127.0.0.1', port: 1, guestPort: 2 }],
    unsupportedCalls: [{ name: 'io_uring_setup', count: 2 }],
  };
  assert.equal(checkStatus(good).service, 'x');
  const bad = { ...good, replicas: [{ ...good.replicas[0], pid: '10' }] };
  assert.throws(() => checkStatus(bad), /pid/);
  assert.throws(() => checkStatus({ ...good, configuration: undefined }));
});

test('a free port can be bound', async () => {
  const port = await freePort();
  assert.ok(port > 1023 && port < 65_536);
});
