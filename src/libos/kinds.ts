/**
 * The factories of all kinds of kernel objects, for loading. Each family lists its own kinds; a
 * number is persistent (kinds-ids.ts).
 */
import { assert } from '../base/assert.ts';
import { FdTable } from './fd-table.ts';
import { fsKinds } from './fs/kinds.ts';
import { ipcKinds } from './ipc/kinds.ts';
import type { Kernel } from './kernel.ts';
import { KIND } from './kinds-ids.ts';
import { netKinds } from './net/kinds.ts';
import type { ObjectFactory, ObjectKind } from './object.ts';
import { Process } from './process.ts';
import { KernelState } from './state.ts';
import { Task } from './task.ts';
import { timeKinds } from './time/kinds.ts';

export type KindList = readonly (readonly [ObjectKind, ObjectFactory])[];

const coreKinds = (kernel: Kernel): KindList => [
  [KIND.kernel, (objects, id) => new KernelState(kernel, objects, id)],
  [KIND.task, (objects, id) => new Task(objects, id)],
  [KIND.fdTable, (objects, id) => new FdTable(objects, id)],
  [
    KIND.process,
    (objects, id) => {
      const process = new Process(objects, id);
      process.kernel = kernel;
      return process;
    },
  ],
];

export function factories(kernel: Kernel): ReadonlyMap<ObjectKind, ObjectFactory> {
  const all = new Map<ObjectKind, ObjectFactory>();
  const families = [coreKinds, fsKinds, ipcKinds, netKinds, timeKinds];
  for (const [kind, factory] of families.flatMap((family) => family(kernel))) {
    assert(!all.has(kind), `kind ${kind} is there twice`);
    all.set(kind, factory);
  }
  return all;
}
