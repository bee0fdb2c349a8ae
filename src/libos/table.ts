/**
 * The system call table: all rows of syscalls/*.ts by number. What has no row gets ENOSYS, is
 * counted and named. The filter (src/sandbox) is made from the rows that are native;
 * docs/syscalls.md from all of them.
 */
import { SYS } from '../abi/syscalls.ts';
import { assert } from '../base/assert.ts';
import type { Handler } from './outcome.ts';
import { credentialRows } from './syscalls/credentials.ts';
import { eventRows } from './syscalls/event.ts';
import { execRows } from './syscalls/exec.ts';
import { fileRows } from './syscalls/file.ts';
import { memoryRows } from './syscalls/memory.ts';
import { pathRows } from './syscalls/path.ts';
import { processRows } from './syscalls/process.ts';
import { signalRows } from './syscalls/signal.ts';
import { socketRows } from './syscalls/socket.ts';
import { threadRows } from './syscalls/thread.ts';
import { timeRows } from './syscalls/time.ts';
import type { Row } from './table-row.ts';

export const rows: readonly Row[] = [
  ...fileRows,
  ...pathRows,
  ...memoryRows,
  ...processRows,
  ...execRows,
  ...credentialRows,
  ...threadRows,
  ...signalRows,
  ...socketRows,
  ...eventRows,
  ...timeRows,
];

function byNumber(): readonly (Handler | undefined)[] {
  const handlers: (Handler | undefined)[] = new Array(512).fill(undefined);
  for (const row of rows) {
    const number = SYS[row.name];
    assert(handlers[number] === undefined, `${row.name} is in the table twice`);
    switch (row.level) {
      case 'refused':
        handlers[number] = () => row.errno;
        break;
      case 'native':
      case 'full':
      case 'partial':
        handlers[number] = row.handler;
        break;
    }
  }
  return handlers;
}

/** Handlers by call number; undefined for what is not supported. */
export const entries = byNumber();

/** Numbers of the calls that Linux runs untrapped. */
export const nativeNumbers: readonly number[] = rows
  .filter((row) => row.level === 'native')
  .map((row) => SYS[row.name]);
