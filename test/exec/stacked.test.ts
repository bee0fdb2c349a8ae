/**
 * Neither the library OS nor the host can tell what stands between them: the same guests give the
 * same output natively, on the bare host, and under every stack of checkpointer and tracer; and no
 * source of theirs names an interposer.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Prng } from '../../src/base/prng.ts';
import { makeScript } from '../libos/generate.ts';
import { compileGuest } from '../support/compile.ts';
import { repositoryRoot } from '../support/paths.ts';
import { freePort } from '../support/ports.ts';
import type { Program } from '../support/program.ts';
import { startRedis } from '../support/redis.ts';
import { connectRedis } from '../support/redis-client.ts';
import { findProgram, skipUnless } from '../support/requirements.ts';
import { World } from '../support/world.ts';
import { redisFeatures } from './redis-features.ts';
import { runScript } from './script.ts';

const stackedMain = fileURLToPath(new URL('./stacked-main.js', import.meta.url));
/** From the host upwards. */
const stacks = [
  '-',
  'forwarding',
  'tracer',
  'checkpointer',
  'tracer,checkpointer',
  'checkpointer,tracer',
];
const timeoutMs = 30_000;

function startStacked(world: World, stack: string, port: string, command: string[]): Program {
  const args = [stackedMain, stack, port, ...command];
  return world.start(process.execPath, args, { hasInput: true });
}

/** Each interposer must have had something to do. */
function assertBusy(program: Program, stack: string): void {
  const told = program.text('stderr').trim();
  assert.equal(
    told.replace(/ \d+/g, '').replaceAll(', ', ','),
    stack.replace(/^-$|forwarding/, ''),
  );
  for (const [, count] of told.matchAll(/ (\d+)/g)) assert.ok(Number(count) >= 5, told);
}

async function outputOf(world: World, stack: string, command: string[], input: string) {
  const isNative = stack === 'native';
  const program = isNative
    ? world.start(command[0] ?? '', command.slice(1), { hasInput: true })
    : startStacked(world, stack, '-', command);
  program.write(input);
  program.endInput();
  assert.equal((await program.waitForExit(timeoutMs)).code, 0, program.describe());
  if (!isNative) assertBusy(program, stack);
  return program.text('stdout');
}

/** Random calls, without those whose results Linux itself may give late. */
function randomCalls(): string {
  const scripts: string[] = [];
  for (let seed = 1; scripts.length < 60; seed += 1) {
    const lines = makeScript(new Prng(seed), 50, true);
    if (!lines.some((line) => / i[46]/.test(line))) scripts.push(`new\n${lines.join('\n')}\n`);
  }
  return scripts.join('');
}

const guests = [
  { name: 'threads', args: ['--rounds', '15'], input: () => '' },
  { name: 'calls', args: [], input: randomCalls },
];

for (const { name, args, input } of guests) {
  test(`${name}: the same under every stack`, { skip: skipUnless('gcc', 'cli') }, async (t) => {
    const world = new World(t);
    const command = [compileGuest(name, 'dynamic'), ...args];
    const native = await outputOf(world, 'native', command, input());
    for (const stack of stacks) {
      assert.equal(await outputOf(world, stack, command, input()), native, stack);
    }
    await world.expectNothingLeft();
  });
}

test('redis-server: the same under every stack', {
  skip: skipUnless('redis-server', 'cli'),
}, async (t) => {
  const world = new World(t);
  const native = await startRedis(world, { mode: 'native' });
  const expected = await runScript(redisFeatures, native.connect);
  await native.service.stop();
  const redis = [
    findProgram('redis-server') ?? '',
    '--bind',
    '0.0.0.0',
    '--protected-mode',
    'no',
    '--io-threads',
    '2',
  ];
  for (const stack of ['-', 'tracer,checkpointer', 'checkpointer,tracer']) {
    const port = await freePort();
    const program = startStacked(world, stack, `${port}:6379`, [...redis, '--save', '']);
    program.endInput();
    const actual = await runScript(redisFeatures, () => connectRedis({ port }));
    assert.deepEqual(actual, expected, stack);
    const client = await connectRedis({ port });
    client.send('SHUTDOWN', 'NOSAVE');
    assert.equal((await program.waitForExit(timeoutMs)).code, 0, program.describe());
    assertBusy(program, stack);
    client.close();
  }
  assert.deepEqual(
    expected.filter((line) => /-> FAILED|-> open/.test(line)),
    [],
  );
  await world.expectNothingLeft();
});

test('no source of the library OS, the host or the guest imports an interposer', () => {
  const importing: string[] = [];
  for (const layer of ['lvm', 'libos', 'host', 'guest', 'sandbox']) {
    const folder = join(repositoryRoot, 'src', layer);
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
      const text = readFileSync(join(folder, name), 'utf8');
      if (/^.*\b(?:from|import)\b.*\/interpose\//m.test(text)) importing.push(`${layer}/${name}`);
    }
  }
  assert.deepEqual(importing, []);
  // And so that it stays: what every check of the sources goes by.
  const rules = readFileSync(join(repositoryRoot, 'tools', 'layers.json'), 'utf8');
  const { layers } = JSON.parse(rules) as { layers: Record<string, readonly string[]> };
  for (const layer of ['lvm', 'libos', 'host', 'guest', 'sandbox']) {
    assert.ok(!(layers[layer] ?? []).includes('interpose'), layer);
  }
});
