/** Tests of run-events.ts: what is missed there would make a lost line look like a slow one. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RunEvents } from './run-events.ts';

const line = (event: string, fields: object): string =>
  JSON.stringify({ event, timeMs: 1, ...fields });
const output = (offset: number, text: string): string =>
  line('output', { stream: 1, offset, bytes: Buffer.from(text).toString('base64') });

test('keeps the latest configuration, the processes and the takeovers', () => {
  const events = new RunEvents(false);
  const lines = [
    line('replica-started', { replica: 1, pid: 10 }),
    line('configuration', { ballot: 1, primary: 1, members: [1] }),
    line('statistics', { replica: 1, statistics: { epoch: 3 } }),
  ];
  events.take(lines);
  lines.push(
    line('configuration', { ballot: 2, primary: 2, members: [2] }),
    line('takeover', { replica: 2, ballot: 2, epoch: 5, restoreMs: 3, reason: 'x' }),
    line('replica-ended', { replica: 1, pid: 10, how: 'SIGKILL', reason: null }),
  );
  events.take(lines);
  assert.equal(events.configuration?.primary, 2);
  assert.deepEqual(
    [events.pids.get(1), events.takeovers.length, events.ended.has(1)],
    [10, 1, true],
  );
  assert.deepEqual(events.statistics, { epoch: 3 });
  // Each once.
  assert.equal(events.all.length, 5);
});

test('output must be continuous', () => {
  const events = new RunEvents(false);
  events.take([output(0, 'one\n'), output(4, 'two\n')]);
  assert.equal(events.output(1), 'one\ntwo\n');
  const lost = [output(0, 'one\n'), output(5, 'wo\n')];
  assert.throws(() => new RunEvents(false).take(lost), /continuous/);
  const doubled = [output(0, 'one\n'), output(0, 'one\n')];
  assert.throws(() => new RunEvents(false).take(doubled), /continuous/);
  assert.throws(() => new RunEvents(false).take([output(7, 'x')]), /continuous/);
  // A restored guest goes on where it was.
  const restored = new RunEvents(true);
  restored.take([output(7, 'x'), output(8, 'y')]);
  assert.equal(restored.output(1), 'xy');
  assert.throws(() => new RunEvents(true).take([output(7, 'x'), output(9, 'y')]), /continuous/);
});

test('a line that is no event is an error', () => {
  assert.throws(() => new RunEvents(false).take(['hello']), /no object/);
});
