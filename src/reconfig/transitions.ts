/**
 * Every change of role, with what it starts. Called by the files of the roles; imports none of
 * them.
 */

import { assert, present } from '../base/assert.ts';
import type { Ballot, Epoch, ReplicaId } from '../base/ids.ts';
import { type Configuration, isMember } from './configuration.ts';
import type { Core } from './core.ts';
import type { Backup, Candidate, Follower, Joining, Primary } from './roles.ts';
import type { DeposedReason } from './types.ts';

/** Start over looking for a primary: nothing of a state is here yet. */
export function becomeLocating(core: Core, dueMs: number): Joining {
  assert(!core.intake.whole, 'a whole state looks for no other');
  const role: Joining = {
    kind: 'joining',
    phase: 'locating',
    primary: null,
    heardMs: core.nowMs,
    dueMs,
  };
  core.role = role;
  return role;
}

/**
 * Follow `intake.source`; a null `askDueMs` trusts it. What was asked of the master is let go: a
 * read, a ballot that binds nobody unless it is taken up, or a `complete` that is known to be void.
 */
export function becomeBackup(core: Core, askDueMs: number | null, attempts: number): Backup {
  assert(core.intake.whole, 'a backup has the whole state');
  const configuration = present(core.configuration, 'the configuration of a backup');
  assert(isMember(configuration, core.self), 'a backup is a member');
  core.abandonRequest();
  const role: Backup = { kind: 'backup', heardMs: core.nowMs, lost: false, askDueMs, attempts };
  core.role = role;
  return role;
}

/**
 * The master gave `ballot` for `previous`. From here on nothing older is acknowledged, so what the
 * log has now contains all that is chosen, or ever will be, in `previous`.
 */
export function becomeCandidate(core: Core, ballot: Ballot, attempts: number): Candidate {
  const previous = present(core.configuration, 'the configuration of a candidate');
  assert(isMember(previous, core.self), 'a candidate is a member');
  assert(ballot > core.intake.promised, 'a ballot of an earlier promise');
  core.intake.promise(ballot, null, null);
  core.emit({ kind: 'dropPartial' });
  const followers = new Map<ReplicaId, Follower>();
  const epoch = core.intake.last;
  for (const member of previous.members) {
    // The primary before can't follow: its image is ahead of what is chosen.
    if (member === core.self || member === previous.primary) continue;
    followers.set(member, { state: 'asked', heardMs: core.nowMs });
    core.send(member, { kind: 'prepare', ballot, previous, epoch });
  }
  const deadlineMs = core.nowMs + core.options.timing.synchroniseTimeoutMs;
  const role: Candidate = {
    kind: 'candidate',
    ballot,
    previous,
    epoch,
    followers,
    deadlineMs,
    phase: 'synchronising',
    attempts,
  };
  core.role = role;
  return role;
}

/** The master activated `configuration` with us as primary; only now may the guest run here. */
export function becomePrimary(
  core: Core,
  configuration: Configuration,
  before: readonly ReplicaId[],
): Primary {
  const { base, members } = configuration;
  assert(configuration.primary === core.self, 'the primary of another');
  assert(core.intake.promised === configuration.ballot, 'activated in an older ballot');
  assert(core.intake.last === base, 'activated at another epoch than completed');
  core.adopt(configuration);
  core.commit.start(base);
  for (const member of members) {
    if (member !== core.self) core.commit.require(member, base);
  }
  core.commit.setOpen(members.length >= core.options.minReplicas);
  core.emit({ kind: 'activate', configuration, epoch: base });
  const heardMs = new Map<ReplicaId, number>();
  for (const member of members) {
    if (member === core.self) continue;
    heardMs.set(member, core.nowMs);
    core.send(member, { kind: 'configuration', configuration });
    core.emit({ kind: 'stream', member, from: (base + 1) as Epoch });
  }
  // Those left out learn it too, so that they make room for fresh ones.
  for (const member of before) {
    if (!members.includes(member)) core.send(member, { kind: 'configuration', configuration });
  }
  const role: Primary = {
    kind: 'primary',
    configuration,
    joiners: new Map(),
    suspects: new Set(),
    disconnected: new Set(),
    heardMs,
    heartbeatDueMs: core.nowMs,
  };
  core.role = role;
  return role;
}

/**
 * Leave for good. Only ever when the master's configuration is known to go on without us, or when
 * we never had the state: leaving as a member would be a failure that nobody had.
 */
export function becomeDeposed(core: Core, reason: DeposedReason): void {
  core.abandonRequest();
  core.role = { kind: 'deposed', reason };
  core.emit({ kind: 'deposed', reason });
}
