/**
 * PrimaryState: the guest and what a primary does about it: capture, ship, release, and bring the
 * whole state to joiners and into files. Used by replica.ts, as the machine says. One per replica:
 * a primary never becomes a backup again.
 */

import type { FaultPlan } from '../base/fault-points.ts';
import type { Ballot, Epoch, ReplicaId } from '../base/ids.ts';
import { epoch } from '../base/ids.ts';
import { CheckpointFileWriter } from '../checkpoint/checkpoint-file.ts';
import type { SealedDelta } from '../checkpoint/delta-writer.ts';
import { nodeFiles } from '../checkpoint/files.ts';
import { SlabPool } from '../checkpoint/slab.ts';
import type { LinuxHost } from '../host/linux/linux-host.ts';
import { type CaptureReport, Checkpointer } from '../interpose/checkpointer.ts';
import type { Loop } from '../loop/loop.ts';
import { Timer } from '../loop/loop.ts';
import type { Lvm } from '../lvm/api.ts';
import type { Machine } from '../reconfig/machine.ts';
import type { Peers } from '../replication/peers.ts';
import { deltaHead, stateHead } from '../replication/wire.ts';
import { Backlog } from './backlog.ts';
import type { EpochStats } from './epoch-stats.ts';
import { Transfer, type TransferSink } from './transfer.ts';

/** Chunks of a transfer go out this often, a few at a time, so that the guest is served between. */
const PUMP_NS = 500_000;
const PUMP_CHUNKS = 2;
/** A joiner's connection holds about this much of a transfer. */
const JOINER_QUEUE_BYTES = 1 << 20;
/**
 * Deltas that wait for acknowledgement, in bytes; beyond it no epoch ends. A guest that writes
 * faster than they travel gets longer epochs, which carry a page once however often it was written;
 * with a window of epochs alone it would be ahead by minutes. Half a second at 1 Gbit/s.
 */
const BACKLOG_BYTES_MAX = 64 << 20;
/**
 * An epoch waits at most so long for a joiner that lags. Epochs further apart carry less: a page
 * that is written again and again travels once; and what a joiner gets of the state goes between.
 */
const JOINER_PATIENCE_NS = 50e6;
/**
 * The acknowledgement of a delta is due within microseconds: polling is faster than being woken.
 */
const SPIN_NS = 100_000;

export interface PrimaryDeps {
  readonly loop: Loop;
  readonly host: LinuxHost;
  /** What the checkpointer stands on: the host, or an interposer around it. */
  readonly below: Lvm;
  readonly peers: Peers;
  readonly machine: Machine;
  readonly faults: FaultPlan;
  readonly stats: EpochStats;
  readonly joined: (member: number, epoch: number) => void;
}

export class PrimaryState {
  readonly checkpointer: Checkpointer;
  readonly #deps: PrimaryDeps;
  readonly #pool = new SlabPool();
  readonly #backlog = new Backlog(BACKLOG_BYTES_MAX);
  /** Members that get every delta, with what each has acknowledged. */
  readonly #streams = new Map<ReplicaId, Epoch>();
  readonly #transfers = new Map<ReplicaId | 'file', Transfer>();
  readonly #wanted: ReplicaId[] = [];
  readonly #pump: Timer;
  #ballot: Ballot;
  #released: Epoch;
  #spinUntilNs = 0;
  /** When the last epoch ended. */
  #capturedNs = 0;

  constructor(deps: PrimaryDeps, ballot: Ballot, base: Epoch) {
    this.#deps = deps;
    this.#ballot = ballot;
    this.#released = base;
    this.#pump = new Timer(() => this.#pumpAll());
    this.checkpointer = new Checkpointer(
      deps.below,
      {
        mayCapture: () => this.#mayCapture,
        captured: (report) => this.#captured(report),
      },
      this.#pool,
      deps.faults,
    );
    deps.loop.isSpinning = () =>
      this.#spinUntilNs > 0 && deps.loop.nowNs() < this.#spinUntilNs && this.#isAwaiting;
  }

  get #mayCapture(): boolean {
    return this.#canCapture && !this.#backlog.isFull && !this.#isPaced;
  }

  /** There is room for one more delta, if it must be. */
  get #canCapture(): boolean {
    return this.#deps.machine.commit.mayCapture && !this.#pool.isExhausted;
  }

  /** Epochs come faster than a joiner takes them, or write more. */
  get #isPaced(): boolean {
    if (this.#transfers.size === 0) return false;
    const transfers = [...this.#transfers.values()];
    if (transfers.some((transfer) => transfer.isBehind)) return true;
    const isLagging = transfers.some((transfer) => transfer.isLagging);
    return isLagging && this.#deps.loop.nowNs() < this.#capturedNs + JOINER_PATIENCE_NS;
  }

  get #isAwaiting(): boolean {
    return this.#deps.machine.commit.released < this.checkpointer.epoch;
  }

  /* --- epochs ---------- */

  #captured(report: CaptureReport): void {
    const { machine, faults, stats, loop } = this.#deps;
    const { delta } = report;
    this.#capturedNs = loop.nowNs();
    if (!machine.captured(delta.epoch)) {
      delta.release();
      return;
    }
    stats.captured(delta.epoch, report.pauseUs, delta.sizeBytes, loop.nowNs());
    faults.at('before-ship');
    const frame = delta.finish();
    for (const member of this.#streams.keys()) this.#ship(member, frame, machine.commit.chosen);
    faults.at('delta-sent');
    this.#toTransfers(delta, frame);
    if (this.#streams.size > 0) {
      this.#backlog.add(delta);
      // Whose transfer ended with it has it, and acknowledges later ones only.
      this.#prune();
      this.#spinUntilNs = loop.nowNs() + SPIN_NS;
    } else delta.release();
    this.#pool.prepare();
    this.advance();
  }

  #ship(member: ReplicaId, frame: Buffer, chosen: Epoch): void {
    const { peers, faults } = this.#deps;
    const head = deltaHead(this.#ballot, chosen, frame.length);
    if (!faults.isPlanned('delta-half-sent')) faults.at('delta-half-sent');
    else {
      peers.connection(member)?.sendPart(head, frame, frame.length >> 1);
      faults.at('delta-half-sent');
      peers.connection(member)?.sendRest(frame, frame.length >> 1);
      return;
    }
    peers.send(member, head, frame);
  }

  /** Lets out what is released by now, and captures again if the window had been full. */
  advance(): void {
    const { machine, faults, stats, loop } = this.#deps;
    const { released } = machine.commit;
    if (released <= this.#released) return;
    this.#released = released;
    faults.at('acknowledged-not-released');
    this.checkpointer.release(released);
    stats.released(released, loop.nowNs());
    this.checkpointer.reconsider();
  }

  /** A member has everything up to `stored`. */
  acknowledged(member: ReplicaId, stored: Epoch): void {
    if (!this.#streams.has(member)) return;
    this.#streams.set(member, stored);
    this.#prune();
    this.advance();
  }

  #prune(): void {
    const wasFull = this.#pool.isExhausted || this.#backlog.isFull;
    let lowest = this.checkpointer.epoch;
    for (const stored of this.#streams.values()) if (stored < lowest) lowest = stored;
    this.#backlog.release(lowest);
    if (wasFull) this.checkpointer.reconsider();
  }

  /** Ships every delta from `from` on, those retained and those to come. */
  stream(member: ReplicaId, from: Epoch): void {
    this.#streams.set(member, epoch(from - 1));
    for (const frame of this.#backlog.framesFrom(from)) {
      this.#ship(member, frame, this.#deps.machine.commit.chosen);
    }
    this.#prune();
    this.checkpointer.protect();
  }

  forget(member: ReplicaId): void {
    this.#streams.delete(member);
    this.#transfers.delete(member);
    this.#unwant(member);
    this.#prune();
    // Epochs may have waited for it.
    this.checkpointer.reconsider();
  }

  /** False: it doesn't wait for a transfer (any more). */
  #unwant(member: ReplicaId): boolean {
    const index = this.#wanted.indexOf(member);
    if (index >= 0) this.#wanted.splice(index, 1);
    return index >= 0;
  }

  /** Nobody follows and nobody has to: checkpoints would serve no purpose. */
  relax(): void {
    if (this.#streams.size === 0 && this.#transfers.size === 0 && this.#wanted.length === 0) {
      this.checkpointer.unprotect();
    }
  }

  /* --- the whole state ---------- */

  /** Transfers the whole state to a member, and streams all deltas after it. */
  transfer(member: ReplicaId): void {
    this.forget(member);
    this.#wanted.push(member);
    this.#schedulePump();
  }

  /** Writes a checkpoint file; `done` hears of an error, or null. */
  writeFile(path: string, owner: string, done: (error: Error | null) => void): void {
    if (this.#transfers.has('file')) {
      done(new Error('another checkpoint is being written'));
      return;
    }
    if (!this.#canCapture) {
      done(new Error('the backups are too far behind now; try again'));
      return;
    }
    let writer: CheckpointFileWriter | null = null;
    let isOver = false;
    /** A full disk is the file's misfortune, not the guest's. */
    const attempt = (action: () => void): void => {
      if (isOver) return;
      try {
        action();
      } catch (error) {
        isOver = true;
        writer?.abort();
        this.#transfers.delete('file');
        done(error as Error);
      }
    };
    const sink: TransferSink = {
      room: () => (isOver ? 0 : JOINER_QUEUE_BYTES),
      frame: (frame) => attempt(() => writer?.append(frame)),
      done: () =>
        attempt(() => {
          writer?.commit(this.#pool);
          done(null);
        }),
    };
    attempt(() => {
      writer = new CheckpointFileWriter(nodeFiles(owner), path);
      this.#deps.faults.at('during-checkpoint-file');
      if (!this.#begin('file', sink)) throw new Error('the guest is ending');
    });
    // One that failed with its first frame was begun after that.
    if (isOver) this.#transfers.delete('file');
  }

  #begin(key: ReplicaId | 'file', sink: TransferSink): boolean {
    const { machine } = this.#deps;
    const wasProtected = this.checkpointer.isProtected;
    const isTaken = this.checkpointer.captureBase((base) => {
      // The base itself ends an epoch when nobody had followed until now.
      if (!wasProtected) machine.captured(base.epoch);
      const transfer = new Transfer(this.checkpointer, this.#pool, base, sink);
      // Sending to a joiner may have shown that it is gone.
      if (key === 'file' || this.#unwant(key)) this.#transfers.set(key, transfer);
    });
    this.advance();
    this.#schedulePump();
    return isTaken;
  }

  #joinerSink(member: ReplicaId): TransferSink {
    const { peers } = this.#deps;
    return {
      room: () => JOINER_QUEUE_BYTES - (peers.connection(member)?.queueBytes ?? JOINER_QUEUE_BYTES),
      frame: (frame) => {
        peers.send(member, stateHead(this.#ballot, frame.length), frame);
      },
      done: (last) => {
        if (!this.#transfers.has(member)) return; // lost over the last frame
        // It will say `joined`; deltas go on as to any member.
        this.#streams.set(member, last);
        this.#deps.joined(member, last);
      },
    };
  }

  #toTransfers(delta: SealedDelta, frame: Buffer): void {
    for (const [key, transfer] of this.#transfers) {
      if (transfer.delta(frame, delta.epoch)) this.#transfers.delete(key);
    }
  }

  #schedulePump(): void {
    const { loop } = this.#deps;
    const isNeeded = this.#wanted.length > 0 || this.#transfers.size > 0;
    loop.setTimer(this.#pump, isNeeded ? loop.nowNs() + PUMP_NS : Infinity);
  }

  #pumpAll(): void {
    if (this.#deps.host.guestPid === null) return;
    const next = this.#wanted[0];
    if (next !== undefined && this.#mayCapture) {
      this.#begin(next, this.#joinerSink(next));
    }
    let isSettling = false;
    for (const transfer of this.#transfers.values()) {
      isSettling = transfer.pump(PUMP_CHUNKS) || isSettling;
    }
    if (isSettling && this.#canCapture && !this.#backlog.isFull) this.checkpointer.captureOrRetry();
    else this.checkpointer.reconsider();
    this.#schedulePump();
  }
}
