/**
 * The roles of a replica as data: what each must remember, and nothing that another needs. Changed
 * by the file of its role, replaced by `transitions.ts`; read by the machine.
 */

import type { Ballot, Epoch, ReplicaId } from '../base/ids.ts';
import type { Configuration } from './configuration.ts';
import type { DeposedReason } from './types.ts';

/** Has not all of the state, or has it and waits to be made a member. */
export interface Joining {
  readonly kind: 'joining';
  /**
   * founding: asked the master to create the service. locating: asks it who is primary.
   * requesting: asked the primary. transferring: the state comes in. whole: it is here, and the
   * primary may already have made us a member.
   */
  phase: 'founding' | 'locating' | 'requesting' | 'transferring' | 'whole';
  primary: ReplicaId | null;
  heardMs: number;
  /** When to ask the master (again); null for not planned. */
  dueMs: number | null;
}

/**
 * A member that follows a primary, or a candidate that has its promise, or (source null) nobody.
 */
export interface Backup {
  readonly kind: 'backup';
  heardMs: number;
  /** The connection to the source is lost and nothing was heard since. */
  lost: boolean;
  /** Suspects the source: when to ask for a ballot. Null: all is well. */
  askDueMs: number | null;
  /** Ballots asked for in vain since the last good configuration. */
  attempts: number;
}

/** What a candidate knows of a member: it answers, has a range of deltas to get, or is level. */
export interface Follower {
  state: 'asked' | 'behind' | 'level' | 'lost';
  heardMs: number;
}

/** Has a ballot of its own and brings the others to its epoch. */
export interface Candidate {
  readonly kind: 'candidate';
  readonly ballot: Ballot;
  readonly previous: Configuration;
  readonly epoch: Epoch;
  readonly followers: Map<ReplicaId, Follower>;
  readonly deadlineMs: number;
  /** completing: asked the master to activate; who is in it is settled. */
  phase: 'synchronising' | 'completing';
  /** Of the backup that it was and may be again. */
  readonly attempts: number;
}

/** A replica on its way in: gets the state; its acks are required; the master is asked. */
type Joiner =
  | { readonly phase: 'transferring' }
  | { readonly phase: 'required'; readonly base: Epoch }
  | { readonly phase: 'adding' };

/** Runs the guest. */
export interface Primary {
  readonly kind: 'primary';
  configuration: Configuration;
  readonly joiners: Map<ReplicaId, Joiner>;
  /** Members to be removed, as soon as the master can be asked. */
  readonly suspects: Set<ReplicaId>;
  /** Members whose connection is lost: what was streamed to them may not have come. */
  readonly disconnected: Set<ReplicaId>;
  /** When each member and joiner was last heard in our ballot. */
  readonly heardMs: Map<ReplicaId, number>;
  heartbeatDueMs: number;
}

/** Ended: takes no input and gives no effect. */
interface Deposed {
  readonly kind: 'deposed';
  readonly reason: DeposedReason;
}

export type Role = Joining | Backup | Candidate | Primary | Deposed;
