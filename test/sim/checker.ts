/**
 * The promises of the protocol, checked on what a simulation does, apart from what makes it do it.
 * Told of every capture, acknowledgement, release, activation, configuration and exit; throws
 * `Violation` at the first that breaks one. Sees the true states; influences nothing.
 */

import type { Ballot, ReplicaId } from '../../src/base/ids.ts';
import { type Configuration, isMember } from '../../src/reconfig/configuration.ts';
import { contains, describe, type StateNode } from './state.ts';

export type ViolationKind = 'safety' | 'liveness';

export class Violation extends Error {
  override readonly name = 'Violation';
  readonly kind: ViolationKind;

  constructor(kind: ViolationKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** What a replica has, if it lives (frozen counts as living): the end of its log, or its image. */
export type HeadOf = (replica: ReplicaId) => StateNode | null;

export class Checker {
  readonly #headOf: HeadOf;
  #configuration: Configuration | null = null;
  /** By replica and ballot, the last that it acknowledged (a primary: captured). */
  readonly #acked = new Map<ReplicaId, Map<Ballot, StateNode>>();
  /** Where each ballot's primary went on. */
  readonly #bases = new Map<Ballot, StateNode>();
  readonly #released: (StateNode | undefined)[] = [];
  #releasedLast: StateNode | null = null;
  #chosen: StateNode | null = null;

  constructor(headOf: HeadOf) {
    this.#headOf = headOf;
  }

  get releasedLast(): StateNode | null {
    return this.#releasedLast;
  }

  get chosen(): StateNode | null {
    return this.#chosen;
  }

  /** Whether the master has activated a later ballot. */
  isSuperseded(ballot: Ballot): boolean {
    return this.#configuration !== null && this.#configuration.ballot > ballot;
  }

  /** A state is the primary's own, or was acknowledged: it now counts for what is chosen. */
  onStored(replica: ReplicaId, ballot: Ballot, node: StateNode): void {
    const before = this.#ackedBy(replica).get(ballot);
    if (before !== undefined && before.epoch >= node.epoch) return;
    this.#ackedBy(replica).set(ballot, node);
    this.#advanceChosen();
  }

  onRelease(replica: ReplicaId, ballot: Ballot, node: StateNode): void {
    const before = this.#released[node.epoch];
    if (before !== undefined && before !== node) {
      fail(`released ${describe(node)}, but ${describe(before)} was released before`);
    }
    this.#released[node.epoch] = node;
    const last = this.#releasedLast;
    if (last !== null && !contains(node, last) && !contains(last, node)) {
      fail(`released ${describe(node)}, which forks from the released ${describe(last)}`);
    }
    if (last === null || node.epoch > last.epoch) this.#releasedLast = node;
    for (const [later, base] of this.#bases) {
      if (later > ballot && !contains(base, node)) {
        fail(`${replica} released ${describe(node)}, which ballot ${later} doesn't have`);
      }
    }
    if (this.#chosen === null || !contains(this.#chosen, node)) {
      fail(`${replica} released ${describe(node)}, which is not chosen`);
    }
  }

  /** The replica runs the guest from `node`. */
  onActivate(replica: ReplicaId, configuration: Configuration, node: StateNode): void {
    const { ballot } = configuration;
    if (this.#bases.get(ballot) !== node) {
      fail(`${replica} went on from ${describe(node)}, not the base of ballot ${ballot}`);
    }
  }

  /** The master has a new current configuration. */
  onConfiguration(next: Configuration): void {
    const before = this.#configuration;
    this.#configuration = next;
    if (before !== null && next.ballot === before.ballot) {
      // An addition: between requiring its acknowledgements and its membership the primary counts
      // as chosen only what the new member has too, so the members' alone are not binding.
      if (next.members.length > before.members.length) this.#chosen = this.#releasedLast;
      this.#advanceChosen();
      this.checkMembers();
      return;
    }
    const head = this.#headOf(next.primary);
    if (head !== null) this.#onBase(next, head);
    this.checkMembers();
  }

  /** It leaves by itself. As a member that would be one failure more than happened. */
  onDeposed(replica: ReplicaId): void {
    const current = this.#configuration;
    if (current !== null && isMember(current, replica)) {
      fail(`${replica} left, though it is a member of version ${current.version}`);
    }
  }

  /** Every living member has all that is chosen, and there is one. */
  checkMembers(): void {
    const current = this.#configuration;
    const chosen = this.#chosen;
    if (current === null) return;
    let living = 0;
    for (const member of current.members) {
      const head = this.#headOf(member);
      if (head === null) continue;
      living += 1;
      if (chosen !== null && !contains(head, chosen)) {
        fail(`member ${member} has ${describe(head)}, without the chosen ${describe(chosen)}`);
      }
    }
    if (living === 0) fail(`no member of version ${current.version} is left`);
  }

  #onBase(next: Configuration, head: StateNode): void {
    if (head.epoch !== next.base) {
      fail(`ballot ${next.ballot} has base ${next.base}, its primary ${describe(head)}`);
    }
    const chosen = this.#chosen;
    if (chosen !== null && !contains(head, chosen)) {
      fail(`ballot ${next.ballot} goes on from ${describe(head)}: ${describe(chosen)} was chosen`);
    }
    const released = this.#releasedLast;
    if (released !== null && !contains(head, released)) {
      fail(`ballot ${next.ballot} loses the released ${describe(released)}`);
    }
    this.#bases.set(next.ballot, head);
    for (const member of next.members) this.#ackedBy(member).set(next.ballot, head);
    this.#advanceChosen();
  }

  #ackedBy(replica: ReplicaId): Map<Ballot, StateNode> {
    const known = this.#acked.get(replica);
    if (known !== undefined) return known;
    const made = new Map<Ballot, StateNode>();
    this.#acked.set(replica, made);
    return made;
  }

  /** Chosen is what all members of the current configuration have acknowledged in its ballot. */
  #advanceChosen(): void {
    const current = this.#configuration;
    if (current === null) return;
    let least: StateNode | null = null;
    for (const member of current.members) {
      const acked = this.#ackedBy(member).get(current.ballot);
      if (acked === undefined) return;
      if (least === null || acked.epoch < least.epoch) least = acked;
    }
    if (least === null || least === this.#chosen) return;
    const before = this.#chosen;
    if (before !== null && !contains(least, before)) {
      if (contains(before, least)) fail(`${describe(before)} is chosen no more`);
      fail(`chosen is ${describe(least)}, which forks from ${describe(before)}`);
    }
    this.#chosen = least;
  }
}

function fail(message: string): never {
  throw new Violation('safety', message);
}
