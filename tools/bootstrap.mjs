/**
 * Makes a fresh clone runnable with nothing but Node: checks the machine, installs packages when
 * package-lock.json isn't the one they were installed from, compiles what changed. Plain JavaScript
 * without dependencies, because it runs before there are any. Prints only what it does.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const nodeMin = [20, 19];

function fail(message, status = 1) {
  console.error(`tardigrade: ${message}`);
  process.exit(status);
}

function checkMachine() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < nodeMin[0] || (major === nodeMin[0] && minor < nodeMin[1])) {
    fail(`needs Node ${nodeMin.join('.')} or newer, this is ${process.version}`);
  }
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    fail(`runs on Linux x64 only, this is ${process.platform} ${process.arch}`);
  }
}

function installPackages() {
  const stamp = join(root, 'node_modules', '.installed-lock');
  const lock = readFileSync(join(root, 'package-lock.json'));
  const digest = createHash('sha256').update(lock).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;

  console.log('tardigrade: installing packages (npm ci)');
  const npm = process.env.npm_execpath;
  const [command, prefix] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
  const args = [...prefix, 'ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund'];
  const result = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (result.status !== 0) {
    fail(`npm ci failed\n${result.stdout ?? ''}${result.stderr ?? ''}${result.error ?? ''}`);
  }
  writeFileSync(stamp, digest);
}

/** The compiler finds out by itself what is out of date; with nothing to do it is quick. */
function compile() {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const built = existsSync(join(root, 'dist', 'tsconfig.tsbuildinfo'));
  if (!built) console.log('tardigrade: compiling (tsc -b)');
  const result = spawnSync(process.execPath, [tsc, '-b'], { cwd: root, stdio: 'inherit' });
  if (result.status !== 0) fail('the sources do not compile; see above');
}

checkMachine();
installPackages();
compile();
