/** Tests of deadlines.ts: against a sorted list. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Deadline, Deadlines } from './deadlines.ts';

test('deadlines fire in order, once, when their time has come, and not when cancelled', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), which: fc.nat(19), time: fc.nat(1000) }),
    fc.record({ kind: fc.constant('cancel' as const), which: fc.nat(19), time: fc.constant(0) }),
    fc.record({ kind: fc.constant('run' as const), which: fc.constant(0), time: fc.nat(100) }),
  );
  const property = fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const fired: number[] = [];
    let told = Infinity;
    const deadlines = new Deadlines((earliestNs) => {
      told = earliestNs;
    });
    const all = Array.from({ length: 20 }, (_, index) => new Deadline(() => fired.push(index)));
    const model = new Map<number, number>();
    let now = 0;
    for (const { kind, which, time } of steps) {
      const deadline = all[which] as Deadline;
      if (kind === 'run') {
        now += time;
        fired.length = 0;
        deadlines.run(now);
        const due = [...model].filter(([, at]) => at <= now);
        for (const [index] of due) model.delete(index);
        const times = new Map(due);
        assert.deepEqual(fired.toSorted(), due.map(([index]) => index).toSorted());
        const order = fired.map((index) => times.get(index) ?? 0);
        assert.deepEqual(
          order,
          order.toSorted((one, other) => one - other),
        );
      } else {
        const at = kind === 'set' ? now + time : Infinity;
        deadlines.set(deadline, at);
        if (kind === 'set') model.set(which, at);
        else model.delete(which);
      }
      const earliest = Math.min(Infinity, ...model.values());
      assert.equal(deadlines.earliestNs, earliest);
      assert.equal(told, earliest, 'the alarm is at the earliest');
    }
  });
  fc.assert(property, { numRuns: 300 });
});

test('what a deadline sets for the same moment fires the next time', () => {
  const deadlines = new Deadlines(() => {});
  let count = 0;
  const again: Deadline = new Deadline(() => {
    count += 1;
    deadlines.set(again, 5);
  });
  deadlines.set(again, 5);
  deadlines.run(5);
  assert.equal(count, 1);
  deadlines.run(5);
  assert.equal(count, 2);
});
