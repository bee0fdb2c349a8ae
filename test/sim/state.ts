/**
 * The guest of the simulation: its state is the list of all that it did, as a chain of immutable
 * nodes, one an epoch. Two states are the same only if they are the same node, so the checkers see
 * any history that forks. Also what travels between replicas.
 */

import type { Ballot, Epoch, ReplicaId } from '../../src/base/ids.ts';
import type { Ack, DeltaHeader } from '../../src/reconfig/types.ts';

export interface StateNode {
  readonly epoch: Epoch;
  readonly parent: StateNode | null;
  /** Who made it, in which ballot. */
  readonly by: ReplicaId;
  readonly ballot: Ballot;
}

export type Packet =
  /** As the codec made it. */
  | { readonly kind: 'control'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'delta';
      readonly header: DeltaHeader;
      readonly node: StateNode;
      /** It travels in parts; the last one completes it. */
      readonly part: number;
      readonly parts: number;
    }
  | { readonly kind: 'ack'; readonly ack: Ack }
  /** A part of a state transfer: the image as of `node`. */
  | {
      readonly kind: 'page';
      readonly ballot: Ballot;
      readonly node: StateNode;
      readonly part: number;
      readonly parts: number;
    };

export function describe(node: StateNode): string {
  return `${node.epoch} of ${node.by} in ballot ${node.ballot}`;
}

/** The node of `epoch` in the history that ends with `node`; null if it is later. */
export function ancestor(node: StateNode, epoch: Epoch): StateNode | null {
  let found: StateNode | null = node;
  while (found !== null && found.epoch > epoch) found = found.parent;
  return found !== null && found.epoch === epoch ? found : null;
}

/** Whether the history that ends with `later` contains `earlier`. */
export function contains(later: StateNode, earlier: StateNode): boolean {
  return ancestor(later, earlier.epoch) === earlier;
}
