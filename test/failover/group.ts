/**
 * Group: a replicated redis under a workload, and the ways in which its replicas are made to die.
 * Every way ends in `settle`: the service answers again, is back at full strength, and nothing that
 * was acknowledged is missing.
 */

import assert from 'node:assert/strict';
import { Prng } from '../../src/base/prng.ts';
import { readProcess } from '../support/process-table.ts';
import { type RedisService, startRedis } from '../support/redis.ts';
import type { Service } from '../support/service.ts';
import { delay, eventually } from '../support/wait.ts';
import type { World } from '../support/world.ts';
import { History } from './history.ts';
import type { Death } from './plan.ts';
import { Workload } from './workload.ts';

export interface GroupOptions {
  readonly replicas: number;
  readonly seed: number;
  readonly faults?: readonly string[];
  readonly failureTimeoutMs?: number;
  readonly keepsDeposed?: boolean;
  /** With frozen primaries: how long a client waits before it connects anew. */
  readonly requestTimeoutMs?: number;
}

/** From the death of a replica to a group at full strength. Seconds; the machine may be busy. */
const recoveryTimeoutMs = 30_000;
/** For a planned death to come: the writes until then. */
const deathTimeoutMs = 30_000;

export class Group {
  readonly world: World;
  readonly redis: RedisService;
  readonly workload: Workload;
  readonly prng: Prng;
  readonly replicas: number;
  /** Processes that were killed or frozen, by the test or by a fault point. */
  kills = 0;
  /** Milliseconds from a death of the primary to the next answered write. */
  readonly takeoverMs: number[] = [];

  private constructor(world: World, redis: RedisService, options: GroupOptions) {
    this.world = world;
    this.redis = redis;
    this.replicas = options.replicas;
    this.prng = new Prng(options.seed);
    this.workload = new Workload(new History(), new Prng(options.seed + 1), {
      port: redis.port,
      clients: 4,
      thinkMs: 1,
      requestTimeoutMs: options.requestTimeoutMs ?? 10_000,
      patienceMs: recoveryTimeoutMs,
    });
  }

  /** Under load, at full strength. */
  static async start(world: World, options: GroupOptions): Promise<Group> {
    const redis = await startRedis(world, { mode: 'run', ...options });
    const group = new Group(world, redis, options);
    await redis.service.waitForMembers(options.replicas);
    group.workload.start();
    return group;
  }

  get service(): Service {
    return this.redis.service;
  }

  /** Lets it work for a while: a random time, so that deaths find it anywhere. */
  async work(): Promise<void> {
    await this.workload.progress(30 + this.prng.below(40));
    await delay(this.prng.below(50));
  }

  async settle(context: string): Promise<void> {
    await this.workload.progress(20);
    const { answeredAfterMs } = this.workload;
    if (answeredAfterMs !== null) this.takeoverMs.push(answeredAfterMs);
    // At rest, so that planned deaths can't come before the group is whole.
    await this.workload.pause();
    await this.service.waitForMembers(this.replicas, recoveryTimeoutMs);
    await this.workload.verify(`${context} (${this.describe()})`);
    this.workload.resume();
  }

  /** SIGKILL to a replica, while clients work. */
  async kill(replica: number): Promise<void> {
    const isPrimary = replica === this.service.primary;
    if (isPrimary) this.workload.mark();
    this.service.signal(replica, 'SIGKILL');
    this.kills += 1;
    await this.waitForDeath(replica);
    if (isPrimary) await this.waitForOtherPrimary(replica);
  }

  async waitForDeath(replica: number): Promise<void> {
    const what = `the death of replica ${replica} (${this.describe()})`;
    await eventually(what, deathTimeoutMs, () => !this.service.isRunning(replica), 10);
  }

  async waitForOtherPrimary(replica: number): Promise<void> {
    await this.service.waitForPrimary((primary) => primary !== replica, recoveryTimeoutMs);
  }

  /** One step of a plan with two replicas. */
  async dieAsPlanned({ point, victim, primaryBefore, primaryAfter }: Death): Promise<void> {
    assert.equal(this.service.primary, primaryBefore, `the primary before ${point}`);
    if (victim > Math.max(...this.service.members)) {
      // It is still to come, in the place of the backup.
      await this.kill(this.service.backups[0] as number);
      await eventually(`replica ${victim}`, recoveryTimeoutMs, () => {
        return this.service.events.pids.has(victim);
      });
    }
    await this.waitForDeath(victim);
    if (victim === primaryBefore) this.workload.mark();
    this.kills += 1;
    if (primaryAfter !== primaryBefore) await this.waitForOtherPrimary(primaryBefore);
    await this.settle(`after the death of replica ${victim} at ${point}`);
    assert.equal(this.service.primary, primaryAfter, `the primary after ${point}`);
  }

  /** One step of a plan with three: the primary is killed, and who takes over dies of it. */
  async dieInTakeover({ point, victim, primaryBefore, primaryAfter }: Death): Promise<void> {
    const { service } = this;
    assert.equal(service.primary, primaryBefore, `primary before ${point} ${this.describe()}`);
    const other = service.backups.find((backup) => backup !== victim) as number;
    assert.equal(other, primaryAfter, `the backups before ${point}`);
    await this.work();
    // So that the victim is the one to take over.
    service.signal(other, 'SIGSTOP');
    this.workload.mark();
    service.signal(primaryBefore, 'SIGKILL');
    await delay(100);
    service.signal(other, 'SIGCONT');
    await this.waitForDeath(victim);
    this.kills += 2;
    await service.waitForPrimary((primary) => primary === primaryAfter, recoveryTimeoutMs);
    await this.settle(`after the death of replica ${victim} at ${point}`);
  }

  /** Ends it; nothing may be left. */
  async end(): Promise<void> {
    await this.workload.stop();
    await this.workload.verify(`at the end (${this.describe()})`);
    await this.service.stop();
    await this.world.expectNothingLeft();
  }

  isFrozen(replica: number): boolean {
    return readProcess(this.service.pidOf(replica))?.state === 'T';
  }

  describe(): string {
    const { configuration, takeovers } = this.service.events;
    const reasons = takeovers.map(({ replica, reason }) => `${replica} took over: ${reason}`);
    return [
      `ballot ${configuration?.ballot}, primary ${configuration?.primary}`,
      `members ${configuration?.members.join(' ')}`,
      ...reasons.slice(-5),
      `${this.workload.acknowledged} acknowledged, ${this.workload.open} open`,
    ].join(', ');
  }

  summary(): string {
    const sorted = [...this.takeoverMs].sort((left, right) => left - right);
    const at = (part: number): string => {
      const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
      return value === undefined ? '-' : value.toFixed(0);
    };
    return (
      `${this.kills} deaths, ${this.workload.acknowledged} writes acknowledged, 0 lost, ` +
      `${this.workload.open} requests without answer; next answered write after ` +
      `${at(0.5)} ms (median), ${at(1)} ms (most)`
    );
  }
}
