/**
 * The master: who decides configurations. One interface for memory, embedded and etcd; called by a
 * replica's composition root to carry out `askMaster`, and by status commands. Holds no guest
 * state.
 */

import type { MasterReply, MasterRequest } from '../reconfig/types.ts';

export interface Master {
  /**
   * Never rejects. `unavailable` when there is no answer in time: the request may then take effect
   * later, or never. Repeating it with its id is safe: it takes effect once, and the answer to each
   * is that of the one that did. Reads are linearizable: what was granted before a `read` began is
   * in its answer. Reordered and late requests do no harm; `docs/protocol.md` says why.
   */
  ask(request: MasterRequest): Promise<MasterReply>;
}
