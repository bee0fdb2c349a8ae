/**
 * Every bound and time of the reconfiguration protocol, with its derivation.
 * Read by the machine, its codec and the masters; holds no logic but the check of their relations.
 */

import { assert } from '../base/assert.ts';

/** Members of one configuration, the primary included: f+1 replicas for any f that makes sense. */
export const MEMBERS_MAX = 16;
/** Replicas in state transfer at once; each costs the primary the bandwidth of a whole state. */
export const JOINERS_MAX = 4;
/** Integers on the wire are varints below 2^53: 8 bytes of 7 bits hold 2^56. */
export const VARINT_BYTES_MAX = 8;
/**
 * The largest control message is a configuration: 8 integers + MEMBERS_MAX ids + kind and version.
 */
export const MESSAGE_BYTES_MAX = 2 + VARINT_BYTES_MAX * (MEMBERS_MAX + 12);

/**
 * A failure timeout passes in no fewer calls than these: a pause of ours is no silence of others.
 */
export const CLOCK_STEPS_MIN = 4;

/** What an embedder may set; `defaultTiming` fits a local network. All times in milliseconds. */
export interface Timing {
  /** Period of the primary's heartbeats: a tenth of the failure timeout, so nine may be late. */
  readonly heartbeatMs: number;
  /** Silence after which a peer is suspected. */
  readonly failureTimeoutMs: number;
  /** How long a member that follows a candidate waits for its activation: the candidate may wait
   * one failure timeout for a dead member, and then asks the master. */
  readonly takeoverTimeoutMs: number;
  /**
   * Longest that a candidate brings others up to its epoch; who isn't there by then is left out.
   */
  readonly synchroniseTimeoutMs: number;
  /** The n-th backup by id waits n of these before it asks for a ballot, so the first mostly wins.
   * Must exceed a round trip to the master. */
  readonly staggerMs: number;
  /** Backoff of requests to the master: doubles from min to max, half of it random. */
  readonly retryMsMin: number;
  readonly retryMsMax: number;
}

export const defaultTiming: Timing = {
  heartbeatMs: 25,
  failureTimeoutMs: 250,
  takeoverTimeoutMs: 1000,
  synchroniseTimeoutMs: 5000,
  staggerMs: 50,
  retryMsMin: 20,
  retryMsMax: 1000,
};

/** Deltas that a primary has out unacknowledged, and so the length of every backup's log. */
export const WINDOW_EPOCHS_DEFAULT = 32;

/** Throws unless the times stand in the relations on which the protocol's progress rests. */
export function checkTiming(timing: Timing): void {
  assert(timing.heartbeatMs > 0, 'heartbeatMs is positive');
  assert(timing.failureTimeoutMs >= 2 * timing.heartbeatMs, 'a heartbeat may be lost');
  assert(timing.takeoverTimeoutMs > timing.failureTimeoutMs, 'a takeover may meet a dead member');
  assert(timing.synchroniseTimeoutMs >= timing.failureTimeoutMs, 'silence is noticed first');
  assert(timing.staggerMs > 0, 'staggerMs is positive');
  assert(timing.retryMsMin > 0 && timing.retryMsMax >= timing.retryMsMin, 'backoff grows');
}
