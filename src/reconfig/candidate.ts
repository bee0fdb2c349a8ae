/**
 * A member with a ballot of its own: brings the other members to its epoch, then asks the master to
 * activate. Called by `machine.ts`. Must not run the guest before the master granted, and must not
 * change who is in the configuration once it asked.
 */

import { assert } from '../base/assert.ts';
import type { Ballot, Epoch, ReplicaId } from '../base/ids.ts';
import { isMember, sortedMembers } from './configuration.ts';
import type { Core } from './core.ts';
import { acceptPrepare, followNews, onConfiguration, onRefused } from './following.ts';
import { onPeerDown as onMemberDown } from './primary.ts';
import type { Candidate } from './roles.ts';
import { becomeBackup, becomeDeposed, becomePrimary } from './transitions.ts';
import type { MasterReply, MasterRequest, Message } from './types.ts';

export function onMessage(core: Core, role: Candidate, from: ReplicaId, message: Message): void {
  switch (message.kind) {
    case 'prepared':
      onPrepared(core, role, from, message.ballot, message.epoch);
      return;
    case 'refused':
      onRefusal(core, role, from, message);
      return;
    case 'prepare':
      // Its ballot was given for the same configuration after ours, or for a later one: either way
      // the master activates ours no more, or has done so and moved on. So it is safe to yield,
      // even with `complete` on its way.
      acceptPrepare(core, from, message);
      return;
    case 'configuration':
      onConfiguration(core, from, message.configuration);
      return;
    case 'heartbeat':
    case 'join':
    case 'joined':
      core.refuse(from);
      return;
    default:
      return;
  }
}

function onPrepared(
  core: Core,
  role: Candidate,
  from: ReplicaId,
  ballot: Ballot,
  last: Epoch,
): void {
  const follower = role.followers.get(from);
  if (follower === undefined || ballot !== role.ballot || role.phase === 'completing') return;
  // Our image is chosen, so every member has its epoch: our log reaches back to what it has.
  assert(last >= core.intake.image, `${from} has ${last}: less than what is chosen`);
  follower.heardMs = core.nowMs;
  if (last >= role.epoch) {
    follower.state = 'level';
  } else {
    follower.state = 'behind';
    const next = (last + 1) as Epoch;
    core.emit({ kind: 'shipRange', member: from, ballot, from: next, to: role.epoch });
  }
  proceed(core, role);
}

/** A follower has stored deltas of our log. */
export function onAck(
  core: Core,
  role: Candidate,
  from: ReplicaId,
  ballot: Ballot,
  stored: Epoch,
): void {
  const follower = role.followers.get(from);
  if (follower === undefined || ballot !== role.ballot || role.phase === 'completing') return;
  follower.heardMs = core.nowMs;
  if (follower.state !== 'behind' || stored < role.epoch) return;
  follower.state = 'level';
  proceed(core, role);
}

function onRefusal(
  core: Core,
  role: Candidate,
  from: ReplicaId,
  message: Message & { readonly kind: 'refused' },
): void {
  const news = message.configuration !== null && core.isNews(message.configuration);
  if (news) {
    onRefused(core, message.configuration);
    return;
  }
  if (message.ballot <= role.ballot || !role.followers.has(from)) return;
  // A later ballot was given for the same configuration: as with its `prepare`.
  retryLater(core, role);
}

/** Ask the master once nobody is left to wait for. */
export function proceed(core: Core, role: Candidate): void {
  if (role.phase === 'completing') return;
  const level: ReplicaId[] = [core.self];
  for (const [member, follower] of role.followers) {
    if (follower.state === 'level') level.push(member);
    else if (follower.state !== 'lost') return;
  }
  role.phase = 'completing';
  const { ballot, version } = role.previous;
  core.ask({
    kind: 'complete',
    ballot: role.ballot,
    previous: { ballot, version },
    members: sortedMembers(level),
    base: role.epoch,
  });
}

export function onMasterReply(
  core: Core,
  role: Candidate,
  request: MasterRequest,
  reply: MasterReply,
): void {
  assert(request.kind === 'complete', 'a candidate asks to complete');
  if (reply.kind === 'granted') {
    assert(reply.configuration.ballot === role.ballot, 'activated another ballot');
    const primary = becomePrimary(core, reply.configuration, role.previous.members);
    for (const [member, { state }] of role.followers) {
      if (state === 'lost') onMemberDown(core, primary, member);
    }
    return;
  }
  const current = reply.kind === 'refused' ? reply.configuration : null;
  if (current === null || !core.isNews(current)) {
    retryLater(core, role);
    return;
  }
  if (!isMember(current, core.self)) {
    becomeDeposed(core, 'removed');
    return;
  }
  followNews(core, current, role.attempts);
}

/** Give up this ballot, not the promise: wait for whoever has a higher one, then ask again. */
function retryLater(core: Core, role: Candidate): void {
  const { takeoverTimeoutMs, staggerMs } = core.options.timing;
  const patienceMs = Math.min(takeoverTimeoutMs, staggerMs * 2 ** Math.min(role.attempts, 16));
  const waitMs = patienceMs + core.backoffMs(role.attempts);
  becomeBackup(core, core.nowMs + waitMs, role.attempts + 1);
}

export function onPeerDown(core: Core, role: Candidate, peer: ReplicaId): void {
  const follower = role.followers.get(peer);
  if (follower === undefined) return;
  follower.state = 'lost';
  proceed(core, role);
}

export function onPeerUp(core: Core, role: Candidate, peer: ReplicaId): void {
  const follower = role.followers.get(peer);
  // Only a lost connection loses messages: one that is new carries what waited for it.
  if (follower?.state !== 'lost') return;
  follower.state = 'asked';
  if (role.phase === 'completing') return;
  follower.heardMs = core.nowMs;
  const { ballot, previous, epoch } = role;
  core.send(peer, { kind: 'prepare', ballot, previous, epoch });
}

export function tick(core: Core, role: Candidate): void {
  if (role.phase === 'completing') return;
  const { failureTimeoutMs } = core.options.timing;
  const late = core.nowMs > role.deadlineMs;
  for (const follower of role.followers.values()) {
    const silent = core.nowMs - follower.heardMs > failureTimeoutMs;
    if ((silent || late) && follower.state !== 'level') follower.state = 'lost';
  }
  proceed(core, role);
}
