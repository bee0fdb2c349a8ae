/** Tests of tidy.ts: a checker that finds nothing looks like a clean tree. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Rules, tidyFile } from './tidy.ts';

const rules: Rules = {
  layers: { base: [], ffi: ['base'], libos: ['base'], cli: ['base', 'libos'] },
  noChildProcess: ['libos'],
  noAmbientTime: ['libos'],
  longFiles: ['src/libos/table.ts'],
};

/** The messages for a file with a header and these lines. */
function messages(file: string, ...lines: string[]): string[] {
  return tidyFile(file, ['/** Header. */', ...lines, ''].join('\n'), rules).map((f) => f.message);
}

test('a clean file has no finding', () => {
  const lines = ["import { a } from '../base/a.ts';", "import { b } from './fs/b.ts';", 'a(b);'];
  assert.deepEqual(messages('src/libos/x.ts', ...lines), []);
});

test('imports across layers are found in every form', () => {
  const forms = [
    "import { a } from '../cli/a.ts';",
    "} from '../cli/a.ts';",
    "import '../cli/a.ts';",
    "export * from '../cli/a.ts';",
    "const a = await import('../cli/a.ts');",
  ];
  for (const form of forms) {
    const expected = ['src/libos may not import src/cli (tools/layers.json)'];
    assert.deepEqual(messages('src/libos/x.ts', form), expected, form);
    assert.deepEqual(messages('src/libos/x.test.ts', form), [], form);
  }
  assert.match(messages('src/libos/x.ts', "import '../../test/a.ts';")[0] ?? '', /outside/);
});

test('koffi stays in ffi, child processes out of the tracing process', () => {
  assert.deepEqual(messages('src/ffi/x.ts', "import koffi from 'koffi';"), []);
  assert.equal(messages('src/base/x.ts', "import koffi from 'koffi';").length, 1);
  assert.equal(messages('test/x.ts', "import koffi from 'koffi';").length, 1);
  const spawn = "import { spawn } from 'node:child_process';";
  assert.equal(messages('src/libos/x.ts', spawn).length, 1);
  assert.deepEqual(messages('src/cli/x.ts', spawn), []);
});

test('ambient time is banned in code, not in comments', () => {
  assert.equal(messages('src/libos/x.ts', 'const t = Date.now();').length, 1);
  assert.equal(messages('src/libos/x.ts', 'setTimeout(f, 1);').length, 1);
  assert.deepEqual(messages('src/libos/x.ts', ' * never Date.now', 'f(); // no Date.now'), []);
  assert.deepEqual(messages('src/cli/x.ts', 'const t = Date.now();'), []);
});

test('header, folder, width and length', () => {
  assert.match(tidyFile('src/base/x.ts', 'export {};\n', rules)[0]?.message ?? '', /header/);
  assert.match(messages('src/nowhere/x.ts')[0] ?? '', /not in tools\/layers.json/);
  assert.match(messages('src/x.ts')[0] ?? '', /in src\/ itself/);
  assert.deepEqual(messages('src/base/x.ts', 'x'.repeat(100)), []);
  assert.match(messages('src/base/x.ts', 'x'.repeat(101))[0] ?? '', /101 columns/);
  const long = Array.from({ length: 500 }, () => '');
  assert.match(messages('src/libos/x.ts', ...long)[0] ?? '', /501 lines/);
  assert.deepEqual(messages('src/libos/table.ts', ...long), []);
});

test('machine paths and registry hosts are found in any file, on their line', () => {
  const path = ['', 'work', 'main'].join('/');
  const host = ['registry', 'npmjs', 'org'].join('.');
  const found = tidyFile('docs/a.md', `fine\n${path}\nhttps://${host}/x\n`, rules);
  assert.deepEqual(
    found.map((f) => f.line),
    [2, 3],
  );
});
