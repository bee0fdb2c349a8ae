/**
 * The master of a simulation: the decisions of the real one, with a mutation between if there is
 * one. The checker hears of every new configuration before anybody else does.
 */

import { decide, initialMasterState, type MasterState } from '../../src/master/memory.ts';
import type { Configuration } from '../../src/reconfig/configuration.ts';
import type { MasterReply, MasterRequest } from '../../src/reconfig/types.ts';
import type { Mutation } from './mutations.ts';

export class SimMaster {
  #state: MasterState = initialMasterState;
  #count = 0;
  readonly #mutation: Mutation | null;
  readonly #onChange: (configuration: Configuration) => void;

  constructor(mutation: Mutation | null, onChange: (configuration: Configuration) => void) {
    this.#mutation = mutation;
    this.#onChange = onChange;
  }

  get configuration(): Configuration | null {
    return this.#state.current;
  }

  decide(request: MasterRequest): MasterReply {
    this.#count += 1;
    const seen = this.#mutation?.request?.(request, this.#count) ?? request;
    const wrong = this.#mutation?.decide?.(this.#state, seen) ?? null;
    if (wrong?.current !== undefined && wrong.current !== null) {
      const configuration = wrong.current;
      this.#take(wrong);
      return { kind: 'granted', ballot: configuration.ballot, configuration };
    }
    const { state, reply } = decide(this.#state, seen);
    this.#take(state);
    return reply;
  }

  #take(next: MasterState): void {
    const before = this.#state.current;
    this.#state = next;
    if (next.current !== null && next.current !== before) this.#onChange(next.current);
  }
}
