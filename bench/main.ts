/**
 * The benchmarks' command: npm run bench [-- NAME...] [--quick]
 *
 * Without a name, all of them. Results go to bench/results. Everything is bounded in count and
 * time, and stays on loopback.
 */

import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { skipUnless } from '../test/support/requirements.ts';
import { type ClientRequest, runLatencyClient } from './latency-client.ts';
import { benchSetLatency } from './set-latency.ts';
import { benchTakeover } from './takeover.ts';
import { benchThroughput } from './throughput.ts';

const benchmarks: Readonly<Record<string, (isQuick: boolean) => Promise<void>>> = {
  'set-latency': benchSetLatency,
  throughput: benchThroughput,
  takeover: benchTakeover,
};

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean', default: false } },
  });
  if (positionals[0] === 'latency-client') {
    const request = JSON.parse(positionals[1] ?? '') as ClientRequest;
    writeSync(1, `${JSON.stringify(await runLatencyClient(request))}\n`);
    return 0;
  }
  const names = positionals.length > 0 ? positionals : Object.keys(benchmarks);
  const unknown = names.filter((name) => !Object.hasOwn(benchmarks, name));
  if (unknown.length > 0) {
    const all = Object.keys(benchmarks).join(', ');
    console.error(`bench: no benchmark ${unknown.join(', ')}; there are: ${all}`);
    return 2;
  }
  const problem = skipUnless('cli', 'redis-server', 'redis-benchmark', 'taskset');
  if (problem !== false) {
    console.error(`bench: ${problem}`);
    return 1;
  }
  for (const name of names) await benchmarks[name]?.(values.quick);
  return 0;
}

process.exitCode = await main();
