/**
 * Compares what Linux and the library OS do with scripts of calls: finds those that differ, and
 * for each the fewest lines that still do.
 */
import { spawnSync } from 'node:child_process';
import { Prng } from '../../src/base/prng.ts';
import { compileGuest } from '../support/compile.ts';
import { makeScript } from './generate.ts';
import { ScriptRunner } from './script.ts';

/** Linux may be late with a packet on its loopback: a difference must show this often. */
const TRIES = 3;
const LINES = 50;

export interface Plan {
  readonly seed: number;
  readonly count: number;
  /** Save, and load anew, before every line. */
  readonly restores: boolean;
}

export interface Difference {
  readonly seed: number;
  /** Each line of the shortened script with what Linux and the library OS say. */
  readonly text: string;
}

/** What Linux prints for each script. */
function linuxOutputs(scripts: readonly (readonly string[])[]): string[][] {
  const input = scripts.map((lines) => `new\n${lines.join('\n')}\n`).join('');
  const options = { input, encoding: 'utf8', maxBuffer: 2 ** 30, timeout: 120_000 } as const;
  const { stdout, status } = spawnSync(compileGuest('calls', 'dynamic'), options);
  if (status !== 0) throw new Error(`calls ended with ${status}`);
  const outputs = stdout.split(/^new\n/m).slice(1);
  return outputs.map((output) => output.trimEnd().split('\n'));
}

class Comparison {
  readonly #runner = new ScriptRunner();
  readonly #restores: boolean;

  constructor(restores: boolean) {
    this.#restores = restores;
  }

  ours(lines: readonly string[]): string[] {
    return this.#runner.run(lines, new Set(this.#restores ? lines.keys() : []));
  }

  /** The first line that differs, or -1. */
  find(lines: readonly string[]): number {
    const ours = this.ours(lines);
    let first = -1;
    for (let left = TRIES; left > 0; left -= 1) {
      const linux = linuxOutputs([lines])[0] ?? [];
      first = ours.findIndex((text, index) => text !== linux[index]);
      if (first < 0) return -1;
    }
    return first;
  }

  /** Drops lines as long as the last one still differs. */
  shorten(lines: readonly string[]): readonly string[] {
    let shortest = lines;
    for (let index = lines.length - 2; index >= 0; index -= 1) {
      const fewer = shortest.toSpliced(index, 1);
      if (this.find(fewer) === fewer.length - 1) shortest = fewer;
    }
    return shortest;
  }

  show(lines: readonly string[]): string {
    const ours = this.ours(lines);
    const linux = linuxOutputs([lines])[0] ?? [];
    const shown = lines.map((line, index) => {
      const [left, right] = [linux[index] ?? '', ours[index] ?? ''];
      const mark = left === right ? '' : `library OS: ${right}`;
      return `  ${line.padEnd(24)} ${left.padEnd(24)} ${mark}`.trimEnd();
    });
    return shown.join('\n');
  }
}

/** Runs a plan; gives the differences found, at most `limit`. */
export function compare(plan: Plan, limit = 5): Difference[] {
  const scripts = Array.from({ length: plan.count }, (_, index) =>
    makeScript(new Prng(plan.seed + index), LINES, !plan.restores),
  );
  const linux = linuxOutputs(scripts);
  const comparison = new Comparison(plan.restores);
  const differences: Difference[] = [];
  for (const [index, script] of scripts.entries()) {
    if (differences.length >= limit) break;
    const ours = comparison.ours(script);
    if (ours.every((text, line) => text === linux[index]?.[line])) continue;
    const at = comparison.find(script);
    if (at < 0) continue;
    const lines = comparison.shorten(script.slice(0, at + 1));
    differences.push({ seed: plan.seed + index, text: comparison.show(lines) });
  }
  return differences;
}
