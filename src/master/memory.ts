/**
 * The master's decisions as a pure function of its state, and a master in this process made of it.
 * `decide` is what every master runs: embedded on its own state, etcd within a transaction that
 * compares the revision of the state that it read. Must not know time or transport.
 */

import { unreachable } from '../base/assert.ts';
import { type Ballot, ballot, epoch } from '../base/ids.ts';
import {
  assertConfiguration,
  type Configuration,
  type ConfigurationId,
  isMember,
  sameConfiguration,
  sortedMembers,
} from '../reconfig/configuration.ts';
import { MEMBERS_MAX } from '../reconfig/limits.ts';
import type { MasterReply, MasterRequest, RequestId } from '../reconfig/types.ts';
import type { Master } from './master.ts';

/** A ballot that was given: the highest, with whom and what for. Lower ones are void. */
interface GivenBallot {
  readonly ballot: Ballot;
  readonly previous: ConfigurationId;
  readonly by: RequestId;
}

/** All that a master stores of a service: a few hundred bytes. */
export interface MasterState {
  readonly current: Configuration | null;
  /** The request that made `current`; a repetition of it is granted again. */
  readonly by: RequestId | null;
  readonly given: GivenBallot | null;
}

export interface Decision {
  /** The same object if nothing changed. */
  readonly state: MasterState;
  readonly reply: MasterReply;
}

export const initialMasterState: MasterState = { current: null, by: null, given: null };

type Complete = MasterRequest & { readonly kind: 'complete' };
type ChangeMember = MasterRequest & { readonly kind: 'addMember' | 'removeMember' };

/** Decide a request of which `configurationProblem` and types have been checked. */
export function decide(state: MasterState, request: MasterRequest): Decision {
  const { current } = state;
  switch (request.kind) {
    case 'read':
      return current === null ? refuse(state) : grant(state, current);
    case 'found':
      return found(state, request.id);
    case 'newBallot':
      return newBallot(state, request.id, request.previous);
    case 'complete':
      return complete(state, request);
    case 'addMember':
    case 'removeMember':
      return changeMember(state, request);
    default:
      return unreachable(request);
  }
}

function found(state: MasterState, id: RequestId): Decision {
  if (state.current !== null) return repeated(state, id) ?? refuse(state);
  const { replica } = id;
  const members = [replica];
  const first = { ballot: ballot(1), version: 1, primary: replica, members, base: epoch(0) };
  return activate(state, first, id);
}

/** To a member of the current configuration, higher than all before. Binds nobody by itself. */
function newBallot(state: MasterState, id: RequestId, previous: ConfigurationId): Decision {
  const { current, given } = state;
  if (current === null || !sameConfiguration(current, previous)) return refuse(state);
  if (!isMember(current, id.replica)) return refuse(state);
  if (given !== null && sameRequest(given.by, id)) return grant(state, current, given.ballot);
  const next = ballot(Math.max(current.ballot, given?.ballot ?? 0) + 1);
  const after = { ...state, given: { ballot: next, previous: idOf(current), by: id } };
  return grant(after, current, next);
}

/**
 * The candidate's members are level: activate, if the configuration that they continue is still
 * current, ballot and version both, and its ballot the highest one given. The first because
 * anything chosen elsewhere would be lost; the second so that whoever promised a higher one knows
 * that this never happens any more.
 */
function complete(state: MasterState, request: Complete): Decision {
  const { current, given } = state;
  const { id, previous } = request;
  const again = repeated(state, id);
  if (again !== null) return again;
  if (current === null || !sameConfiguration(current, previous)) return refuse(state);
  if (given === null || given.ballot !== request.ballot) return refuse(state);
  if (given.by.replica !== id.replica) return refuse(state);
  if (!sameConfiguration(given.previous, previous)) return refuse(state);
  const members = sortedMembers(request.members);
  if (!members.includes(id.replica) || !members.every((member) => isMember(current, member))) {
    return refuse(state);
  }
  const next = {
    ballot: request.ballot,
    version: current.version + 1,
    primary: id.replica,
    members,
    base: request.base,
  };
  return activate(state, next, id);
}

/** The primary of the current configuration, and no other, changes who is in it. */
function changeMember(state: MasterState, request: ChangeMember): Decision {
  const { current } = state;
  const { id, previous, member } = request;
  const again = repeated(state, id);
  if (again !== null) return again;
  if (current === null || !sameConfiguration(current, previous)) return refuse(state);
  if (current.primary !== id.replica || member === id.replica) return refuse(state);
  const adding = request.kind === 'addMember';
  if (isMember(current, member) === adding) return refuse(state);
  if (adding && current.members.length >= MEMBERS_MAX) return refuse(state);
  const members = adding
    ? sortedMembers([...current.members, member])
    : current.members.filter((other) => other !== member);
  return activate(state, { ...current, version: current.version + 1, members }, id);
}

function activate(state: MasterState, next: Configuration, id: RequestId): Decision {
  assertConfiguration(next);
  return grant({ ...state, current: next, by: id }, next);
}

/** What made the current configuration is granted again. Made earlier ones: then it is refused, and
 * who asked has long had the answer, or has been replaced. */
function repeated(state: MasterState, id: RequestId): Decision | null {
  const { current, by } = state;
  if (current === null || by === null || !sameRequest(by, id)) return null;
  return grant(state, current);
}

function grant(state: MasterState, configuration: Configuration, given?: Ballot): Decision {
  const reply = { kind: 'granted', ballot: given ?? configuration.ballot, configuration } as const;
  return { state, reply };
}

function refuse(state: MasterState): Decision {
  return { state, reply: { kind: 'refused', configuration: state.current } };
}

function sameRequest(a: RequestId, b: RequestId): boolean {
  return a.replica === b.replica && a.sequence === b.sequence;
}

function idOf(configuration: Configuration): ConfigurationId {
  return { ballot: configuration.ballot, version: configuration.version };
}

/** A master in this process: for tests, for the simulator, and inside the embedded one. */
export class MemoryMaster implements Master {
  #state = initialMasterState;
  readonly #onChange: (configuration: Configuration) => void;

  constructor(onChange: (configuration: Configuration) => void = () => {}) {
    this.#onChange = onChange;
  }

  get configuration(): Configuration | null {
    return this.#state.current;
  }

  ask(request: MasterRequest): Promise<MasterReply> {
    return Promise.resolve(this.decide(request));
  }

  /** The same at once. `onChange` hears of every new configuration, before the replica does. */
  decide(request: MasterRequest): MasterReply {
    const before = this.#state.current;
    const { state, reply } = decide(this.#state, request);
    this.#state = state;
    if (state.current !== null && state.current !== before) this.#onChange(state.current);
    return reply;
  }

  /** As of now, for whoever stores or shows it. */
  get state(): MasterState {
    return this.#state;
  }
}
