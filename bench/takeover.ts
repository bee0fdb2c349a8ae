/**
 * Benchmark `takeover`: the primary is killed, again and again; how long until a write that is sent
 * after the kill is answered, by whoever took over.
 */

import { connect } from 'node:net';
import { Scope } from '../test/support/owner.ts';
import { startRedis } from '../test/support/redis.ts';
import { delay, within } from '../test/support/wait.ts';
import { World } from '../test/support/world.ts';
import { quantilesOf } from './quantiles.ts';
import { report } from './report.ts';

const patienceMs = 30_000;
const keys = 20_000;

/** One attempt to write: resolves with whether it was answered. */
function attempt(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const end = (isAnswered: boolean): void => {
      socket.destroy();
      resolve(isAnswered);
    };
    socket.on('connect', () => socket.write('*3\r\n$3\r\nSET\r\n$5\r\nprobe\r\n$1\r\n1\r\n'));
    socket.on('data', (chunk) => end(chunk.toString('latin1') === '+OK\r\n'));
    socket.on('error', () => end(false));
    socket.on('close', () => end(false));
  });
}

/** Milliseconds until a write is answered. */
async function answeredAfter(port: number): Promise<number> {
  const startedMs = performance.now();
  while (!(await attempt(port))) {
    if (performance.now() - startedMs > patienceMs) throw new Error('no write is answered');
  }
  return performance.now() - startedMs;
}

export async function benchTakeover(isQuick: boolean): Promise<void> {
  const scope = new Scope();
  const world = new World(scope);
  const kills = isQuick ? 10 : 30;
  const answeredMs: number[] = [];
  const restoreMs: number[] = [];
  try {
    const redis = await startRedis(world, { mode: 'run', replicas: 2, failureTimeoutMs: 250 });
    const { service } = redis;
    const client = await redis.connect();
    const commands = Array.from({ length: keys }, (_, at) => ['SET', `key:${at}`, 'x'.repeat(200)]);
    await client.pipeline(commands);
    client.close();
    for (let kill = 0; kill < kills; kill += 1) {
      await service.waitForMembers(2);
      // Some work, and the time for what a join leaves to do.
      for (let write = 0; write < 50; write += 1) await attempt(redis.port);
      await delay(200);
      const { primary } = service;
      service.signal(primary, 'SIGKILL');
      answeredMs.push(await within(answeredAfter(redis.port), patienceMs, 'an answer'));
      await service.waitForPrimary((id) => id !== primary, patienceMs);
      restoreMs.push(service.events.takeovers.at(-1)?.restoreMs ?? Number.NaN);
      console.log(`takeover: ${answeredMs.at(-1)?.toFixed(1)} ms`);
    }
    await service.stop();
  } finally {
    await scope.end();
  }
  const row = (name: string, values: readonly number[]): string[] => {
    const { count, p50, p95, max } = quantilesOf(values);
    return [name, String(count), ...[p50, p95, max].map((value) => value.toFixed(1))];
  };
  report({
    name: 'takeover',
    isQuick,
    method:
      `A replicated redis with ${keys} keys; SIGKILL to the primary, and at once a client ` +
      'that tries to write until it is answered. Restoring is a part of it: from the decision to ' +
      'the running guest.',
    tables: [
      {
        title: 'milliseconds',
        head: ['', 'kills', '50 %', '95 %', 'most'],
        rows: [row('kill to next answered write', answeredMs), row('restoring', restoreMs)],
      },
    ],
    data: { answeredMs, restoreMs },
  });
}
