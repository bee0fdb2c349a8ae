/**
 * One simulated replica: the real machine, with a data plane around it that keeps states, logs and
 * streams as the real one does, only small. It carries out the machine's effects in their order;
 * the world provides network, master and checkers.
 */

import { assert, present } from '../../src/base/assert.ts';
import { type Ballot, type Epoch, epoch, type ReplicaId } from '../../src/base/ids.ts';
import { decodeMessage, encodeMessage } from '../../src/reconfig/codec.ts';
import { Machine } from '../../src/reconfig/machine.ts';
import type { Effect, Input, MasterReply, MasterRequest } from '../../src/reconfig/types.ts';
import type { Checker } from './checker.ts';
import type { Mutation } from './mutations.ts';
import type { Endpoint, Network } from './network.ts';
import type { SimOptions } from './options.ts';
import type { Prng } from './prng.ts';
import type { Scheduler } from './scheduler.ts';
import { ancestor, describe, type Packet, type StateNode } from './state.ts';
import type { Probe } from './world.ts';

export interface ReplicaDeps {
  readonly scheduler: Scheduler;
  readonly network: Network<Packet>;
  readonly prng: Prng;
  readonly checker: Checker;
  readonly mutation: Mutation | null;
  readonly askMaster: (request: MasterRequest, reply: (reply: MasterReply) => void) => void;
  readonly onExit: (replica: SimReplica) => void;
  readonly probe: (name: Probe) => void;
  readonly trace: (replica: ReplicaId, text: () => string) => void;
}

interface Incoming {
  readonly from: ReplicaId;
  readonly packet: Packet & { readonly kind: 'delta' };
}

interface Transfer {
  readonly node: StateNode;
  sent: number;
}

const tickMs = 5;

export class SimReplica implements Endpoint<Packet> {
  readonly id: ReplicaId;
  readonly machine: Machine;
  readonly #deps: ReplicaDeps;
  readonly #options: SimOptions;
  alive = true;
  #frozen = false;
  #backlog: (() => void)[] = [];
  /** What has been applied; on a primary the state of the guest. */
  #image: StateNode | null;
  /** A backup's deltas after the image; a primary's that somebody may still need. */
  readonly #log = new Map<Epoch, StateNode>();
  #running = false;
  #gate = epoch(0);
  readonly #streams = new Set<ReplicaId>();
  readonly #transfers = new Map<ReplicaId, Transfer>();
  /** Complete deltas that are being verified, in order. */
  readonly #incoming: Incoming[] = [];
  #verifying = false;
  #partsHere = new Map<ReplicaId, number>();
  /** A joiner's: what it has of the transfer. */
  #receiving: { readonly from: ReplicaId; readonly ballot: Ballot } | null = null;
  #arriving: { node: StateNode; parts: number } | null = null;

  constructor(id: ReplicaId, founder: StateNode | null, options: SimOptions, deps: ReplicaDeps) {
    this.id = id;
    this.#options = options;
    this.#deps = deps;
    this.#image = founder;
    this.machine = new Machine({
      self: id,
      start: founder === null ? 'join' : 'found',
      timing: options.timing,
      windowEpochs: options.windowEpochs,
      minReplicas: options.minReplicas,
      random: deps.prng.next,
    });
    deps.mutation?.patch?.(this.machine);
    deps.network.add(this);
    this.#step({ kind: 'start' });
    this.#tick();
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  /** The end of all that is here: of the log if there is one, else the image. */
  get head(): StateNode | null {
    if (!this.alive || this.#image === null) return null;
    if (this.#running) return this.#image;
    return this.#log.get(this.machine.intake.last) ?? this.#image;
  }

  freeze(): void {
    this.#frozen = true;
  }

  wake(): void {
    this.#frozen = false;
    for (const run of this.#backlog.splice(0)) this.deliver(run);
  }

  /** The process is gone. */
  kill(): void {
    this.alive = false;
    this.#backlog = [];
  }

  deliver(run: () => void): void {
    if (!this.alive) return;
    if (this.#frozen) this.#backlog.push(run);
    else run();
  }

  onPeerUp(peer: ReplicaId): void {
    this.#step({ kind: 'peerUp', peer });
  }

  onPeerDown(peer: ReplicaId): void {
    this.#partsHere.delete(peer);
    this.#streams.delete(peer);
    if (this.#transfers.delete(peer)) this.#step({ kind: 'joinFailed', member: peer });
    this.#step({ kind: 'peerDown', peer });
  }

  onMessage(from: ReplicaId, packet: Packet): void {
    switch (packet.kind) {
      case 'control': {
        const decoded = decodeMessage(packet.bytes);
        assert(decoded.ok, 'a control message that does not decode');
        this.#step({ kind: 'message', from, message: decoded.message });
        return;
      }
      case 'ack':
        this.#run(this.machine.ackReceived(from, packet.ack.ballot, packet.ack.epoch));
        this.#openGate();
        return;
      case 'delta':
        this.#onDelta(from, packet);
        return;
      case 'page':
        this.#onPage(from, packet);
        return;
    }
  }

  #onDelta(from: ReplicaId, packet: Packet & { readonly kind: 'delta' }): void {
    const { header, part, parts } = packet;
    this.machine.heard(from, header.ballot);
    const here = part === 0 ? 0 : (this.#partsHere.get(from) ?? -1);
    if (here !== part) return; // its beginning was dropped
    this.#partsHere.set(from, part + 1);
    const partial = this.#deps.mutation?.acknowledgesPartial === true;
    if (part !== (partial ? 0 : parts - 1)) return;
    if (!this.machine.intake.whole) {
      this.#keepEarly(from, packet);
      return;
    }
    this.#incoming.push({ from, packet });
    this.#verify();
    // The rest may never come, though the log says that it is there: shows when it is needed.
    if (partial && this.#deps.prng.chance(0.1)) this.#log.delete(header.epoch);
  }

  #verify(): void {
    const next = this.#incoming[0];
    if (this.#verifying || next === undefined) return;
    const { verifyMsMax } = this.#options;
    if (verifyMsMax === 0) {
      this.#incoming.shift();
      this.#store(next);
      return;
    }
    this.#verifying = true;
    this.#deps.scheduler.after(this.#deps.prng.between(0, verifyMsMax), () =>
      this.deliver(() => {
        this.#verifying = false;
        this.#incoming.shift();
        this.#store(next);
        this.#verify();
      }),
    );
  }

  #store({ from, packet }: Incoming): void {
    const { header, node } = packet;
    const { machine } = this;
    switch (machine.intake.offer(from, header.ballot, header.epoch)) {
      case 'refuse':
        this.#step({ kind: 'deltaRefused', from });
        return;
      case 'gap':
        this.#deps.network.break(this.id, from);
        return;
      case 'duplicate':
        this.#acknowledge(from, header.ballot);
        return;
      case 'store':
        if (!machine.deltaStored(from, header.ballot, header.epoch, header.chosen)) return;
        this.#log.set(header.epoch, node);
        this.#acknowledge(from, header.ballot);
        if (this.#deps.prng.chance(0.8)) this.#apply(machine.intake.appliable);
    }
  }

  #acknowledge(to: ReplicaId, ballot: Ballot): void {
    const { acknowledgeable } = this.machine.intake;
    const image = present(this.#image, 'the image of a backup');
    const node = this.#log.get(acknowledgeable) ?? ancestor(image, acknowledgeable);
    if (node !== null) this.#deps.checker.onStored(this.id, ballot, node);
    const ack = { ballot, epoch: acknowledgeable };
    this.#deps.network.send(this.id, to, { kind: 'ack', ack });
  }

  #apply(upTo: Epoch): void {
    let image = present(this.#image, 'the image of a backup');
    while (image.epoch < upTo) {
      const next: StateNode = present(
        this.#log.get(epoch(image.epoch + 1)),
        `${this.id}: delta ${image.epoch + 1}`,
      );
      assert(
        next.parent === image,
        `${this.id}: ${describe(next)} does not follow ${describe(image)}`,
      );
      this.#log.delete(next.epoch);
      image = next;
    }
    this.#image = image;
    if (upTo > this.machine.intake.image) this.machine.intake.applied(upTo);
  }

  /** A joiner keeps the deltas that come while the image does. */
  #keepEarly(from: ReplicaId, packet: Packet & { readonly kind: 'delta' }): void {
    if (from !== this.#receiving?.from || packet.header.ballot !== this.#receiving.ballot) return;
    this.#log.set(packet.header.epoch, packet.node);
  }

  #onPage(from: ReplicaId, packet: Packet & { readonly kind: 'page' }): void {
    if (this.machine.intake.whole) return;
    if (from !== this.#receiving?.from || packet.ballot !== this.#receiving.ballot) return;
    this.machine.heard(from, packet.ballot);
    if (packet.part === 0) this.#arriving = { node: packet.node, parts: 0 };
    const arriving = present(this.#arriving, 'the begin of a transfer');
    arriving.parts += 1;
    if (arriving.parts < packet.parts) return;
    this.#image = arriving.node;
    let last = arriving.node.epoch;
    while (this.#log.has(epoch(last + 1))) last = epoch(last + 1);
    for (const early of this.#log.keys()) {
      assert(early > arriving.node.epoch && early <= last, 'a delta outside of the transfer');
    }
    this.#deps.checker.onStored(this.id, packet.ballot, this.#log.get(last) ?? arriving.node);
    this.#step({ kind: 'imageComplete', base: arriving.node.epoch, epoch: last });
  }

  #step(input: Input): void {
    const before = this.machine.role.kind;
    this.#run(this.machine.step(this.#deps.scheduler.nowMs, input));
    this.#openGate();
    if (this.alive) this.#probeStep(input, before);
  }

  #probeStep(input: Input, before: string): void {
    const { role, intake } = this.machine;
    const kind = input.kind === 'message' ? input.message.kind : input.kind;
    if (before === 'candidate' && kind === 'prepare' && role.kind === 'backup') {
      this.#deps.probe('candidateYields');
    }
    if (before === 'joining' && kind === 'masterReply' && role.kind === 'backup') {
      this.#deps.probe('joinerLearnsFromMaster');
    }
    if (kind === 'prepare' && intake.acknowledgeable < intake.last) this.#deps.probe('tailKept');
  }

  #run(made: readonly Effect[]): void {
    const effects = this.#deps.mutation?.effects?.(made, this.machine) ?? made;
    for (const effect of effects) {
      if (this.alive) this.#carryOut(effect);
    }
  }

  #carryOut(effect: Effect): void {
    const { network, trace } = this.#deps;
    trace(this.id, () => JSON.stringify(effect));
    this.#deps.probe(effect.kind);
    switch (effect.kind) {
      case 'send': {
        const bytes = encodeMessage(effect.message);
        if (effect.message.kind === 'alive' && effect.message.epoch > 0) this.#noteAlive(effect);
        network.send(this.id, effect.to, { kind: 'control', bytes });
        return;
      }
      case 'askMaster':
        this.#askMaster(effect.request);
        return;
      case 'stream':
        this.#stream(effect.member, effect.from);
        return;
      case 'transfer':
        this.#transfer(effect.member);
        return;
      case 'receive':
        this.#receiving = effect;
        this.#arriving = null;
        this.#log.clear();
        return;
      case 'forget':
        this.#streams.delete(effect.member);
        this.#transfers.delete(effect.member);
        return;
      case 'shipRange':
        for (let next = effect.from; next <= effect.to; next++) {
          this.#ship(effect.member, effect.ballot, present(this.#logAt(next), `delta ${next}`));
        }
        return;
      case 'dropPartial':
        this.#partsHere.clear();
        return;
      case 'truncate':
        for (const there of [...this.#log.keys()]) {
          if (there > effect.after) this.#log.delete(there);
        }
        return;
      case 'apply':
        this.#apply(effect.upTo);
        return;
      case 'activate':
        this.#activate(effect);
        return;
      case 'release':
        this.#openGate();
        return;
      case 'configured':
        return;
      case 'deposed':
        this.#deps.probe(effect.reason);
        this.#deps.checker.onDeposed(this.id);
        this.#deps.onExit(this);
        return;
    }
  }

  /** The answer to a heartbeat acknowledges too. */
  #noteAlive(effect: Effect & { readonly kind: 'send' }): void {
    const { message } = effect;
    if (message.kind !== 'alive') return;
    const image = present(this.#image, 'the image of a backup');
    const node = this.#log.get(message.epoch) ?? ancestor(image, message.epoch);
    if (node !== null) this.#deps.checker.onStored(this.id, message.ballot, node);
  }

  #askMaster(request: MasterRequest): void {
    this.#deps.askMaster(request, (reply) =>
      this.deliver(() => {
        this.#deps.trace(this.id, () => `master: ${JSON.stringify(reply)}`);
        this.#step({ kind: 'masterReply', id: request.id, reply });
      }),
    );
  }

  #activate(effect: Effect & { readonly kind: 'activate' }): void {
    this.#apply(effect.epoch);
    const image = present(this.#image, 'the image to activate');
    assert(image.epoch === effect.epoch, `${this.id} activates ${effect.epoch} at ${image.epoch}`);
    this.#running = true;
    this.#gate = image.epoch;
    this.#deps.checker.onActivate(this.id, effect.configuration, image);
    this.#later(5, () => this.#capture());
  }

  #capture(): void {
    const { machine } = this;
    if (machine.role.kind !== 'primary') return;
    const { captureMsMin, captureMsMax } = this.#options;
    this.#later(this.#deps.prng.between(captureMsMin, captureMsMax), () => this.#capture());
    if (!machine.commit.mayCapture) return;
    const parent = present(this.#image, 'the state of the guest');
    const next = epoch(parent.epoch + 1);
    const { ballot } = machine.role.configuration;
    const node: StateNode = { epoch: next, parent, by: this.id, ballot };
    this.#image = node;
    this.#log.set(next, node);
    this.#deps.checker.onStored(this.id, ballot, node);
    machine.captured(next);
    for (const member of this.#streams) this.#ship(member, ballot, node);
    this.#openGate();
    this.#prune();
  }

  #stream(member: ReplicaId, from: Epoch): void {
    const { role, commit } = this.machine;
    assert(role.kind === 'primary', 'streams as primary');
    this.#transfers.delete(member);
    this.#streams.add(member);
    for (let next = from; next <= commit.captured; next++) {
      const node = present(this.#log.get(next), `delta ${next} for ${member}`);
      this.#ship(member, role.configuration.ballot, node);
    }
  }

  #ship(member: ReplicaId, ballot: Ballot, node: StateNode): void {
    const { role, commit, intake } = this.machine;
    const chosen = role.kind === 'primary' ? commit.chosen : intake.image;
    const header = { ballot, epoch: node.epoch, chosen };
    const parts = this.#options.deltaParts;
    for (let part = 0; part < parts; part++) {
      this.#deps.network.send(this.id, member, { kind: 'delta', header, node, part, parts });
    }
  }

  #transfer(member: ReplicaId): void {
    const node = present(this.#image, 'the state of the guest');
    this.#transfers.set(member, { node, sent: 0 });
    this.#streams.add(member);
  }

  #sendPages(): void {
    const { role } = this.machine;
    if (role.kind !== 'primary') return;
    const { ballot } = role.configuration;
    for (const [member, transfer] of this.#transfers) {
      const { node, sent } = transfer;
      const parts = this.#options.pages;
      if (sent >= parts) continue;
      transfer.sent += 1;
      this.#deps.network.send(this.id, member, { kind: 'page', ballot, node, part: sent, parts });
    }
  }

  /** What nobody streamed to can need any more. */
  #prune(): void {
    const { commit } = this.machine;
    let needed: number = commit.released;
    for (const member of this.#streams) {
      if (commit.requires(member)) needed = Math.min(needed, commit.acknowledged(member));
    }
    for (const there of this.#log.keys()) {
      if (there > needed) return; // in ascending order
      this.#log.delete(there);
    }
  }

  #openGate(): void {
    const { role, commit } = this.machine;
    if (role.kind !== 'primary' || !this.#running || !this.alive) return;
    while (this.#gate < commit.released) {
      this.#gate = epoch(this.#gate + 1);
      const image = present(this.#image, 'the state of the guest');
      const node = present(ancestor(image, this.#gate), `the output of ${this.#gate}`);
      if (this.#deps.checker.isSuperseded(node.ballot)) this.#deps.probe('lateRelease');
      this.#deps.checker.onRelease(this.id, node.ballot, node);
    }
  }

  #logAt(wanted: Epoch): StateNode | null {
    return this.#log.get(wanted) ?? null;
  }

  #tick(): void {
    this.#step({ kind: 'tick' });
    if (!this.alive) return;
    this.#sendPages();
    if (!this.#running && this.machine.intake.whole) this.#apply(this.machine.intake.appliable);
    this.#later(tickMs, () => this.#tick());
  }

  #later(delayMs: number, run: () => void): void {
    this.#deps.scheduler.after(delayMs, () => this.deliver(run));
  }
}
