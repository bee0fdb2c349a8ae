/**
 * Starts replicas as processes of their own: node with src/replica/main.ts, a control channel
 * (node's IPC) and the listening sockets, nothing else inherited. Used by run.ts for the
 * supervisor.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type ControlCommand, type ControlEvent, titleOf } from '../replica/control.ts';
import type { PublishedPort, ReplicaOptions, SentryEvent } from '../replica/messages.ts';
import type { OpenPort } from './listen.ts';
import type { ReplicaListener, ReplicaProcess, StartReplica } from './supervisor-types.ts';

/** Descriptors of a replica before its listening sockets: 0 to 2, and the control channel. */
const FIRST_SOCKET_FD = 4;
/** The end of what a replica writes to its standard error: reasons of crashes, no logs. */
const STDERR_BYTES_MAX = 8 * 1024;
const ROLE_LONGEST = 'candidate';

export interface ReplicaProcessOptions {
  readonly ports: readonly OpenPort[];
  /** For tests: the sentry to load instead of the real one. */
  readonly sentry: string | null;
}

/** The ports as a replica sees them: its own descriptor numbers. */
export function publishedFor(ports: readonly OpenPort[]): readonly PublishedPort[] {
  return ports.map(({ address, port, guestPort }, index) => {
    return { address, port, guestPort, fd: FIRST_SOCKET_FD + index };
  });
}

export function replicaStarter(options: ReplicaProcessOptions): StartReplica {
  return (replica, listener) => startReplica(options, replica, listener);
}

function startReplica(
  { ports, sentry }: ReplicaProcessOptions,
  options: ReplicaOptions,
  listener: ReplicaListener,
): ReplicaProcess {
  const { service, replica } = options;
  const main = fileURLToPath(new URL('../replica/main.js', import.meta.url));
  // A title can be as long as the arguments were: these leave room for every role's.
  const args = [main, ...(sentry === null ? [] : [`--sentry=${sentry}`])];
  args.push(titleOf(service, replica, ROLE_LONGEST));
  const child = spawn(process.execPath, args, {
    // A session of its own: what a terminal or a shell sends to our group is not for the guest.
    detached: true,
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc', ...ports.map(({ fd }) => fd)],
  });
  const stderr = collectStderr(child);
  listen(child, stderr, listener);
  const send = (command: ControlCommand): void => {
    // A replica that just died is `exit`'s business.
    if (child.connected) child.send(command, () => {});
  };
  send({ type: 'start', options });
  return {
    pid: child.pid ?? 0,
    send,
    ping: () => send({ type: 'ping' }),
    kill: () => {
      child.kill('SIGKILL');
    },
  };
}

function listen(child: ChildProcess, stderr: () => string, listener: ReplicaListener): void {
  child.on('message', (message) => {
    const event = message as ControlEvent;
    if (event.type === 'alive') listener.alive();
    else listener.event(event satisfies SentryEvent);
  });
  let isGone = false;
  const exited = (how: string): void => {
    if (isGone) return;
    isGone = true;
    listener.exited(how);
  };
  child.on('exit', (code, signal) => exited(signal ?? `exit ${code}`));
  // `close` comes after `exit` and after the end of stderr, but may precede the channel's last
  // message.
  const endings = [
    new Promise<void>((resolve) => {
      child.once('close', () => resolve());
    }),
    new Promise<void>((resolve) => {
      child.once('disconnect', resolve);
    }),
  ];
  let startError = '';
  child.on('error', (error) => {
    if (child.pid !== undefined) return;
    // It was never started: no other event follows.
    startError = `can't be started: ${error.message}`;
    setImmediate(() => {
      exited('not started');
      listener.closed(startError);
    });
  });
  void Promise.all(endings).then(() => {
    if (startError === '') listener.closed(stderr());
  });
}

/** Reads what a replica says on its standard error; returns what gives the end of it. */
function collectStderr(child: ChildProcess): () => string {
  let end = Buffer.alloc(0);
  child.stderr?.on('data', (chunk: Buffer) => {
    end = Buffer.concat([end, chunk]).subarray(-STDERR_BYTES_MAX);
  });
  return () => end.toString('utf8');
}
