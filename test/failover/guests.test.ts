/**
 * The self-checking guests under replication: their lines make epochs many times a second, and
 * their primary is killed again and again. They must end as if nothing had happened: every line
 * once and in order, no check failed, exit status 0.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileGuest, type Linking } from '../support/compile.ts';
import { skipUnless } from '../support/requirements.ts';
import { Service } from '../support/service.ts';
import { World } from '../support/world.ts';

/** Each kind of linking with about half of them: the other half is under exec (test/exec). */
const guests: readonly (readonly [name: string, linking: Linking, runSeconds?: number])[] = [
  ['threads', 'dynamic'],
  ['threads', 'static'],
  ['churn', 'static'],
  ['timers', 'dynamic'],
  ['posix-timers', 'static'],
  ['registers', 'dynamic'],
  ['signals', 'dynamic'],
  ['memory', 'static'],
  ['ipc', 'dynamic'],
  ['loopback', 'dynamic'],
  ['files', 'static'],
  ['watches', 'dynamic'],
  ['terminals', 'static'],
  ['clocks', 'dynamic'],
  ['stacks', 'static'],
  ['exec', 'dynamic'],
  ['identity', 'static'],
  ['shared-file', 'dynamic'],
  // Each of its rounds takes some hundred milliseconds where the machine is busy.
  ['burst', 'dynamic', 20],
];
const runSecondsDefault = 8;
const killsPerGuest = 2;
const roundsBetween = 5;
const timeoutMs = 60_000;

async function killAgainAndAgain(service: Service): Promise<void> {
  for (let kill = 0; kill < killsPerGuest; kill += 1) {
    await service.waitForMembers(2);
    const round = service.guestLines().length;
    await service.program.until('more rounds', timeoutMs, () => {
      return service.guestLines().length >= round + roundsBetween || undefined;
    });
    const { primary } = service;
    service.signal(primary, 'SIGKILL');
    await service.waitForPrimary((id) => id !== primary, timeoutMs);
  }
}

for (const [name, linking, runSeconds = runSecondsDefault] of guests) {
  const needs = linking === 'static' ? (['static-libc'] as const) : [];
  const skip = skipUnless('gcc', 'cli', ...needs);
  test(`${name} (${linking}) goes on in its backups`, { skip }, async (t) => {
    const world = new World(t);
    const service = new Service(world, {
      mode: 'run',
      program: compileGuest(name, linking),
      args: ['--seconds', String(runSeconds)],
      replicas: 2,
    });
    await killAgainAndAgain(service);
    const exit = await service.program.waitForExit(timeoutMs);
    const lines = service.guestLines();
    assert.equal(exit.code, 0, `${lines.slice(-3).join('\n')}\n${service.program.describe()}`);
    const rounds = lines.slice(0, -1);
    assert.deepEqual(
      rounds,
      rounds.map((_, at) => `round ${at + 1}`),
    );
    assert.equal(lines.at(-1), `PASS ${name}`);
    assert.equal(service.events.takeovers.length, killsPerGuest);
    await world.expectNothingLeft();
    t.diagnostic(`${rounds.length} rounds, ${killsPerGuest} takeovers`);
  });
}
