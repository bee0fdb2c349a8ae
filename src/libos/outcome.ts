/**
 * What a system call handler returns: a number is the result (or -errno) for the guest; anything
 * else says how the call goes on. One shape for all handlers; blocking is a value, not an await.
 */
import type { GuestAddress } from '../base/ids.ts';
import type { LaunchSpec, MapSource } from '../lvm/api.ts';
import type { Args } from './args.ts';
import type { OpenFile } from './open-file.ts';
import type { Task } from './task.ts';

/** The thread waits; the handler has said on what by `task.waitOn` and `task.deadline`. */
export interface Blocked {
  readonly kind: 'blocked';
}

/** Linux runs the call as it stands (only where no pointer needs checking). */
export interface Native {
  readonly kind: 'native';
}

/** mmap of a file: Linux runs the call with `source` behind the descriptor `fd`. */
export interface MapFile {
  readonly kind: 'map';
  readonly fd: number;
  readonly source: MapSource;
  /** The call asked for a shared mapping of this part of a file of the overlay; else null. */
  readonly shows: { readonly inode: number; readonly offset: number; readonly size: number } | null;
}

/** A new thread starts; its task is there already. See Lvm.answerClone. */
interface CloneThread {
  readonly kind: 'clone';
  readonly child: Task;
  readonly tidTargets: readonly GuestAddress[];
}

/** Another program takes the place of the caller's. */
export interface Exec {
  readonly kind: 'exec';
  readonly spec: LaunchSpec;
  /** The program's file; open for as long as this is. */
  readonly file: OpenFile;
}

/** More of the heap must be mapped; then the call is asked again. */
interface GrowHeap {
  readonly kind: 'grow-heap';
  readonly start: GuestAddress;
  readonly end: GuestAddress;
}

/** Heap pages are given back; then the call ends with `value`. */
interface DropHeap {
  readonly kind: 'drop-heap';
  readonly start: GuestAddress;
  readonly end: GuestAddress;
  readonly value: number;
}

/** The caller sends a signal; the call ends with 0, or -errno when it can't be sent. */
export interface SendSignal {
  readonly kind: 'signal';
  /** Null: the process. */
  readonly target: Task | null;
  readonly number: number;
  /** siginfo_t. */
  readonly info: Uint8Array;
}

/** The calling thread, or the whole guest, is gone: nobody waits for an answer. */
export interface Gone {
  readonly kind: 'gone';
}

export type Outcome =
  | number
  | Blocked
  | Native
  | MapFile
  | CloneThread
  | Exec
  | GrowHeap
  | DropHeap
  | SendSignal
  | Gone;

export const blocked: Blocked = Object.freeze({ kind: 'blocked' });
export const native: Native = Object.freeze({ kind: 'native' });
export const gone: Gone = Object.freeze({ kind: 'gone' });

/** Runs to its end, then again from its start when what it blocked on has changed. */
export type Handler = (task: Task, args: Args) => Outcome;
