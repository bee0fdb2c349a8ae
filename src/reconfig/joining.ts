/**
 * A fresh replica: founds the service or finds its primary, gets the state and becomes a member.
 * Called by `machine.ts`. Must not leave once its state is whole, unless it can't be a member.
 */

import { assert, present } from '../base/assert.ts';
import type { Epoch, ReplicaId } from '../base/ids.ts';
import { type Configuration, isMember } from './configuration.ts';
import type { Core } from './core.ts';
import { acceptPrepare } from './following.ts';
import type { Joining } from './roles.ts';
import { becomeBackup, becomeDeposed, becomeLocating, becomePrimary } from './transitions.ts';
import type { MasterReply, Message } from './types.ts';

export function start(core: Core): void {
  assert(core.role.kind === 'joining' && core.pending === null, 'started once');
  if (core.options.start === 'found') {
    core.role.phase = 'founding';
    core.ask({ kind: 'found' });
  } else {
    core.ask({ kind: 'read' });
  }
}

export function onMessage(core: Core, role: Joining, from: ReplicaId, message: Message): void {
  switch (message.kind) {
    case 'welcome':
      onWelcome(core, role, from, message.configuration);
      return;
    case 'configuration':
      onConfiguration(core, role, from, message.configuration);
      return;
    case 'heartbeat':
      onHeartbeat(core, role, from, message);
      return;
    case 'refused':
      onRefused(core, role, from, message.configuration);
      return;
    case 'join':
      // The master knows us as primary before we do: to be asked again.
      core.refuse(from);
      return;
    case 'prepare': {
      // The primary made us a member and was gone before we heard of it.
      if (!isMember(message.previous, core.self)) return;
      assert(role.phase === 'whole', 'a member without the whole state');
      acceptPrepare(core, from, message);
      return;
    }
    default:
      return; // meant for another role, which this incarnation never had
  }
}

function onWelcome(core: Core, role: Joining, from: ReplicaId, configuration: Configuration): void {
  if (role.phase !== 'requesting' || from !== role.primary) return;
  core.configuration = configuration;
  core.intake.promise(configuration.ballot, from, null);
  role.phase = 'transferring';
  role.heardMs = core.nowMs;
  core.emit({ kind: 'receive', from, ballot: configuration.ballot });
}

function onConfiguration(core: Core, role: Joining, from: ReplicaId, next: Configuration): void {
  if (from !== role.primary || next.ballot !== core.intake.promised) return;
  role.heardMs = core.nowMs;
  if (!core.isNews(next)) return;
  if (!isMember(next, core.self)) {
    core.configuration = next;
    return;
  }
  assert(role.phase === 'whole', 'a member without the whole state');
  core.adopt(next);
  becomeBackup(core, null, 0);
}

function onHeartbeat(
  core: Core,
  role: Joining,
  from: ReplicaId,
  message: Message & { readonly kind: 'heartbeat' },
): void {
  if (from !== role.primary || message.ballot !== core.intake.promised) return;
  onHeard(core, role);
  const epoch = core.intake.whole ? core.intake.acknowledgeable : (0 as Epoch);
  core.send(from, { kind: 'alive', ballot: message.ballot, epoch });
  if (core.intake.whole) core.learnChosen(message.chosen);
}

/**
 * The primary lives, so there is nothing to ask the master. While we request, only an answer
 * counts: one that lives may have missed the request.
 */
export function onHeard(core: Core, role: Joining): void {
  if (role.phase === 'requesting') return;
  role.heardMs = core.nowMs;
  role.dueMs = null;
}

function onRefused(
  core: Core,
  role: Joining,
  from: ReplicaId,
  configuration: Configuration | null,
): void {
  if (role.phase === 'requesting') {
    // It is primary no more.
    if (from === role.primary) becomeLocating(core, core.nowMs + core.backoffMs(1));
    return;
  }
  if (configuration !== null && isMember(configuration, core.self)) {
    assert(role.phase === 'whole', 'a member without the whole state');
    resolve(core, role, configuration);
    return;
  }
  // The primary has forgotten us, so it never will ask the master for us again.
  if (from === role.primary) becomeDeposed(core, 'joinLost');
}

/** The data plane has the image as of `base` and every delta up to `last`. */
export function onImageComplete(core: Core, role: Joining, base: Epoch, last: Epoch): void {
  assert(role.phase === 'transferring', 'an image completes in a transfer');
  const primary = present(role.primary, 'the primary of a joiner');
  core.intake.begin(base, last);
  role.phase = 'whole';
  sendJoined(core, primary);
}

export function onMasterReply(core: Core, role: Joining, reply: MasterReply): void {
  if (role.phase === 'founding') {
    if (reply.kind === 'granted') {
      core.intake.promise(reply.ballot, null, null);
      core.intake.begin(reply.configuration.base, reply.configuration.base);
      becomePrimary(core, reply.configuration, []);
      return;
    }
    role.phase = 'locating';
  }
  if (reply.kind === 'unavailable' || reply.configuration === null) {
    role.dueMs = core.nowMs + core.backoffMs(4);
    return;
  }
  if (role.phase === 'whole') {
    resolve(core, role, reply.configuration);
    return;
  }
  if (role.phase !== 'locating') return;
  role.primary = reply.configuration.primary;
  role.phase = 'requesting';
  role.heardMs = core.nowMs;
  core.configuration = null;
  core.send(role.primary, { kind: 'join' });
}

/**
 * Whole, and the primary is silent: `current` says what became of us. Without us in it, but in our
 * ballot, the primary may still have us added: then wait. Only a newer ballot rules that out.
 */
function resolve(core: Core, role: Joining, current: Configuration): void {
  const known = present(core.configuration, 'the configuration of a joiner');
  if (isMember(current, core.self)) {
    core.adopt(current);
    becomeBackup(core, core.nowMs, 0);
  } else if (current.ballot > core.intake.promised || current.ballot > known.ballot) {
    becomeDeposed(core, 'joinLost');
  } else {
    role.dueMs = core.nowMs + core.backoffMs(6);
  }
}

export function onPeerDown(core: Core, role: Joining, peer: ReplicaId): void {
  if (peer === role.primary) onSilence(core, role);
}

export function onPeerUp(core: Core, role: Joining, peer: ReplicaId): void {
  if (peer === role.primary && role.phase === 'whole') sendJoined(core, peer);
}

/** Count our acknowledgements, or tell us that we are forgotten. */
function sendJoined(core: Core, primary: ReplicaId): void {
  const { promised, image, last } = core.intake;
  core.send(primary, { kind: 'joined', ballot: promised, base: image, epoch: last });
}

export function tick(core: Core, role: Joining): void {
  const { failureTimeoutMs, takeoverTimeoutMs } = core.options.timing;
  const patienceMs = role.phase === 'requesting' ? takeoverTimeoutMs : failureTimeoutMs;
  if (role.primary !== null && core.nowMs - role.heardMs > patienceMs) onSilence(core, role);
  if (core.role !== role || role.dueMs === null || core.nowMs < role.dueMs) return;
  if (core.pending !== null) return;
  role.dueMs = null;
  core.ask({ kind: 'read' });
  // It may live, and have lost its dismissal of us with the connection.
  if (role.phase === 'whole' && role.primary !== null) sendJoined(core, role.primary);
}

/**
 * One incarnation asks again only after a refusal. Were it to ask while an answer may be on its
 * way, it could take what belongs to one transfer for part of another.
 */
function onSilence(core: Core, role: Joining): void {
  switch (role.phase) {
    case 'founding':
    case 'locating':
      return;
    case 'requesting':
    case 'transferring':
      becomeDeposed(core, 'joinLost');
      return;
    case 'whole':
      if (role.dueMs === null && core.pending === null) role.dueMs = core.nowMs;
      return;
  }
}
