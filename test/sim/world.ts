/**
 * One simulation: replicas, network, master, a supervisor that replaces what is gone, and faults,
 * all drawn from a seed. Runs until the group has recovered from the last fault, or throws.
 */

import { ballot, epoch, type ReplicaId, replicaId } from '../../src/base/ids.ts';
import type {
  DeposedReason,
  Effect,
  MasterReply,
  MasterRequest,
} from '../../src/reconfig/types.ts';
import { Checker, Violation } from './checker.ts';
import { Faults } from './faults.ts';
import { SimMaster } from './master.ts';
import type { Mutation } from './mutations.ts';
import { Network } from './network.ts';
import { drawOptions, type SimOptions } from './options.ts';
import { Prng } from './prng.ts';
import { SimReplica } from './replica.ts';
import { Scheduler } from './scheduler.ts';
import type { Packet, StateNode } from './state.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly mutation?: Mutation | null;
  /** Gets a line for each effect, reply and fault. */
  readonly trace?: ((line: string) => void) | null;
}

export interface Outcome {
  /** Of the simulation, in its own time. */
  readonly durationMs: number;
  readonly released: number;
  readonly configurations: number;
  /** The last ballot that was activated. */
  readonly ballots: number;
  readonly replicas: number;
  /** How often what matters happened; a suite that never gets there checks nothing. */
  readonly probes: ReadonlyMap<Probe, number>;
}

export type Probe =
  | Effect['kind']
  | DeposedReason
  | 'lateRelease'
  | 'candidateYields'
  | 'joinerLearnsFromMaster'
  | 'tailKept';

const eventsMax = 2_000_000;
const releasesAfterRecovery = 3;

export class World {
  readonly options: SimOptions;
  readonly scheduler = new Scheduler();
  readonly prng: Prng;
  readonly network: Network<Packet>;
  readonly master: SimMaster;
  readonly checker: Checker;
  readonly replicas = new Map<ReplicaId, SimReplica>();
  /** Requests that may still take effect. */
  readonly inFlight = new Set<MasterRequest>();
  readonly masterUnreachable = new Set<ReplicaId>();
  masterDown = false;
  readonly #mutation: Mutation | null;
  readonly #trace: ((line: string) => void) | null;
  readonly #genesis: StateNode;
  #spawned = 0;
  #spawning = 0;
  #configurations = 0;
  readonly #probes = new Map<Probe, number>();

  constructor(options: WorldOptions) {
    this.prng = new Prng(options.seed);
    this.options = drawOptions(this.prng);
    this.#mutation = options.mutation ?? null;
    this.#trace = options.trace ?? null;
    this.network = new Network(this.scheduler, this.prng);
    this.checker = new Checker((id) => this.replicas.get(id)?.head ?? null);
    this.master = new SimMaster(this.#mutation, (configuration) => {
      this.note('master', () => JSON.stringify(configuration));
      this.#configurations += 1;
      this.checker.onConfiguration(configuration);
    });
    const first = replicaId(1);
    this.#genesis = { epoch: epoch(0), parent: null, by: first, ballot: ballot(0) };
  }

  run(): Outcome {
    const { scheduler, options } = this;
    this.note('world', () => JSON.stringify(options));
    this.spawn();
    for (let count = 1; count < options.replicas; count++) this.#spawnLater();
    const faults = new Faults(this);
    const endMs = options.warmUpMs + options.faultsMs;
    this.#runUntil(() => scheduler.nowMs >= endMs);
    faults.stop();
    const deadlineMs = endMs + options.recoverMs;
    let goal: number | null = null;
    this.#runUntil(() => {
      if (scheduler.nowMs > deadlineMs) throw new Violation('liveness', this.#explainStall());
      const released = this.checker.releasedLast?.epoch ?? 0;
      if (!this.#isWhole()) goal = null;
      else if (goal === null) goal = released + releasesAfterRecovery;
      return goal !== null && released >= goal;
    });
    return {
      durationMs: scheduler.nowMs,
      released: this.checker.releasedLast?.epoch ?? 0,
      configurations: this.#configurations,
      ballots: this.master.configuration?.ballot ?? 0,
      replicas: this.#spawned,
      probes: this.#probes,
    };
  }

  probe(name: Probe): void {
    this.#probes.set(name, (this.#probes.get(name) ?? 0) + 1);
  }

  note(who: string | number, text: () => string): void {
    this.#trace?.(`${this.scheduler.nowMs.toFixed(3).padStart(10)} ${who} ${text()}`);
  }

  spawn(): void {
    this.#spawned += 1;
    const id = replicaId(this.#spawned);
    const founder = this.#spawned === 1 ? this.#genesis : null;
    this.note(id, () => 'starts');
    const replica = new SimReplica(id, founder, this.options, {
      scheduler: this.scheduler,
      network: this.network,
      prng: this.prng,
      checker: this.checker,
      mutation: this.#mutation,
      askMaster: (request, reply) => this.#askMaster(request, reply),
      onExit: (exited) => this.end(exited, false),
      probe: (name) => this.probe(name),
      trace: (who, text) => this.note(who, text),
    });
    this.replicas.set(id, replica);
  }

  /** A replica's process ends; silent if its machine does. */
  end(replica: SimReplica, silent: boolean): void {
    replica.kill();
    this.replicas.delete(replica.id);
    this.network.remove(replica.id, silent);
    this.#spawnLater();
  }

  #spawnLater(): void {
    this.#spawning += 1;
    this.scheduler.after(this.prng.between(1, 100), () => {
      this.#spawning -= 1;
      if (this.replicas.size + this.#spawning < this.options.replicas) this.spawn();
    });
  }

  #runUntil(done: () => boolean): void {
    for (let events = 0; !done(); events++) {
      if (events > eventsMax) throw new Violation('liveness', 'events without end');
      if (!this.scheduler.step()) throw new Violation('liveness', 'nothing left to happen');
    }
  }

  /** N members, all alive. */
  #isWhole(): boolean {
    const current = this.master.configuration;
    if (current === null || current.members.length !== this.options.replicas) return false;
    return current.members.every((member) => this.replicas.has(member));
  }

  #explainStall(): string {
    const roles = [...this.replicas.values()].map(({ id, machine }) => {
      const phase = 'phase' in machine.role ? `(${machine.role.phase})` : '';
      return `${id} ${machine.role.kind}${phase}`;
    });
    const current = JSON.stringify(this.master.configuration);
    return `not recovered after ${this.options.recoverMs} ms: ${current}; ${roles.join(', ')}`;
  }

  /** May be lost, slow, late, or take effect though its reply is lost. One reply comes, always. */
  #askMaster(request: MasterRequest, reply: (reply: MasterReply) => void): void {
    const { scheduler, prng } = this;
    const loss = this.options.masterLoss;
    let answered = false;
    const answer = (value: MasterReply): void => {
      if (!answered) reply(value);
      answered = true;
    };
    scheduler.after(prng.between(20, 60), () =>
      answer({ kind: 'unavailable', reason: 'no answer' }),
    );
    const { replica } = request.id;
    if (this.masterDown || this.masterUnreachable.has(replica) || prng.chance(loss)) return;
    const late = prng.chance(loss);
    this.inFlight.add(request);
    scheduler.after(late ? prng.between(20, 400) : prng.between(0.2, 3), () => {
      this.inFlight.delete(request);
      if (this.masterDown) return;
      const value = this.master.decide(request);
      if (this.masterUnreachable.has(replica) || prng.chance(loss)) return;
      scheduler.after(prng.between(0.2, 3), () => answer(value));
    });
  }
}
