/**
 * Compares many random scripts of calls with Linux:
 *
 *   node dist/test/libos/main.js [--seed=N] [--count=10000] [--restores]
 */
import { parseArgs } from 'node:util';
import { compare } from './compare.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    count: { type: 'string', default: '10000' },
    restores: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 30));
const count = Number(values.count);
console.log(`${count} scripts from seed ${seed}`);
const differences = compare({ seed, count, restores: values.restores });
for (const { seed: one, text } of differences) console.log(`seed ${one}\n${text}`);
console.log(`${differences.length} differences`);
process.exitCode = differences.length === 0 ? 0 : 1;
