/**
 * Replica: puts together what a replica is: the loop, its peers, the reconfiguration machine, and
 * the guest's state as a backup holds it or as a primary runs it. Carries out the machine's
 * effects in their order (see reconfig/types.ts). Lives on the sentry thread; sentry.ts makes it.
 */
import { assert, present } from '../base/assert.ts';
import { TardigradeError } from '../base/errors.ts';
import type { FaultPlan } from '../base/fault-points.ts';
import { ballot, type Epoch, epoch, type ReplicaId, replicaId } from '../base/ids.ts';
import { DeltaReader } from '../checkpoint/delta-reader.ts';
import { type Loop, Timer } from '../loop/loop.ts';
import { readReply } from '../master/embedded.ts';
import { decodeMessage, encodeMessage } from '../reconfig/codec.ts';
import type { Configuration } from '../reconfig/configuration.ts';
import type { Machine } from '../reconfig/machine.ts';
import type { Effect, Input, MasterRequest, Message } from '../reconfig/types.ts';
import { Peers } from '../replication/peers.ts';
import {
  DELTA_PREFIX_BYTES,
  deltaHead,
  encodeAck,
  PACKET,
  type PacketKind,
  packetHeader,
  readWord,
  STATE_PREFIX_BYTES,
} from '../replication/wire.ts';
import { BackupState } from './backup-state.ts';
import type { GuestRunner } from './guest-runner.ts';
import type { PeerAddress, Role, SentryEvent } from './messages.ts';
import type { PrimaryState } from './primary-state.ts';

const TICK_NS = 10e6;
/** The master of one machine answers within a millisecond. */
const MASTER_NS_MAX = 1e9;

export interface ReplicaDeps {
  readonly loop: Loop;
  readonly machine: Machine;
  readonly faults: FaultPlan;
  readonly runner: GuestRunner;
  readonly post: (event: SentryEvent) => void;
  readonly token: Buffer;
}

export class Replica {
  readonly peers: Peers;
  readonly #deps: ReplicaDeps;
  readonly #tick: Timer;
  #backup: BackupState | null = null;
  #primary: PrimaryState | null = null;
  /** Effects of an input that came while others were carried out follow after those. */
  readonly #inputs: Input[] = [];
  #isStepping = false;
  /** Asked of the master and not answered, by sequence. */
  readonly #requests = new Map<number, { request: MasterRequest; sinceNs: number }>();
  #shownRole: Role | null = null;
  #shownConfiguration: Configuration | null = null;
  #lastLoss = '';

  constructor(deps: ReplicaDeps) {
    this.#deps = deps;
    const { loop, machine } = deps;
    this.peers = new Peers(
      loop,
      { self: machine.self, token: deps.token },
      {
        up: (peer) => this.#step({ kind: 'peerUp', peer }),
        down: (peer, reason) => this.#down(peer, reason),
        packet: (peer, kind, body) => this.#packet(peer, kind, body),
        progress: (peer) => this.#progress(peer),
        stranger: (reason) =>
          deps.post({
            type: 'report',
            event: 'stranger',
            detail: `a connection to the replication port was refused: ${reason}`,
          }),
      },
    );
    this.#tick = new Timer(() => this.#onTick());
  }

  start(): void {
    this.#step({ kind: 'start' });
    this.#onTick();
  }

  get primary(): PrimaryState | null {
    return this.#primary;
  }

  get backup(): BackupState | null {
    return this.#backup;
  }

  setPeers(list: readonly PeerAddress[]): void {
    const addresses = new Map(
      list.map(({ replica, host, port }) => [replicaId(replica), { host, port }] as const),
    );
    this.peers.setAddresses(addresses);
  }

  /** Answer to the request with this sequence number; a repeated request has the same. */
  masterReply(sequence: number, received: unknown): void {
    const request = this.#requests.get(sequence)?.request;
    if (request === undefined) return;
    this.#requests.delete(sequence);
    let reply = readReply(received);
    if (typeof reply === 'string') {
      // Nothing may be concluded from it.
      const reason = `the master answered oddly: ${reply}`;
      this.#deps.post({ type: 'report', event: 'master-reply', detail: reason });
      reply = { kind: 'unavailable', reason };
    }
    if (request.kind === 'newBallot' && reply.kind === 'granted') {
      this.#deps.faults.at('ballot-granted');
    }
    this.#step({ kind: 'masterReply', id: request.id, reply });
  }

  /** A master that says nothing is no different from one that can't be reached. */
  #expireRequests(): void {
    const now = this.#deps.loop.nowNs();
    for (const [sequence, { sinceNs }] of this.#requests) {
      if (now - sinceNs < MASTER_NS_MAX) continue;
      this.masterReply(sequence, { kind: 'unavailable', reason: 'it did not answer in time' });
    }
  }

  #onTick(): void {
    this.#expireRequests();
    this.#step({ kind: 'tick' });
    const { loop } = this.#deps;
    loop.setTimer(this.#tick, loop.nowNs() + TICK_NS);
  }

  #down(peer: ReplicaId, reason: string): void {
    this.#lastLoss = `replica ${peer}: ${reason}`;
    this.#deps.post({ type: 'lost', replica: peer, reason });
    this.#step({ kind: 'peerDown', peer });
  }

  /* --- the machine ---------- */

  #nowMs(): number {
    return this.#deps.loop.nowNs() / 1e6;
  }

  #step(input: Input): void {
    this.#inputs.push(input);
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        this.#carryOut(this.#deps.machine.step(this.#nowMs(), next));
      }
    } finally {
      this.#isStepping = false;
    }
    this.#show();
  }

  #carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) this.#effect(effect);
    this.#primary?.advance();
  }

  #effect(effect: Effect): void {
    const { machine } = this.#deps;
    switch (effect.kind) {
      case 'send':
        this.#send(effect.to, effect.message);
        return;
      case 'askMaster':
        if (effect.request.kind === 'newBallot') {
          this.#deps.faults.at('before-takeover');
          if (this.#lastLoss === '') this.#lastLoss = 'the primary fell silent';
        }
        this.#askMaster(effect.request);
        return;
      case 'stream':
        present(this.#primary, 'primary').stream(effect.member, effect.from);
        return;
      case 'transfer':
        present(this.#primary, 'primary').transfer(effect.member);
        return;
      case 'receive':
        this.#backup?.close();
        this.#backup = new BackupState(this.#deps.faults);
        return;
      case 'forget':
        this.#primary?.forget(effect.member);
        this.peers.connection(effect.member)?.closeWhenSent();
        return;
      case 'shipRange':
        this.#shipRange(effect);
        return;
      case 'dropPartial':
        // Bytes of a delta that is not whole never leave the connection that they came on.
        return;
      case 'truncate':
        this.#backup?.truncate(effect.after);
        return;
      case 'apply':
        this.#apply(effect.upTo);
        return;
      case 'activate':
        this.#activate(effect.configuration, effect.epoch);
        return;
      case 'release':
        this.#primary?.advance();
        return;
      case 'configured':
        this.#configured(effect.configuration);
        return;
      case 'deposed':
        this.#deposed(effect.reason, machine.configuration);
        return;
    }
  }

  #askMaster(request: MasterRequest): void {
    const { sequence } = request.id;
    this.#requests.set(sequence, { request, sinceNs: this.#deps.loop.nowNs() });
    this.#deps.post({ type: 'master-request', id: sequence, request });
  }

  #send(to: ReplicaId, message: Message): void {
    const body = Buffer.from(encodeMessage(message));
    const isSent = this.peers.send(to, packetHeader(PACKET.control, body.length), body);
    if (!isSent) this.#inputs.push({ kind: 'peerDown', peer: to });
    else if (message.kind === 'joined') this.#deps.faults.at('join-complete');
  }

  #shipRange(effect: Extract<Effect, { kind: 'shipRange' }>): void {
    const backup = present(this.#backup, 'backup state');
    const chosen = this.#deps.machine.intake.image;
    for (let number: number = effect.from; number <= effect.to; number += 1) {
      const frame = backup.frame(epoch(number));
      this.peers.send(effect.member, deltaHead(effect.ballot, chosen, frame.length), frame);
    }
  }

  #apply(upTo: Epoch): void {
    const { intake } = this.#deps.machine;
    if (upTo <= intake.image) return;
    present(this.#backup, 'backup state').apply(intake.image, upTo);
    intake.applied(upTo);
  }

  /** The machine says that this replica runs the guest from now on. */
  #activate(configuration: Configuration, base: Epoch): void {
    const { faults, runner, post, loop } = this.#deps;
    assert(this.#primary === null, 'a replica becomes primary once');
    faults.at('during-activation');
    const startNs = loop.nowNs();
    const isAlone = configuration.members.length === 1;
    if (this.#backup === null) this.#primary = runner.start(this.peers, configuration.ballot, base);
    else {
      const backup = this.#backup;
      this.#backup = null;
      this.#primary = runner.takeOver(this.peers, configuration.ballot, base, backup, isAlone);
      post({
        type: 'takeover',
        ballot: configuration.ballot,
        epoch: base,
        restoreMs: (loop.nowNs() - startNs) / 1e6,
        reason: this.#lastLoss,
      });
    }
    faults.at('after-activation');
  }

  #configured(configuration: Configuration): void {
    if (this.#primary !== null && configuration.members.length === 1) this.#primary.relax();
  }

  #deposed(reason: string, configuration: Configuration | null): void {
    this.#show();
    const now = configuration === null ? 'unknown' : `primary ${configuration.primary}`;
    throw new TardigradeError(
      'replica',
      `this replica is no longer part of the service (${reason}, ${now})`,
      'a new replica takes its place by itself',
    );
  }

  /** Tells the supervisor when role or configuration changed. */
  #show(): void {
    const { role, configuration } = this.#deps.machine;
    if (role.kind === this.#shownRole && configuration === this.#shownConfiguration) return;
    this.#shownRole = role.kind;
    this.#shownConfiguration = configuration;
    this.#deps.post({ type: 'role', role: role.kind, configuration });
  }

  /* --- packets ---------- */

  #packet(peer: ReplicaId, kind: PacketKind, body: Buffer): void {
    switch (kind) {
      case PACKET.ack:
        this.#onAck(peer, body);
        return;
      case PACKET.delta:
        this.#onDelta(peer, body);
        return;
      case PACKET.control:
        this.#onControl(peer, body);
        return;
      case PACKET.state:
        this.#onState(peer, body);
        return;
      case PACKET.hello:
        this.peers.cutOff(peer, 'it said hello twice');
        return;
    }
  }

  #onAck(peer: ReplicaId, body: Buffer): void {
    if (body.length !== 16) {
      this.peers.cutOff(peer, 'a malformed acknowledgement');
      return;
    }
    const { machine } = this.#deps;
    const stored = epoch(readWord(body, 8));
    const acknowledged = ballot(readWord(body, 0));
    const effects = machine.ackReceived(peer, acknowledged, stored);
    if (effects.length > 0) this.#carryOut(effects);
    if (this.#primary !== null && acknowledged === machine.configuration?.ballot) {
      this.#primary.acknowledged(peer, stored);
    }
  }

  #onControl(peer: ReplicaId, body: Buffer): void {
    const decoded = decodeMessage(body);
    if (!decoded.ok) {
      this.peers.cutOff(peer, decoded.problem);
      return;
    }
    this.#step({ kind: 'message', from: peer, message: decoded.message });
  }

  #onDelta(peer: ReplicaId, body: Buffer): void {
    if (body.length < DELTA_PREFIX_BYTES) {
      this.peers.cutOff(peer, 'a malformed delta');
      return;
    }
    const { machine, faults } = this.#deps;
    const sent = ballot(readWord(body, 0));
    const chosen = epoch(readWord(body, 8));
    const frame = body.subarray(DELTA_PREFIX_BYTES);
    const reader = this.#read(peer, frame);
    if (reader === null) return;
    faults.at('backup-delta-received');
    const { intake } = machine;
    if (!intake.whole) {
      // Part of a transfer: it goes straight into the image, in stream order.
      machine.heard(peer, sent);
      if (sent === intake.promised) this.#receiveState(peer, reader);
      return;
    }
    const number = reader.header.epoch;
    const offer = intake.offer(peer, sent, number);
    if (offer === 'gap') {
      this.peers.cutOff(peer, `delta ${number} is out of order`);
      return;
    }
    if (offer === 'refuse') {
      this.#step({ kind: 'deltaRefused', from: peer });
      return;
    }
    if (offer === 'store' && machine.deltaStored(peer, sent, number, chosen)) {
      present(this.#backup, 'backup state').append(number, reader, frame);
      faults.at('backup-before-ack');
    }
    this.peers.send(peer, encodeAck(sent, intake.acknowledgeable));
    this.#apply(intake.appliable);
  }

  #onState(peer: ReplicaId, body: Buffer): void {
    if (body.length < STATE_PREFIX_BYTES) {
      this.peers.cutOff(peer, 'a malformed state');
      return;
    }
    const { machine } = this.#deps;
    const sent = ballot(readWord(body, 0));
    machine.heard(peer, sent);
    if (sent !== machine.intake.promised || machine.intake.whole) return;
    const reader = this.#read(peer, body.subarray(STATE_PREFIX_BYTES));
    if (reader !== null) this.#receiveState(peer, reader);
  }

  /** A frame of the transfer; the last one makes this replica ready to be a member. */
  #receiveState(peer: ReplicaId, reader: DeltaReader): void {
    const backup = this.#backup;
    if (backup === null) return;
    const problem = backup.image.problem(reader);
    if (problem !== null) {
      this.peers.cutOff(peer, problem);
      return;
    }
    if (!backup.receive(reader)) return;
    const at = backup.image.epoch;
    this.#step({ kind: 'imageComplete', base: at, epoch: at });
  }

  /** The frame, checked; null after the connection was cut because of it. */
  #read(peer: ReplicaId, frame: Buffer): DeltaReader | null {
    try {
      return DeltaReader.open(frame);
    } catch (error) {
      if (!(error instanceof TardigradeError)) throw error;
      this.peers.cutOff(peer, error.line);
      return null;
    }
  }

  #progress(peer: ReplicaId): void {
    const { machine } = this.#deps;
    machine.heard(peer, machine.intake.promised);
  }
}
