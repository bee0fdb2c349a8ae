/**
 * Configurations: who must acknowledge a delta for it to be chosen, and who produces deltas.
 * Made by the master only; compared and asked about by everyone. Pure values, no state.
 */

import { assert } from '../base/assert.ts';
import type { Ballot, Epoch, ReplicaId } from '../base/ids.ts';
import { MEMBERS_MAX } from './limits.ts';

/** Names one configuration. `version` grows by one with every change, across ballots too. */
export interface ConfigurationId {
  readonly ballot: Ballot;
  readonly version: number;
}

export interface Configuration extends ConfigurationId {
  readonly primary: ReplicaId;
  /** Ascending, without duplicates, the primary among them. Its write quorum is all of them. */
  readonly members: readonly ReplicaId[];
  /**
   * The epoch from which this ballot's primary went on. Every member held it at activation; what
   * a log holds beyond it from an older ballot belongs to no history and is truncated.
   */
  readonly base: Epoch;
}

export function sameConfiguration(a: ConfigurationId, b: ConfigurationId): boolean {
  return a.ballot === b.ballot && a.version === b.version;
}

export function isMember(configuration: Configuration, replica: ReplicaId): boolean {
  return configuration.members.includes(replica);
}

export function sortedMembers(members: Iterable<ReplicaId>): readonly ReplicaId[] {
  return [...new Set(members)].sort((a, b) => a - b);
}

/** Why `configuration` can't be one, or null. For what comes from outside: codec and masters. */
export function configurationProblem(configuration: Configuration): string | null {
  const { ballot, version, primary, members, base } = configuration;
  if (!isPositive(ballot)) return 'ballot is not a positive integer';
  if (!isPositive(version)) return 'version is not a positive integer';
  if (!Number.isSafeInteger(base) || base < 0) return 'base is not an epoch';
  if (members.length === 0 || members.length > MEMBERS_MAX) return 'count of members';
  if (!members.every(isPositive)) return 'a member is not a positive integer';
  for (let index = 1; index < members.length; index++) {
    if (Number(members[index - 1]) >= Number(members[index])) return 'members do not ascend';
  }
  if (!members.includes(primary)) return 'the primary is not a member';
  return null;
}

export function assertConfiguration(configuration: Configuration): void {
  const problem = configurationProblem(configuration);
  assert(problem === null, `configuration: ${problem}`);
}

function isPositive(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0;
}
