/**
 * The process of one replica: the main thread between the supervisor (node's IPC channel) and the
 * sentry (a worker thread, sentry.ts), which owns the guest and its replication. Started by the
 * supervisor only. Must not import node:child_process: node would reap what the sentry waits for.
 */
import { createSocket } from 'node:dgram';
import { Worker } from 'node:worker_threads';
import { SYS } from '../abi/syscalls.ts';
import { ringDoorbell } from '../ffi/doorbell.ts';
import { syscall } from '../ffi/native.ts';
import { type ControlCommand, REPLICA_EXIT, ReplicaControl, type Sentry } from './control.ts';
import type { ReplicaOptions, SentryCommand, SentryEvent } from './messages.ts';
import { Pulse } from './pulse.ts';

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;
/** In a failure timeout, as the sentry's own. */
const HEARTBEATS_MIN = 10;
/** How long the last messages may take to leave. */
const FLUSH_MS_MAX = 1_000;
/** For tests: another module instead of the sentry. Its path comes in the arguments. */
const SENTRY_ARGUMENT = '--sentry=';

function startSentry(options: ReplicaOptions, control: () => ReplicaControl): Sentry {
  const given = process.argv.find((argument) => argument.startsWith(SENTRY_ARGUMENT));
  const url =
    given === undefined
      ? new URL('./sentry.js', import.meta.url)
      : new URL(given.slice(SENTRY_ARGUMENT.length), 'file:///');
  const worker = new Worker(url, { workerData: options, name: 'sentry' });
  let doorbell = -1;
  const post = (command: SentryCommand): void => {
    worker.postMessage(command);
    // The sentry waits in epoll_wait, where no message wakes it.
    if (doorbell >= 0) ringDoorbell(doorbell);
  };
  const { pulse, listen } = startPulse(options, (replicas) => post({ type: 'pulses', replicas }));
  worker.on('message', (event: SentryEvent) => {
    pulse.sentryLives();
    if (event.type === 'ready') {
      doorbell = event.doorbell;
      listen(event.port);
    }
    control().event(event);
  });
  worker.on('error', (error) => control().crashed(error));
  worker.on('exit', (code) => control().ended(code));
  return {
    post(command: SentryCommand): void {
      if (command.type === 'peers') pulse.setPeers(command.peers);
      post(command);
    },
  };
}

/** Pulses by UDP, from when the port is known. */
function startPulse(
  options: ReplicaOptions,
  heard: (replicas: readonly number[]) => void,
): { pulse: Pulse; listen: (port: number) => void } {
  const socket = createSocket('udp4');
  const pulse: Pulse = new Pulse(
    {
      nowMs: () => performance.now(),
      // Whom it doesn't reach hears nothing.
      send: (datagram, host, port) => socket.send(datagram, port, host, () => {}),
      heard,
    },
    { self: options.replica, token: Buffer.from(options.token, 'hex') },
  );
  socket.on('message', (datagram) => pulse.received(datagram));
  // The port is somebody else's: then none are heard, but they are sent.
  socket.on('error', () => {});
  const listen = (port: number): void => {
    socket.bind(port, '127.0.0.1');
    setInterval(() => pulse.beat(), options.failureTimeoutMs / HEARTBEATS_MIN);
  };
  return { pulse, listen };
}

/** `process.exit` would wait for the sentry's thread, which may be waiting for anything. */
function exitNow(code: number): never {
  syscall(SYS.exit_group, code);
  throw new Error('exit_group returned');
}

function main(): void {
  const { send } = process;
  if (send === undefined || !process.connected) {
    process.stderr.write('tardigrade: a replica is started by `tardigrade run` only\n');
    exitNow(REPLICA_EXIT.failed);
  }
  // Even a frozen replica must not outlive its supervisor. Asked before it could be gone: then the
  // channel is closed, and `disconnect` follows.
  syscall(SYS.prctl, PR_SET_PDEATHSIG, SIGKILL);
  const exit = (code: number): void => {
    // The callback of the last message comes when all before it have been written.
    setTimeout(() => exitNow(code), FLUSH_MS_MAX);
    if (process.connected) process.send?.({ type: 'alive' }, () => exitNow(code));
    else exitNow(code);
  };
  const control: ReplicaControl = new ReplicaControl({
    startSentry: (options) => startSentry(options, () => control),
    send: (event) => {
      // A supervisor that just went away is `disconnect`'s business.
      if (process.connected) process.send?.(event, () => {});
    },
    setTitle: (title) => {
      process.title = title;
    },
    exit,
    exitWithin: (ms, code) => {
      setTimeout(() => exitNow(code), ms);
    },
  });
  process.on('message', (command) => control.command(command as ControlCommand));
  process.on('disconnect', () => exitNow(REPLICA_EXIT.orphan));
  // A terminal signals everything in it; what Ctrl-C means is the supervisor's decision.
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGQUIT'] as const) process.on(signal, () => {});
  process.on('SIGTERM', () => control.stop());
}

main();
