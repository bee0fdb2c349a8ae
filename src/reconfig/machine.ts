/**
 * The reconfiguration machine of one replica: Vertical Paxos II as a pure state machine. Input in,
 * effects out; no clock, socket, timer or randomness inside. Driven by a replica's composition root
 * and by the simulator, which must keep the order obligations in `types.ts`.
 *
 * Each role's file has one on<Message> function per message. The hot path is `captured`,
 * `ackReceived` and `deltaStored`: they allocate nothing while there is no reconfiguration.
 */

import type { Ballot, Epoch, ReplicaId } from '../base/ids.ts';
import * as backup from './backup.ts';
import * as candidate from './candidate.ts';
import type { Configuration } from './configuration.ts';
import { Core } from './core.ts';
import type { Intake } from './intake.ts';
import * as joining from './joining.ts';
import type { OutputCommit } from './output-commit.ts';
import * as primary from './primary.ts';
import type { Role } from './roles.ts';
import type {
  Effect,
  Input,
  MachineOptions,
  MasterReply,
  MasterRequest,
  Message,
} from './types.ts';

const NO_EFFECTS: readonly Effect[] = Object.freeze([]);

export class Machine {
  readonly #core: Core;

  constructor(options: MachineOptions) {
    this.#core = new Core(options);
  }

  get self(): ReplicaId {
    return this.#core.self;
  }

  /** Only to read: for status, and for the data plane to know its side. */
  get role(): Readonly<Role> {
    return this.#core.role;
  }

  /** The latest configuration known here to be active. */
  get configuration(): Configuration | null {
    return this.#core.configuration;
  }

  /** A primary's output commit. */
  get commit(): OutputCommit {
    return this.#core.commit;
  }

  /** A backup's log, as numbers. */
  get intake(): Intake {
    return this.#core.intake;
  }

  /** The one entry for all but the hot path. `nowMs` is any steady clock's. */
  step(nowMs: number, input: Input): readonly Effect[] {
    const core = this.#core;
    core.advance(nowMs);
    if (core.role.kind === 'deposed') return NO_EFFECTS;
    dispatch(core, input);
    return core.takeEffects();
  }

  /**
   * Primary: delta `next` was captured and is kept to be streamed; ship it now to all members that
   * are streamed to. False: no longer primary, drop it. `commit.released` may have moved.
   */
  captured(next: Epoch): boolean {
    if (this.#core.role.kind !== 'primary') return false;
    this.#core.commit.capture(next);
    return true;
  }

  /** An `Ack` came. `commit.released` may have moved: open the gate up to it. */
  ackReceived(from: ReplicaId, ballot: Ballot, stored: Epoch): readonly Effect[] {
    const core = this.#core;
    const { role } = core;
    if (role.kind === 'primary') primary.onAck(core, role, from, ballot, stored);
    else if (role.kind === 'candidate') candidate.onAck(core, role, from, ballot, stored);
    return core.hasEffects ? core.takeEffects() : NO_EFFECTS;
  }

  /**
   * A delta is here, whole and verified. True: it is in the log; acknowledge
   * `intake.acknowledgeable` in its ballot, and apply the log up to `intake.appliable` when
   * convenient. False: drop it.
   */
  deltaStored(from: ReplicaId, ballot: Ballot, next: Epoch, chosen: Epoch): boolean {
    this.heard(from, ballot);
    return this.#core.intake.store(from, ballot, next, chosen);
  }

  /** Bytes in `ballot` came from a peer, as part of a delta or transfer: it lives. */
  heard(from: ReplicaId, ballot: Ballot): void {
    const core = this.#core;
    const { role } = core;
    if (ballot !== core.intake.promised) return;
    if (role.kind === 'primary') primary.onHeard(core, role, from);
    else if (role.kind === 'backup' && from === core.intake.source) backup.onHeard(core, role);
    else if (role.kind === 'joining' && from === role.primary) joining.onHeard(core, role);
  }
}

function dispatch(core: Core, input: Input): void {
  switch (input.kind) {
    case 'start':
      joining.start(core);
      return;
    case 'tick':
      onTick(core);
      return;
    case 'message':
      onMessage(core, input.from, input.message);
      return;
    case 'masterReply': {
      const request = core.settle(input.id, input.reply);
      if (request !== null) onMasterReply(core, request, input.reply);
      return;
    }
    case 'peerUp':
      onPeerUp(core, input.peer);
      return;
    case 'peerDown':
      onPeerDown(core, input.peer);
      return;
    case 'deltaRefused':
      core.refuse(input.from);
      return;
    case 'imageComplete':
      // A transfer that ended is of no use to one that has another role by now.
      if (core.role.kind !== 'joining') return;
      joining.onImageComplete(core, core.role, input.base, input.epoch);
      return;
    case 'joinFailed':
      if (core.role.kind === 'primary') primary.onJoinFailed(core, core.role, input.member);
      return;
  }
}

function onTick(core: Core): void {
  core.repeatRequest();
  const { role } = core;
  switch (role.kind) {
    case 'joining':
      joining.tick(core, role);
      return;
    case 'backup':
      backup.tick(core, role);
      return;
    case 'candidate':
      candidate.tick(core, role);
      return;
    case 'primary':
      primary.tick(core, role);
      return;
    case 'deposed':
      return;
  }
}

function onMessage(core: Core, from: ReplicaId, message: Message): void {
  const { role } = core;
  switch (role.kind) {
    case 'joining':
      joining.onMessage(core, role, from, message);
      return;
    case 'backup':
      backup.onMessage(core, role, from, message);
      return;
    case 'candidate':
      candidate.onMessage(core, role, from, message);
      return;
    case 'primary':
      primary.onMessage(core, role, from, message);
      return;
    case 'deposed':
      return;
  }
}

function onMasterReply(core: Core, request: MasterRequest, reply: MasterReply): void {
  const { role } = core;
  switch (role.kind) {
    case 'joining':
      joining.onMasterReply(core, role, reply);
      return;
    case 'backup':
      backup.onMasterReply(core, role, request, reply);
      return;
    case 'candidate':
      candidate.onMasterReply(core, role, request, reply);
      return;
    case 'primary':
      primary.onMasterReply(core, role, request, reply);
      return;
    case 'deposed':
      return;
  }
}

function onPeerUp(core: Core, peer: ReplicaId): void {
  const { role } = core;
  if (role.kind === 'joining') joining.onPeerUp(core, role, peer);
  else if (role.kind === 'candidate') candidate.onPeerUp(core, role, peer);
  else if (role.kind === 'primary') primary.onPeerUp(core, role, peer);
}

function onPeerDown(core: Core, peer: ReplicaId): void {
  const { role } = core;
  if (role.kind === 'joining') joining.onPeerDown(core, role, peer);
  else if (role.kind === 'backup') backup.onPeerDown(core, role, peer);
  else if (role.kind === 'candidate') candidate.onPeerDown(core, role, peer);
  else if (role.kind === 'primary') primary.onPeerDown(core, role, peer);
}
