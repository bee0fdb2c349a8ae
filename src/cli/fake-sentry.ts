/**
 * A sentry without a guest, for tests of processes: founds or joins at the master like the real
 * one, prints what the `SAY` of its environment says, and acts on `FAKE`. Loaded by main.ts in
 * place of the real one by tests only.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import type {
  ConfigurationView,
  ReplicaOptions,
  SentryCommand,
  SentryEvent,
} from '../replica/messages.ts';

interface Reply {
  readonly kind: string;
  readonly ballot?: number;
  readonly configuration: ConfigurationView | null;
}

const options = workerData as ReplicaOptions;
const port = parentPort;
assert(port !== null, 'runs in a worker');
const post = (event: SentryEvent): void => port.postMessage(event);
const variable = (name: string): string | undefined =>
  options.env.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
const mode = variable('FAKE');

let sequence = 0;
function ask(request: Readonly<Record<string, unknown>>): void {
  sequence += 1;
  const id = { replica: options.replica, sequence };
  post({
    type: 'master-request',
    id: sequence,
    request: { id, ...request },
  });
}

let current: ConfigurationView | null = null;
let peers: readonly number[] = [];

/** As primary: adds what is there and not a member, takes out what is gone. */
function lead(): void {
  if (current?.primary !== options.replica) return;
  const { ballot, version, members } = current;
  const previous = { ballot, version };
  const gone = members.find((member) => member !== options.replica && !peers.includes(member));
  const fresh = peers.find((peer) => !members.includes(peer));
  if (gone !== undefined) ask({ kind: 'removeMember', previous, member: gone });
  else if (fresh !== undefined) ask({ kind: 'addMember', previous, member: fresh });
}

/** As a backup whose primary is gone: takes over alone. */
function follow(): void {
  if (current === null || current.primary === options.replica) return;
  const { primary, members, ballot, version } = current;
  if (!members.includes(options.replica) || peers.includes(primary)) return;
  ask({ kind: 'newBallot', previous: { ballot, version } });
}

function replied(reply: Reply): void {
  if (reply.kind !== 'granted' || reply.configuration === null) return;
  const { ballot } = reply;
  const { configuration } = reply;
  if (ballot !== undefined && ballot > configuration.ballot) {
    const previous = { ballot: configuration.ballot, version: configuration.version };
    const members = [options.replica];
    ask({ kind: 'complete', ballot, previous, members, base: 1 });
  } else if (configuration.primary === options.replica && current?.primary !== options.replica) {
    activate(configuration);
  }
}

function activate(configuration: ConfigurationView): void {
  post({ type: 'role', role: 'primary', configuration });
  const { ballot } = configuration;
  if (ballot > 1) post({ type: 'takeover', ballot, epoch: 1, restoreMs: 1, reason: 'the test' });
  const said = Buffer.from(variable('SAY') ?? '').toString('base64');
  if (said !== '') post({ type: 'console', stream: 1, offset: 0, bytes: said });
  post({ type: 'report', event: 'unsupported-call', detail: 'io_uring_setup' });
  if (mode === 'exit') post({ type: 'exited', status: { kind: 'exited', code: 7 } });
  if (mode === 'crash') throw new Error('planted');
}

function onCommand(command: SentryCommand): void {
  switch (command.type) {
    case 'peers':
      peers = command.peers.map(({ replica }) => replica);
      lead();
      follow();
      return;
    case 'configuration':
      current = command.configuration;
      if (!current.members.includes(options.replica)) return;
      post({
        type: 'role',
        role: current.primary === options.replica ? 'primary' : 'backup',
        configuration: current,
      });
      lead();
      return;
    case 'master-reply':
      replied(command.reply as Reply);
      return;
    case 'checkpoint':
      post({
        type: 'checkpoint-done',
        id: command.id,
        error: 'a fake has no state; use a real one',
      });
      return;
    case 'stop':
      if (mode === 'deaf') return;
      port?.close();
      return;
    default:
      return;
  }
}

if (mode === 'fail') {
  post({ type: 'failed', code: 'program', line: "can't start it: planted; do not" });
} else {
  port.on('message', onCommand);
  // No loop waits in epoll_wait here: nothing needs to be rung.
  post({ type: 'ready', port: 1, doorbell: -1 });
  if (options.origin.kind !== 'join') ask({ kind: 'found' });
}
