/**
 * Makes docs/syscalls.md from the library OS's table of system calls, so that the page says what
 * the code does: `npm run docs`. Without --write it goes to standard output. Levels, errors and
 * notes are the table's; the files of the handlers are read off the sources' text, as TypeScript 7
 * has no API for syntax yet.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errnoName } from '../src/abi/errno.ts';
import { SYS, type SyscallName } from '../src/abi/syscalls.ts';
import { rows } from '../src/libos/table.ts';
import type { Row } from '../src/libos/table-row.ts';

/** Compiled to dist/tools. */
const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const sources = join(root, 'src/libos/syscalls');
export const pagePath = join(root, 'docs/syscalls.md');

/** A row in a source: the call's name, and the first word of the handler if that has a name. */
const rowPattern = /\b(?:full|partial|nativeRow|refused)\(\s*'(\w+)'(?:,\s*(\w+))?/g;
const importPattern = /^import (?:\* as (\w+)|\{([^}]*)\}) from '\.\/([\w-]+\.ts)';$/gm;

/** Names that a file of handlers imports from its neighbours, with the neighbour. */
function importsOf(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [, whole, some, file = ''] of text.matchAll(importPattern)) {
    for (const name of (whole ?? some ?? '').split(',')) found.set(name.trim(), file);
  }
  return found;
}

/** For each call, the file where it is handled, or where its row stands if nothing handles it. */
function handlerFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const file of readdirSync(sources)) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
    const text = readFileSync(join(sources, file), 'utf8');
    const imports = importsOf(text);
    for (const [, call = '', handler = ''] of text.matchAll(rowPattern)) {
      files.set(call, imports.get(handler) ?? file);
    }
  }
  return files;
}

/** What is said of one call: its level, and why or what is missing. */
function supportOf(row: Row | undefined): readonly [level: string, note: string] {
  if (row === undefined) return ['ENOSYS', ''];
  switch (row.level) {
    case 'full':
      return ['full', ''];
    case 'partial':
    case 'native':
      return [row.level, row.note];
    case 'refused':
      return [`refused: ${errnoName(row.errno)}`, row.note];
  }
}

function line(name: SyscallName, row: Row | undefined, files: ReadonlyMap<string, string>): string {
  const file = row === undefined ? '' : files.get(name);
  if (file === undefined)
    throw new Error(`no source in ${basename(sources)}/ has a row of ${name}`);
  const [level, note] = supportOf(row);
  const cells = [`${SYS[name]}`, `\`${name}\``, level, note.replaceAll('|', '\\|')];
  return `| ${[...cells, file === '' ? '' : `\`${file}\``].join(' | ')} |`;
}

function introduction(names: readonly SyscallName[]): string {
  const count = (level: Row['level']): number => rows.filter((row) => row.level === level).length;
  return `# System calls

All ${names.length} system calls of x86-64 Linux 6.18, and what the library OS does with each.
Generated from the table in \`src/libos\` by \`npm run docs\`: change the rows there, not this page.

| support | calls | meaning |
| --- | --- | --- |
| full | ${count('full')} | as Linux does it |
| partial | ${count('partial')} | served; the note says what is missing or different |
| native | ${count('native')} | never trapped, run by Linux; the note says why that is safe |
| refused | ${count('refused')} | always gives this error, on purpose; the note says why |
| ENOSYS | ${names.length - rows.length} | not there; counted and named while the program runs |

A number that is not in the table gives ENOSYS as well, and so does every call of another
architecture (\`int 0x80\`, x32). The last column is the file in \`src/libos/syscalls\` that handles
the call; for native and refused ones, the file in which their row stands.
`;
}

/** The whole page. */
export function render(): string {
  const byName = new Map(rows.map((row) => [row.name, row]));
  const names = Object.keys(SYS) as SyscallName[];
  names.sort((one, other) => SYS[one] - SYS[other]);
  const files = handlerFiles();
  const lines = names.map((name) => line(name, byName.get(name), files));
  const head = ['| # | call | support | note | file |', '| --- | --- | --- | --- | --- |'];
  return `${[introduction(names), ...head, ...lines].join('\n')}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--write')) writeFileSync(pagePath, render());
  else process.stdout.write(render());
}
