/** Tests of send.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Process } from '../process.ts';
import type { Task } from '../task.ts';
import { kernelSignalInfo, sendSignalToProcess, sendSignalToTask, userSignalInfo } from './send.ts';

/** A process of pid 7 with these threads, and one of pid 9; and what was sent. */
function guest(tids: readonly number[]) {
  const sent: { thread: number | null; number: number; info: Buffer }[] = [];
  const tasks = new Map<number, Task>();
  const kernel = {
    tasks,
    signal(target: Task | null, number: number, info: Uint8Array): void {
      sent.push({ thread: target?.tid ?? null, number, info: Buffer.from(info) });
    },
  };
  const make = (pid: number) => ({ pid, kernel }) as unknown as Process;
  const add = (tid: number, process: Process) =>
    tasks.set(tid, { tid, process, kernel } as unknown as Task);
  const process = make(7);
  add(9, make(9));
  for (const tid of tids) add(tid, process);
  return { sent, process, tasks };
}

test('siginfo has the signal, the code and the sender where Linux has them', () => {
  const info = userSignalInfo(15, 7, 1000);
  assert.equal(info.length, 128);
  const fields = [0, 4, 8, 16, 20].map((at) => info.readInt32LE(at));
  assert.deepEqual(fields, [15, 0, 0, 7, 1000]);
  assert.equal(kernelSignalInfo(14).readInt32LE(8), 0x80);
});

test('a signal to a task is from its own process unless info says otherwise', () => {
  const { sent, tasks } = guest([7, 8]);
  const task = tasks.get(8) as Task;
  sendSignalToTask(task, 13);
  sendSignalToTask(task, 14, kernelSignalInfo(14));
  assert.deepEqual(
    sent.map(({ thread, number }) => [thread, number]),
    [
      [8, 13],
      [8, 14],
    ],
  );
  assert.equal(sent[0]?.info.readInt32LE(16), 7);
  assert.deepEqual(sent[1]?.info, kernelSignalInfo(14));
  assert.throws(() => sendSignalToTask(task, 0), /not a signal/);
});

test('a signal to a process is for the kernel to place', () => {
  const { sent, process } = guest([8, 7, 10]);
  sendSignalToProcess(process, 15);
  assert.deepEqual(
    sent.map(({ thread, number }) => [thread, number]),
    [[null, 15]],
  );
  assert.throws(() => sendSignalToProcess(process, 65), /not a signal/);
});
