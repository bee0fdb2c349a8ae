/**
 * Wrong input: each gives one line that says what, why and what to do, an exit status other than 0,
 * and leaves neither processes nor files.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { compileGuest } from '../support/compile.ts';
import { cliPath } from '../support/paths.ts';
import { listeningPorts } from '../support/process-table.ts';
import type { Program } from '../support/program.ts';
import { startRedis } from '../support/redis.ts';
import { skipUnless } from '../support/requirements.ts';
import { formatReply } from '../support/resp.ts';
import { delay } from '../support/wait.ts';
import { World } from '../support/world.ts';
import { elfHeader, MACHINE } from './elf.ts';

const skip = skipUnless('cli');

interface Case {
  readonly name: string;
  /** Arguments of `tardigrade`; may write files into the folder. */
  readonly args: (folder: string) => readonly string[];
  /** In the line. */
  readonly says: RegExp;
}

/** A file with these bytes that may be run. */
function executable(folder: string, bytes: Buffer | string): string {
  const path = join(folder, 'program');
  writeFileSync(path, bytes, { mode: 0o755 });
  return path;
}

const runs = (...args: string[]): readonly string[] => ['run', '--replicas', '2', ...args];

const cases: readonly Case[] = [
  { name: 'an unknown command', args: () => ['frobnicate'], says: /frobnicate/ },
  { name: 'an unknown option', args: () => runs('--colour', '--', '/bin/true'), says: /--colour/ },
  { name: 'an unknown option of exec', args: () => ['exec', '-x', '--', '/bin/true'], says: /-x/ },
  { name: 'no program', args: () => runs('--'), says: /program/i },
  { name: 'no program for exec', args: () => ['exec'], says: /program/i },
  {
    name: 'a missing program',
    args: () => runs('--', '/nonexistent/server'),
    says: /\/nonexistent\/server/,
  },
  {
    name: 'a missing program for exec',
    args: () => ['exec', '--', 'no-such-program-anywhere'],
    says: /no-such-program-anywhere/,
  },
  {
    name: 'a program that may not be run',
    args: (folder) => {
      writeFileSync(join(folder, 'data'), 'text', { mode: 0o644 });
      return runs('--', join(folder, 'data'));
    },
    says: /data.*(execut|permission)/i,
  },
  { name: 'a folder as program', args: (folder) => runs('--', folder), says: /directory/i },
  {
    name: 'a program for ARM',
    args: (folder) => {
      const bytes = elfHeader({ machine: MACHINE.aarch64, bits: 64 });
      return runs('--', executable(folder, bytes));
    },
    says: /program.*(aarch64|arm)/i,
  },
  {
    name: 'a program for RISC-V under exec',
    args: (folder) => {
      const bytes = elfHeader({ machine: MACHINE.riscv, bits: 64 });
      return ['exec', '--', executable(folder, bytes)];
    },
    says: /program.*risc/i,
  },
  {
    name: 'a 32-bit program',
    args: (folder) => {
      return runs('--', executable(folder, elfHeader({ machine: MACHINE.i386, bits: 32 })));
    },
    says: /32.?bit/i,
  },
  {
    name: 'a damaged ELF file',
    args: (folder) => runs('--', executable(folder, Buffer.from('\x7fELF\x02\x01', 'latin1'))),
    says: /program/,
  },
  {
    name: 'an empty program',
    args: (folder) => runs('--', executable(folder, '')),
    says: /program/,
  },
  {
    name: 'a script without interpreter line',
    args: (folder) => runs('--', executable(folder, 'echo hello\n')),
    says: /program.*(script|interpreter|#!)/i,
  },
  {
    name: 'a script whose interpreter is missing',
    args: (folder) => runs('--', executable(folder, '#!/nonexistent/interpreter -x\n')),
    says: /\/nonexistent\/interpreter/,
  },
  {
    name: 'a program that is a link to itself',
    args: (folder) => {
      symlinkSync('program', join(folder, 'program'));
      return runs('--', join(folder, 'program'));
    },
    says: /program/,
  },
  {
    name: 'a missing root',
    args: () => runs('--root', '/nonexistent/root', '--', '/bin/true'),
    says: /\/nonexistent\/root/,
  },
  {
    name: 'a root that is no directory',
    args: () => ['exec', '--root', '/etc/passwd', '--', '/bin/true'],
    says: /the root \/etc\/passwd is not a directory/,
  },
  {
    name: 'a relative root',
    args: () => runs('--root', 'etc', '--', 'x'),
    says: /--root.*absolute/,
  },
  { name: 'a relative cwd', args: () => runs('--cwd', 'etc', '--', 'x'), says: /--cwd.*absolute/ },
  {
    name: 'a missing working directory',
    args: () => runs('--cwd', '/nonexistent/cwd', '--', '/bin/true'),
    says: /\/nonexistent\/cwd/,
  },
  ...['', 'x', '70000:80', '1:2:3:4', '80:', '-1:80', '256.1.1.1:80:80'].map((text) => ({
    name: `--publish ${JSON.stringify(text)}`,
    args: () => runs('--publish', text, '--', '/bin/true'),
    says: /--publish|port/,
  })),
  ...['0', '-1', 'two', '1000'].map((text) => ({
    name: `--replicas ${text}`,
    args: () => ['run', '--replicas', text, '--', '/bin/true'],
    says: /--replicas/,
  })),
  { name: '--env without =', args: () => runs('--env', 'X', '--', '/bin/true'), says: /--env/ },
  { name: 'a bad name', args: () => runs('--name', '../x', '--', '/bin/true'), says: /name/ },
  { name: 'a bad fault', args: () => runs('--fault', 'x', '--', '/bin/true'), says: /--fault/ },
  {
    name: 'an unknown fault point',
    args: () => runs('--fault', '1:nowhere=kill', '--', '/bin/true'),
    says: /nowhere/,
  },
  { name: 'status of nobody', args: () => ['status', 'no-such-service'], says: /no-such-service/ },
  { name: 'stop of nobody', args: () => ['stop', 'no-such-service'], says: /no-such-service/ },
  { name: 'status of two', args: () => ['status', 'a', 'b'], says: /too many arguments/ },
  { name: 'help for nothing', args: () => ['help', 'frobnicate'], says: /frobnicate/ },
  { name: '--publish without a value', args: () => ['exec', '--publish'], says: /--publish/ },
  {
    name: '--failure-timeout 1',
    args: () => runs('--failure-timeout', '1', '--', '/bin/true'),
    says: /--failure-timeout 1: not a number from/,
  },
  {
    name: '--json with --quiet',
    args: () => runs('--json', '--quiet', '--', '/bin/true'),
    says: /--json and --quiet/,
  },
  {
    name: 'a guest port that is published twice',
    args: () => runs('-p', '0:80', '-p', '0:80', '--', '/bin/true'),
    says: /published twice/,
  },
  {
    name: 'an address of another machine',
    args: () => ['exec', '-p', '192.0.2.1:8080:80', '--', '/bin/true'],
    says: /192\.0\.2\.1 is not an address of this machine/,
  },
  { name: 'stop without a name', args: () => ['stop'], says: /name/i },
  {
    name: 'a checkpoint of nobody',
    args: (folder) => ['checkpoint', 'no-such-service', join(folder, 'x')],
    says: /no-such-service/,
  },
  { name: 'a checkpoint without a file', args: () => ['checkpoint', 'x'], says: /FILE/ },
  { name: 'a checkpoint to ""', args: () => ['checkpoint', 'x', ''], says: /file is empty/ },
  {
    name: 'inspect of a folder',
    args: (folder) => ['inspect', folder],
    says: /director/,
  },
  {
    name: 'inspect of a device',
    args: () => ['inspect', '/dev/zero'],
    says: /\/dev\/zero: not a regular file/,
  },
  { name: 'inspect of nothing', args: () => ['inspect', '/nonexistent/file'], says: /nonexistent/ },
  { name: 'restore of nothing', args: () => ['restore', '/nonexistent/file'], says: /nonexistent/ },
  {
    name: 'restore of another file',
    args: (folder) => {
      writeFileSync(join(folder, 'x.tg'), 'this is no checkpoint\n'.repeat(1000));
      return ['restore', join(folder, 'x.tg')];
    },
    says: /x\.tg.*checkpoint/i,
  },
  {
    name: 'restore of an empty file',
    args: (folder) => {
      writeFileSync(join(folder, 'x.tg'), '');
      return ['restore', join(folder, 'x.tg')];
    },
    says: /x\.tg/,
  },
  {
    name: 'restore of a folder',
    args: (folder) => ['restore', folder],
    says: /director/,
  },
];

/** One line, a status, nothing left. */
async function assertRefused(world: World, program: Program, says: RegExp): Promise<void> {
  const exit = await program.waitForExit(30_000);
  assert.ok(exit.code !== null && exit.code !== 0, program.describe());
  const lines = program
    .text('stderr')
    .split('\n')
    .filter((line) => line !== '');
  assert.equal(lines.length, 1, program.describe());
  assert.match(lines[0] ?? '', says);
  // A bug of ours has another line than a mistake of the user.
  assert.doesNotMatch(lines[0] ?? '', /internal error/);
  assert.match(lines[0] ?? '', /^tardigrade: .*; /, 'what, and what to do');
  assert.equal(program.text('stdout'), '', program.describe());
  await world.expectNothingLeft();
}

for (const { name, args, says } of cases) {
  test(`bad input: ${name}`, { skip }, async (t) => {
    const world = new World(t);
    await assertRefused(world, world.tardigrade(args(world.work)), says);
  });
}

test('bad input: no command shows how it is used', { skip }, async (t) => {
  const world = new World(t);
  const program = await world.runTardigrade([]);
  assert.notEqual(program.exit?.code, 0);
  assert.match(program.text('stderr'), /^Usage: tardigrade/);
  await world.expectNothingLeft();
});

test('bad input: a port in use', { skip }, async (t) => {
  const world = new World(t);
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const publish = `127.0.0.1:${port}:80`;
  for (const command of ['run', 'exec']) {
    const program = world.tardigrade([command, '--publish', publish, '--', '/bin/true']);
    await assertRefused(world, program, new RegExp(`${port}.*in use|in use.*${port}`));
  }
});

const skipRedis = skipUnless('cli', 'redis-server');

test('bad input: a name that is taken', { skip: skipRedis }, async (t) => {
  const world = new World(t);
  const { service } = await startRedis(world, { mode: 'run', replicas: 2 });
  const again = world.tardigrade(['run', '--name', service.name, '--', '/bin/true']);
  const exit = await again.waitForExit(30_000);
  assert.notEqual(exit.code, 0);
  assert.equal(again.lines('stderr').length, 1, again.describe());
  assert.match(again.text('stderr'), new RegExp(service.name));
  // The first one is untouched.
  assert.equal((await service.status()).service, service.name);
  await service.stop();
  await world.expectNothingLeft();
});

const skipGuest = skipUnless('cli', 'gcc');
const features = ['userfaultfd', 'pidfd_getfd', 'pagemap_scan'];

for (const feature of features) {
  test(`bad input: a kernel without ${feature}`, { skip: skipGuest }, async (t) => {
    const world = new World(t);
    const wrapper = compileGuest('without', 'dynamic');
    const args = [feature, process.execPath, cliPath, 'run', '--', '/bin/true'];
    await assertRefused(world, world.start(wrapper, args), new RegExp(feature, 'i'));
    const doctor = world.start(wrapper, [feature, process.execPath, cliPath, 'doctor']);
    assert.notEqual((await doctor.waitForExit(30_000)).code, 0);
    assert.match(doctor.text('stdout'), new RegExp(feature, 'i'));
  });
}

/** A good checkpoint, and what can be wrong with it. */
async function makeCheckpoint(t: TestContext): Promise<{ world: World; bytes: Buffer }> {
  const world = new World(t);
  const { service } = await startRedis(world, { mode: 'run', replicas: 2 });
  await service.waitForMembers(2);
  const path = join(world.work, 'good.tg');
  const program = await world.runTardigrade(['checkpoint', service.name, path]);
  assert.equal(program.exit?.code, 0, program.describe());
  // What is there already is replaced whole, or left alone; never half written.
  await world.runTardigrade(['checkpoint', service.name, path]);
  const inspect = await world.runTardigrade(['inspect', path]);
  assert.equal(inspect.exit?.code, 0, inspect.describe());
  for (const wrong of [join(world.work, 'missing', 'x.tg'), world.work, '/dev/null', '/proc/x']) {
    const bad = await world.runTardigrade(['checkpoint', service.name, wrong]);
    assert.equal(bad.exit?.code, 121, bad.describe());
    assert.equal(bad.lines('stderr').length, 1, bad.describe());
    assert.ok(bad.text('stderr').includes(wrong), bad.describe());
  }
  assert.ok(statSync('/dev/null').isCharacterDevice());
  await service.stop();
  await world.expectNothingLeft();
  return { world, bytes: readFileSync(path) };
}

test('bad input: damaged, truncated and foreign checkpoints', { skip: skipRedis }, async (t) => {
  const { world, bytes } = await makeCheckpoint(t);
  const path = join(world.work, 'bad.tg');
  const refuse = async (what: string): Promise<void> => {
    for (const command of ['restore', 'inspect']) {
      t.diagnostic(`${command}: ${what}`);
      await assertRefused(world, world.tardigrade([command, path]), /bad\.tg/);
    }
  };
  for (const part of [0.001, 0.5, 0.999]) {
    writeFileSync(path, bytes);
    truncateSync(path, Math.floor(bytes.length * part));
    await refuse(`${part} of it`);
  }
  for (const part of [0.01, 0.4, 0.8]) {
    const damaged = Buffer.from(bytes);
    const at = Math.floor(bytes.length * part);
    damaged[at] = (damaged[at] as number) ^ 0x10;
    writeFileSync(path, damaged);
    await refuse(`a bit changed at ${part}`);
  }
  writeFileSync(path, Buffer.concat([bytes, Buffer.from('more')]));
  await refuse('with more after its end');
  // The magic number has 8 bytes, the version stands behind it (docs/checkpoint-format.md).
  const foreign = Buffer.from(bytes);
  foreign.writeUInt16LE(foreign.readUInt16LE(8) + 1, 8);
  writeFileSync(path, foreign);
  for (const command of ['restore', 'inspect']) {
    await assertRefused(world, world.tardigrade([command, path]), /bad\.tg.*version/);
  }
});

test('bad input: a disk without room for a checkpoint', { skip: skipRedis }, async (t) => {
  const world = new World(t);
  const { service, connect: connectClient } = await startRedis(world, { mode: 'run', replicas: 2 });
  await service.waitForMembers(2);
  // As a full disk, for the process that writes.
  const limit = ['--fsize=65536', '--pid', String(service.pidOf(service.primary))];
  assert.equal((await world.start('prlimit', limit).waitForExit(10_000)).code, 0);
  const path = join(world.work, 'x.tg');
  const program = await world.runTardigrade(['checkpoint', service.name, path]);
  assert.equal(program.exit?.code, 121, program.describe());
  assert.equal(program.lines('stderr').length, 1, program.describe());
  assert.match(program.text('stderr'), /x\.tg: EFBIG.*make room/);
  assert.deepEqual(readdirSync(world.work), []);
  // The service has not noticed.
  const client = await connectClient();
  assert.equal(formatReply(await client.call('SET', 'k', 'v')), '+OK');
  client.close();
  assert.deepEqual(service.events.takeovers, []);
  await service.stop();
  await world.expectNothingLeft();
});

test('bad input: a service that does not answer', { skip: skipRedis }, async (t) => {
  const world = new World(t);
  const { service } = await startRedis(world, { mode: 'run', replicas: 1 });
  world.signal(service.program.pid, 'SIGSTOP');
  const status = await world.runTardigrade(['status']);
  world.signal(service.program.pid, 'SIGCONT');
  assert.equal(status.exit?.code, 123, status.describe());
  assert.equal(status.text('stdout'), '');
  assert.match(
    status.text('stderr'),
    new RegExp(`^tardigrade: the service ${service.name} did not`),
  );
  await service.stop();
});

test('bad input: nobody reads what is printed', { skip }, async (t) => {
  const world = new World(t);
  const tardigrade = `${process.execPath} ${cliPath}`;
  for (const args of ['status --json', 'doctor', '--help', 'run --help', '-V']) {
    // The reader has gone before there is anything to read.
    const script = `{ sleep 0.1; ${tardigrade} ${args}; echo "status $?" >&2; } | true`;
    const closed = world.start('sh', ['-c', script]);
    await closed.waitForExit(30_000);
    assert.equal(closed.text('stderr'), 'status 141\n', closed.describe());
    const full = world.start('sh', ['-c', `exec ${tardigrade} ${args} > /dev/full`]);
    assert.equal((await full.waitForExit(30_000)).code, 121, full.describe());
    assert.match(full.text('stderr'), /^tardigrade: standard output.*ENOSPC.*\n$/);
  }
  await world.expectNothingLeft();
});

test('bad input: strangers at the replication port', { skip: skipRedis }, async (t) => {
  const world = new World(t);
  const { service, connect: connectClient } = await startRedis(world, { mode: 'run', replicas: 2 });
  await service.waitForMembers(2);
  const client = await connectClient();
  const ports = service.members.flatMap((member) => {
    const published = service.spec.publish?.port;
    return listeningPorts(service.pidOf(member)).filter((port) => port !== published);
  });
  assert.ok(ports.length > 0, 'no replica listens');
  const sayings = [
    Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    Buffer.alloc(100_000, 0xff),
    Buffer.alloc(3),
    Buffer.from('*1\r\n$4\r\nPING\r\n'),
  ];
  const membersBefore = service.members;
  for (const port of ports) {
    for (const saying of sayings) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      t.after(() => socket.destroy());
      await once(socket, 'connect');
      socket.write(saying);
      // One that says nothing at all stays open meanwhile.
      const silent = connect(port, '127.0.0.1');
      silent.on('error', () => {});
      t.after(() => silent.destroy());
      assert.equal(formatReply(await client.call('INCR', 'n')).slice(0, 1), ':');
    }
  }
  await delay(500);
  assert.equal(formatReply(await client.call('GET', 'n')), `"${ports.length * sayings.length}"`);
  assert.deepEqual(service.members, membersBefore);
  assert.deepEqual(service.events.takeovers, []);
  client.close();
  await service.stop();
  await world.expectNothingLeft();
  assert.equal(existsSync(service.world.folder), true);
});
