/**
 * The class of each call of the LVM API: what a checkpointer has to do about it. Data only; read by
 * the checkpointer, the tracer and the tests. A call of a new kind of effect needs a new class
 * here, not a special case in an interposer.
 */
import type { Lvm } from './api.ts';

/**
 * - `local`: changes or tells only what a checkpoint holds anyway (threads, memory), or nothing:
 *   passed on.
 * - `input`: brings something in from outside. Passed on; its result is in the libos's state when
 *   that is captured, so an input between two checkpoints is lost or kept together with all that
 *   came of it.
 * - `output`: lets something out. Held until every member has acknowledged the epoch in which it
 *   was said; room is accounted for at once, so that the caller sees backpressure.
 * - `replay`: its effect on the host is small and repeatable. Noted in the handle table and issued
 *   again where the guest comes back; the handle stays the same to the caller.
 * - `regenerate`: names something read-only that every replica has. Passed on; the client keeps the
 *   name, not the handle, and opens it again where the guest comes back.
 * - `diverge`: makes something that can't be carried over. Noted in the handle table; after a
 *   takeover the handle is dead and its use gives the error that the guest knows (-ECONNRESET).
 */
export type CallClass = 'local' | 'input' | 'output' | 'replay' | 'regenerate' | 'diverge';

export const callClasses: { readonly [Call in keyof Lvm]: CallClass } = {
  attach: 'local',
  launch: 'local',
  instantiate: 'local',
  // A replicated guest's end is told to the outside: it must be on the backups first.
  exit: 'output',

  answer: 'local',
  answerNative: 'local',
  answerMap: 'local',
  growHeap: 'local',
  dropHeap: 'local',
  answerSignal: 'local',
  answerClone: 'local',
  answerExec: 'local',
  // A pending signal is part of the thread's context.
  signal: 'local',

  memoryRead: 'local',
  memoryWrite: 'local',

  quiesce: 'local',
  resume: 'local',
  context: 'local',
  regions: 'local',
  regionsChanged: 'local',
  takeDroppedRanges: 'local',
  takeWrittenPages: 'local',
  populatedPages: 'local',
  memoryUse: 'local',
  pageRead: 'local',

  clock: 'input',
  // Asked for anew, from the library OS's own deadlines, where the guest comes back.
  setAlarm: 'local',
  random: 'input',
  machine: 'local',

  rootStat: 'local',
  rootReadlink: 'local',
  rootList: 'local',
  rootOpen: 'regenerate',
  rootRead: 'local',
  rootClose: 'regenerate',

  streamListen: 'replay',
  streamAccept: 'diverge',
  streamRead: 'input',
  streamWrite: 'output',
  streamShutdown: 'output',
  streamClose: 'output',

  consoleWrite: 'output',
  consoleDelivered: 'input',
  consoleRead: 'input',

  // For the operator, not for the guest's clients: may be said twice, or lost.
  report: 'local',
};

/** The LVM API must stay narrow: this is the promise of how narrow. */
export const CALL_COUNT_MAX = 45;
