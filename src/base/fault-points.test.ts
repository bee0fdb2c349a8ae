/** Tests of fault-points.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TardigradeError } from './errors.ts';
import { FAULT_POINTS, FaultPlan, InjectedFault } from './fault-points.ts';

function plan(...specs: string[]): { faults: FaultPlan; acted: string[] } {
  const acted: string[] = [];
  return {
    faults: new FaultPlan(specs, (point, action) => acted.push(`${point} ${action}`)),
    acted,
  };
}

test('a fault acts at its point, the first time unless it counts, and once', () => {
  const { faults, acted } = plan('delta-sent=kill', 'after-release:3=freeze');
  faults.at('before-ship');
  assert.deepEqual(acted, []);
  for (let pass = 0; pass < 4; pass += 1) faults.at('delta-sent');
  assert.deepEqual(acted, ['delta-sent kill']);
  faults.at('after-release');
  faults.at('after-release');
  assert.equal(acted.length, 1);
  for (let pass = 0; pass < 9; pass += 1) faults.at('after-release');
  assert.deepEqual(acted, ['delta-sent kill', 'after-release freeze']);
});

test('fail throws, after what else is due there', () => {
  const { faults, acted } = plan('during-apply=fail', 'during-apply=freeze', 'during-apply:2=kill');
  assert.throws(
    () => faults.at('during-apply'),
    (error) => error instanceof InjectedFault && error.point === 'during-apply',
  );
  faults.at('during-apply');
  assert.deepEqual(acted, ['during-apply freeze', 'during-apply kill']);
});

test('every point can be planned', () => {
  for (const point of FAULT_POINTS) {
    const { faults, acted } = plan(`${point}:2=kill`);
    faults.at(point);
    faults.at(point);
    assert.deepEqual(acted, [`${point} kill`]);
  }
  assert.equal(new Set(FAULT_POINTS).size, FAULT_POINTS.length);
});

test('bad specs are refused in one line that shows what would do', () => {
  const bad: readonly [string, RegExp][] = [
    ['nowhere=kill', /no point 'nowhere'; use one of before-quiesce, /],
    ['delta-sent=explode', /no action 'explode'; use one of kill, freeze, fail$/],
    ['delta-sent', /no action; write POINT\[:COUNT\]=ACTION$/],
    ['', /no action/],
    ['delta-sent:0=kill', /no count '0'/],
    ['delta-sent:-1=kill', /no count '-1'/],
    ['delta-sent:1.5=kill', /no count '1.5'/],
    ['delta-sent:=kill', /no count ''/],
    ['delta-sent:1e3=kill', /no count '1e3'/],
    ['delta-sent:99999999999=kill', /no count/],
  ];
  for (const [spec, expected] of bad) {
    assert.throws(
      () => plan(spec),
      (error) => {
        assert.ok(error instanceof TardigradeError);
        assert.equal(error.code, 'usage');
        assert.match(error.line, expected);
        assert.ok(!error.line.includes('\n'));
        return true;
      },
    );
  }
});
