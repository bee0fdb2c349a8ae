/**
 * The test run, after bootstrap.mjs: programs that tests need, style checks, then every test file
 * in one run of Node's test runner, so that its totals are the last lines printed.
 *
 *   npm test                  everything
 *   npm test -- reconfig fs   only test files with one of these in their path; no style checks
 *
 * TARDIGRADE_NO_INSTALL=1 keeps it from installing Debian packages.
 */
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const programs = ['gcc', 'redis-server', 'redis-cli', 'redis-benchmark'];
const files = [
  '/usr/include/stdio.h',
  '/usr/include/linux/seccomp.h',
  '/usr/bin/python3',
  '/usr/bin/java',
  '/usr/sbin/nginx',
  '/usr/share/java/slf4j-simple.jar',
  '/usr/share/java/zookeeper.jar',
];
const packages = [
  ...['gcc', 'libc6-dev', 'redis-server', 'redis-tools', 'python3', 'nginx-light'],
  ...['default-jre-headless', 'libslf4j-java', 'libzookeeper-java'],
];
const testFolders = ['src', 'test', 'tools'];
/** More would disturb the tests that measure time or start many processes. */
const concurrency = 2;
/** Of one file; a hang must not cost more than this. */
const fileTimeoutMs = 600_000;

function onPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function missingPrograms() {
  return [
    ...programs.filter((name) => !onPath(name)),
    ...files.filter((path) => !existsSync(path)),
  ];
}

/** Runs a command; prints its output only if it fails. */
function quietly(command, args, env = {}) {
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (result.status === 0) return true;
  console.log(`tardigrade: ${command} ${args.join(' ')} failed`);
  console.log(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error ?? ''}`.trimEnd());
  return false;
}

/** Installs without letting Debian start daemons: tests start their own. */
function aptInstall() {
  const policy = '/usr/sbin/policy-rc.d';
  const ours = !existsSync(policy);
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const env = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    const install = ['install', '-y', '--no-install-recommends', ...packages];
    return quietly('apt-get', ['update'], env) && quietly('apt-get', install, env);
  } finally {
    if (ours) rmSync(policy, { force: true });
  }
}

function ensurePrograms() {
  const missing = missingPrograms();
  if (missing.length === 0) return;
  const mayInstall = process.getuid() === 0 && onPath('apt-get');
  if (mayInstall && process.env.TARDIGRADE_NO_INSTALL !== '1') {
    console.log(`tardigrade: installing ${packages.join(' ')} (missing: ${missing.join(', ')})`);
    if (aptInstall() && missingPrograms().length === 0) return;
  }
  console.log(
    `tardigrade: tests that need ${missingPrograms().join(', ')} are skipped; to run them:`,
  );
  console.log(`  sudo apt-get install --no-install-recommends ${packages.join(' ')}`);
}

/** True if formatting, lint and layering are as they should be, and nothing is unused. */
function styleIsGood() {
  const inherit = { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] };
  const biome = join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome');
  const colors = process.stdout.isTTY ? [] : ['--colors=off'];
  const lint = [biome, 'ci', ...colors, '--error-on-warnings', '.'];
  const tidy = [join(root, 'dist', 'tools', 'tidy.js')];
  const unused = [join(root, 'node_modules', 'knip', 'bin', 'knip.js')];
  // All, so that one run tells everything.
  return [lint, tidy, unused]
    .map((args) => spawnSync(process.execPath, args, inherit).status)
    .every(isZero);
}

const isZero = (status) => status === 0;

/** Compiled test files. Found by their sources: dist may hold a file whose source is gone. */
function testFiles(filters) {
  const found = [];
  const visit = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (entry.name.endsWith('.test.ts')) found.push(relative(root, path));
    }
  };
  for (const folder of testFolders) if (existsSync(join(root, folder))) visit(join(root, folder));
  return found
    .filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)))
    .sort()
    .map((file) => join('dist', file.replace(/\.ts$/, '.js')));
}

/** Runs the files; people read the spec reporter, programs the totals that end it. */
function runTests(files) {
  const scratch = mkdtempSync(join(tmpdir(), 'tardigrade-test-'));
  const tap = join(scratch, 'result.tap');
  try {
    const args = [
      '--enable-source-maps',
      '--test',
      `--test-concurrency=${concurrency}`,
      `--test-timeout=${fileTimeoutMs}`,
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      '--test-reporter=tap',
      `--test-reporter-destination=${tap}`,
      ...files,
    ];
    const stdio = ['ignore', 'inherit', 'inherit'];
    const { status } = spawnSync(process.execPath, args, { cwd: root, stdio });
    const lines = existsSync(tap) ? readFileSync(tap, 'utf8').trimEnd().split('\n') : [];
    const totals = lines.slice(-8).filter((line) => /^# [a-z_]+ [\d.]+$/.test(line));
    console.log(totals.join('\n'));
    const count = (name) =>
      Number(totals.find((line) => line.startsWith(`# ${name} `))?.split(' ')[2]);
    // Not `count <= 0`: without totals it is NaN.
    if (!(count('tests') > 0)) console.error('tardigrade: no test ran');
    return status === 0 && count('tests') > 0 ? 0 : 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function main(filters) {
  ensurePrograms();
  if (filters.length === 0 && !styleIsGood()) {
    console.error('tardigrade: style checks failed, tests were not run (npm run format may help)');
    return 1;
  }
  const files = testFiles(filters);
  if (files.length === 0) {
    console.error(`tardigrade: no test file matches: ${filters.join(' ')}`);
    return 1;
  }
  return runTests(files);
}

process.exitCode = main(process.argv.slice(2));
