/**
 * Plans of deaths: which replica dies at which fault point, before anything runs. It can be known,
 * because ids are given in order and, with two replicas, the roles after a death are determined.
 * With three, who takes over is decided by freezing the other backup for a moment (see group.ts).
 */

import { FAULT_POINTS, type FaultPoint } from '../../src/base/fault-points.ts';

type Place = 'primary' | 'backup' | 'takeover' | 'join' | 'file';

/** Who passes each point. Exhaustive, so that a new point needs a decision here. */
const places: Readonly<Record<FaultPoint, Place>> = {
  'before-quiesce': 'primary',
  'during-quiesce': 'primary',
  'during-capture': 'primary',
  'after-capture': 'primary',
  'before-ship': 'primary',
  'delta-half-sent': 'primary',
  'delta-sent': 'primary',
  'acknowledged-not-released': 'primary',
  'half-released': 'primary',
  'after-release': 'primary',
  'backup-delta-received': 'backup',
  'backup-before-ack': 'backup',
  'during-apply': 'backup',
  'before-takeover': 'takeover',
  'ballot-granted': 'takeover',
  'during-restore': 'takeover',
  'during-activation': 'takeover',
  'after-activation': 'takeover',
  'during-join': 'join',
  'join-complete': 'join',
  'during-checkpoint-file': 'file',
};

export const pointsAt = (place: Place): readonly FaultPoint[] =>
  FAULT_POINTS.filter((point) => places[point] === place);

export interface Death {
  readonly point: FaultPoint;
  readonly victim: number;
  /** Who is primary before it, and after it when everything has settled. */
  readonly primaryBefore: number;
  readonly primaryAfter: number;
  /** Of the command line. */
  readonly fault: string;
}

/**
 * Passes before a point acts: more than settling and looking at everything takes (some tens of
 * epochs), so that the group is whole again by then.
 */
const epochsBefore = 150;

/**
 * With two replicas: each point in turn. A joining replica comes because the test kills the backup
 * that was there; its death is the second of that step. Points of primaries and others must not be
 * mixed: a primary counts its passes while backups die, and both would go at once.
 */
export function planPair(points: readonly FaultPoint[]): Death[] {
  const primaries = points.filter((point) => places[point] === 'primary').length;
  if (primaries !== 0 && primaries !== points.length) throw new Error('mixed points');
  let [primary, backup, next] = [1, 2, 3];
  return points.map((point) => {
    const place = places[point];
    const count = place === 'primary' || place === 'backup' ? epochsBefore : 1;
    const primaryBefore = primary;
    let victim: number;
    if (place === 'primary') {
      victim = primary;
      [primary, backup, next] = [backup, next, next + 1];
    } else if (place === 'backup') {
      victim = backup;
      [backup, next] = [next, next + 1];
    } else {
      victim = next;
      [backup, next] = [next + 1, next + 2];
    }
    const fault = `${victim}:${point}:${count}=kill`;
    return { point, victim, primaryBefore, primaryAfter: primary, fault };
  });
}

/**
 * With three replicas: the first primary is killed, the backup with the lower id takes over and
 * dies of it, the other one takes over then. One death of this kind a service: a replica that was
 * joining the one that died is replaced by another, so later ids can't be known.
 */
export function planTakeover(point: FaultPoint): Death {
  return { point, victim: 2, primaryBefore: 1, primaryAfter: 3, fault: `2:${point}=kill` };
}
