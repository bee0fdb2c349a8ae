/**
 * The failover tests, as a function, because they run twice: as whoever runs the tests, and from
 * unprivileged.test.ts as a user without any privilege.
 */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { skipUnless } from '../support/requirements.ts';
import { delay, eventually } from '../support/wait.ts';
import { World } from '../support/world.ts';
import { Group } from './group.ts';
import { planPair, planTakeover, pointsAt } from './plan.ts';

const killsMin = 30;

export function failoverSuite(): void {
  const skip = skipUnless('redis-server', 'cli');
  const seed = Number(process.env.TARDIGRADE_SEED ?? Math.floor(Math.random() * 2 ** 31));
  const title = `seed ${seed}; TARDIGRADE_SEED=${seed} repeats its choices`;
  let kills = 0;

  test(`the primary dies at each point of an epoch (${title})`, { skip }, async (t) => {
    const plan = planPair(pointsAt('primary'));
    const faults = plan.map(({ fault }) => fault);
    const group = await Group.start(new World(t), { replicas: 2, seed, faults });
    t.after(() => group.workload.stop().catch(() => {}));
    for (const death of plan) await group.dieAsPlanned(death);
    await group.end();
    kills += group.kills;
    t.diagnostic(group.summary());
  });

  test(`backups and joining replicas die at each of theirs (${title})`, { skip }, async (t) => {
    const plan = planPair([...pointsAt('backup'), ...pointsAt('join')]);
    const faults = plan.map(({ fault }) => fault);
    const group = await Group.start(new World(t), { replicas: 2, seed, faults });
    t.after(() => group.workload.stop().catch(() => {}));
    for (const death of plan) await group.dieAsPlanned(death);
    await group.end();
    kills += group.kills;
    t.diagnostic(group.summary());
  });

  test(`a new primary dies while it takes over (${title})`, { skip }, async (t) => {
    for (const death of pointsAt('takeover').map(planTakeover)) {
      const faults = [death.fault];
      const group = await Group.start(new World(t), { replicas: 3, seed, faults });
      t.after(() => group.workload.stop().catch(() => {}));
      await group.dieInTakeover(death);
      await group.end();
      kills += group.kills;
      t.diagnostic(`${death.point}: ${group.summary()}`);
    }
  });

  for (const replicas of [2, 3]) {
    test(`${replicas} replicas die at random times (${title})`, { skip }, async (t) => {
      const group = await Group.start(new World(t), { replicas, seed: seed + replicas });
      t.after(() => group.workload.stop().catch(() => {}));
      for (let step = 0; step < 6; step += 1) {
        await group.work();
        const { primary, backups } = group.service;
        const isBackup = group.prng.chance(0.3);
        const victim = isBackup ? backups[group.prng.below(backups.length)] : primary;
        await group.kill(victim ?? assert.fail('no victim'));
        await group.settle(`after kill ${step} of replica ${victim}`);
      }
      await group.end();
      kills += group.kills;
      t.diagnostic(group.summary());
    });
  }

  test('a frozen primary that wakes up deposed says nothing', { skip }, async (t) => {
    const group = await Group.start(new World(t), {
      replicas: 2,
      seed,
      failureTimeoutMs: 1_000,
      keepsDeposed: true,
      requestTimeoutMs: 2_500,
    });
    t.after(() => group.workload.stop().catch(() => {}));
    for (let step = 0; step < 2; step += 1) {
      await group.work();
      await freezeAndWake(group, step);
    }
    await group.end();
    kills += group.kills;
    t.diagnostic(group.summary());
  });

  const points = ['delta-half-sent', 'acknowledged-not-released', 'half-released'] as const;
  for (const point of points) {
    test(`a primary that freezes at ${point} is replaced`, { skip }, async (t) => {
      const group = await Group.start(new World(t), {
        replicas: 2,
        seed,
        faults: [`1:${point}:100=freeze`],
        failureTimeoutMs: 1_000,
        keepsDeposed: true,
        requestTimeoutMs: 2_500,
      });
      t.after(() => group.workload.stop().catch(() => {}));
      await eventually(`replica 1 frozen at ${point}`, 30_000, () => group.isFrozen(1), 20);
      await group.waitForOtherPrimary(1);
      await group.settle(`after replica 1 froze at ${point}`);
      group.service.signal(1, 'SIGCONT');
      await group.workload.progress(50);
      await group.settle(`after replica 1 woke up from ${point}`);
      group.kills += 1;
      await group.end();
      kills += group.kills;
    });
  }

  test('a checkpoint that fails loses nothing', { skip }, async (t) => {
    const faults = [
      '1:during-quiesce:40=fail',
      '1:during-capture:60=fail',
      '1:during-capture:61=fail',
      '1:after-capture:90=fail',
    ];
    const group = await Group.start(new World(t), { replicas: 2, seed, faults });
    t.after(() => group.workload.stop().catch(() => {}));
    await group.workload.progress(300);
    await group.service.waitForMembers(2);
    const { all, takeovers } = group.service.events;
    const reports = all.filter(({ what }) => what === 'capture-failed').map(({ detail }) => detail);
    assert.ok(reports.length >= 3, `failed: ${reports.join(', ')}`);
    assert.deepEqual(takeovers, [], 'a failed checkpoint ended the primary');
    // Its pages must all have come over.
    await group.kill(group.service.primary);
    await group.settle('after failed checkpoints and a kill');
    await group.end();
    kills += group.kills;
  });

  after(() => {
    if (skip === false) assert.ok(kills >= killsMin, `only ${kills} of ${killsMin} deaths`);
  });
}

/**
 * Freezes the primary with a request in its hands, lets the group go on without it, wakes it: over
 * the old connection nothing may come, neither an answer to the write nor to the read.
 */
async function freezeAndWake(group: Group, step: number): Promise<void> {
  const frozen = group.service.primary;
  const old = await group.redis.connect();
  const receivedBytes = old.receivedBytes;
  group.workload.mark();
  group.service.signal(frozen, 'SIGSTOP');
  group.kills += 1;
  old.send('SET', `stale:${step}`, 'written to a frozen primary');
  old.send('GET', 'r:0');
  await group.waitForOtherPrimary(frozen);
  await group.settle(`after replica ${frozen} froze`);

  group.service.signal(frozen, 'SIGCONT');
  await delay(1500);
  assert.equal(old.receivedBytes, receivedBytes, 'a deposed primary answered');
  old.close();
  const now = await group.redis.connect();
  assert.deepEqual(await now.call('EXISTS', `stale:${step}`), { type: 'integer', value: 0n });
  now.close();
  await group.settle(`after replica ${frozen} woke up`);
  // It may have ended by itself; if not, it is in nobody's way, and goes now.
  if (group.service.isRunning(frozen)) group.service.signal(frozen, 'SIGKILL');
}
