/**
 * What a hostile guest must not be able to do, seen from both sides: what the guest was told, and
 * whether anything outside was touched. The guest is static, in a root of its own that has nothing
 * in it but what the test put there.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileGuest } from '../support/compile.ts';
import type { Program } from '../support/program.ts';
import { skipUnless } from '../support/requirements.ts';
import { World } from '../support/world.ts';

const skip = skipUnless('gcc', 'static-libc', 'cli');
const timeoutMs = 30_000;

/** A root with the guest and a few files; outside it lies a secret. */
function makeRoot(world: World): { root: string; secret: string } {
  const root = join(world.work, 'root');
  for (const name of ['bin', 'etc', 'tmp']) mkdirSync(join(root, name), { recursive: true });
  copyFileSync(compileGuest('hostile', 'static'), join(root, 'bin', 'hostile'));
  writeFileSync(join(root, 'etc', 'config'), 'in the root');
  const secret = join(world.work, 'secret');
  writeFileSync(secret, 'outside the root');
  return { root, secret };
}

async function attempt(world: World, root: string, ...args: string[]): Promise<Program> {
  const program = world.tardigrade(['exec', '--root', root, '--', '/bin/hostile', ...args]);
  await program.waitForExit(timeoutMs);
  assert.doesNotMatch(program.text('stdout'), /BREACH/, program.describe());
  return program;
}

function assertRefused(program: Program): void {
  assert.match(program.text('stdout'), /^REFUSED/, program.describe());
  assert.equal(program.exit?.code, 0, program.describe());
}

test('files outside the root are not there', { skip }, async (t) => {
  const world = new World(t);
  const { root, secret } = makeRoot(world);
  const inside = world.tardigrade([
    'exec',
    '--root',
    root,
    '--',
    '/bin/hostile',
    'read',
    '/etc/config',
  ]);
  await inside.waitForExit(timeoutMs);
  // It does read what it may.
  assert.match(inside.text('stdout'), /BREACH read: in the root/, inside.describe());
  const ways = [
    secret,
    `/../..${secret}`,
    `/etc/../../../../..${secret}`,
    `/proc/self/root${secret}`,
    `/proc/1/root${secret}`,
    `/proc/self/cwd/../../..${secret}`,
    '/dev/mem',
    '/dev/sda',
    '/dev/vda',
    '/sys/kernel/notes',
    '/etc/shadow',
  ];
  for (const path of ways) assertRefused(await attempt(world, root, 'read', path));
  await world.expectNothingLeft();
});

test('nothing is written to the host', { skip }, async (t) => {
  const world = new World(t);
  const { root, secret } = makeRoot(world);
  for (const path of ['/etc/config', '/etc/new', '/tmp/new', secret, '/new']) {
    assertRefused(await attempt(world, root, 'write', path));
  }
  assertRefused(await attempt(world, root, 'delete', '/etc/config'));
  assert.equal(readFileSync(join(root, 'etc', 'config'), 'utf8'), 'in the root');
  assert.equal(readFileSync(secret, 'utf8'), 'outside the root');
  const made = ['etc/new', 'tmp/new', 'new', secret.slice(1)].map((path) => join(root, path));
  assert.deepEqual(made.filter(existsSync), []);
  await world.expectNothingLeft();
});

test('the files of a whole system as root are as safe', { skip }, async (t) => {
  const world = new World(t);
  const { secret } = makeRoot(world);
  const hostile = compileGuest('hostile', 'static');
  const program = world.tardigrade(['exec', '--', hostile, 'write', secret]);
  await program.waitForExit(timeoutMs);
  assertRefused(program);
  assert.equal(readFileSync(secret, 'utf8'), 'outside the root');
});

test('a path that changes while it is used leads nowhere else', { skip }, async (t) => {
  const world = new World(t);
  const { root, secret } = makeRoot(world);
  assertRefused(await attempt(world, root, 'race', `/..${secret}`));
});

test('other processes can’t be traced, signalled or read', { skip }, async (t) => {
  const world = new World(t);
  const { root } = makeRoot(world);
  const bystander = world.start('sleep', ['1000']);
  assertRefused(await attempt(world, root, 'process', String(bystander.pid)));
  assertRefused(await attempt(world, root, 'process', String(process.pid)));
  assert.equal(bystander.exit, null);
  assert.ok(world.isRunning(bystander.pid));
});

test('the network is not there', { skip }, async (t) => {
  const world = new World(t);
  const { root } = makeRoot(world);
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  assertRefused(await attempt(world, root, 'connect', String(port)));
  assertRefused(await attempt(world, root, 'connect-out', '192.0.2.1'));
  assertRefused(await attempt(world, root, 'sockets'));
  assert.equal(connections, 0);
});

test('there are no calls but those of the table', { skip }, async (t) => {
  const world = new World(t);
  const { root } = makeRoot(world);
  assertRefused(await attempt(world, root, 'privileged'));
  assertRefused(await attempt(world, root, 'descriptors'));
  assertRefused(await attempt(world, root, 'x32'));
  // Being killed for it is as good as an error.
  const program = await attempt(world, root, 'int80');
  const isKilled = program.exit?.code !== 0;
  if (!isKilled) assertRefused(program);
  await world.expectNothingLeft();
});

test('unknown calls give ENOSYS, and are counted and named once', { skip }, async (t) => {
  const world = new World(t);
  const { root } = makeRoot(world);
  const program = await attempt(world, root, 'unknown');
  assertRefused(program);
  const about = (number: string): string[] => {
    return program
      .lines('stderr')
      .filter((line) => new RegExp(`(?<!\\d)${number}(?!\\d)`).test(line));
  };
  // The number and how often it was made, in a line at the end.
  const total = about('600').filter((line) => /\b3\b/.test(line));
  assert.equal(total.length, 1, program.describe());
  assert.ok(about('600').length <= 2, program.describe());
  assert.ok(about('999').length >= 1, program.describe());
});
