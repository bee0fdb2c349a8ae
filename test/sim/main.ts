/**
 * The simulator's command: npm run sim -- [--seeds N] [--seed S] [--mutation NAME] [--trace]
 *
 * Runs N seeds from a random start, or from S on; S alone is one seed, with --trace printed in
 * full. Exit: 0 all held, 127 crash or assertion, 128 liveness, 129 safety, 2 usage. A failing seed
 * is printed with the end of its trace, and replays exactly.
 */

import { parseArgs } from 'node:util';
import { Violation } from './checker.ts';
import { type Mutation, mutations } from './mutations.ts';
import { type Outcome, World } from './world.ts';

const traceLinesMax = 200;

function parse() {
  return parseArgs({
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string' },
      mutation: { type: 'string' },
      trace: { type: 'boolean', default: false },
    },
  });
}

function main(): number {
  let values: ReturnType<typeof parse>['values'];
  try {
    ({ values } = parse());
  } catch (error) {
    console.error(`sim: ${error instanceof Error ? error.message : error}`);
    return 2;
  }
  const first = values.seed === undefined ? Math.floor(Math.random() * 2 ** 40) : +values.seed;
  const count = values.seeds === undefined ? (values.seed === undefined ? 1000 : 1) : +values.seeds;
  const mutation = mutations.find(({ name }) => name === values.mutation) ?? null;
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1) {
    console.error('sim: --seeds and --seed take integers');
    return 2;
  }
  if (values.mutation !== undefined && mutation === null) {
    console.error(`sim: no such mutation; there are:\n  ${names().join('\n  ')}`);
    return 2;
  }
  return runSeeds(first, count, mutation, values.trace);
}

function runSeeds(first: number, count: number, mutation: Mutation | null, trace: boolean): number {
  const startedMs = performance.now();
  const total = { releases: 0, configurations: 0, ballots: 0, replicas: 0, simulatedMs: 0 };
  for (let seed = first; seed < first + count; seed++) {
    try {
      const outcome: Outcome = new World({ seed, mutation }).run();
      total.releases += outcome.released;
      total.configurations += outcome.configurations;
      total.ballots += outcome.ballots;
      total.replicas += outcome.replicas;
      total.simulatedMs += outcome.durationMs;
    } catch (error) {
      return report(seed, mutation, error);
    }
    if (trace && count === 1) replay(seed, mutation, console.log);
  }
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const simulated = (total.simulatedMs / 1000).toFixed(0);
  console.log(
    `sim: ${count} seeds from ${first} in ${seconds} s: ${simulated} s simulated, ` +
      `${total.releases} epochs released, ${total.configurations} configurations, ` +
      `${total.ballots} ballots, ${total.replicas} replicas; all promises held`,
  );
  return 0;
}

function report(seed: number, mutation: Mutation | null, error: unknown): number {
  const lines: string[] = [];
  replay(seed, mutation, (line) => {
    lines.push(line);
    if (lines.length > 4 * traceLinesMax) lines.splice(0, 2 * traceLinesMax);
  });
  for (const line of lines.slice(-traceLinesMax)) console.log(line);
  console.error(error instanceof Violation ? `${error.kind}: ${error.message}` : error);
  console.error(`sim: seed ${seed} fails; replay with --seed=${seed}`);
  if (!(error instanceof Violation)) return 127;
  return error.kind === 'liveness' ? 128 : 129;
}

function replay(seed: number, mutation: Mutation | null, trace: (line: string) => void): void {
  try {
    new World({ seed, mutation, trace }).run();
  } catch {
    // Known: it is what the trace is for.
  }
}

const names = (): readonly string[] => mutations.map(({ name }) => name);

process.exitCode = main();
