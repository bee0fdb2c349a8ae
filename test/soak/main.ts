/**
 * The soak's command: npm run soak -- kills [--count N] [--replicas 2|3] [--seed S]
 *
 * Kills replicas of a redis under load, N times in all: primaries and backups, at random times, at
 * fault points and by freezing. Every few tens of kills the service is ended and a new one started,
 * which dies in another way. Exit: 0 nothing was lost, 1 something was, or the service did not
 * recover, 2 usage. The seed is printed, and repeats the choices (not the timing).
 */

import { parseArgs } from 'node:util';
import type { FaultPoint } from '../../src/base/fault-points.ts';
import { Prng } from '../../src/base/prng.ts';
import { Group } from '../failover/group.ts';
import { type Death, planPair, planTakeover, pointsAt } from '../failover/plan.ts';
import { Scope } from '../support/owner.ts';
import { World } from '../support/world.ts';

interface SoakOptions {
  readonly count: number;
  /** 0: two and three. */
  readonly replicas: number;
  readonly seed: number;
}

interface Totals {
  kills: number;
  acknowledged: number;
  open: number;
  services: number;
  readonly takeoverMs: number[];
}

/** Kills of one service; then another one, so that leaks of a service and of its end show. */
const killsPerService = 25;
const usage = 'usage: npm run soak -- kills [--count N] [--replicas 2|3] [--seed S]';

/** One way to spend a service's kills: its fault points, and what is done until `isEnough`. */
interface Style {
  readonly name: string;
  readonly replicas: 2 | 3;
  plan(prng: Prng): Death[];
  /** One or two kills; the plan's next one, if there is a plan. */
  strike(group: Group, prng: Prng, death: Death | undefined): Promise<void>;
  /** When fewer than usual. */
  readonly killsPerService?: number;
}

const draw = (prng: Prng, points: readonly FaultPoint[]): FaultPoint[] =>
  Array.from({ length: killsPerService }, () => points[prng.below(points.length)] as FaultPoint);

const planned = async (group: Group, _: Prng, death: Death | undefined): Promise<void> => {
  await group.dieAsPlanned(death as Death);
};

/** Primary or backup, killed or frozen, while clients work; with three, sometimes two at once. */
async function strikeAtRandom(group: Group, prng: Prng): Promise<void> {
  const { service } = group;
  await group.work();
  const { primary, backups } = service;
  const backup = backups[prng.below(backups.length)] as number;
  const victim = prng.chance(0.3) ? backup : primary;
  const dice = prng.fraction();
  if (dice < 0.2) {
    // The others go on without it, and it is killed for it.
    if (victim === primary) group.workload.mark();
    service.signal(victim, 'SIGSTOP');
    group.kills += 1;
    await group.waitForDeath(victim);
  } else if (dice < 0.4 && group.replicas === 3) {
    service.signal(backup, 'SIGKILL');
    group.kills += 1;
    await group.kill(primary);
  } else {
    await group.kill(victim);
  }
  await group.settle(`after the death of replica ${victim}`);
}

const styles: readonly Style[] = [
  {
    name: 'primaries at fault points',
    replicas: 2,
    plan: (prng) => planPair(draw(prng, pointsAt('primary'))),
    strike: planned,
  },
  {
    name: 'backups and joining replicas at fault points',
    replicas: 2,
    plan: (prng) => planPair(draw(prng, [...pointsAt('backup'), ...pointsAt('join')])),
    strike: planned,
  },
  { name: 'two at random', replicas: 2, plan: () => [], strike: strikeAtRandom },
  { name: 'three at random', replicas: 3, plan: () => [], strike: strikeAtRandom },
  {
    name: 'new primaries as they take over',
    replicas: 3,
    plan: (prng) => draw(prng, pointsAt('takeover')).slice(0, 1).map(planTakeover),
    strike: (group, _, death) => group.dieInTakeover(death as Death),
    killsPerService: 2,
  },
];

async function runService(style: Style, count: number, prng: Prng, totals: Totals): Promise<void> {
  const scope = new Scope();
  const plan = style.plan(prng);
  try {
    const group = await Group.start(new World(scope), {
      replicas: style.replicas,
      seed: prng.u32(),
      faults: plan.map(({ fault }) => fault),
      failureTimeoutMs: 1_000,
      requestTimeoutMs: 3000,
    });
    scope.after(() => group.workload.stop().catch(() => {}));
    for (let step = 0; group.kills < count; step += 1) {
      await style.strike(group, prng, plan[step]);
    }
    await group.end();
    totals.kills += group.kills;
    totals.acknowledged += group.workload.acknowledged;
    totals.open += group.workload.open;
    totals.services += 1;
    totals.takeoverMs.push(...group.takeoverMs);
  } finally {
    await scope.end();
  }
}

function summary(totals: Totals): string {
  const sorted = totals.takeoverMs.sort((left, right) => left - right);
  const at = (part: number): string => (sorted[Math.floor(sorted.length * part)] ?? 0).toFixed(0);
  return (
    `${totals.kills} deaths in ${totals.services} services, ${totals.acknowledged} writes ` +
    `acknowledged, 0 lost, ${totals.open} requests without answer; next answered write after ` +
    `${at(0.5)} ms (median), ${at(0.99)} ms (99 %)`
  );
}

async function runKills(options: SoakOptions): Promise<number> {
  console.log(`soak: kills, seed ${options.seed}, ${options.count} to make`);
  const prng = new Prng(options.seed);
  const totals: Totals = { kills: 0, acknowledged: 0, open: 0, services: 0, takeoverMs: [] };
  const { replicas } = options;
  const chosen = styles.filter((style) => replicas === 0 || replicas === style.replicas);
  for (let turn = 0; totals.kills < options.count; turn += 1) {
    const style = chosen[turn % chosen.length] as Style;
    const most = style.killsPerService ?? killsPerService;
    const count = Math.min(most, options.count - totals.kills);
    try {
      await runService(style, count, prng, totals);
    } catch (error) {
      const where = `${style.name}, after ${totals.kills} deaths before this service`;
      console.error(`soak: failed: ${where}, seed ${options.seed}\n${error}`);
      return 1;
    }
    console.log(`soak: ${style.name}; in all ${summary(totals)}`);
  }
  return 0;
}

function main(): Promise<number> | number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      count: { type: 'string', default: '1000' },
      replicas: { type: 'string', default: '0' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    },
  });
  const [count, replicas, seed] = [+values.count, +values.replicas, +values.seed];
  const isRight =
    positionals.length === 1 &&
    positionals[0] === 'kills' &&
    [count, replicas, seed].every(Number.isSafeInteger) &&
    count > 0 &&
    [0, 2, 3].includes(replicas);
  if (!isRight) {
    console.error(usage);
    return 2;
  }
  return runKills({ count, replicas, seed });
}

process.exitCode = await main();
