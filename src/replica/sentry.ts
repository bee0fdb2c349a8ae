/**
 * The sentry thread of a replica: owns the guest (it is the tracer), ships and takes deltas, and
 * runs the reconfiguration machine, all in one loop. A worker thread of src/replica/main.ts, which
 * carries master requests, status and console output for it. When it ends, the guest ends with it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { present } from '../base/assert.ts';
import { TardigradeError } from '../base/errors.ts';
import { FaultPlan } from '../base/fault-points.ts';
import { replicaId } from '../base/ids.ts';
import { getpid, kill } from '../ffi/native.ts';
import { Console } from '../host/linux/console.ts';
import { sendSignalToProcess } from '../libos/signal/send.ts';
import { Loop, Timer } from '../loop/loop.ts';
import { defaultTiming, WINDOW_EPOCHS_DEFAULT } from '../reconfig/limits.ts';
import { Machine } from '../reconfig/machine.ts';
import { EpochStats } from './epoch-stats.ts';
import { GuestRunner } from './guest-runner.ts';
import { MainPort } from './main-port.ts';
import type { ReplicaOptions, SentryCommand } from './messages.ts';
import { Replica } from './replica.ts';
import { unsupportedCalls } from './stats.ts';

const STATS_NS = 250e6;
const SIGKILL = 9;
const SIGSTOP = 19;
const SIGTERM = 15;

/** Released console output, on its way to the supervisor with its offset. */
class ConsoleOut {
  readonly #starts = { 1: 0, 2: 0 };
  readonly #offsets = { 1: 0, 2: 0 };

  at(stream: 1 | 2, offset: number): void {
    this.#starts[stream] = offset;
    this.#offsets[stream] = offset;
  }

  /** How many bytes up to an offset were sent from here. */
  countTo(stream: 1 | 2, offset: number): number {
    return offset - this.#starts[stream];
  }

  /** Where these bytes stand. */
  take(stream: 1 | 2, bytes: Uint8Array): number {
    const offset = this.#offsets[stream];
    this.#offsets[stream] += bytes.length;
    return offset;
  }
}

// biome-ignore lint/complexity/noExcessiveLinesPerFunction: wires the parts together, once.
function main(options: ReplicaOptions): void {
  const loop = new Loop();
  const port = new MainPort(present(parentPort, 'parent port'), loop, (command) =>
    onCommand(command),
  );
  const faults = new FaultPlan(options.faults, (_point, action) => {
    kill(getpid(), action === 'kill' ? SIGKILL : SIGSTOP);
  });
  const consoleOut = new ConsoleOut();
  const console = new Console(
    (stream, bytes) => {
      const offset = consoleOut.take(stream, bytes);
      const text = Buffer.from(bytes).toString('base64');
      port.post({ type: 'console', stream, offset, bytes: text });
      return bytes.length;
    },
    { hasInput: false, isConfirmed: true },
  );
  const stats = new EpochStats();
  const { failureTimeoutMs } = options;
  const machine = new Machine({
    self: replicaId(options.replica),
    start: options.origin.kind === 'join' ? 'join' : 'found',
    timing: {
      ...defaultTiming,
      failureTimeoutMs,
      heartbeatMs: Math.max(1, failureTimeoutMs / 10),
      takeoverTimeoutMs: Math.max(defaultTiming.takeoverTimeoutMs, failureTimeoutMs * 4),
      synchroniseTimeoutMs: Math.max(defaultTiming.synchroniseTimeoutMs, failureTimeoutMs),
    },
    windowEpochs: WINDOW_EPOCHS_DEFAULT,
    minReplicas: options.minReplicas,
    random: Math.random,
  });
  const report = (event: string, detail: string): void => {
    port.post({ type: 'report', event, detail });
  };
  const runner = new GuestRunner({
    loop,
    machine,
    faults,
    stats,
    console,
    options,
    report,
    exited: (status) => {
      postStats();
      port.post({ type: 'exited', status });
    },
    joined: (member, epoch) => port.post({ type: 'joined', replica: member, epoch }),
    consoleAt: (stream, offset) => consoleOut.at(stream, offset),
  });
  const token = Buffer.from(options.token, 'hex');
  const post = port.post.bind(port);
  const replica = new Replica({ loop, machine, faults, runner, token, post });

  let statsSinceNs = loop.nowNs();
  const postStats = (): void => {
    const now = loop.nowNs();
    const seconds = Math.max(1e-3, (now - statsSinceNs) / 1e9);
    const { intake, commit } = machine;
    const { primary } = replica;
    port.post({
      type: 'stats',
      stats: {
        epoch: primary?.checkpointer.epoch ?? intake.last,
        chosen: primary === null ? intake.image : commit.chosen,
        epochsPerSecond: stats.epochs / seconds,
        pauseP50Us: stats.pauseUs.quantile(0.5),
        pauseP99Us: stats.pauseUs.quantile(0.99),
        deltaBytesP50: stats.deltaBytes.quantile(0.5),
        deltaBytesP99: stats.deltaBytes.quantile(0.99),
        releaseP50Us: stats.releaseUs.quantile(0.5),
        calls: runner.host.callCount,
        heldBytes: primary?.checkpointer.heldBytes ?? 0,
        guestMemoryBytes: runner.host.guestMemoryBytes(),
        unsupportedCalls: runner.kernel === null ? [] : unsupportedCalls(runner.kernel),
      },
    });
    stats.reset();
    statsSinceNs = now;
  };
  const statsTimer = new Timer(() => {
    postStats();
    loop.setTimer(statsTimer, loop.nowNs() + STATS_NS);
  });

  const onCommand = (command: SentryCommand): void => {
    switch (command.type) {
      case 'peers':
        replica.setPeers(command.peers);
        return;
      case 'master-reply':
        replica.masterReply(command.id, command.reply);
        return;
      case 'pulses':
        replica.pulses(command.replicas);
        return;
      case 'checkpoint':
        checkpoint(command.id, command.path);
        return;
      case 'console-input':
        console.feed(Buffer.from(command.bytes, 'base64'), command.isEnd);
        return;
      case 'console-delivered':
        console.confirm(command.stream, consoleOut.countTo(command.stream, command.offset));
        return;
      case 'signal':
        if (runner.kernel !== null) {
          sendSignalToProcess(runner.kernel.state.process, command.number);
        }
        return;
      case 'configuration':
        // The machine learns of configurations from its peers and the master alone.
        return;
      case 'stop':
        runner.host.exit({ kind: 'signaled', signal: SIGTERM });
        loop.stop();
        return;
    }
  };
  const checkpoint = (id: number, path: string): void => {
    const done = (error: Error | null): void => {
      const text = error instanceof TardigradeError ? error.line : (error?.message ?? null);
      port.post({ type: 'checkpoint-done', id, error: text });
    };
    if (replica.primary === null) done(new Error('this replica is not the primary'));
    else replica.primary.writeFile(path, String(getpid()), done);
  };

  port.post({ type: 'ready', port: replica.peers.port, doorbell: loop.doorbell });
  loop.setTimer(statsTimer, loop.nowNs() + STATS_NS);
  replica.start();
  loop.run();
}

try {
  main(workerData as ReplicaOptions);
} catch (error) {
  const isOurs = error instanceof TardigradeError;
  const line = isOurs ? error.line : `internal error: ${(error as Error).stack ?? error}`;
  parentPort?.postMessage({ type: 'failed', code: isOurs ? error.code : 'internal', line });
}
