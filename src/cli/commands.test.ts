/** Tests of the command line: what is typed is what is done, or one line that says why not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TardigradeError } from '../base/errors.ts';
import { type Actions, runCommandLine } from './commands.ts';
import { exitCodeOf, lineOf } from './exit-codes.ts';
import { defaultName, guestEnvironment, parseEnv, parseName, pathOf } from './options.ts';

/** Runs a command line; what it would do. */
async function line(...argv: readonly string[]): Promise<readonly unknown[]> {
  let done: readonly unknown[] = [];
  const note =
    (name: string) =>
    async (...args: readonly unknown[]): Promise<number> => {
      done = [name, ...args];
      return 0;
    };
  const names = ['run', 'exec', 'restore', 'status', 'stop', 'checkpoint', 'inspect', 'doctor'];
  const actions = Object.fromEntries(names.map((name) => [name, note(name)]));
  await runCommandLine(argv, actions as unknown as Actions);
  return done;
}

const guest = {
  name: 'server',
  root: '/',
  cwd: '/',
  env: [],
  publish: [],
  interposers: [],
};
const service = {
  ...guest,
  replicas: 2,
  failureTimeoutMs: 250,
  faults: [],
  keepDeposed: false,
  output: 'auto',
  sentry: null,
};

test('a program with its arguments, with or without --', async () => {
  const expected = ['run', service, '/opt/server', ['--replicas', '9', '-p', 'x']];
  assert.deepEqual(await line('run', '--', '/opt/server', ...(expected[3] as string[])), expected);
  assert.deepEqual(await line('run', '/opt/server', ...(expected[3] as string[])), expected);
  assert.deepEqual(await line('exec', 'server', '--', '-x'), [
    'exec',
    guest,
    'server',
    ['--', '-x'],
  ]);
});

test('options become values', async () => {
  const publish = ['-p', '6379', '--publish', '[::1]:0:80'];
  const env = ['-e', 'A=1', '--env', 'B=x=y'];
  const rest = ['--name', 'n', '--root', '/srv//root/', '--cwd', '/a', '-n', '3', '--quiet'];
  const hidden = ['--fault', '*:during-apply=kill', '--fault', 'initial:delta-sent:20=freeze'];
  const more = ['--keep-deposed', '--interpose', 'tracer', '--failure-timeout', '100'];
  const done = await line('run', ...publish, ...env, ...rest, ...hidden, ...more, '--', 'x');
  assert.deepEqual(done[1], {
    name: 'n',
    root: '/srv/root',
    cwd: '/a',
    env: ['A=1', 'B=x=y'],
    publish: [
      { address: '127.0.0.1', port: 6379, guestPort: 6379 },
      { address: '::1', port: 0, guestPort: 80 },
    ],
    interposers: ['tracer'],
    replicas: 3,
    failureTimeoutMs: 100,
    faults: [
      { target: { kind: 'all' }, spec: 'during-apply=kill' },
      { target: { kind: 'initial' }, spec: 'delta-sent:20=freeze' },
    ],
    keepDeposed: true,
    output: 'quiet',
    sentry: null,
  });
});

test('the other commands', async () => {
  assert.deepEqual(await line('status'), ['status', undefined, false]);
  assert.deepEqual(await line('status', 'a', '--json'), ['status', 'a', true]);
  assert.deepEqual(await line('stop', 'a'), ['stop', 'a']);
  assert.deepEqual(await line('checkpoint', 'a', 'f'), ['checkpoint', 'a', 'f']);
  assert.deepEqual(await line('inspect', 'f', '--json'), ['inspect', 'f', true]);
  assert.deepEqual(await line('doctor', '--json'), ['doctor', true]);
  const restored = { ...service, name: 'redis.ckpt', replicas: 1 };
  assert.deepEqual(await line('restore', '-n', '1', './redis.ckpt'), [
    'restore',
    restored,
    './redis.ckpt',
  ]);
});

test('what is wrong gives one line with what, why and what to do, and status 2', async () => {
  const wrong: readonly [string, RegExp][] = [
    ['run', /missing required argument 'PROGRAM'; see tardigrade run --help/],
    ['frobnicate', /unknown command 'frobnicate'; see tardigrade --help/],
    ['statsu', /Did you mean status/],
    ['run --frob -- x', /unknown option '--frob'.*; see tardigrade run --help/],
    ['run --replicas 0 -- x', /--replicas 0: not a number from 1 to 16/],
    ['run --replicas two -- x', /--replicas two/],
    ['run --replicas -- x', /PROGRAM|--replicas/],
    ['run --name a/b -- x', /service name "a\/b" can't be used; use/],
    ['run --env X -- x', /--env X: not of the form NAME=VALUE/],
    ['run --env =X -- x', /--env =X/],
    ['run --cwd a -- x', /--cwd a: not an absolute path/],
    ['run --root a -- x', /--root a: not an absolute path/],
    ['run --fault a=kill -- x', /--fault a=kill: can't be read/],
    ['run --fault 1:delta-sent=burn -- x', /no action 'burn'/],
    ['run --fault 1:nowhere=kill -- x', /no point 'nowhere'/],
    ['run --interpose spy -- x', /there is: tracer/],
    ['run --failure-timeout 1 -- x', /from 20 to 60000/],
    ['run --json --quiet -- x', /exclude each other/],
    ['run -p 1:80 -p 2:80 -- x', /published twice/],
    ['exec --replicas 2 -- x', /unknown option '--replicas'/],
    ['status ../x', /service name/],
    ['status a b', /too many arguments/],
    ['stop', /missing required argument 'NAME'/],
  ];
  for (const [text, reason] of wrong) {
    await assert.rejects(line(...text.split(' ')), (error) => {
      assert.equal(exitCodeOf(error), 2, text);
      assert.match(lineOf(error), reason);
      assert.doesNotMatch(lineOf(error), /\n/);
      return true;
    });
  }
});

test('no command line fails in another way', async () => {
  const word = fc.constantFrom(
    ...['run', 'exec', 'status', '--', '--name', '-p', '-e', '-n', '--json', 'x', '80', 'A=b', '-'],
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(word, fc.string({ maxLength: 5 })), { minLength: 1 }),
      async (argv) => {
        fc.pre(!argv.some((text) => /^(-[hV]|--help|--version|help)/.test(text)));
        try {
          await line(...argv);
        } catch (error) {
          assert.ok(error instanceof TardigradeError && error.code === 'usage', String(error));
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('the guest sees nothing of the environment but what it is given', () => {
  const base = guestEnvironment([], 'xterm');
  assert.deepEqual(
    base.map((entry) => entry.split('=')[0]),
    ['PATH', 'HOME', 'LANG', 'TERM'],
  );
  assert.equal(base[3], 'TERM=xterm');
  const given = guestEnvironment(['A=1', 'PATH=/bin', 'A=2'], 'dumb');
  assert.equal(pathOf(given), '/bin');
  assert.equal(given.filter((entry) => entry.startsWith('A=')).join(), 'A=2');
  assert.throws(() => parseEnv('A\0=b'), TardigradeError);
});

test('every default name is a name', () => {
  fc.assert(
    fc.property(fc.string(), (program) => {
      assert.equal(parseName(defaultName(program)), defaultName(program));
    }),
  );
  assert.equal(defaultName('/usr/bin/redis-server'), 'redis-server');
});
