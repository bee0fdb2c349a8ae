/**
 * Benchmark `set-latency`: one connection, one SET at a time, on native redis, under `exec` and
 * under `run --replicas 2`, in turns: what the sandbox and the replication add to a lone request.
 */

import { fileURLToPath } from 'node:url';
import { Scope } from '../test/support/owner.ts';
import { type RedisService, startRedis } from '../test/support/redis.ts';
import { findProgram } from '../test/support/requirements.ts';
import type { Mode } from '../test/support/service.ts';
import { World } from '../test/support/world.ts';
import type { ClientRequest } from './latency-client.ts';
import { median, type Quantiles, quantilesOf } from './quantiles.ts';
import { micros, report, type Table } from './report.ts';

interface Placement {
  readonly name: string;
  readonly why: string;
  /** Processor lists of taskset; null: not pinned. */
  readonly servers: string | null;
  readonly client: string | null;
}

const placements: readonly Placement[] = [
  {
    name: 'free',
    why: 'nothing pinned: the scheduler places all',
    servers: null,
    client: null,
  },
  {
    name: 'apart',
    why: 'servers (guest, primary, backup) on processor 0, the client on processor 1',
    servers: '0',
    client: '1',
  },
  {
    name: 'together',
    why: 'servers and client all on processor 0: no other core has to be woken',
    servers: '0',
    client: '0',
  },
];

const modes: readonly Mode[] = ['native', 'exec', 'run'];
const mainPath = fileURLToPath(new URL('./main.js', import.meta.url));
const roundMsMax = 4000;

interface Measured {
  readonly placement: string;
  readonly mode: Mode;
  readonly us: Quantiles;
  readonly roundMediansUs: readonly number[];
}

const pinned = (list: string | null): readonly string[] =>
  list === null ? [] : ['taskset', '-c', list];

/** One client's life: warm-up and one round. */
async function round(
  world: World,
  placement: Placement,
  request: ClientRequest,
): Promise<number[]> {
  const command = [...pinned(placement.client), process.execPath, mainPath];
  const [first = '', ...rest] = [...command, 'latency-client', JSON.stringify(request)];
  const client = world.start(first, rest);
  const exit = await client.waitForExit(roundMsMax * 3 + 10_000);
  if (exit.code !== 0) throw new Error(client.describe());
  return JSON.parse(client.text('stdout')) as number[];
}

async function measure(placement: Placement, isQuick: boolean): Promise<Measured[]> {
  const scope = new Scope();
  const world = new World(scope);
  const rounds = isQuick ? 5 : 9;
  const [warmUp, count] = isQuick ? [200, 500] : [500, 2000];
  try {
    const services = new Map<Mode, RedisService>();
    for (const mode of modes) {
      const wrapper = pinned(placement.servers);
      const redis = await startRedis(world, { mode, replicas: 2, wrapper, failureTimeoutMs: 250 });
      if (mode === 'run') await redis.service.waitForMembers(2);
      services.set(mode, redis);
    }
    const samples = new Map<Mode, number[][]>(modes.map((mode) => [mode, []]));
    for (let index = 0; index < rounds; index += 1) {
      // Another order in each round, so that what comes after what is even.
      const order = modes.map((_, at) => modes[(at + index) % modes.length] as Mode);
      for (const mode of order) {
        const { port } = services.get(mode) as RedisService;
        const request = { port, warmUp, count, durationMsMax: roundMsMax };
        samples.get(mode)?.push(await round(world, placement, request));
      }
    }
    for (const { service } of services.values()) await service.stop();
    return [...samples].map(([mode, all]) => ({
      placement: placement.name,
      mode,
      us: quantilesOf(all.flat()),
      roundMediansUs: all.map(median),
    }));
  } finally {
    await scope.end();
  }
}

function tableOf(placement: Placement, measured: readonly Measured[]): Table {
  const native = measured.find(({ mode }) => mode === 'native')?.us as Quantiles;
  const rows = measured.map(({ mode, us, roundMediansUs }) => {
    const added = (['p50', 'p99'] as const).map((key) => micros(us[key] - native[key]));
    const medians = [Math.min(...roundMediansUs), Math.max(...roundMediansUs)].map(micros);
    const title = mode === 'run' ? 'run --replicas 2' : mode;
    const figures = [us.p50, us.p95, us.p99, us.p999].map(micros);
    return [title, String(us.count), ...figures, medians.join('-'), ...added];
  });
  return {
    title: `${placement.name}: ${placement.why}; microseconds a SET`,
    head: ['mode', 'SETs', '50 %', '95 %', '99 %', '99.9 %', 'medians', '+50 %', '+99 %'],
    rows,
  };
}

export async function benchSetLatency(isQuick: boolean): Promise<void> {
  if (findProgram('taskset') === null) throw new Error('needs taskset (package util-linux)');
  const chosen = isQuick ? placements.slice(0, 1) : placements;
  const all: Measured[] = [];
  const tables: Table[] = [];
  for (const placement of chosen) {
    console.log(`set-latency: ${placement.name}`);
    const measured = await measure(placement, isQuick);
    all.push(...measured);
    tables.push(tableOf(placement, measured));
  }
  report({
    name: 'set-latency',
    isQuick,
    method:
      'One connection sends SET with 64 bytes, waits for the reply, sends the next. All three ' +
      'servers run all the time, on one machine over loopback, and take turns; each round has a ' +
      'client process of its own with a warm-up. Quantiles are of all rounds; "medians" are the ' +
      'least and the greatest median of a round; "+" is what is added to native in the same run.',
    tables,
    data: { placements: chosen, measured: all },
  });
}
