/** docs/syscalls.md is what the table of system calls says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { SYS } from '../src/abi/syscalls.ts';
import { rows } from '../src/libos/table.ts';
import { pagePath, render } from './syscalls-doc.ts';

test('the page is up to date', () => {
  const isSame = readFileSync(pagePath, 'utf8') === render();
  assert.ok(isSame, 'docs/syscalls.md is not what the table says; write it anew: npm run docs');
});

test('it has a line for each call, and says of each row why', () => {
  const lines = render().split('\n');
  const calls = lines.filter((line) => /^\| \d+ \| `/.test(line));
  assert.equal(calls.length, Object.keys(SYS).length);
  for (const row of rows) {
    if (row.level !== 'full') assert.ok(row.note.length > 0, `${row.name} has a note`);
  }
});

test('it names the files of handlers, and of rows without one', () => {
  const page = render();
  assert.match(page, /^\| 0 \| `read` \| full \| {2}\| `read-write.ts` \|$/m);
  assert.match(page, /^\| 39 \| `getpid` \| full \| {2}\| `process.ts` \|$/m);
  assert.match(page, /^\| 57 \| `fork` \| refused: EAGAIN \| [^|]+ \| `thread.ts` \|$/m);
});
