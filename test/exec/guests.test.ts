/**
 * The self-checking guests three ways, with equal output: native Linux (they must be right about
 * Linux first), under exec, and replicated with nobody dying. With deaths: test/failover.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileGuest, type Linking } from '../support/compile.ts';
import { exitText } from '../support/program.ts';
import { type Requirement, skipUnless } from '../support/requirements.ts';
import { type Mode, Service } from '../support/service.ts';
import { World } from '../support/world.ts';

const guests = [
  'threads',
  'churn',
  'timers',
  'posix-timers',
  'registers',
  'signals',
  'memory',
  'self',
  'ipc',
  'loopback',
  'files',
  'watches',
  'descriptors',
  'terminals',
  'clocks',
  'stacks',
  'exec',
  'identity',
  'shared-file',
];
const rounds = '25';
const timeoutMs = 60_000;

async function outputIn(world: World, mode: Mode, program: string): Promise<readonly string[]> {
  const args = ['--rounds', rounds];
  const service = new Service(world, { mode, program, args, replicas: 2 });
  const exit = await service.program.waitForExit(timeoutMs);
  const lines = service.guestLines();
  const end = `${mode}: ${exitText(exit)}\n${lines.slice(-3).join('\n')}`;
  assert.equal(exit.code, 0, `${end}\n${service.program.describe()}`);
  return lines;
}

function declare(name: string, linking: Linking, modes: readonly Mode[]): void {
  const needs: Requirement[] = ['gcc', 'cli'];
  if (linking === 'static') needs.push('static-libc');
  test(`${name} (${linking}): native, ${modes.join(', ')}`, {
    skip: skipUnless(...needs),
  }, async (t) => {
    const world = new World(t);
    const program = compileGuest(name, linking);
    const native = await outputIn(world, 'native', program);
    assert.equal(native.at(-1), `PASS ${name}`);
    for (const mode of modes) assert.deepEqual(await outputIn(world, mode, program), native, mode);
    await world.expectNothingLeft();
  });
}

for (const name of guests) {
  declare(name, 'dynamic', ['exec', 'run']);
  declare(name, 'static', ['exec']);
}
