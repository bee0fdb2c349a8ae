/** Tests of forwarding.ts: nobody can tell that it is there. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lvmConformance } from '../../test/conformance/lvm.ts';
import { Recorder } from '../../test/conformance/recorder.ts';
import { simUnderTest } from '../../test/conformance/sim.ts';
import { SimHost } from '../host/sim/sim-host.ts';
import type { LvmClient } from '../lvm/api.ts';
import { callClasses } from '../lvm/classes.ts';
import { ForwardingLvm } from './forwarding.ts';

lvmConformance('ForwardingLvm on SimHost', () => simUnderTest((host) => new ForwardingLvm(host)));

type Method = (...args: unknown[]) => unknown;

/** An object whose every method notes its name and arguments and returns a token. */
function echo(): { target: object; calls: unknown[][] } {
  const calls: unknown[][] = [];
  const target = new Proxy(
    {},
    {
      get:
        (_target, name) =>
        (...args: unknown[]) => {
          calls.push([name, ...args]);
          return `from ${String(name)}`;
        },
    },
  );
  return { target, calls };
}

test('every call passes all its arguments down and its result up', () => {
  const { target, calls } = echo();
  const forwarding = new ForwardingLvm(target as never) as unknown as Record<string, Method>;
  for (const name of Object.keys(callClasses)) {
    if (name === 'attach') continue;
    const method = forwarding[name] as Method;
    const args = Array.from({ length: method.length }, (_, index) => ({ index }));
    const result = method.apply(forwarding, args);
    assert.deepEqual(calls.pop(), [name, ...args]);
    if (result !== undefined) assert.equal(result, `from ${name}`);
  }
});

test('a call that has a result passes it up', () => {
  const { target } = echo();
  const forwarding = new ForwardingLvm(target as never);
  const results: unknown[] = [forwarding.quiesce(), forwarding.context(), forwarding.regions()];
  assert.deepEqual(results, ['from quiesce', 'from context', 'from regions']);
});

test('every upcall passes all its arguments up', () => {
  const { target: client, calls } = echo();
  const forwarding = new ForwardingLvm(new SimHost());
  forwarding.attach(client as LvmClient);
  const upcalls: Record<keyof LvmClient, number> = {
    launched: 2,
    trapped: 1,
    withdrawn: 1,
    interrupted: 2,
    ready: 2,
    alarm: 0,
    settled: 0,
    exited: 1,
    setup: 0,
    save: 2,
    load: 1,
  };
  const upward = forwarding as unknown as Record<string, Method>;
  for (const [name, count] of Object.entries(upcalls)) {
    const args = Array.from({ length: count }, (_, index) => ({ index }));
    const method = upward[name] as Method;
    method.apply(forwarding, args);
    assert.deepEqual(calls.pop(), [name, ...args]);
  }
  assert.equal(forwarding.setup() as unknown, 'from setup');
});

test('a client is attached once', () => {
  const forwarding = new ForwardingLvm(new SimHost());
  forwarding.attach(new Recorder());
  assert.throws(() => forwarding.attach(new Recorder()), /attached once/);
});
