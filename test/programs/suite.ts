/**
 * The tests that each real program is given: natively, in the sandbox, and replicated with deaths
 * of its primary, always with clients at work that lose nothing of what was acknowledged.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePort } from '../support/ports.ts';
import { type Mode, Service } from '../support/service.ts';
import { eventually } from '../support/wait.ts';
import { World } from '../support/world.ts';
import type { Connection } from './connection.ts';
import { type Kind, Load, retried } from './load.ts';

export interface RealProgram {
  readonly title: string;
  readonly skip: string | false;
  readonly program: string;
  readonly guestPort: number;
  /** Writes files that it needs to `folder`, which is its working directory too. */
  readonly args: (port: number, folder: string) => readonly string[];
  /** Whether it is there for clients; asked before the first one. By default it answers them. */
  readonly isReady?: (port: number) => Promise<boolean>;
  readonly connect: (port: number) => Connection;
  readonly kinds: readonly Kind[];
  /** What else must hold at any time. */
  readonly check?: (port: number) => Promise<void>;
  /** Something at work besides the load; told after each death, and ended at the end. */
  readonly besides?: (port: number) => Promise<Companion>;
}

export interface Companion {
  afterDeath(): Promise<void>;
  end(): Promise<void>;
}

const killsCount = 5;
const timeoutMs = 30_000;

export function testProgram(real: RealProgram): void {
  for (const mode of ['native', 'exec'] as const) {
    test(`${real.title}: ${mode}`, { skip: real.skip }, async (t) => {
      const world = new World(t);
      const { service, port, load } = await startLoaded(world, real, mode);
      t.after(() => load.stop().catch(() => {}));
      const companion = await real.besides?.(port);
      await load.progress(150);
      await load.verify('under load');
      await companion?.afterDeath();
      await load.stop();
      await load.verify('at rest');
      await companion?.end();
      await service.stop();
      await world.expectNothingLeft();
      t.diagnostic(load.describe());
    });
  }

  test(`${real.title}: its primary is killed`, { skip: real.skip }, async (t) => {
    const world = new World(t);
    const { service, port, load } = await startLoaded(world, real, 'run');
    t.after(() => load.stop().catch(() => {}));
    const companion = await real.besides?.(port);
    for (let kill = 1; kill <= killsCount; kill += 1) {
      await service.waitForMembers(2, timeoutMs);
      await load.progress(40);
      const { primary } = service;
      service.signal(primary, 'SIGKILL');
      await service.waitForPrimary((now) => now !== primary, timeoutMs);
      await load.progress(20);
      await load.verify(`after kill ${kill}`);
      await real.check?.(port);
      await companion?.afterDeath();
    }
    await load.stop();
    await load.verify('at the end');
    await companion?.end();
    assert.equal(service.events.takeovers.length, killsCount);
    assert.deepEqual((await service.status()).unsupportedCalls, []);
    await service.stop();
    await world.expectNothingLeft();
    t.diagnostic(`${killsCount} kills, ${load.describe()}`);
  });
}

async function startLoaded(world: World, real: RealProgram, mode: Mode) {
  const port = await freePort();
  const { program, guestPort } = real;
  const service = new Service(world, {
    mode,
    program,
    args: real.args(mode === 'native' ? port : guestPort, world.work),
    publish: { port, guestPort },
    ...(mode === 'run' && { replicas: 2 }),
  });
  const load = new Load({
    connect: () => real.connect(port),
    kinds: real.kinds,
    describe: () => service.program.describe(),
  });
  try {
    await answers(real, port);
    load.start();
    await load.progress(20);
    await real.check?.(port);
  } catch (error) {
    throw new Error(`${real.title} does not work: ${error}\n${service.program.describe()}`);
  }
  return { service, port, load };
}

/** Waits for the first answer. */
async function answers(real: RealProgram, port: number): Promise<void> {
  const { connect, kinds, isReady } = real;
  if (isReady) await eventually(`${real.title} is ready`, timeoutMs, () => isReady(port));
  const connection = connect(port);
  const verb = ({ log: 'entries', counter: 'value', register: 'get' } as const)[kinds[0] as Kind];
  try {
    await retried(() => connection.ask(verb, 'none'));
  } finally {
    connection.close();
  }
}
