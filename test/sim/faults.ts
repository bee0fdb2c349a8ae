/**
 * What goes wrong in a simulation, and when. Never kills the last living member of a configuration
 * that is current or may become so: no protocol survives that.
 */

import type { ReplicaId } from '../../src/base/ids.ts';
import type { FaultKind } from './options.ts';
import type { SimReplica } from './replica.ts';
import type { World } from './world.ts';

export class Faults {
  readonly #world: World;
  #stopped = false;

  constructor(world: World) {
    this.#world = world;
    world.scheduler.after(world.options.warmUpMs, () => this.#next());
  }

  /** Mend all that can be mended. */
  stop(): void {
    this.#stopped = true;
    const world = this.#world;
    world.note('world', () => 'faults end');
    world.network.unblockAll();
    world.network.slowness = 1;
    world.masterDown = false;
    world.masterUnreachable.clear();
    for (const replica of [...world.replicas.values()]) replica.wake();
  }

  #next(): void {
    if (this.#stopped) return;
    const { prng, options, scheduler } = this.#world;
    const kind = prng.pick(options.faults);
    if (kind !== undefined) this.#inject(kind);
    scheduler.after(prng.between(1, 2 * options.faultGapMs), () => this.#next());
  }

  #inject(kind: FaultKind): void {
    const world = this.#world;
    const { prng, network } = world;
    const victim = this.#victim();
    if (victim === undefined) return;
    const { id } = victim;
    const others = [...world.replicas.keys()].filter((other) => other !== id);
    const lastMs = prng.between(1, prng.pick([30, 300, 900]) ?? 300);
    world.note('fault', () => `${kind} ${id} for ${lastMs.toFixed(0)} ms`);
    switch (kind) {
      case 'crash':
      case 'machineCrash':
        if (this.#mayDie(id)) world.end(victim, kind === 'machineCrash');
        return;
      case 'freeze':
        victim.freeze();
        this.#heal(lastMs, () => victim.wake());
        return;
      case 'break': {
        const other = prng.pick(others);
        if (other !== undefined) network.break(id, other);
        return;
      }
      case 'partition':
      case 'oneWay': {
        const cut = others.filter(() => prng.chance(0.7));
        const outward = prng.chance(0.5);
        for (const other of cut) {
          if (kind === 'partition' || outward) network.block(id, other);
          if (kind === 'partition' || !outward) network.block(other, id);
        }
        this.#heal(lastMs, () => {
          for (const other of cut) {
            network.unblock(id, other);
            network.unblock(other, id);
          }
        });
        return;
      }
      case 'masterDown':
        world.masterDown = true;
        this.#heal(lastMs, () => {
          world.masterDown = false;
        });
        return;
      case 'masterUnreachable':
        world.masterUnreachable.add(id);
        this.#heal(lastMs, () => world.masterUnreachable.delete(id));
        return;
      case 'slowNetwork':
        network.slowness = prng.between(2, 20);
        this.#heal(lastMs, () => {
          network.slowness = 1;
        });
        return;
    }
  }

  #heal(afterMs: number, run: () => void): void {
    this.#world.scheduler.after(afterMs, () => {
      if (!this.#stopped) run();
    });
  }

  /** The primary more often than by chance: most of the protocol is about its death. */
  #victim(): SimReplica | undefined {
    const { prng, replicas, master } = this.#world;
    const primary = master.configuration?.primary;
    if (primary !== undefined && prng.chance(0.35)) {
      const found = replicas.get(primary);
      if (found !== undefined) return found;
    }
    return prng.pick([...replicas.values()]);
  }

  #mayDie(victim: ReplicaId): boolean {
    const { master, inFlight, replicas } = this.#world;
    const current = master.configuration;
    if (current === null) return false;
    const possible: (readonly ReplicaId[])[] = [current.members];
    for (const request of inFlight) {
      if (request.kind === 'complete') possible.push(request.members);
      if (request.kind !== 'removeMember') continue;
      possible.push(current.members.filter((member) => member !== request.member));
    }
    return possible.every((members) =>
      members.some((member) => member !== victim && replicas.has(member)),
    );
  }
}
