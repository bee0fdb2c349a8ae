/**
 * As root: runs the failover tests again as `nobody`, with no capabilities and no way to get any.
 * If that user can't read the repository, from a copy of what is needed.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { repositoryRoot } from '../support/paths.ts';
import { skipUnless } from '../support/requirements.ts';
import { World } from '../support/world.ts';

const nobody = 65_534;
const setpriv = 'setpriv';
const suiteTimeoutMs = 570_000;
const asNobody = [
  `--reuid=${nobody}`,
  `--regid=${nobody}`,
  '--clear-groups',
  '--inh-caps=-all',
  '--ambient-caps=-all',
  '--bounding-set=-all',
  '--no-new-privs',
];

function canRead(paths: readonly string[]): boolean {
  const checks = paths.map((path) => `test -r '${path}'`).join(' && ');
  return spawnSync(setpriv, [...asNobody, 'sh', '-c', checks]).status === 0;
}

/** A place from which `nobody` can run what is built. */
function readableRepository(world: World): string {
  const files = ['package.json', 'bin/tardigrade.mjs', 'dist/test/failover/failover.test.js'];
  const modules = 'node_modules/koffi/package.json';
  if (canRead([...files, modules].map((path) => join(repositoryRoot, path)))) return repositoryRoot;
  const copy = join(world.folder, 'repository');
  const parts = ['package.json', 'bin', 'dist', 'test', 'node_modules'];
  for (const part of parts) {
    const source = join(repositoryRoot, part);
    // Development tools are large, and not needed here.
    const isNeeded = (path: string): boolean => !/node_modules\/(@biomejs|typescript)/.test(path);
    cpSync(source, join(copy, part), { recursive: true, filter: isNeeded });
  }
  chmodSync(copy, 0o755);
  return copy;
}

const skip = skipUnless('root', 'setpriv', 'redis-server', 'cli');

test('failover as a user without privileges', { skip, timeout: suiteTimeoutMs }, async (t) => {
  const world = new World(t);
  const root = readableRepository(world);
  assert.ok(canRead([process.execPath]), `${process.execPath} can't be read by nobody`);
  const home = join(world.folder, 'nobody');
  for (const name of ['', 'home', 'run', 'tmp']) {
    mkdirSync(join(home, name), { mode: 0o700 });
    chownSync(join(home, name), nobody, nobody);
  }
  const file = join(root, 'dist', 'test', 'failover', 'failover.test.js');
  const program = world.start(
    setpriv,
    [...asNobody, process.execPath, '--test', '--test-reporter=tap', file],
    {
      cwd: home,
      env: {
        HOME: join(home, 'home'),
        XDG_RUNTIME_DIR: join(home, 'run'),
        TMPDIR: join(home, 'tmp'),
        ...(process.env.TARDIGRADE_SEED && { TARDIGRADE_SEED: process.env.TARDIGRADE_SEED }),
      },
    },
  );
  const exit = await program.waitForExit(suiteTimeoutMs);
  const lines = program.lines('stdout');
  const count = (name: string): number => {
    return Number(lines.find((line) => line.startsWith(`# ${name} `))?.split(' ')[2]);
  };
  assert.equal(exit.code, 0, program.text('stdout').slice(-20_000));
  assert.ok(count('pass') >= 8, `${count('pass')} tests passed`);
  assert.equal(count('skipped'), 0);
  // What the tests there say about themselves: deaths, writes, times.
  for (const line of lines.filter((text) => /^# \d+ deaths/.test(text))) t.diagnostic(line);
});
