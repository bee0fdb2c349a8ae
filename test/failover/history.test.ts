/**
 * Tests of history.ts: good histories pass, each kind of planted bad one is found, and a random
 * server that forgets, doubles or invents is always caught by the next look.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { History } from './history.ts';

const kinds = (history: History): string[] => history.violations.map(({ kind }) => kind);

test('a register: reads between what was acknowledged and what was sent pass', () => {
  const history = new History();
  const register = history.register('r');
  const read = (value: number): void => register.endRead(value, register.beginRead());
  read(0);
  register.beginWrite(1);
  read(0);
  read(1);
  register.endWrite(1, 'acknowledged');
  register.beginWrite(2);
  register.endWrite(2, 'unknown');
  read(1);
  register.beginWrite(5);
  read(2);
  register.endWrite(5, 'acknowledged');
  read(5);
  history.assertClean('in a good history');
});

test('a register: a read that began before an acknowledgement may miss it', () => {
  const history = new History();
  const register = history.register('r');
  const early = register.beginRead();
  register.beginWrite(1);
  register.endWrite(1, 'acknowledged');
  register.endRead(0, early);
  assert.deepEqual(kinds(history), []);
  register.endRead(0, register.beginRead());
  assert.deepEqual(kinds(history), ['lost']);
});

test('a register: what went back, was lost or was never sent is found', () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, 'lost'],
    [1, 'lost'],
    [2, 'went-back'],
    [4, 'never-sent'],
    [6, 'never-sent'],
  ];
  for (const [value, kind] of cases) {
    const history = new History();
    const register = history.register('r');
    for (const sent of [1, 2, 3, 5]) {
      register.beginWrite(sent);
      register.endWrite(sent, sent === 1 ? 'unknown' : sent === 2 ? 'acknowledged' : 'unknown');
    }
    register.endRead(3, register.beginRead());
    // 2 was acknowledged, 3 was read, 5 is open.
    register.endRead(value, register.beginRead());
    assert.deepEqual(kinds(history), [kind], String(value));
    assert.throws(() => history.assertClean('here'), /1 violations here/);
  }
});

test('a register with many writes forgets without losing its judgement', () => {
  const history = new History();
  const register = history.register('r');
  for (let value = 2; value <= 20_000; value += 2) {
    register.beginWrite(value);
    register.endWrite(value, value % 10 === 0 ? 'acknowledged' : 'unknown');
    register.endRead(value, register.beginRead());
  }
  history.assertClean('in a good history');
  register.beginWrite(20_010);
  register.endRead(20_003, register.beginRead());
  register.endRead(19_998, register.beginRead());
  assert.deepEqual(kinds(history), ['never-sent', 'lost']);
});

test('a counter: open increments may have happened or not, each once', () => {
  for (const [value, kind] of [
    [3, 'lost'],
    [4, null],
    [5, null],
    [6, null],
    [7, 'doubled'],
  ] as const) {
    const history = new History();
    const counter = history.counter('c');
    for (let reply = 1; reply <= 3; reply += 1) counter.endWrite(counter.beginWrite(), reply);
    counter.endWrite(counter.beginWrite(), null);
    counter.endWrite(counter.beginWrite(), null);
    counter.endWrite(counter.beginWrite(), value);
    assert.deepEqual(kinds(history), kind === null ? [] : [kind]);
  }
});

test('a counter: reads', () => {
  const history = new History();
  const counter = history.counter('c');
  counter.endWrite(counter.beginWrite(), 1);
  counter.endWrite(counter.beginWrite(), null);
  counter.endRead(2, counter.beginRead());
  history.assertClean('in a good history');
  counter.endRead(1, counter.beginRead());
  counter.endRead(3, counter.beginRead());
  assert.deepEqual(kinds(history), ['lost', 'doubled']);
});

test('a log: what is lost, doubled, strange, reordered or changed is found', () => {
  const cases: readonly (readonly [readonly number[], string | null])[] = [
    [[1, 2, 3], null],
    [[1, 3], null],
    [[1], 'lost'],
    [[1, 2, 2, 3], 'doubled'],
    [[1, 3, 9], 'never-sent'],
    [[1, 3, 2], 'reordered'],
    [[1, 2, 3, 5], null],
  ];
  for (const [values, kind] of cases) {
    const history = new History();
    const log = history.log('l');
    const send = (value: number, outcome: 'acknowledged' | 'unknown'): void => {
      log.beginWrite(value);
      log.endWrite(value, outcome);
    };
    send(1, 'acknowledged');
    send(2, 'unknown');
    send(3, 'acknowledged');
    send(5, 'unknown');
    log.endRead(values, log.beginRead());
    assert.deepEqual(kinds(history), kind === null ? [] : [kind], values.join());
  }
});

test('a log: an open entry that appears after it was seen missing is found', () => {
  const history = new History();
  const log = history.log('l');
  log.beginWrite(1);
  log.endWrite(1, 'unknown');
  log.beginWrite(2);
  log.endWrite(2, 'acknowledged');
  log.endRead([2], log.beginRead());
  log.endRead([1, 2], log.beginRead());
  assert.deepEqual(kinds(history), ['went-back']);
});

interface Step {
  readonly op: 'write' | 'read' | 'crash';
  readonly isAnswered: boolean;
  readonly isApplied: boolean;
}

const steps = fc.array(
  fc.record<Step>({
    op: fc.constantFrom('write', 'write', 'read', 'crash'),
    isAnswered: fc.boolean(),
    isApplied: fc.boolean(),
  }),
  { maxLength: 60 },
);

/** A server that keeps what it acknowledged, and a history of its clients. */
function runServer(plan: readonly Step[], sabotageAt: number): History {
  const history = new History();
  const register = history.register('r');
  const counter = history.counter('c');
  const log = history.log('l');
  let state = { value: 0, count: 0, entries: [] as number[] };
  let sent = 0;
  plan.forEach((step, at) => {
    if (at === sabotageAt && state.value > 0) {
      // As if the last epoch that changed anything had been lost.
      state = { value: 0, count: state.count - 1, entries: state.entries.slice(0, -1) };
    }
    if (step.op === 'write') {
      sent += 1;
      register.beginWrite(sent);
      const least = counter.beginWrite();
      log.beginWrite(sent);
      if (step.isAnswered || step.isApplied) {
        state = { value: sent, count: state.count + 1, entries: [...state.entries, sent] };
      }
      register.endWrite(sent, step.isAnswered ? 'acknowledged' : 'unknown');
      counter.endWrite(least, step.isAnswered ? state.count : null);
      log.endWrite(sent, step.isAnswered ? 'acknowledged' : 'unknown');
    } else if (step.op === 'read') {
      register.endRead(state.value, register.beginRead());
      counter.endRead(state.count, counter.beginRead());
      log.endRead(state.entries, log.beginRead());
    }
  });
  register.endRead(state.value, register.beginRead());
  counter.endRead(state.count, counter.beginRead());
  log.endRead(state.entries, log.beginRead());
  return history;
}

test('a right server is never accused, however it crashes', () => {
  fc.assert(fc.property(steps, (plan) => assert.deepEqual(kinds(runServer(plan, -1)), [])));
});

test('a server that forgets what it acknowledged is always caught', () => {
  const answered: Step = { op: 'write', isAnswered: true, isApplied: true };
  const read: Step = { op: 'read', isAnswered: true, isApplied: true };
  fc.assert(
    fc.property(steps, (plan) => {
      const history = runServer([...plan, answered, read], plan.length + 1);
      assert.ok(
        kinds(history).filter((kind) => kind === 'lost').length >= 3,
        kinds(history).join(),
      );
    }),
  );
});
