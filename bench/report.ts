/**
 * Writes what a benchmark measured: bench/results/NAME.json with everything, and NAME.md with the
 * tables, both with the machine, the commit, the date and the command, so that a number is never
 * without its circumstances.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '../test/support/paths.ts';

export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface Result {
  readonly name: string;
  readonly isQuick: boolean;
  /** How it was measured, in sentences. */
  readonly method: string;
  readonly tables: readonly Table[];
  /** All figures, for programs. */
  readonly data: unknown;
}

function textOf(command: string, ...args: string[]): string {
  const { stdout, status } = spawnSync(command, args, { cwd: repositoryRoot, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : '';
}

function circumstances(): Record<string, string> {
  const processors = cpus();
  const commit = textOf('git', 'rev-parse', '--short=10', 'HEAD') || 'unknown';
  const isChanged = textOf('git', 'status', '--porcelain', '--', 'src') !== '';
  return {
    processor: `${processors.length} x ${processors[0]?.model.trim() ?? 'unknown'}`,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    kernel: release(),
    node: process.version,
    redis: /v=(\S+)/.exec(textOf('redis-server', '--version'))?.[1] ?? 'unknown',
    commit: isChanged ? `${commit} with changes` : commit,
    date: new Date().toISOString(),
  };
}

function tableText({ title, head, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, at) => (at === 0 ? '---' : '---:'));
  return [`### ${title}`, '', line(head), line(rule), ...rows.map(line), ''].join('\n');
}

/** Writes both files and prints the tables. */
export function report(result: Result): void {
  const folder = join(repositoryRoot, 'bench', 'results');
  mkdirSync(folder, { recursive: true });
  const { name, isQuick, method, tables, data } = result;
  const command = `npm run bench -- ${name}${isQuick ? ' --quick' : ''}`;
  const facts = { command, ...circumstances() };
  const factLines = Object.entries(facts).map(([key, value]) => `- ${key}: ${value}`);
  const body = tables.map(tableText).join('\n');
  const markdown = `# ${name}\n\n${method}\n\n${factLines.join('\n')}\n\n${body}`;
  writeFileSync(join(folder, `${name}.md`), markdown);
  const json = { name, isQuick, ...facts, method, data };
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(json, null, 1)}\n`);
  console.log(`\n${body}`);
  console.log(`written: bench/results/${name}.json and .md`);
}

export const micros = (value: number): string => value.toFixed(value < 100 ? 1 : 0);
