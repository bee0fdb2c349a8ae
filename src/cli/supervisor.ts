/**
 * The supervisor of one service: keeps N replicas alive, hosts their master, tells them of each
 * other, collects the guest's output and ends everything when the guest ends. Knows replicas as
 * processes only (`StartReplica`) and time only through `Scheduler`, so tests run it without
 * either. Must not release or hold anything itself: what is committed is the replicas' business.
 */
import { shown } from '../base/byte-string.ts';
import { TardigradeError } from '../base/errors.ts';
import { serveMaster, VERSION } from '../master/embedded.ts';
import { MemoryMaster } from '../master/memory.ts';
import type { MasterReply } from '../reconfig/types.ts';
import type { ReplicaOptions, ReplicaStats, Role, SentryEvent } from '../replica/messages.ts';
import type { ServiceStatus } from './admin-protocol.ts';
import { ConsoleLog } from './console-log.ts';
import { errorFrom, oneLine } from './exit-codes.ts';
import { faultsFor } from './options.ts';
import { PendingCheckpoints } from './pending-checkpoints.ts';
import { RESTARTS_PER_MINUTE_MAX, RestartPolicy } from './restart-policy.ts';
import type {
  Outcome,
  ReplicaListener,
  ReplicaProcess,
  SupervisorDeps,
  SupervisorOptions,
} from './supervisor-types.ts';
import { UnsupportedCalls } from './unsupported-calls.ts';

/** One replica from its start until its process is gone and has nothing more to say. */
interface Replica {
  readonly id: number;
  readonly process: ReplicaProcess;
  /** `excluded`: a configuration goes on without it; it is not one of the N any more. */
  phase: 'running' | 'excluded' | 'gone';
  role: Role | 'starting';
  epoch: number;
  port: number | null;
  stats: ReplicaStats | null;
  wasMember: boolean;
  failure: TardigradeError | null;
  heardMs: number;
}

const STOP_MS_MAX = 3_000;
const PING_MS = 2_000;
/**
 * A replica that is no member yet and not scheduled for so long is frozen: nobody else would
 * notice. Members are watched by the protocol itself, far faster.
 */
const SILENT_MS_MAX = 20_000;
/** Distinct reports that are passed on; a guest must not flood the terminal. */
const REPORTS_MAX = 1_000;

export class Supervisor {
  readonly #deps: SupervisorDeps;
  readonly #options: SupervisorOptions;
  readonly #master = new MemoryMaster();
  readonly #policy = new RestartPolicy();
  readonly #console: ConsoleLog;
  readonly #unsupported = new UnsupportedCalls();
  readonly #replicas = new Map<number, Replica>();
  readonly #reports = new Set<string>();
  readonly #checkpoints = new PendingCheckpoints();
  readonly #finished: Promise<Outcome>;
  #finish: (outcome: Outcome) => void = () => {};
  #outcome: Outcome | null = null;
  #startedMs = 0;
  #lastId = 0;
  #takeovers = 0;
  /** Starts that wait for their delay. */
  #starting = 0;
  #lastFailure: TardigradeError | null = null;
  #cancelPing: () => void = () => {};

  constructor(deps: SupervisorDeps, options: SupervisorOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#console = new ConsoleLog(options.replica.origin.kind === 'restore');
    this.#finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  /** Starts all replicas. Resolves when the last process is gone. */
  run(): Promise<Outcome> {
    this.#startedMs = this.#deps.scheduler.nowMs();
    for (let count = 0; count < this.#options.replicas; count += 1) this.#start();
    this.#schedulePing();
    return this.#finished;
  }

  /** Ends guest and replicas in peace. */
  stop(): void {
    this.#shutDown({ kind: 'stopped' });
  }

  /** Ends them at once. */
  kill(): void {
    this.#shutDown({ kind: 'stopped' });
    this.#killAll();
  }

  /** Signals the guest. */
  signal(number: number): void {
    this.#primary()?.process.send({ type: 'signal', number });
  }

  /** Has the primary write a checkpoint to a file; it must not exist. */
  checkpoint(path: string): Promise<void> {
    const replica = this.#primary();
    if (replica === null || this.#outcome !== null) {
      const remedy = 'try again in a moment';
      return Promise.reject(new TardigradeError('replica', 'there is no primary just now', remedy));
    }
    return this.#checkpoints.add(replica.id, (id) => {
      replica.process.send({ type: 'checkpoint', id, path });
    });
  }

  status(): ServiceStatus {
    const { configuration } = this.#master;
    const { service, program } = this.#options.replica;
    const stats = this.#primary()?.stats ?? null;
    return {
      service,
      configuration: configuration && {
        ballot: configuration.ballot,
        primary: configuration.primary,
        members: [...configuration.members],
      },
      replicas: this.#alive('running', 'excluded').map((replica) => ({
        id: replica.id,
        pid: replica.process.pid,
        role: replica.role,
        epoch: replica.epoch,
      })),
      published: this.#options.published.map(({ address, port, guestPort }) => ({
        address,
        port,
        guestPort,
      })),
      pid: process.pid,
      program: shown(program),
      wantedReplicas: this.#options.replicas,
      uptimeMs: this.#deps.scheduler.nowMs() - this.#startedMs,
      takeovers: this.#takeovers,
      restarts: this.#policy.count,
      statistics: stats && statisticsOf(stats),
      unsupportedCalls: this.#unsupported.list(),
    };
  }

  #alive(...phases: readonly Replica['phase'][]): Replica[] {
    return [...this.#replicas.values()].filter(({ phase }) => phases.includes(phase));
  }

  #primary(): Replica | null {
    const { configuration } = this.#master;
    const replica = configuration && this.#replicas.get(configuration.primary);
    return replica?.phase === 'running' ? replica : null;
  }

  #start(): void {
    this.#lastId += 1;
    const id = this.#lastId;
    const isInitial = id === 1;
    const { replica: common, faults } = this.#options;
    const options: ReplicaOptions = {
      ...common,
      replica: id,
      origin: isInitial ? common.origin : { kind: 'join' },
      faults: faultsFor(faults, id, isInitial),
    };
    const listener: ReplicaListener = {
      event: (event) => this.#event(replica, event),
      alive: () => {
        replica.heardMs = this.#deps.scheduler.nowMs();
      },
      exited: (how) => this.#exited(replica, how),
      closed: (stderr) => this.#closed(replica, stderr),
    };
    const replica: Replica = {
      id,
      process: this.#deps.start(options, listener),
      phase: 'running',
      role: 'starting',
      epoch: 0,
      port: null,
      stats: null,
      wasMember: false,
      failure: null,
      heardMs: this.#deps.scheduler.nowMs(),
    };
    this.#replicas.set(id, replica);
    const { pid } = replica.process;
    this.#deps.reporter.report({ event: 'replica-started', replica: id, pid });
  }

  #event(replica: Replica, event: SentryEvent): void {
    const { reporter } = this.#deps;
    const { id } = replica;
    switch (event.type) {
      case 'ready':
        replica.port = event.port;
        this.#sendPeers();
        return;
      case 'master-request':
        this.#askMaster(replica, event.id, event.request);
        return;
      case 'role':
        if (replica.role !== event.role) {
          replica.role = event.role;
          reporter.report({ event: 'role', replica: id, role: event.role });
        }
        return;
      case 'stats':
        this.#statistics(replica, event.stats);
        return;
      case 'console':
        this.#output(replica, event.stream, event.offset, Buffer.from(event.bytes, 'base64'));
        return;
      case 'takeover': {
        this.#takeovers += 1;
        const { ballot, epoch, restoreMs, reason } = event;
        replica.epoch = epoch;
        reporter.report({ event: 'takeover', replica: id, ballot, epoch, restoreMs, reason });
        return;
      }
      case 'joined':
        reporter.report({ event: 'joined', replica: event.replica, epoch: event.epoch });
        return;
      case 'lost':
        reporter.report({ event: 'lost', replica: event.replica, reason: event.reason });
        return;
      case 'checkpoint-done':
        this.#checkpoints.done(event.id, event.error);
        return;
      case 'report':
        this.#report(replica, event.event, event.detail);
        return;
      case 'console-taken':
        // Replicas get no input.
        return;
      case 'exited':
        this.#shutDown({ kind: 'exited', status: event.status });
        return;
      case 'failed':
        replica.failure = errorFrom(event.code, oneLine(event.line));
        return;
    }
  }

  #askMaster(replica: Replica, id: number, request: unknown): void {
    // Nobody becomes primary while everything ends.
    if (this.#outcome !== null) return;
    const before = this.#master.configuration;
    const served = serveMaster(this.#master, { version: VERSION, request });
    let reply: MasterReply;
    if ('reply' in served) {
      reply = served.reply;
    } else {
      reply = { kind: 'unavailable', reason: served.malformed };
      const line = `replica ${replica.id} asked the master oddly: ${served.malformed}`;
      this.#deps.reporter.report({ event: 'warning', line });
    }
    replica.process.send({ type: 'master-reply', id, reply });
    if (this.#master.configuration !== before) this.#configured();
  }

  /** The master has a new configuration. */
  #configured(): void {
    const { configuration } = this.#master;
    if (configuration === null) return;
    const { ballot, version, primary } = configuration;
    const members = [...configuration.members];
    this.#deps.reporter.report({ event: 'configuration', ballot, primary, members });
    for (const replica of this.#alive('running')) {
      if (configuration.members.some((member) => member === replica.id)) {
        if (!replica.wasMember) this.#policy.useful();
        replica.wasMember = true;
      } else if (replica.wasMember) {
        this.#exclude(replica);
      }
    }
    for (const replica of this.#alive('running', 'excluded')) {
      const view = { ballot, version, primary, members };
      replica.process.send({ type: 'configuration', configuration: view });
    }
    this.#maintain();
  }

  /** The service goes on without it: it must not be in the way of its replacement. */
  #exclude(replica: Replica): void {
    replica.phase = 'excluded';
    if (!this.#options.keepDeposed) replica.process.kill();
    this.#sendPeers();
  }

  #exited(replica: Replica, how: string): void {
    const wasRunning = replica.phase === 'running';
    replica.phase = 'gone';
    this.#sendPeers();
    const { id, failure } = replica;
    const { pid } = replica.process;
    const reason = failure?.message ?? null;
    this.#deps.reporter.report({ event: 'replica-ended', replica: id, pid, how, reason });
    this.#checkpoints.lost(id);
    if (!wasRunning || this.#outcome !== null) return;
    if (!replica.wasMember && this.#policy.useless()) {
      const line = 'replicas end before they hold the state: the service is not protected';
      this.#deps.reporter.report({ event: 'warning', line });
    }
    this.#maintain();
  }

  #closed(replica: Replica, stderr: string): void {
    this.#replicas.delete(replica.id);
    this.#unsupported.gone(replica.id);
    const said = oneLine(stderr.split('\n').slice(-6).join(' ').slice(-400));
    if (replica.failure !== null) {
      this.#lastFailure = replica.failure;
    } else if (said !== '') {
      const message = `replica ${replica.id} ended: ${said}`;
      this.#lastFailure = new TardigradeError('replica', message, 'please report it');
    }
    if (this.#outcome === null) this.#checkSurvivors();
    if (this.#outcome !== null && this.#replicas.size === 0) this.#end(this.#outcome);
  }

  /**
   * Without any member left the guest's state is gone: starting replicas would not bring it back.
   */
  #checkSurvivors(): void {
    const { configuration } = this.#master;
    const holders: readonly number[] = configuration?.members ?? [1];
    if (holders.some((id) => this.#replicas.has(id))) return;
    const message =
      configuration === null
        ? 'the first replica ended before the program was started'
        : 'every replica that held the state is gone, and the state with them';
    const remedy = 'start it again, with more --replicas to survive more failures at once';
    const error = this.#lastFailure ?? new TardigradeError('replica', message, remedy);
    this.#shutDown({ kind: 'failed', error });
  }

  /** Starts as many replicas as are missing. */
  #maintain(): void {
    if (this.#outcome !== null || this.#master.configuration === null) return;
    const { scheduler } = this.#deps;
    while (this.#alive('running').length + this.#starting < this.#options.replicas) {
      const delayMs = this.#policy.next(scheduler.nowMs());
      if (delayMs === null) {
        const message = `replicas died ${RESTARTS_PER_MINUTE_MAX} times within a minute`;
        const remedy = 'look at the lines before this one for the reason';
        const error = new TardigradeError('replica', message, remedy);
        this.#shutDown({ kind: 'failed', error });
        return;
      }
      this.#starting += 1;
      scheduler.after(delayMs, () => {
        this.#starting -= 1;
        if (this.#outcome === null) this.#start();
      });
    }
  }

  #sendPeers(): void {
    const ready = this.#alive('running').filter(({ port }) => port !== null);
    const peers = ready.map(({ id, port }) => {
      return { replica: id, host: '127.0.0.1', port: port as number };
    });
    for (const { id, process } of ready) {
      const others = peers.filter(({ replica }) => replica !== id);
      process.send({ type: 'peers', peers: others });
    }
  }

  #statistics(replica: Replica, stats: ReplicaStats): void {
    replica.stats = stats;
    replica.epoch = stats.epoch;
    this.#unsupported.update(replica.id, stats.unsupportedCalls);
    this.#deps.reporter.report({ event: 'statistics', replica: replica.id, statistics: stats });
  }

  #output(replica: Replica, stream: 1 | 2, offset: number, bytes: Buffer): void {
    // Until it hears this, the group keeps the output for whoever takes over.
    replica.process.send({ type: 'console-delivered', stream, offset: offset + bytes.length });
    const piece = this.#console.accept(stream, offset, bytes);
    if (piece.missingBytes > 0) {
      const line = `${piece.missingBytes} bytes of the guest's output are missing here`;
      this.#deps.reporter.report({ event: 'warning', line });
    }
    if (piece.bytes.length === 0) return;
    const from = offset + bytes.length - piece.bytes.length;
    this.#deps.reporter.output(stream, from, piece.bytes);
  }

  #report(replica: Replica, what: string, detail: string): void {
    // Each replica that gets to run the guest finds the same things: a person needs each once.
    const key = `${what} ${detail}`;
    if (this.#reports.has(key) || this.#reports.size >= REPORTS_MAX) return;
    this.#reports.add(key);
    this.#deps.reporter.report({ event: 'report', replica: replica.id, what, detail });
  }

  #schedulePing(): void {
    const { scheduler } = this.#deps;
    this.#cancelPing = scheduler.after(PING_MS, () => {
      for (const replica of this.#alive('running')) {
        if (replica.wasMember) continue;
        const isSilent = scheduler.nowMs() - replica.heardMs > SILENT_MS_MAX;
        if (isSilent) replica.process.kill();
        else replica.process.ping();
      }
      this.#schedulePing();
    });
  }

  /** Ends all replicas; the first reason to do so is the outcome. */
  #shutDown(outcome: Outcome): void {
    if (this.#outcome !== null) return;
    this.#outcome = outcome;
    this.#cancelPing();
    for (const { process, phase } of this.#alive('running', 'excluded')) {
      if (phase === 'excluded') process.kill();
      else process.send({ type: 'stop' });
    }
    if (this.#replicas.size === 0) {
      this.#end(outcome);
      return;
    }
    const cancel = this.#deps.scheduler.after(STOP_MS_MAX, () => this.#killAll());
    void this.#finished.then(cancel);
  }

  #killAll(): void {
    for (const { process } of this.#alive('running', 'excluded')) process.kill();
  }

  #end(outcome: Outcome): void {
    this.#checkpoints.ended();
    this.#finish(outcome);
  }
}

function statisticsOf(stats: ReplicaStats): ServiceStatus['statistics'] {
  const { unsupportedCalls: _, chosen, ...rest } = stats;
  return { ...rest, chosenEpoch: chosen };
}
