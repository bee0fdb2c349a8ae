/**
 * A member that follows: stores what its source sends, watches it, and asks for a ballot when it is
 * gone. Called by `machine.ts`. Must not acknowledge anything older than what it promised.
 */

import { assert, present } from '../base/assert.ts';
import type { ReplicaId } from '../base/ids.ts';
import { proceed } from './candidate.ts';
import { isMember, sameConfiguration } from './configuration.ts';
import type { Core } from './core.ts';
import { acceptPrepare, followNews, onConfiguration, onRefused } from './following.ts';
import type { Backup } from './roles.ts';
import { becomeCandidate, becomeDeposed } from './transitions.ts';
import type { MasterReply, MasterRequest, Message } from './types.ts';

export function onMessage(core: Core, role: Backup, from: ReplicaId, message: Message): void {
  switch (message.kind) {
    case 'heartbeat':
      onHeartbeat(core, role, from, message);
      return;
    case 'configuration':
      onConfiguration(core, from, message.configuration);
      return;
    case 'prepare':
      acceptPrepare(core, from, message);
      return;
    case 'refused':
      onRefused(core, message.configuration);
      return;
    case 'join':
    case 'joined':
      core.refuse(from); // not the primary: look again
      return;
    default:
      return; // answers to what an earlier candidacy of ours asked
  }
}

function onHeartbeat(
  core: Core,
  role: Backup,
  from: ReplicaId,
  message: Message & { readonly kind: 'heartbeat' },
): void {
  if (message.ballot < core.intake.promised) {
    core.refuse(from);
    return;
  }
  // A ballot that we haven't promised, or have but don't know active: `configuration` comes first.
  if (message.ballot > core.intake.promised || from !== core.intake.source) return;
  if (message.ballot !== core.configuration?.ballot) return;
  onHeard(core, role);
  core.learnChosen(message.chosen);
  const epoch = core.intake.acknowledgeable;
  core.send(from, { kind: 'alive', ballot: message.ballot, epoch });
}

/** The source lives. A ballot asked for meanwhile is let go: unless granted, it binds nobody. */
export function onHeard(core: Core, role: Backup): void {
  role.heardMs = core.nowMs;
  role.lost = false;
  if (role.askDueMs === null) return;
  role.askDueMs = null;
  if (core.pending?.kind === 'newBallot') core.abandonRequest();
}

export function onMasterReply(
  core: Core,
  role: Backup,
  request: MasterRequest,
  reply: MasterReply,
): void {
  assert(request.kind === 'newBallot', 'a backup asks for a ballot');
  const known = present(core.configuration, 'the configuration of a backup');
  if (reply.kind === 'granted') {
    assert(sameConfiguration(reply.configuration, known), 'a ballot for another configuration');
    const candidate = becomeCandidate(core, reply.ballot, role.attempts);
    proceed(core, candidate);
    return;
  }
  const current = reply.kind === 'refused' ? reply.configuration : null;
  if (current === null || !core.isNews(current)) {
    role.attempts += 1;
    role.askDueMs = core.nowMs + core.backoffMs(role.attempts);
    return;
  }
  if (!isMember(current, core.self)) {
    becomeDeposed(core, 'removed');
    return;
  }
  const { lost } = role;
  const { source } = core.intake;
  followNews(core, current, role.attempts);
  // It is in charge, but gone: the connection knew already.
  if (lost && source === current.primary && core.role.kind === 'backup') {
    core.role.lost = true;
    suspect(core, core.role);
  }
}

export function onPeerDown(core: Core, role: Backup, peer: ReplicaId): void {
  if (peer !== core.intake.source) return;
  role.lost = true;
  suspect(core, role);
  askIfDue(core, role);
}

export function tick(core: Core, role: Backup): void {
  const { failureTimeoutMs, takeoverTimeoutMs } = core.options.timing;
  const active = core.configuration?.ballot === core.intake.promised;
  const patienceMs = active ? failureTimeoutMs : takeoverTimeoutMs;
  if (core.nowMs - role.heardMs > patienceMs) suspect(core, role);
  askIfDue(core, role);
}

function askIfDue(core: Core, role: Backup): void {
  if (role.askDueMs === null || core.nowMs < role.askDueMs || core.pending !== null) return;
  const { ballot, version } = present(core.configuration, 'the configuration of a backup');
  core.ask({ kind: 'newBallot', previous: { ballot, version } });
}

/** Plan to ask for a ballot: at once if first in the order of ids, else after those before. */
function suspect(core: Core, role: Backup): void {
  if (role.askDueMs !== null) return;
  const { members, primary } = present(core.configuration, 'the configuration of a backup');
  const { source } = core.intake;
  const heirs = members.filter(
    (member) => member === core.self || (member !== primary && member !== source),
  );
  const rank = heirs.indexOf(core.self);
  assert(rank >= 0, 'a backup is an heir');
  const waitMs = rank * core.options.timing.staggerMs;
  const retryMs = role.attempts === 0 ? 0 : core.backoffMs(role.attempts);
  role.askDueMs = core.nowMs + waitMs + retryMs;
}
