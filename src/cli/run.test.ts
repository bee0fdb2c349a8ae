/**
 * Tests of `tardigrade run` and its companions as processes, with a sentry that has no guest: what
 * a user and a script see, and that nothing is left behind, whoever dies.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ServiceStatus } from './admin-protocol.ts';

const bin = fileURLToPath(new URL('../../../bin/tardigrade.mjs', import.meta.url));
const fakeSentry = fileURLToPath(new URL('./fake-sentry.js', import.meta.url));
const runtime = mkdtempSync(join(tmpdir(), 'tardigrade-run-'));
const env = { ...process.env, XDG_RUNTIME_DIR: runtime };
const WAIT_MS_MAX = 20_000;

const started: ChildProcess[] = [];
after(() => {
  for (const child of started) child.kill('SIGKILL');
  rmSync(runtime, { recursive: true, force: true });
});

function tardigrade(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], {
    env,
    encoding: 'utf8',
    timeout: WAIT_MS_MAX,
  });
  return { status, stdout, stderr };
}

/** A service with the fake sentry; its output grows in `text`. */
function run(name: string, ...args: readonly string[]) {
  const fake = ['--test-sentry', fakeSentry, '--name', name];
  const child = spawn(process.execPath, [bin, 'run', ...fake, ...args, '--', '/bin/true'], { env });
  started.push(child);
  const text = { out: '', err: '' };
  child.stdout.on('data', (chunk) => {
    text.out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    text.err += chunk;
  });
  const ended = new Promise<number | null>((resolve) => {
    child.on('close', (code) => resolve(code));
  });
  return { child, text, ended };
}

async function until<T>(what: string, look: () => T | null | undefined | false): Promise<T> {
  for (const end = Date.now() + WAIT_MS_MAX; Date.now() < end; await delay(30)) {
    const found = look();
    if (found) return found;
  }
  assert.fail(`waited in vain until ${what}`);
}

function statusOf(name: string): ServiceStatus | null {
  const { status, stdout } = tardigrade('status', name, '--json');
  return status === 0 ? (JSON.parse(stdout) as ServiceStatus) : null;
}

const withMembers = (name: string, count: number): Promise<ServiceStatus> =>
  until(`${name} has ${count} members`, () => {
    const status = statusOf(name);
    // A member's role is told by itself, a little later.
    const isReady = status?.replicas.every(({ role }) => /^(primary|backup)$/.test(role));
    return status?.configuration?.members.length === count && isReady && status;
  });

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

const pidsOf = (status: ServiceStatus): number[] => status.replicas.map(({ pid }) => pid);

test('a service runs, shows itself, is restored to strength and stopped', async () => {
  const service = run('life', '--publish', '0:80', '--env', 'SAY=hello\n');
  const before = await withMembers('life', 2);
  assert.deepEqual(before.published, [
    { address: '127.0.0.1', port: before.published[0]?.port, guestPort: 80 },
  ]);
  assert.deepEqual(
    before.replicas.map(({ id, role }) => [id, role]),
    [
      [1, 'primary'],
      [2, 'backup'],
    ],
  );
  const title = readFileSync(`/proc/${before.replicas[0]?.pid}/cmdline`, 'utf8');
  assert.match(title, /^tardigrade: life replica 1 \(primary\)/);
  process.kill(before.replicas[0]?.pid as number, 'SIGKILL');
  await until('the service has a new primary and a new backup', () => {
    const now = statusOf('life');
    return now?.configuration?.primary === 2 && now.configuration.members.length === 2;
  });
  assert.match(tardigrade('status').stdout, /^life · primary 2 · 2\/2 replicas · 1 takeover/);
  assert.deepEqual(tardigrade('stop', 'life'), { status: 0, stdout: '', stderr: '' });
  assert.equal(await service.ended, 0);
  assert.equal(service.text.out, 'hello\n', 'each byte once, though both primaries said it');
  assert.match(service.text.err, /unsupported system call io_uring_setup/);
  assert.deepEqual(readdirSync(join(runtime, 'tardigrade')), []);
});

test('the status is that of the program', async () => {
  const service = run('end', '--env', 'FAKE=exit', '--json');
  assert.equal(await service.ended, 7);
  const events = service.text.out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string; code?: number });
  assert.equal(events[0]?.event, 'started');
  assert.deepEqual([events.at(-1)?.event, events.at(-1)?.code], ['ended', 7]);
});

test('Ctrl-C ends it in peace; a second one does not wait for who is deaf', async () => {
  const service = run('interrupt', '--env', 'FAKE=deaf');
  const pids = pidsOf(await withMembers('interrupt', 2));
  service.child.kill('SIGINT');
  await delay(500);
  service.child.kill('SIGINT');
  assert.equal(await service.ended, 130);
  assert.deepEqual(pids.filter(isAlive), []);
});

test('replicas die with their supervisor, even frozen ones', async () => {
  const service = run('orphan');
  const status = await withMembers('orphan', 2);
  const pids = pidsOf(status);
  process.kill(pids[1] as number, 'SIGSTOP');
  service.child.kill('SIGKILL');
  await until('no replica is alive', () => pids.filter(isAlive).length === 0);
  assert.equal(tardigrade('status').stdout, 'no service is running\n');
  assert.deepEqual(readdirSync(join(runtime, 'tardigrade')), [], 'what it left was removed');
});

test('a replica that fails takes the run with it, in one line', async () => {
  const planted = run('planted', '--env', 'FAKE=fail');
  assert.equal(await planted.ended, 126);
  assert.match(planted.text.err, /^tardigrade: can't start it: planted; do not$/m);
  const crash = run('crash', '--env', 'FAKE=crash', '--replicas', '1');
  assert.equal(await crash.ended, 125);
  assert.match(
    crash.text.err,
    /^tardigrade: the replica failed: Error: planted at .*; please report/m,
  );
});

test('what is wrong is found before anything is started', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const busy = tardigrade('run', '--publish', `${port}:80`, '--', '/bin/true');
  assert.equal(busy.status, 120);
  assert.match(busy.stderr, /^tardigrade: 127.0.0.1:\d+ is in use by another program; [^\n]*\n$/);
  server.close();
  const first = run('taken');
  await withMembers('taken', 2);
  const second = tardigrade('run', '--name', 'taken', '--', '/bin/true');
  assert.equal(second.status, 123);
  assert.match(second.stderr, /^tardigrade: a service named taken is running already; [^\n]*\n$/);
  assert.match(tardigrade('checkpoint', 'taken', join(runtime, 'x')).stderr, /fake has no state/);
  assert.deepEqual(readdirSync(runtime), ['tardigrade'], 'nothing half-written');
  first.child.kill('SIGTERM');
  assert.equal(await first.ended, 143);
});
