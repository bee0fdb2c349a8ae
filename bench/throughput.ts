/**
 * Benchmark `throughput`: redis-benchmark with 50 connections, plain and pipelined, on native
 * redis, under `exec` and under `run --replicas 2`, in turns.
 */

import { Scope } from '../test/support/owner.ts';
import { type RedisService, startRedis } from '../test/support/redis.ts';
import type { Mode } from '../test/support/service.ts';
import { World } from '../test/support/world.ts';
import { median } from './quantiles.ts';
import { report } from './report.ts';

const modes: readonly Mode[] = ['native', 'exec', 'run'];
const pipelines = [1, 16];
const tests = ['SET', 'GET'];
const timeoutMs = 120_000;

interface Sample {
  readonly mode: Mode;
  readonly pipeline: number;
  readonly test: string;
  readonly requestsPerSecond: number;
}

async function sample(
  world: World,
  redis: RedisService,
  mode: Mode,
  pipeline: number,
  count: number,
): Promise<Sample[]> {
  const args = ['-p', String(redis.port), '-c', '50', '-P', String(pipeline), '--csv'];
  const load = ['-n', String(count), '-r', '10000', '-t', tests.join(',').toLowerCase()];
  const program = world.start('redis-benchmark', [...args, ...load]);
  const exit = await program.waitForExit(timeoutMs);
  if (exit.code !== 0) throw new Error(program.describe());
  const rows = program.lines('stdout').map((line) => line.replaceAll('"', '').split(','));
  return tests.map((test) => {
    const row = rows.find(([name]) => name === test);
    if (!row) throw new Error(`no ${test}\n${program.describe()}`);
    return { mode, pipeline, test, requestsPerSecond: Number(row[1]) };
  });
}

export async function benchThroughput(isQuick: boolean): Promise<void> {
  const scope = new Scope();
  const world = new World(scope);
  const rounds = isQuick ? 2 : 5;
  const samples: Sample[] = [];
  try {
    const services = new Map<Mode, RedisService>();
    for (const mode of modes) {
      const redis = await startRedis(world, { mode, replicas: 2 });
      if (mode === 'run') await redis.service.waitForMembers(2);
      services.set(mode, redis);
    }
    for (let round = 0; round < rounds; round += 1) {
      console.log(`throughput: round ${round + 1} of ${rounds}`);
      for (const pipeline of pipelines) {
        for (const mode of modes) {
          const redis = services.get(mode) as RedisService;
          // A sixteenth of the time a request, so more of them.
          const count = (isQuick ? 5000 : 20_000) * (pipeline > 1 ? 4 : 1);
          samples.push(...(await sample(world, redis, mode, pipeline, count)));
        }
      }
    }
    for (const { service } of services.values()) await service.stop();
  } finally {
    await scope.end();
  }
  const rate = (mode: Mode, pipeline: number, test: string): number => {
    const isWanted = (each: Sample): boolean =>
      each.mode === mode && each.pipeline === pipeline && each.test === test;
    return median(samples.filter(isWanted).map(({ requestsPerSecond }) => requestsPerSecond));
  };
  const rows = pipelines.flatMap((pipeline) =>
    tests.map((test) => {
      const native = rate('native', pipeline, test);
      const cells = modes.map((mode) => {
        const value = rate(mode, pipeline, test);
        return `${value.toFixed(0)} (${((100 * value) / native).toFixed(0)} %)`;
      });
      return [`${test}, pipelining ${pipeline}`, ...cells];
    }),
  );
  report({
    name: 'throughput',
    isQuick,
    method:
      'redis-benchmark with 50 connections and 10,000 keys over loopback; all servers run all ' +
      'the time, on one machine, and take turns; the median of the rounds. Nothing is pinned: ' +
      'server, backup and load generator share the processors.',
    tables: [
      {
        title: 'requests a second (of native)',
        head: ['test', 'native', 'exec', 'run --replicas 2'],
        rows,
      },
    ],
    data: samples,
  });
}
