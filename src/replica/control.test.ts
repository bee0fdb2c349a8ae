/** Tests of the main thread's part of a replica, with a sentry that only takes notes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ControlEvent, ReplicaControl } from './control.ts';
import type { ReplicaOptions, SentryCommand } from './messages.ts';

const options: ReplicaOptions = {
  service: 'redis',
  replica: 3,
  origin: { kind: 'join' },
  program: '/bin/true',
  argv: ['true'],
  env: [],
  cwd: '/',
  root: '/',
  published: [],
  token: '00',
  failureTimeoutMs: 250,
  minReplicas: 1,
  faults: [],
  interposers: [],
};

function setUp() {
  const posted: SentryCommand[] = [];
  const sent: ControlEvent[] = [];
  const exits: number[] = [];
  const limits: number[] = [];
  let title = '';
  const control = new ReplicaControl({
    startSentry: () => ({ post: (command) => posted.push(command) }),
    send: (event) => sent.push(event),
    setTitle: (text) => {
      title = text;
    },
    exit: (code) => exits.push(code),
    exitWithin: (ms) => limits.push(ms),
  });
  return { control, posted, sent, exits, limits, title: () => title };
}

test('the process is named after its service, its number and its role', () => {
  const { control, sent, title } = setUp();
  control.command({ type: 'start', options });
  assert.equal(title(), 'tardigrade: redis replica 3 (starting)');
  const event = { type: 'role', role: 'primary', configuration: null } as const;
  control.event(event);
  assert.equal(title(), 'tardigrade: redis replica 3 (primary)');
  assert.deepEqual(sent, [event]);
});

test('commands and events pass, pings are answered here', () => {
  const { control, posted, sent } = setUp();
  control.command({ type: 'start', options });
  control.command({ type: 'peers', peers: [] });
  control.command({ type: 'ping' });
  control.event({ type: 'joined', replica: 4, epoch: 7 });
  assert.deepEqual(posted, [{ type: 'peers', peers: [] }]);
  assert.deepEqual(sent, [{ type: 'alive' }, { type: 'joined', replica: 4, epoch: 7 }]);
});

test('stop goes to the sentry once, and ends the process even if that hangs', () => {
  const { control, posted, exits, limits } = setUp();
  control.command({ type: 'start', options });
  control.command({ type: 'stop' });
  control.stop();
  assert.deepEqual(posted, [{ type: 'stop' }]);
  assert.equal(limits.length, 1);
  assert.deepEqual(exits, []);
  control.ended(0);
  assert.deepEqual(exits, [0]);
});

test('stop before the start ends the process', () => {
  const { control, exits } = setUp();
  control.stop();
  assert.deepEqual(exits, [0]);
});

test('the first failure is told, with what the process ends', () => {
  const { control, sent, exits } = setUp();
  control.command({ type: 'start', options });
  control.crashed(new Error('boom'));
  control.ended(1);
  control.event({ type: 'failed', code: 'x', line: 'late' });
  assert.equal(sent.length, 1);
  const [event] = sent;
  assert.equal(event?.type, 'failed');
  assert.match(event?.type === 'failed' ? event.line : '', /the replica failed: Error: boom/);
  assert.deepEqual(exits, [1]);
});

test('a sentry that ends with a code without a word is a failure', () => {
  const { control, sent, exits } = setUp();
  control.command({ type: 'start', options });
  control.ended(9);
  assert.match(sent[0]?.type === 'failed' ? sent[0].line : '', /ended with code 9/);
  assert.deepEqual(exits, [1]);
});
