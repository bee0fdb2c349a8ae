/**
 * The commands that ask a running service: status, stop, checkpoint; and inspect, which asks a
 * file. Each prints its answer on standard output and returns the status to exit with.
 */
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TardigradeError } from '../base/errors.ts';
import { nodeFiles } from '../checkpoint/files.ts';
import { describe, reportText } from '../checkpoint/inspect.ts';
import { askService, statusOfAll } from './admin-client.ts';
import type { ServiceStatus } from './admin-protocol.ts';
import { exitCodeOf, lineOf } from './exit-codes.ts';
import { formatDuration, summaryLine } from './live-line.ts';
import { formatEndpoint } from './publish.ts';
import { NameClaim, openRuntimeDirectory } from './runtime-directory.ts';

/** A service that was told to stop has 3 s, then it is killed: more means that it hangs. */
const STOPPED_MS_MAX = 10_000;
const STOPPED_POLL_MS = 50;

export async function runStatus(name: string | undefined, isJson: boolean): Promise<number> {
  if (name === undefined) {
    const silent: unknown[] = [];
    const all = await statusOfAll(undefined, (error) => silent.push(error));
    if (isJson) print(JSON.stringify(all));
    else if (all.length > 0) print(all.map(summaryLine).join('\n'));
    else if (silent.length === 0) print('no service is running');
    for (const error of silent) process.stderr.write(`tardigrade: ${lineOf(error)}\n`);
    return silent.length === 0 ? 0 : exitCodeOf(silent[0]);
  }
  const status = (await askService(name, { command: 'status' })) as ServiceStatus;
  print(isJson ? JSON.stringify(status) : statusText(status));
  return 0;
}

/** Asks it to stop, and waits until its name is free again. */
export async function runStop(name: string): Promise<number> {
  await askService(name, { command: 'stop' });
  const directory = openRuntimeDirectory();
  const deadline = Date.now() + STOPPED_MS_MAX;
  while (Date.now() < deadline) {
    const claim = await NameClaim.tryTake(directory, name);
    claim?.release();
    if (claim !== null) return 0;
    await delay(STOPPED_POLL_MS);
  }
  const seconds = STOPPED_MS_MAX / 1_000;
  throw new TardigradeError(
    'service',
    `the service ${name} did not end within ${seconds} s`,
    'look for its process with ps, and end it with kill -9',
  );
}

export async function runCheckpoint(name: string, file: string): Promise<number> {
  if (file === '') throw new TardigradeError('usage', 'the name of the file is empty', 'give one');
  const path = resolve(file);
  await askService(name, { command: 'checkpoint', path });
  print(`${path} holds a checkpoint of ${name}`);
  return 0;
}

export function runInspect(file: string, isJson: boolean): number {
  const report = describe(nodeFiles('inspect'), file);
  print(isJson ? JSON.stringify(report) : reportText(report).trimEnd());
  return 0;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** The status of one service for a person. */
export function statusText(status: ServiceStatus): string {
  const { configuration, published, replicas, unsupportedCalls } = status;
  const row = (label: string, value: string): string => `  ${label.padEnd(14)}${value}`;
  const members = configuration?.members.join(', ') ?? 'none yet';
  const lines = [
    summaryLine(status),
    row('program', status.program),
    row('supervisor', `pid ${status.pid}, up ${formatDuration(status.uptimeMs * 1_000)}`),
    row('members', members),
    row('restarts', String(status.restarts)),
    ...replicas.map(({ id, pid, role, epoch }) => {
      return row(`replica ${id}`, `${role}, pid ${pid}, epoch ${epoch}`);
    }),
    ...published.map(({ address, port, guestPort }) => {
      return row('published', `${formatEndpoint(address, port)} leads to port ${guestPort}`);
    }),
    ...unsupportedCalls.map(({ name, count }) => row('unsupported', `${name} (${count} calls)`)),
  ];
  return lines.join('\n');
}
