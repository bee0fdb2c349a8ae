/**
 * Planted bugs, each a way to get the protocol wrong that reads harmless. They patch the machine or
 * the data plane of a simulated replica, or the simulated master; production code knows of none.
 * `mutations.test.ts` shows that the simulator finds each.
 */

import { type Ballot, ballot, type Epoch, epoch, type ReplicaId } from '../../src/base/ids.ts';
import type { MasterState } from '../../src/master/memory.ts';
import type { Machine } from '../../src/reconfig/machine.ts';
import type { Effect, Input, MasterRequest } from '../../src/reconfig/types.ts';

export interface Mutation {
  readonly name: string;
  /** The data plane acknowledges a delta when its first part is here. */
  readonly acknowledgesPartial?: boolean;
  /** Once, on every new replica's machine. */
  readonly patch?: (machine: Machine) => void;
  /** The machine's effects on their way to the replica. */
  readonly effects?: (effects: readonly Effect[], machine: Machine) => readonly Effect[];
  /** What the master does instead: its next state, or null if it decides as ever. */
  readonly decide?: (state: MasterState, request: MasterRequest) => MasterState | null;
  /** The request as the master sees it; `count` is how many it has had. */
  readonly request?: (request: MasterRequest, count: number) => MasterRequest;
}

export const mutations: readonly Mutation[] = [
  { name: 'acknowledge a partial delta', acknowledgesPartial: true },
  {
    name: 'release when any member acknowledged',
    patch: (machine) => {
      const { commit } = machine;
      const members = new Set<ReplicaId>();
      const { require, drop, acknowledge } = methods(commit);
      commit.require = (member, stored) => {
        members.add(member);
        require(member, stored);
      };
      commit.drop = (member) => {
        members.delete(member);
        return drop(member);
      };
      commit.acknowledge = (_member, stored) => {
        for (const member of members) acknowledge(member, stored);
        return commit.released;
      };
    },
  },
  {
    name: 'activate without comparing previous',
    decide: (state, request) => {
      const { current, given } = state;
      if (request.kind !== 'complete' || current === null) return null;
      if (given?.ballot !== request.ballot) return null;
      const { ballot: own, members, base, id } = request;
      const version = current.version + 1;
      const next = { ballot: own, version, primary: id.replica, members, base };
      return { ...state, current: next, by: id };
    },
  },
  {
    name: 'keep acknowledging an old ballot',
    patch: (machine) => {
      const { intake } = machine;
      const { promise, offer } = methods(intake);
      let old: { ballot: Ballot; source: ReplicaId | null } = { ballot: ballot(0), source: null };
      let acknowledgeable: Epoch | null = null;
      intake.promise = (next, source, limit) => {
        if (next > intake.promised) old = { ballot: intake.promised, source: intake.source };
        promise(next, source, limit);
      };
      intake.offer = (from, sent, next) => {
        const isOld = sent === old.ballot && from === old.source;
        acknowledgeable = isOld ? next : null;
        return isOld ? 'duplicate' : offer(from, sent, next);
      };
      const get = (): Epoch =>
        acknowledgeable ?? Reflect.get(Object.getPrototypeOf(intake), 'acknowledgeable', intake);
      Object.defineProperty(intake, 'acknowledgeable', { get });
    },
  },
  {
    name: 'forget to truncate',
    patch: (machine) => {
      machine.intake.truncate = () => {};
    },
    effects: (effects) => effects.filter((effect) => effect.kind !== 'truncate'),
  },
  {
    name: 'truncate when promising instead of when activated',
    patch: (machine) => {
      const { intake } = machine;
      const { promise } = methods(intake);
      intake.promise = (next, source, limit) => {
        promise(next, source, limit);
        if (limit !== null && limit < intake.last) intake.truncate(limit);
      };
    },
    effects: (effects, machine) =>
      effects.map((effect) =>
        effect.kind === 'dropPartial' ? { kind: 'truncate', after: machine.intake.last } : effect,
      ),
  },
  {
    name: 'drop a member without the master',
    effects: (effects, machine) => {
      for (const effect of effects) {
        if (effect.kind !== 'askMaster' || effect.request.kind !== 'removeMember') continue;
        const { member } = effect.request;
        const { commit } = machine;
        if (!commit.requires(member)) continue;
        const { drop } = methods(commit);
        commit.drop(member);
        commit.drop = (other) => (other === member ? commit.released : drop(other));
        const { requires } = methods(commit);
        commit.requires = (other) => other !== member && requires(other);
      }
      return effects;
    },
  },
  {
    name: 'add a member before requiring its acknowledgements',
    patch: (machine) => {
      const { commit } = machine;
      const { require, requires, acknowledge, acknowledged, drop } = methods(commit);
      const late = new Map<ReplicaId, number>();
      commit.require = (member, stored) => {
        if (machine.role.kind === 'primary') late.set(member, stored);
        else require(member, stored);
      };
      commit.requires = (member) => late.has(member) || requires(member);
      commit.acknowledged = (member) => (late.has(member) ? commit.chosen : acknowledged(member));
      commit.acknowledge = (member, stored) => {
        const configuration = machine.configuration;
        if (late.has(member) && configuration?.members.includes(member)) {
          late.delete(member);
          require(member, stored);
        }
        return acknowledge(member, stored);
      };
      commit.drop = (member) => (late.delete(member) ? commit.released : drop(member));
    },
  },
  {
    name: 'add a member whose image is not chosen yet',
    patch: (machine) => {
      patchStep(machine, (input) => {
        if (input.kind !== 'message' || input.message.kind !== 'joined') return input;
        return { ...input, message: { ...input.message, base: epoch(0) } };
      });
    },
  },
  {
    name: 'apply what is not chosen',
    patch: (machine) => {
      const { intake } = machine;
      const { store } = methods(intake);
      intake.store = (from, sent, next, chosen) => {
        if (!store(from, sent, next, chosen)) return false;
        intake.learnChosen(next);
        return true;
      };
      const { truncate } = methods(intake);
      intake.truncate = (after) => {
        if (after >= intake.image) truncate(after);
      };
    },
  },
  {
    name: 'run the guest before the master granted',
    effects: (effects, machine) => {
      const asked = effects.find(
        (effect) => effect.kind === 'askMaster' && effect.request.kind === 'complete',
      );
      if (asked?.kind !== 'askMaster' || asked.request.kind !== 'complete') return effects;
      const { ballot: own, members, base, previous } = asked.request;
      const version = previous.version + 1;
      const configuration = { ballot: own, version, primary: machine.self, members, base };
      return [...effects, { kind: 'activate', configuration, epoch: base }];
    },
  },
  {
    name: 'a primary leaves when it hears of a higher ballot',
    patch: (machine) => {
      patchStep(machine, (input) => {
        const { role } = machine;
        if (input.kind !== 'message' || input.message.kind !== 'refused') return input;
        if (role.kind !== 'primary' || input.message.ballot <= machine.intake.promised)
          return input;
        const { configuration } = role;
        const members = [input.from];
        const { ballot: higher } = input.message;
        const made = { ...configuration, ballot: higher, primary: input.from, members };
        return { ...input, message: { ...input.message, configuration: made } };
      });
    },
  },
  {
    name: 'a joiner that is whole leaves with its primary',
    effects: (effects, machine) => {
      const { role } = machine;
      const asks = effects.some(
        (effect) => effect.kind === 'askMaster' && effect.request.kind === 'read',
      );
      if (!asks || role.kind !== 'joining' || role.phase !== 'whole') return effects;
      return [{ kind: 'deposed', reason: 'joinLost' }];
    },
  },
  {
    name: 'repeat a request under a new id',
    request: (request, count) => ({
      ...request,
      id: { ...request.id, sequence: count },
    }),
  },
];

/** Bound to their object, so that a patch can call what it replaces. */
function methods<T extends object>(object: T): T {
  return new Proxy(object, {
    get: (target, name) => {
      const value: unknown = Reflect.get(Object.getPrototypeOf(target), name, target);
      const own = Object.getOwnPropertyDescriptor(target, name)?.value as unknown;
      const found = own ?? value;
      return typeof found === 'function' ? found.bind(target) : found;
    },
  });
}

function patchStep(machine: Machine, change: (input: Input) => Input): void {
  const { step } = methods(machine);
  machine.step = (nowMs, input) => step(nowMs, change(input));
}
