/**
 * The primary: keeps its members and joiners fed, has dead ones removed and whole ones added.
 * Called by `machine.ts`. Must not stop requiring a member's acknowledgements before the master
 * removed it, nor ask for a joiner's membership before it requires them.
 */

import { assert } from '../base/assert.ts';
import type { Ballot, Epoch, ReplicaId } from '../base/ids.ts';
import { type Configuration, isMember } from './configuration.ts';
import type { Core } from './core.ts';
import { JOINERS_MAX, MEMBERS_MAX } from './limits.ts';
import type { Primary } from './roles.ts';
import { becomeDeposed } from './transitions.ts';
import type { MasterReply, MasterRequest, Message } from './types.ts';

export function onMessage(core: Core, role: Primary, from: ReplicaId, message: Message): void {
  switch (message.kind) {
    case 'join':
      onJoin(core, role, from);
      return;
    case 'joined':
      onJoined(core, role, from, message);
      return;
    case 'alive':
      onAck(core, role, from, message.ballot, message.epoch);
      return;
    case 'refused':
      onRefused(core, role, message.configuration);
      return;
    case 'configuration':
      if (message.configuration.ballot < role.configuration.ballot) {
        core.refuse(from);
        return;
      }
      onRefused(core, role, message.configuration);
      return;
    case 'heartbeat':
    case 'prepare':
      core.refuse(from);
      return;
    default:
      return;
  }
}

function onJoin(core: Core, role: Primary, from: ReplicaId): void {
  const { configuration, joiners } = role;
  if (isMember(configuration, from) || joiners.has(from)) return; // said already
  if (joiners.size >= JOINERS_MAX || configuration.members.length + joiners.size >= MEMBERS_MAX) {
    core.refuse(from);
    return;
  }
  joiners.set(from, { phase: 'transferring' });
  role.heardMs.set(from, core.nowMs);
  core.send(from, { kind: 'welcome', configuration });
  core.emit({ kind: 'transfer', member: from });
}

/**
 * The joiner's state is whole. First its acknowledgements are required, then the master is asked:
 * from its membership on, no epoch is released that it doesn't have.
 */
function onJoined(
  core: Core,
  role: Primary,
  from: ReplicaId,
  message: Message & { readonly kind: 'joined' },
): void {
  const joiner = role.joiners.get(from);
  if (joiner === undefined && !isMember(role.configuration, from)) {
    core.refuse(from);
    return;
  }
  if (message.ballot !== role.configuration.ballot) {
    core.refuse(from);
    return;
  }
  role.heardMs.set(from, core.nowMs);
  if (joiner?.phase === 'transferring') {
    core.commit.require(from, message.epoch);
    role.joiners.set(from, { phase: 'required', base: message.base });
  }
  reconfigure(core, role);
}

/** An acknowledgement, from the hot path or in answer to a heartbeat. */
export function onAck(
  core: Core,
  role: Primary,
  from: ReplicaId,
  ballot: Ballot,
  stored: Epoch,
): void {
  if (!role.heardMs.has(from)) {
    core.refuse(from);
    return;
  }
  if (ballot !== role.configuration.ballot) return;
  onHeard(core, role, from);
  core.commit.acknowledge(from, stored);
  if (role.joiners.size > 0) reconfigure(core, role);
}

export function onHeard(core: Core, role: Primary, from: ReplicaId): void {
  if (!role.heardMs.has(from)) return;
  role.heardMs.set(from, core.nowMs);
  if (role.suspects.size > 0) unsuspect(core, role, from);
}

/** Back before the master was asked. Once asked it goes: the answer may have been yes. */
function unsuspect(core: Core, role: Primary, peer: ReplicaId): void {
  const { pending } = core;
  if (pending?.kind === 'removeMember' && pending.member === peer) return;
  role.suspects.delete(peer);
}

/**
 * Somebody promised a higher ballot. That alone ends nothing: only what the master activated does.
 */
function onRefused(core: Core, role: Primary, configuration: Configuration | null): void {
  if (configuration === null || configuration.ballot <= role.configuration.ballot) return;
  assert(!isMember(configuration, core.self), 'a primary was taken over');
  becomeDeposed(core, 'superseded');
}

/** Have the master make the next change that is due, one at a time, removals first. */
function reconfigure(core: Core, role: Primary): void {
  if (core.pending !== null) return;
  const { ballot, version } = role.configuration;
  const previous = { ballot, version };
  for (const member of role.suspects) {
    core.ask({ kind: 'removeMember', previous, member });
    return;
  }
  for (const [member, joiner] of role.joiners) {
    if (joiner.phase !== 'required') continue;
    // Its image must be chosen, for a member's image can't go back; and it must have all that was
    // chosen before its acknowledgements were required.
    const { chosen } = core.commit;
    if (joiner.base > chosen || core.commit.acknowledged(member) < chosen) continue;
    role.joiners.set(member, { phase: 'adding' });
    core.ask({ kind: 'addMember', previous, member });
    return;
  }
}

export function onMasterReply(
  core: Core,
  role: Primary,
  request: MasterRequest,
  reply: MasterReply,
): void {
  const current = reply.kind === 'unavailable' ? null : reply.configuration;
  assert(current !== null, 'the master has lost the configuration');
  if (current.ballot !== role.configuration.ballot) {
    assert(current.ballot > role.configuration.ballot, 'the master went back to an older ballot');
    assert(!isMember(current, core.self), 'a primary was taken over');
    becomeDeposed(core, 'superseded');
    return;
  }
  assert(current.version >= role.configuration.version, 'the master went back');
  if (reply.kind === 'refused') {
    // Nobody but us changes a configuration of our ballot: it is the joiner that it won't have.
    assert(current.version === role.configuration.version, 'another changed our configuration');
    assert(request.kind === 'addMember', 'a removal was refused though nothing changed');
    dropJoiner(core, role, request.member);
  } else {
    applyConfiguration(core, role, current);
  }
  reconfigure(core, role);
}

function applyConfiguration(core: Core, role: Primary, next: Configuration): void {
  const before = role.configuration;
  core.adopt(next);
  role.configuration = next;
  for (const member of next.members) {
    if (isMember(before, member)) continue;
    assert(core.commit.requires(member), 'a member was added before it was required');
    role.joiners.delete(member);
  }
  const releasedBefore = core.commit.released;
  for (const member of before.members) {
    if (isMember(next, member)) continue;
    core.commit.drop(member);
    dismiss(core, role, member);
  }
  core.commit.setOpen(next.members.length >= core.options.minReplicas);
  for (const member of role.heardMs.keys()) {
    core.send(member, { kind: 'configuration', configuration: next });
  }
  emitRelease(core, releasedBefore);
}

/** A joiner is dropped without the master only as long as the master wasn't asked for it. */
function dropJoiner(core: Core, role: Primary, member: ReplicaId): void {
  const releasedBefore = core.commit.released;
  if (core.commit.requires(member)) core.commit.drop(member);
  role.joiners.delete(member);
  dismiss(core, role, member);
  emitRelease(core, releasedBefore);
}

function dismiss(core: Core, role: Primary, member: ReplicaId): void {
  role.suspects.delete(member);
  role.disconnected.delete(member);
  role.heardMs.delete(member);
  core.refuse(member);
  core.emit({ kind: 'forget', member });
}

function emitRelease(core: Core, releasedBefore: Epoch): void {
  const { released } = core.commit;
  if (released > releasedBefore) core.emit({ kind: 'release', upTo: released });
}

/** A member or joiner is gone, as far as we can tell. */
function suspect(core: Core, role: Primary, peer: ReplicaId): void {
  const joiner = role.joiners.get(peer);
  if (joiner === undefined || joiner.phase === 'adding') {
    // One whose membership the master is deciding is removed when it has decided.
    if (isMember(role.configuration, peer)) role.suspects.add(peer);
  } else {
    dropJoiner(core, role, peer);
  }
  reconfigure(core, role);
}

export function onPeerDown(core: Core, role: Primary, peer: ReplicaId): void {
  if (!role.heardMs.has(peer)) return;
  role.disconnected.add(peer);
  suspect(core, role, peer);
}

/** Connected again: what the lost connection lost is sent again from what is known to be there. */
export function onPeerUp(core: Core, role: Primary, peer: ReplicaId): void {
  if (!role.disconnected.delete(peer) || !core.commit.requires(peer)) return;
  role.heardMs.set(peer, core.nowMs);
  core.send(peer, { kind: 'configuration', configuration: role.configuration });
  const from = (core.commit.acknowledged(peer) + 1) as Epoch;
  core.emit({ kind: 'stream', member: peer, from });
  unsuspect(core, role, peer);
}

export function onJoinFailed(core: Core, role: Primary, member: ReplicaId): void {
  if (role.joiners.get(member)?.phase === 'transferring') dropJoiner(core, role, member);
}

export function tick(core: Core, role: Primary): void {
  const { failureTimeoutMs, heartbeatMs } = core.options.timing;
  for (const [member, heardMs] of role.heardMs) {
    if (core.nowMs - heardMs > failureTimeoutMs) suspect(core, role, member);
    if (core.role !== role) return;
  }
  reconfigure(core, role);
  if (core.nowMs < role.heartbeatDueMs) return;
  role.heartbeatDueMs = core.nowMs + heartbeatMs;
  const { ballot } = role.configuration;
  const { chosen } = core.commit;
  for (const member of role.heardMs.keys()) {
    core.send(member, { kind: 'heartbeat', ballot, chosen });
  }
}
