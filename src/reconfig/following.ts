/**
 * How backups and candidates (and joiners, for `prepare`) come to follow somebody: a candidate that
 * has a later ballot, or the primary of a configuration that is news. Called by the roles' files.
 */

import { assert } from '../base/assert.ts';
import type { ReplicaId } from '../base/ids.ts';
import { type Configuration, isMember, sameConfiguration } from './configuration.ts';
import type { Core } from './core.ts';
import { becomeBackup, becomeDeposed } from './transitions.ts';
import type { Message } from './types.ts';

/** A primary tells what the master activated. Also for a candidate, which it ends. */
export function onConfiguration(core: Core, from: ReplicaId, next: Configuration): void {
  if (next.ballot < core.intake.promised) {
    core.refuse(from);
    return;
  }
  if (core.isNews(next)) {
    if (!isMember(next, core.self)) {
      becomeDeposed(core, 'removed');
      return;
    }
    core.adopt(next);
  } else if (core.configuration === null || !sameConfiguration(core.configuration, next)) {
    return;
  }
  assert(from === core.intake.source, 'follows another than the primary of its ballot');
  becomeBackup(core, null, 0);
}

/**
 * Promise the candidate's ballot. What the log has beyond the candidate's epoch stays until its
 * configuration is active: if it never is, another candidate, or the primary that goes on without
 * this one, may count on what was acknowledged.
 */
export function acceptPrepare(
  core: Core,
  from: ReplicaId,
  message: Message & { readonly kind: 'prepare' },
): void {
  const { ballot, previous, epoch } = message;
  const { promised, source } = core.intake;
  const again = ballot === promised && from === source;
  if (ballot <= promised && !again) {
    core.refuse(from);
    return;
  }
  const known = core.configuration;
  if (known !== null && previous.version < known.version) {
    core.refuse(from);
    return;
  }
  if (core.isNews(previous)) core.adopt(previous);
  core.intake.promise(ballot, from, epoch);
  core.emit({ kind: 'dropPartial' });
  core.send(from, { kind: 'prepared', ballot, epoch: core.intake.last });
  becomeBackup(core, null, core.role.kind === 'backup' ? core.role.attempts : 0);
}

/** Some replica refused us and says what is active: for a backup and for a candidate. */
export function onRefused(core: Core, configuration: Configuration | null): void {
  if (configuration === null || !core.isNews(configuration)) return;
  if (!isMember(configuration, core.self)) {
    becomeDeposed(core, 'removed');
    return;
  }
  followNews(core, configuration, 0);
}

/**
 * `current` is active, is news and has us: follow its primary if that has our promise. If not (we
 * promised a later ballot that came to nothing, or are that primary, but learn it too late to have
 * run), nobody is to be followed: plan to ask for a ballot.
 */
export function followNews(core: Core, current: Configuration, attempts: number): void {
  core.adopt(current);
  const { promised, source } = core.intake;
  if (promised === current.ballot && source === current.primary) {
    becomeBackup(core, null, attempts + 1);
  } else {
    becomeBackup(core, core.nowMs + core.backoffMs(attempts + 2), attempts + 1);
  }
}
