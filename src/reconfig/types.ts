/**
 * The vocabulary of the reconfiguration machine: its messages, inputs, effects and options.
 * Read by the machine, its codec, the masters, the data plane and the simulator. Types only.
 *
 * Order obligations of an embedder
 * 1. Carry out the effects of one call in the order of the array, and all of them before the next
 *    call. `truncate` before `send` and `stream` matters most: what follows relies on the log.
 * 2. Messages, deltas, acknowledgements and transfers to one peer share one FIFO connection, in
 *    the order of the effects and calls that caused them. What is sent without a connection makes
 *    one and waits for it; that it can't be made is a `peerDown`. A lost connection loses its tail:
 *    report `peerDown`, then `peerUp` once there is another, and deliver nothing of the old one
 *    after that.
 * 3. A connection is between two incarnations. What is addressed to another replica id than ours
 *    is refused before it gets here.
 * 4. A delta enters the log only if it is whole, verified, and `deltaStored` said true; only then
 *    is it acknowledged, in the ballot it came with. Nothing may run in between.
 * 5. The output gate opens to `commit.released`, never further; `release` says that it moved.
 * 6. Every master effect gets exactly one `masterReply`; `unavailable` when there is no answer in
 *    time, which says nothing about whether it took effect. The machine repeats it with the same
 *    id.
 * 7. After `deposed` the process exits, in bounded time, and releases nothing.
 */

import type { Ballot, Epoch, ReplicaId } from '../base/ids.ts';
import type { Configuration, ConfigurationId } from './configuration.ts';
import type { Timing } from './limits.ts';

/** Identifies a request for good: replica ids are never reused. A repetition has the same id. */
export interface RequestId {
  readonly replica: ReplicaId;
  readonly sequence: number;
}

/** What a replica asks of the master. `docs/protocol.md` has each one's condition. */
export type MasterRequest =
  | { readonly kind: 'read'; readonly id: RequestId }
  /** Create the first configuration: this replica alone, epoch 0. */
  | { readonly kind: 'found'; readonly id: RequestId }
  | { readonly kind: 'newBallot'; readonly id: RequestId; readonly previous: ConfigurationId }
  | {
      readonly kind: 'complete';
      readonly id: RequestId;
      readonly ballot: Ballot;
      readonly previous: ConfigurationId;
      readonly members: readonly ReplicaId[];
      readonly base: Epoch;
    }
  | {
      readonly kind: 'removeMember' | 'addMember';
      readonly id: RequestId;
      readonly previous: ConfigurationId;
      readonly member: ReplicaId;
    };

/**
 * `granted`: it holds; `configuration` is the current one, and `ballot` for newBallot the ballot
 * given, else the configuration's. `refused`: it didn't and never will take effect; what is
 * current instead. `unavailable`: unknown, ask again.
 */
export type MasterReply =
  | { readonly kind: 'granted'; readonly ballot: Ballot; readonly configuration: Configuration }
  | { readonly kind: 'refused'; readonly configuration: Configuration | null }
  | { readonly kind: 'unavailable'; readonly reason: string };

/**
 * Control messages between replicas. Deltas and acknowledgements have a codec of their own
 * (`DeltaHeader`, `Ack`); they obey the same ballot rule. `docs/protocol.md` has the table.
 */
export type Message =
  /** Fresh replica -> primary: send me the state. */
  | { readonly kind: 'join' }
  /** Primary -> joiner: a transfer begins; deltas come in the ballot of `configuration`. */
  | { readonly kind: 'welcome'; readonly configuration: Configuration }
  /** Joiner -> primary: the image is whole as of `base`, the log as of `epoch`; count my acks. */
  | {
      readonly kind: 'joined';
      readonly ballot: Ballot;
      readonly base: Epoch;
      readonly epoch: Epoch;
    }
  /** Primary -> all: the master activated this configuration. */
  | { readonly kind: 'configuration'; readonly configuration: Configuration }
  /** Primary -> members and joiners: I live; everything up to `chosen` is chosen. */
  | { readonly kind: 'heartbeat'; readonly ballot: Ballot; readonly chosen: Epoch }
  /** Answer to a heartbeat: I live, and have stored up to `epoch` (an ack; 0 from a joiner). */
  | { readonly kind: 'alive'; readonly ballot: Ballot; readonly epoch: Epoch }
  /** Candidate -> members of `previous`: promise `ballot`; I go on from `epoch`. */
  | {
      readonly kind: 'prepare';
      readonly ballot: Ballot;
      readonly previous: Configuration;
      readonly epoch: Epoch;
    }
  /** Member -> candidate: promised; my last complete delta is `epoch`. */
  | { readonly kind: 'prepared'; readonly ballot: Ballot; readonly epoch: Epoch }
  /**
   * Answer to what an older ballot or a non-member sent: what I promised, what I know is active.
   */
  | {
      readonly kind: 'refused';
      readonly ballot: Ballot;
      readonly configuration: Configuration | null;
    };

/** Head of a delta on the hot codec, the protocol's 2a. Its parent is `epoch - 1`. */
export interface DeltaHeader {
  readonly ballot: Ballot;
  readonly epoch: Epoch;
  /** `commit.chosen` when it was sent. */
  readonly chosen: Epoch;
}

/** On the hot codec, the protocol's 2b: the sender has stored every delta up to `epoch`. */
export interface Ack {
  readonly ballot: Ballot;
  readonly epoch: Epoch;
}

/** What happens to a machine, besides the hot path's methods. */
export type Input =
  /** First of all inputs. */
  | { readonly kind: 'start' }
  | { readonly kind: 'tick' }
  | { readonly kind: 'message'; readonly from: ReplicaId; readonly message: Message }
  | { readonly kind: 'masterReply'; readonly id: RequestId; readonly reply: MasterReply }
  | { readonly kind: 'peerUp'; readonly peer: ReplicaId }
  | { readonly kind: 'peerDown'; readonly peer: ReplicaId }
  /** A delta came that the intake refused: tell its sender. */
  | { readonly kind: 'deltaRefused'; readonly from: ReplicaId }
  /** Joiner: the image is whole as of `base`, and the log after it up to `epoch`. */
  | { readonly kind: 'imageComplete'; readonly base: Epoch; readonly epoch: Epoch }
  /** Primary: the data plane gave up a transfer (too slow, source of pages gone). */
  | { readonly kind: 'joinFailed'; readonly member: ReplicaId };

export type DeposedReason =
  | 'superseded' // a newer ballot is active: this was the primary
  | 'removed' // the current configuration goes on without this replica
  | 'joinLost'; // the primary left before the state was whole here

/** What the embedder must do; see the order obligations above. */
export type Effect =
  | { readonly kind: 'send'; readonly to: ReplicaId; readonly message: Message }
  | { readonly kind: 'askMaster'; readonly request: MasterRequest }
  /** Ship every delta from `from` on, those retained and those to come, in order; this replaces an
   * earlier stream to that member. Retain what some streamed member hasn't acknowledged. */
  | { readonly kind: 'stream'; readonly member: ReplicaId; readonly from: Epoch }
  /** Transfer the whole state as of some checkpoint, and stream all deltas after it. */
  | { readonly kind: 'transfer'; readonly member: ReplicaId }
  /** A transfer begins to come in from a primary: drop what is left of an earlier one, and from now
   * on keep pages and deltas of this ballot until `imageComplete`. */
  | { readonly kind: 'receive'; readonly from: ReplicaId; readonly ballot: Ballot }
  /**
   * Stop any stream or transfer to it. The connection closes once what was sent before has left.
   */
  | { readonly kind: 'forget'; readonly member: ReplicaId }
  /** Ship these deltas from the log, in `ballot`, and no more. */
  | {
      readonly kind: 'shipRange';
      readonly member: ReplicaId;
      readonly ballot: Ballot;
      readonly from: Epoch;
      readonly to: Epoch;
    }
  /** Drop a delta of which only a part has come: its ballot is over. */
  | { readonly kind: 'dropPartial' }
  /** Remove every delta after `after` from the log. Never below the image. */
  | { readonly kind: 'truncate'; readonly after: Epoch }
  /** Apply the log to the image up to `upTo`, then tell `intake.applied`. */
  | { readonly kind: 'apply'; readonly upTo: Epoch }
  /** The image is at `epoch`: run the guest; the next delta captured is `epoch + 1`. */
  | { readonly kind: 'activate'; readonly configuration: Configuration; readonly epoch: Epoch }
  /** `commit.released` moved to this by a reconfiguration. */
  | { readonly kind: 'release'; readonly upTo: Epoch }
  /** For status and telemetry: this configuration is known here to be active. */
  | { readonly kind: 'configured'; readonly configuration: Configuration }
  | { readonly kind: 'deposed'; readonly reason: DeposedReason };

export interface MachineOptions {
  readonly self: ReplicaId;
  /** `found` creates the service if the master has none, and joins otherwise. */
  readonly start: 'found' | 'join';
  readonly timing: Timing;
  readonly windowEpochs: number;
  /** A smaller configuration releases nothing, so as never to answer unprotected. */
  readonly minReplicas: number;
  /** Uniform in [0, 1); from a seeded generator in simulation. */
  readonly random: () => number;
}
