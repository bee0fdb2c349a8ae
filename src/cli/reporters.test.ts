/** Tests of what a person or a program sees of a service. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ServiceStatus } from './admin-protocol.ts';
import { eventText } from './event-text.ts';
import { FakeTime } from './fake-replicas.ts';
import { formatBytes, formatDuration, liveLine, summaryLine } from './live-line.ts';
import { OutputWriter } from './output-writer.ts';
import { JsonReporter, PlainReporter, QuietReporter, TerminalReporter } from './reporters.ts';

const status: ServiceStatus = {
  service: 'redis',
  configuration: { ballot: 3, primary: 4, members: [4, 5] },
  replicas: [],
  published: [],
  pid: 1,
  program: '/usr/bin/redis-server',
  wantedReplicas: 2,
  uptimeMs: 1,
  takeovers: 1,
  restarts: 1,
  statistics: {
    epoch: 1234,
    chosenEpoch: 1233,
    epochsPerSecond: 87.4,
    pauseP50Us: 312,
    pauseP99Us: 1400,
    deltaBytesP50: 49_152,
    deltaBytesP99: 2 ** 20,
    releaseP50Us: 950,
    calls: 10,
    heldBytes: 0,
    guestMemoryBytes: 0,
  },
  unsupportedCalls: [],
};

/** A writer whose descriptors are strings. */
function setUp() {
  const written: [number, string][] = [];
  const writer = new OutputWriter((fd, bytes, done) => {
    written.push([fd, Buffer.from(bytes).toString()]);
    done(null, bytes.length);
  });
  const scheduler = new FakeTime();
  const deps = { writer, scheduler, status: () => status };
  const text = (fd: number): string =>
    written
      .filter(([target]) => target === fd)
      .map(([, piece]) => piece)
      .join('');
  return { deps, scheduler, written, text };
}

test('the line tells primary, replicas, epochs and costs', () => {
  assert.equal(
    summaryLine(status),
    'redis · primary 4 · 2/2 replicas · epoch 1234 · 87/s · pause 312 us (99%: 1.4 ms) · ' +
      'delta 48 KiB · output +950 us · 1 takeover · ballot 3',
  );
  const alone = { ...status, configuration: { ballot: 1, primary: 4, members: [4] } };
  assert.match(summaryLine(alone), /1\/2 replicas \(not protected\)/);
  assert.match(summaryLine({ ...alone, wantedReplicas: 1 }), /1\/1 replicas ·/);
  assert.equal(summaryLine({ ...status, configuration: null }), 'redis · starting');
});

test('it fits any width, and is the whole line where there is room', () => {
  fc.assert(
    fc.property(fc.integer({ min: -1, max: 200 }), (width) => {
      const line = liveLine(status, width);
      assert.ok(line.length <= Math.max(0, width), `${line.length} of ${width}`);
      assert.ok(summaryLine(status).startsWith(line.replace('…', '')));
    }),
  );
  assert.equal(liveLine(status, 500), summaryLine(status));
  assert.equal(liveLine(status, 4), 'red…');
  assert.equal(liveLine(status, 20), 'redis · primary 4');
});

test('durations and sizes have few digits', () => {
  assert.deepEqual([0, 999, 1_000, 9_999, 12_345, 2_500_000].map(formatDuration), [
    '0 us',
    '999 us',
    '1.0 ms',
    '10.0 ms',
    '12 ms',
    '2.5 s',
  ]);
  assert.deepEqual([0, 1023, 1024, 49_152, 3 * 2 ** 20].map(formatBytes), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '48 KiB',
    '3.0 MiB',
  ]);
});

test('on a terminal the live line gives way to output and events, and never joins a line', () => {
  const { deps, scheduler, written } = setUp();
  const columns = () => 21;
  const reporter = new TerminalReporter({ ...deps, columns, isOutputHere: true });
  scheduler.pass(200);
  reporter.output(1, 0, Buffer.from('half'));
  scheduler.pass(400);
  reporter.output(1, 4, Buffer.from(' line\n'));
  scheduler.pass(200);
  reporter.output(2, 0, Buffer.from('open'));
  reporter.report({ event: 'lost', replica: 1, reason: 'connection closed' });
  reporter.close();
  scheduler.pass(1_000);
  const erase = '\r\x1b[K';
  assert.deepEqual(written, [
    [2, `${erase}redis · primary 4`],
    [2, erase],
    [1, 'half'],
    [1, ' line\n'],
    [2, `${erase}redis · primary 4`],
    [2, erase],
    [2, 'open'],
    [2, '\ntardigrade: replica 1 is lost: connection closed\n'],
    [2, `${erase}redis · primary 4`],
    [2, erase],
  ]);
});

test('a guest whose output goes elsewhere does not disturb the live line', () => {
  const { deps, scheduler, text } = setUp();
  const columns = () => 80;
  const reporter = new TerminalReporter({ ...deps, columns, isOutputHere: false });
  scheduler.pass(200);
  const before = text(2);
  reporter.output(1, 0, Buffer.from('data'));
  scheduler.pass(1_000);
  assert.equal(text(1), 'data');
  assert.equal(text(2), before, 'neither erased nor drawn again');
  assert.notEqual(before, '');
  reporter.close();
});

test('elsewhere there are lines for events, and one for the figures when they change', () => {
  const { deps, scheduler, text } = setUp();
  const reporter = new PlainReporter(deps);
  reporter.report({ event: 'joined', replica: 2, epoch: 5 });
  reporter.report({ event: 'role', replica: 2, role: 'backup' });
  scheduler.pass(60_000);
  reporter.close();
  const lines = text(2).trimEnd().split('\n');
  assert.equal(lines[0], 'tardigrade: replica 2 holds the state as of epoch 5');
  assert.match(lines[1] ?? '', /^tardigrade: redis · primary 4 · 2\/2/);
  assert.equal(lines.length, 2);
});

test('--json gives an object a line, --quiet the output alone', () => {
  const { deps, text } = setUp();
  const json = new JsonReporter(deps);
  json.report({ event: 'joined', replica: 2, epoch: 5 });
  json.output(2, 3, Buffer.from([0xff, 0x0a]));
  assert.deepEqual(
    text(1)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [
      { event: 'joined', timeMs: 0, replica: 2, epoch: 5 },
      { event: 'output', timeMs: 0, stream: 2, offset: 3, bytes: '/wo=' },
    ],
  );
  const quiet = new QuietReporter(deps);
  quiet.report({ event: 'joined', replica: 2, epoch: 5 });
  quiet.report({ event: 'warning', line: 'careful' });
  assert.equal(text(2), 'tardigrade: warning: careful\n');
});

test('what a guest is reported to say can not play with the terminal', () => {
  const text = eventText({ event: 'report', replica: 1, what: 'x', detail: 'a\x1b[2J\nb' });
  assert.equal(text, 'x: a [2J b');
});

test('a writer keeps the order, retries, and gives up on a reader that left', async () => {
  const answers: (string | number)[] = [2, 'EAGAIN', 1, 'EPIPE', 2];
  const written: string[] = [];
  const writer = new OutputWriter((fd, bytes, done) => {
    const answer = answers.shift();
    setImmediate(() => {
      if (typeof answer === 'string') {
        done(Object.assign(new Error(answer), { code: answer }), 0);
        return;
      }
      const count = Math.min(answer ?? bytes.length, bytes.length);
      written.push(`${fd}${Buffer.from(bytes.subarray(0, count))}`);
      done(null, count);
    });
  });
  writer.write(1, 'abc');
  writer.write(1, 'de');
  writer.write(2, 'fg');
  await writer.flush(5_000);
  const lost = written.pop() ?? '';
  assert.match(lost, /^2tardigrade: standard output can't be written \(EPIPE\)/);
  assert.deepEqual(written, ['1ab', '1c', '2fg']);
  writer.write(1, 'never');
  await writer.flush(5_000);
  assert.equal(written.length, 3);
});

test('a writer whose reader does not read drops the rest, and says so', async () => {
  const waiting: (() => void)[] = [];
  let text = '';
  const writer = new OutputWriter((_fd, bytes, done) => {
    waiting.push(() => {
      text += Buffer.from(bytes.subarray(0, 100)).toString();
      done(null, bytes.length);
    });
  });
  const piece = Buffer.alloc(1024 * 1024, 'x');
  for (let count = 0; count < 20; count += 1) writer.write(1, piece);
  for (let next = waiting.shift(); next; next = waiting.shift()) next();
  assert.match(text, /^x{1600}\ntardigrade: 4194304 bytes were dropped here: nobody read them\n$/);
});
