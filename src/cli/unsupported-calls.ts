/**
 * System calls that the guest made and the library OS does not have, summed over the replicas that
 * ran it. Shown in `status` and at the end. Pure.
 */
import type { UnsupportedCall } from './admin-protocol.ts';

/** x86-64 has fewer than 500 numbers; a guest that tries others must not fill the memory. */
const NAMES_MAX = 600;

export class UnsupportedCalls {
  /** What the latest report of each living replica says: counts since that replica's start. */
  readonly #latest = new Map<number, ReadonlyMap<string, number>>();
  /** Counts of replicas that are gone. */
  readonly #past = new Map<string, number>();

  update(replica: number, calls: readonly UnsupportedCall[]): void {
    const bounded = calls.slice(0, NAMES_MAX);
    this.#latest.set(replica, new Map(bounded.map(({ name, count }) => [name, count])));
  }

  /** The replica is gone, its counts stay. */
  gone(replica: number): void {
    add(this.#past, this.#latest.get(replica) ?? new Map());
    this.#latest.delete(replica);
  }

  /** The most frequent first. */
  list(): readonly UnsupportedCall[] {
    const sums = new Map(this.#past);
    for (const counts of this.#latest.values()) add(sums, counts);
    const calls = [...sums].map(([name, count]) => ({ name, count }));
    return calls.sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
  }
}

function add(sums: Map<string, number>, counts: ReadonlyMap<string, number>): void {
  for (const [name, count] of counts) {
    if (sums.size < NAMES_MAX || sums.has(name)) sums.set(name, (sums.get(name) ?? 0) + count);
  }
}
