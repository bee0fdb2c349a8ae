/**
 * Checks what the formatter and the linter don't: which folder may import which, who may touch the
 * native boundary, processes and ambient time, and the shape of files. `tidyFile` is pure; the rest
 * reads the tree. The rules that are data are in layers.json, so that a change of the architecture
 * is a diff of that file. Reads lines, not syntax: TypeScript 7 has no API for the latter yet.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Rules {
  /** Folder of src/ -> the other folders that it may import. */
  readonly layers: Readonly<Record<string, readonly string[]>>;
  /** Folders that run in the tracing process, where Node reaping a child would eat its events. */
  readonly noChildProcess: readonly string[];
  /** Folders that are given a clock and a random source, so that a simulator owns both. */
  readonly noAmbientTime: readonly string[];
  /** Files, mostly tables, that may be longer than `fileLinesMax`. */
  readonly longFiles: readonly string[];
}

export interface Finding {
  /** Relative to the root, with `/`. */
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

const fileLinesMax = 500;
const lineColumnsMax = 100;
const headerWithinLines = 3;
const skippedNames = new Set(['node_modules', 'dist', '.git', 'tmp']);

/** The formatter puts the end of an import over several lines as `} from '…'` on its own line. */
const importPattern = new RegExp(
  [
    /^\s*import\s+['"]([^'"]+)['"]/,
    /^\s*(?:import|export|\})[^'"]*\bfrom\s+['"]([^'"]+)['"]/,
    /\b(?:import|require)\(\s*['"]([^'"]+)['"]/,
  ]
    .map((pattern) => pattern.source)
    .join('|'),
  'g',
);
const ambientPattern = /\b(?:Date\.now|Math\.random|setTimeout|setInterval)\b/;
/** They type-check, but Node 20 doesn't have them; `using` itself does work there. */
const tooNewPattern = /\bnew (?:Async)?DisposableStack\b|\bnew SuppressedError\b/;
/** In pieces, so that this file passes its own check. */
const machinePath = new RegExp(`(?<![\\w.])/${'work'}/`);
const registryHost = new RegExp(['registry', '(npmjs|yarnpkg)', '(org|com)'].join('\\.'));

const isTest = (file: string): boolean => file.endsWith('.test.ts');
const isCode = (file: string): boolean => /\.(ts|mjs)$/.test(file);

/** The line without comments; good enough for lines, wrong for a `//` inside a string. */
function codeOf(line: string): string {
  return /^\s*(\*|\/\*|\/\/)/.test(line) ? '' : line.replace(/(?<!:)\/\/.*$/, '');
}

/** The folder of src/ that a path lies in, or null if it isn't in one. */
function layerOf(file: string): string | null {
  const parts = file.split('/');
  return parts[0] === 'src' && parts.length > 2 ? (parts[1] ?? null) : null;
}

/** Why `file` may not import `specifier`, or null if it may. */
function importProblem(file: string, specifier: string, rules: Rules): string | null {
  const layer = layerOf(file);
  if (specifier === 'koffi' && layer !== 'ffi') return 'koffi is imported only under src/ffi';
  if (layer === null || isTest(file)) return null;
  if (/^(node:)?child_process$/.test(specifier) && rules.noChildProcess.includes(layer)) {
    return `src/${layer} runs in the tracing process and may not import node:child_process`;
  }
  if (!specifier.startsWith('.')) return null;
  const target = posix.join(posix.dirname(file), specifier);
  const targetLayer = layerOf(target);
  if (targetLayer === null) return `src may not import ${target}, which is outside its folders`;
  const allowed = targetLayer === layer || (rules.layers[layer] ?? []).includes(targetLayer);
  return allowed ? null : `src/${layer} may not import src/${targetLayer} (tools/layers.json)`;
}

/** What is wrong with one line of code. */
function lineProblems(file: string, line: string, rules: Rules): string[] {
  const problems: string[] = [];
  const columns = [...line].length;
  if (columns > lineColumnsMax) problems.push(`${columns} columns; at most ${lineColumnsMax}`);
  const code = codeOf(line);
  for (const match of code.matchAll(importPattern)) {
    const problem = importProblem(file, match.slice(1).find(Boolean) ?? '', rules);
    if (problem !== null) problems.push(problem);
  }
  if (tooNewPattern.test(code)) problems.push('is missing in Node 20; write a small class');
  const layer = layerOf(file);
  const ambient = ambientPattern.exec(code);
  if (ambient && layer !== null && rules.noAmbientTime.includes(layer) && !isTest(file)) {
    problems.push(`${ambient[0]} is banned in src/${layer}, which is given a clock and a prng`);
  }
  return problems;
}

/** What is wrong with one file as a whole; reported on its first line. */
function fileProblems(file: string, lines: readonly string[], rules: Rules): string[] {
  const problems: string[] = [];
  const lineCount = lines.at(-1) === '' ? lines.length - 1 : lines.length;
  if (lineCount > fileLinesMax && !rules.longFiles.includes(file)) {
    problems.push(`${lineCount} lines; at most ${fileLinesMax}: split it by what it knows`);
  }
  if (!file.startsWith('src/')) return problems;
  const layer = layerOf(file);
  if (layer === null) problems.push('lies in src/ itself; put it in a folder');
  else if (!(layer in rules.layers)) problems.push(`src/${layer} is not in tools/layers.json`);
  if (!lines.slice(0, headerWithinLines).some((line) => line.startsWith('/**'))) {
    problems.push('has no /** header */ that says what it is, who uses it, what it must not do');
  }
  return problems;
}

/** Every finding in one file. `file` is relative to the root. */
export function tidyFile(file: string, text: string, rules: Rules): Finding[] {
  const lines = text.split('\n');
  const findings: Finding[] = [];
  const report = (line: number, messages: readonly string[]): void => {
    for (const message of messages) findings.push({ file, line, message });
  };
  if (isCode(file)) report(1, fileProblems(file, lines, rules));
  lines.forEach((line, index) => {
    if (isCode(file)) report(index + 1, lineProblems(file, line, rules));
    if (machinePath.test(line)) report(index + 1, ['names a path of one machine']);
    if (registryHost.test(line)) report(index + 1, ['names the host of a package registry']);
  });
  return findings;
}

/** Every file below `folder` that could be tracked, as absolute paths. */
function* filesBelow(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    // `.git` is a file in a linked worktree.
    if (skippedNames.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}

/** Names in layers.json that no rule could ever match: a typing error there would pass silently. */
function rulesProblems(rules: Rules): string[] {
  const known = new Set(Object.keys(rules.layers));
  const named = [
    ...Object.values(rules.layers).flat(),
    ...rules.noChildProcess,
    ...rules.noAmbientTime,
  ];
  return [...new Set(named)].filter((name) => !known.has(name));
}

function main(): number {
  // Compiled to dist/tools/tidy.js.
  const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
  const rules = JSON.parse(readFileSync(join(root, 'tools', 'layers.json'), 'utf8')) as Rules;
  const findings: Finding[] = rulesProblems(rules).map((name) => {
    return { file: 'tools/layers.json', line: 1, message: `names the unknown folder ${name}` };
  });
  let sourceCount = 0;
  for (const path of filesBelow(root)) {
    const file = relative(root, path);
    const text = readFileSync(path, 'utf8');
    if (text.includes('\0')) continue;
    if (layerOf(file) !== null && isCode(file)) sourceCount += 1;
    findings.push(...tidyFile(file, text, rules));
  }
  for (const { file, line, message } of findings) console.error(`${file}:${line}: ${message}`);
  if (sourceCount === 0) console.error('tidy: saw no source file, so it checked nothing');
  return findings.length > 0 || sourceCount === 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main();
