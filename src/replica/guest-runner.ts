/**
 * GuestRunner: makes a primary's guest: host, interposers, checkpointer and library OS stacked on
 * each other, started from the program, from a checkpoint file or from a backup's state. Used by
 * replica.ts.
 */

import type { FaultPlan } from '../base/fault-points.ts';
import { type Ballot, type Epoch, epoch } from '../base/ids.ts';
import { readCheckpoint } from '../checkpoint/checkpoint-file.ts';
import { nodeFiles } from '../checkpoint/files.ts';
import { Image } from '../checkpoint/image.ts';
import type { Console } from '../host/linux/console.ts';
import { LinuxHost } from '../host/linux/linux-host.ts';
import { describeMachine } from '../host/linux/machine.ts';
import { MemfdStore } from '../host/linux/memfd-store.ts';
import { Tracer } from '../interpose/tracer.ts';
import { Kernel } from '../libos/kernel.ts';
import { nativeNumbers } from '../libos/table.ts';
import type { Loop } from '../loop/loop.ts';
import type { ExitStatus, Lvm } from '../lvm/api.ts';
import type { Machine } from '../reconfig/machine.ts';
import type { Peers } from '../replication/peers.ts';
import type { BackupState } from './backup-state.ts';
import type { EpochStats } from './epoch-stats.ts';
import { explainLaunch } from './launch-error.ts';
import type { ReplicaOptions } from './messages.ts';
import { PrimaryState } from './primary-state.ts';

export interface GuestRunnerDeps {
  readonly loop: Loop;
  readonly machine: Machine;
  readonly faults: FaultPlan;
  readonly stats: EpochStats;
  readonly console: Console;
  readonly options: ReplicaOptions;
  readonly report: (event: string, detail: string) => void;
  /** The guest ended, and what it said before is out. */
  readonly exited: (status: ExitStatus) => void;
  /** A replica got the whole state. */
  readonly joined: (member: number, epoch: number) => void;
  /** Output of a console stream goes on at this offset. */
  readonly consoleAt: (stream: 1 | 2, offset: number) => void;
}

export class GuestRunner {
  readonly #deps: GuestRunnerDeps;
  readonly host: LinuxHost;
  #kernel: Kernel | null = null;

  constructor(deps: GuestRunnerDeps) {
    this.#deps = deps;
    const { options } = deps;
    this.host = new LinuxHost(deps.loop, deps.console, {
      rootDirectory: options.root,
      publications: options.published,
      nativeNumbers,
      machine: describeMachine(options.service),
      report: deps.report,
    });
  }

  get kernel(): Kernel | null {
    return this.#kernel;
  }

  /** The first primary of a service: nobody has a state yet. */
  start(peers: Peers, ballot: Ballot, base: Epoch): PrimaryState {
    const { options } = this.#deps;
    const { origin } = options;
    const { primary, kernel } = this.#stack(peers, ballot, base);
    if (origin.kind === 'restore') {
      const store = new MemfdStore();
      const image = new Image(store);
      readCheckpoint(nodeFiles(String(process.pid)), origin.path, image);
      this.#restore(primary, image, store, base);
      primary.checkpointer.resumeFrom();
    } else {
      const { program, argv, env, cwd } = options;
      const started = kernel.start({ program, argv, env, cwd });
      if (started < 0) throw explainLaunch(program, started);
    }
    return primary;
  }

  /** A backup goes on with what it has. */
  takeOver(
    peers: Peers,
    ballot: Ballot,
    base: Epoch,
    backup: BackupState,
    isAlone: boolean,
  ): PrimaryState {
    const { primary } = this.#stack(peers, ballot, base);
    this.#deps.faults.at('during-restore');
    this.#restore(primary, backup.image, backup.store, base);
    if (!isAlone) primary.checkpointer.protect();
    primary.checkpointer.resumeFrom();
    return primary;
  }

  #stack(peers: Peers, ballot: Ballot, base: Epoch): { primary: PrimaryState; kernel: Kernel } {
    const { loop, machine, faults, stats, options, exited, joined } = this.#deps;
    const { host } = this;
    const isTraced = options.interposers.includes('tracer');
    const trace = (line: string): void => this.#deps.report('trace', line);
    const below: Lvm = isTraced ? new Tracer(host, { sink: trace }) : host;
    const primary = new PrimaryState(
      { loop, host, below, peers, machine, faults, stats, joined },
      ballot,
      base,
    );
    const kernel = new Kernel(primary.checkpointer);
    kernel.onExited = (status) => {
      host.closeStreams();
      exited(status);
    };
    this.#kernel = kernel;
    return { primary, kernel };
  }

  #restore(primary: PrimaryState, image: Image, store: MemfdStore, base: Epoch): void {
    this.host.useImage(store, this.#deps.options.argv);
    for (const { stream, offset } of image.console.held()) this.#deps.consoleAt(stream, offset);
    primary.checkpointer.restore(image, epoch(base));
    // What the old primary may not have let out any more is ours to let out; it is chosen.
    primary.checkpointer.release(base);
  }
}
