/**
 * Tests of the supervisor with replicas that do what the test says, in time that the test lets
 * pass.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeReplica, FakeReporter, FakeTime, supervisorOptions } from './fake-replicas.ts';
import { RESTARTS_PER_MINUTE_MAX, USELESS_MAX } from './restart-policy.ts';
import { Supervisor } from './supervisor.ts';
import type { Outcome, SupervisorOptions } from './supervisor-types.ts';

function setUp(change: Partial<SupervisorOptions> = {}) {
  const time = new FakeTime();
  const reporter = new FakeReporter();
  const replicas: FakeReplica[] = [];
  const start: ConstructorParameters<typeof Supervisor>[0]['start'] = (options, listener) => {
    const replica = new FakeReplica(options, listener);
    replicas.push(replica);
    return replica;
  };
  const deps = { start, scheduler: time, reporter };
  const supervisor = new Supervisor(deps, supervisorOptions(change));
  const ended = supervisor.run();
  const replica = (id: number): FakeReplica => {
    const found = replicas.find((one) => one.id === id);
    assert.ok(found, `replica ${id} was started`);
    return found;
  };
  return { time, reporter, replicas, replica, supervisor, ended };
}

const alive = (replicas: readonly FakeReplica[]): number[] =>
  replicas.filter(({ isAlive }) => isAlive).map(({ id }) => id);

const peersOf = (replica: FakeReplica): number[] | undefined =>
  replica.last('peers')?.peers.map(({ replica: id }) => id);

const configurationId = (supervisor: Supervisor, version: number) => ({
  ballot: supervisor.status().configuration?.ballot,
  version,
});

/** Replica 1 founds, replica 2 is added: version 2. */
function protect({ replica, supervisor }: ReturnType<typeof setUp>): void {
  replica(1).ready();
  replica(2).ready();
  replica(1).ask({ kind: 'found' });
  const previous = configurationId(supervisor, 1);
  replica(1).ask({ kind: 'addMember', previous, member: 2 });
  assert.deepEqual(supervisor.status().configuration?.members, [1, 2]);
}

/** Replica `id` takes over alone from the configuration of that version. */
function takeOver(stage: ReturnType<typeof setUp>, id: number, version: number): void {
  const { replica, supervisor } = stage;
  const previous = configurationId(supervisor, version);
  const granted = replica(id).ask({ kind: 'newBallot', previous }) as { ballot: number };
  const { ballot } = granted;
  replica(id).ask({ kind: 'complete', ballot, previous, members: [id], base: 7 });
  assert.equal(supervisor.status().configuration?.primary, id);
}

test('starts all replicas, the first as origin, and tells them of each other', () => {
  const stage = setUp({ replicas: 3 });
  const { replicas, replica } = stage;
  assert.deepEqual(alive(replicas), [1, 2, 3]);
  assert.deepEqual(
    replicas.map(({ options }) => options.origin.kind),
    ['launch', 'join', 'join'],
  );
  replica(2).ready();
  assert.deepEqual(peersOf(replica(2)), []);
  replica(1).ready();
  assert.deepEqual(peersOf(replica(2)), [1]);
  assert.deepEqual(peersOf(replica(1)), [2]);
  assert.deepEqual(replica(1).last('peers')?.peers[0], {
    replica: 2,
    host: '127.0.0.1',
    port: 5002,
  });
  assert.equal(replica(3).last('peers'), undefined);
});

test('the master answers, and every replica hears of the configuration', () => {
  const stage = setUp();
  protect(stage);
  const view = { ballot: 1, version: 2, primary: 1, members: [1, 2] };
  assert.deepEqual(stage.replica(2).last('configuration')?.configuration, view);
  assert.deepEqual(stage.replica(1).ask({ kind: 'nonsense' }), {
    kind: 'unavailable',
    reason: 'unknown kind of request',
  });
  assert.equal(stage.reporter.named('warning').length, 1);
});

test('a replica that dies is replaced by a new one that joins, at once', () => {
  const stage = setUp();
  protect(stage);
  stage.replica(1).end('SIGKILL');
  assert.deepEqual(peersOf(stage.replica(2)), []);
  stage.time.pass(0);
  assert.deepEqual(alive(stage.replicas), [2, 3]);
  assert.equal(stage.replica(3).options.origin.kind, 'join');
  takeOver(stage, 2, 2);
  stage.time.pass(0);
  assert.deepEqual(alive(stage.replicas), [2, 3]);
});

test('a frozen primary is killed when its successor is active, and replaced', () => {
  const stage = setUp();
  protect(stage);
  takeOver(stage, 2, 2);
  assert.equal(stage.replica(1).wasKilled, true);
  stage.time.pass(0);
  assert.deepEqual(alive(stage.replicas), [2, 3]);
});

test('--keep-deposed leaves it alone, and it is not one of the N', () => {
  const stage = setUp({ keepDeposed: true });
  protect(stage);
  takeOver(stage, 2, 2);
  stage.time.pass(0);
  assert.deepEqual(alive(stage.replicas), [1, 2, 3]);
  stage.replica(3).ready();
  assert.deepEqual(peersOf(stage.replica(2)), [3]);
  stage.replica(1).end('exit 0');
  stage.time.pass(5_000);
  assert.deepEqual(alive(stage.replicas), [2, 3]);
});

test('a frozen replica that never became a member is replaced', () => {
  const stage = setUp();
  stage.replica(1).ready();
  stage.replica(1).ask({ kind: 'found' });
  stage.replica(2).isFrozen = true;
  stage.time.pass(60_000);
  assert.equal(stage.replica(2).wasKilled, true);
  assert.equal(alive(stage.replicas).length, 2);
});

test('replicas that end before they are of use are started later and later', () => {
  const stage = setUp();
  stage.replica(1).ready();
  stage.replica(1).ask({ kind: 'found' });
  for (let count = 0; count < USELESS_MAX; count += 1) {
    stage.replicas.at(-1)?.end('exit 1', 'boom');
    stage.time.pass(2_000);
  }
  const started = stage.replicas.length;
  stage.time.pass(20_000);
  assert.equal(stage.replicas.length, started, 'the last one in a row waits for long');
  assert.equal(stage.reporter.named('warning').length, 1);
  assert.deepEqual(alive(stage.replicas), [1], 'the service itself goes on');
});

test('replicas that die all the time end the service', async () => {
  const stage = setUp();
  protect(stage);
  let version = 2;
  let primary = 1;
  for (let count = 0; count <= RESTARTS_PER_MINUTE_MAX; count += 1) {
    const backup = primary + 1;
    stage.replica(primary).end('SIGKILL');
    stage.time.pass(0);
    if (alive(stage.replicas).length === 0) break;
    takeOver(stage, backup, version);
    const previous = configurationId(stage.supervisor, version + 1);
    stage.replica(backup).ask({ kind: 'addMember', previous, member: backup + 1 });
    version += 2;
    primary = backup;
  }
  const outcome = await stage.ended;
  assert.equal(outcome.kind, 'failed');
  assert.match(outcome.kind === 'failed' ? outcome.error.line : '', /times within a minute; look/);
  assert.deepEqual(alive(stage.replicas), []);
});

test('the last member takes the service with it', async () => {
  const stage = setUp();
  stage.replica(1).ask({ kind: 'found' });
  stage.replica(1).end('SIGKILL');
  const outcome = await stage.ended;
  assert.match(
    outcome.kind === 'failed' ? outcome.error.line : '',
    /held the state is gone.*; start/,
  );
  assert.deepEqual(alive(stage.replicas), []);
});

test('a program that can not be started ends it with the reason', async () => {
  const stage = setUp();
  const line = '/bin/x can not be run (ENOEXEC); give another';
  stage.replica(1).listener.event({ type: 'failed', code: 'program', line });
  stage.replica(1).end('exit 1');
  const outcome = await stage.ended;
  assert.deepEqual(outcome.kind === 'failed' && [outcome.error.code, outcome.error.line], [
    'program',
    line,
  ]);
});

test('what a dying replica wrote to its standard error is the reason', async () => {
  const stage = setUp();
  stage.replica(1).end('exit 1', 'Error: no\n    at here\n');
  const outcome = await stage.ended;
  assert.match(
    outcome.kind === 'failed' ? outcome.error.message : '',
    /replica 1 ended: Error: no/,
  );
});

test('the end of the guest ends everything, with its status', async () => {
  const stage = setUp();
  protect(stage);
  const status = { kind: 'exited', code: 3 } as const;
  stage.replica(1).end('exit 0');
  stage.time.pass(0);
  // The process was seen to end before its last message was read.
  stage.replica(1).listener.event({ type: 'exited', status });
  assert.deepEqual(await stage.ended, { kind: 'exited', status } satisfies Outcome);
  assert.deepEqual(alive(stage.replicas), []);
});

test('stop ends in peace, and kills after a while what does not', async () => {
  const stage = setUp();
  protect(stage);
  stage.replica(2).isFrozen = true;
  stage.supervisor.stop();
  assert.deepEqual(alive(stage.replicas), [2]);
  const version = stage.replica(2).ask({ kind: 'read' });
  assert.equal(version, undefined, 'nobody becomes primary any more');
  stage.time.pass(3_000);
  assert.deepEqual(await stage.ended, { kind: 'stopped' });
  assert.equal(stage.replica(2).wasKilled, true);
  stage.time.pass(60_000);
  assert.equal(stage.replicas.length, 2);
});

test('output is printed once, whoever sends it', () => {
  const stage = setUp();
  const say = (id: number, offset: number, text: string): void => {
    const bytes = Buffer.from(text).toString('base64');
    stage.replica(id).listener.event({ type: 'console', stream: 1, offset, bytes });
  };
  say(1, 0, 'one\ntwo\n');
  say(2, 4, 'two\nthree\n');
  say(2, 14, '');
  assert.equal(stage.reporter.printed[1], 'one\ntwo\nthree\n');
});

test('a checkpoint is written by the primary, and fails with it', async () => {
  const stage = setUp();
  await assert.rejects(stage.supervisor.checkpoint('/tmp/x'), /no primary just now/);
  protect(stage);
  const done = stage.supervisor.checkpoint('/tmp/x');
  const asked = stage.replica(1).last('checkpoint');
  assert.deepEqual(asked, { type: 'checkpoint', id: 1, path: '/tmp/x' });
  stage.replica(1).listener.event({ type: 'checkpoint-done', id: 1, error: null });
  await done;
  const failed = stage.supervisor.checkpoint('/tmp/x');
  stage
    .replica(1)
    .listener.event({ type: 'checkpoint-done', id: 2, error: 'disk full; make room' });
  await assert.rejects(failed, /disk full/);
  const lost = stage.supervisor.checkpoint('/tmp/x');
  stage.replica(1).end('SIGKILL');
  await assert.rejects(lost, /primary died/);
});

test('unsupported calls are summed over replicas and outlive them', () => {
  const stage = setUp();
  const stats = (id: number, count: number): void => {
    const unsupportedCalls = [{ name: 'io_uring_setup', count }];
    const zero = { epoch: 9, chosen: 8, epochsPerSecond: 0, pauseP50Us: 0, pauseP99Us: 0 };
    const more = { deltaBytesP50: 0, deltaBytesP99: 0, releaseP50Us: 0, calls: 0, heldBytes: 0 };
    const all = { ...zero, ...more, guestMemoryBytes: 0, unsupportedCalls };
    stage.replica(id).listener.event({ type: 'stats', stats: all });
  };
  protect(stage);
  stats(1, 2);
  stats(1, 3);
  stage.replica(1).end('SIGKILL');
  stats(2, 4);
  assert.deepEqual(stage.supervisor.status().unsupportedCalls, [
    { name: 'io_uring_setup', count: 7 },
  ]);
});

test('fault points go to the replicas that they are for', () => {
  const stage = setUp({
    faults: [
      { target: { kind: 'initial' }, spec: 'a=kill' },
      { target: { kind: 'later' }, spec: 'b=kill' },
      { target: { kind: 'all' }, spec: 'c=kill' },
      { target: { kind: 'replica', replica: 2 }, spec: 'd=kill' },
    ],
  });
  assert.deepEqual(stage.replica(1).options.faults, ['a=kill', 'c=kill']);
  assert.deepEqual(stage.replica(2).options.faults, ['b=kill', 'c=kill', 'd=kill']);
});
