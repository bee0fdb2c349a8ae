/**
 * KernelState: the fixed parts of the library OS (file system, network, the process, counters) as
 * one saved object, from which everything else can be reached.
 */
import type { Decoder, Encoder } from '../base/codec.ts';
import { type Handle, type ObjectId, pid } from '../base/ids.ts';
import { FdTable } from './fd-table.ts';
import { openConsole } from './fs/console.ts';
import { FileSystem } from './fs/file-system.ts';
import type { Kernel, KernelOptions } from './kernel.ts';
import { KIND } from './kinds-ids.ts';
import { NetStack } from './net/net-stack.ts';
import { KernelObject, type Objects } from './object.ts';
import { Process } from './process.ts';

/** The id of the guest's first process and thread. */
const FIRST_TID = 1;

/** Told when a stream or listener of the LVM API becomes ready. */
export interface StreamOwner {
  streamReady(events: number): void;
}

export class KernelState extends KernelObject {
  readonly kind = KIND.kernel;
  readonly kernel: Kernel;
  fs!: FileSystem;
  net!: NetStack;
  process!: Process;
  /** Ids are given upwards and never twice. */
  #nextTid = FIRST_TID + 1;
  readonly #streams = new Map<Handle, StreamOwner>();

  constructor(kernel: Kernel, objects: Objects, id?: ObjectId) {
    super(objects, id);
    this.kernel = kernel;
  }

  takeTid(): number {
    this.touch();
    const value = this.#nextTid;
    this.#nextTid += 1;
    return value;
  }

  /** Sockets register their handle here, and again when loaded. */
  watchStream(stream: Handle, owner: StreamOwner): void {
    this.#streams.set(stream, owner);
  }

  unwatchStream(stream: Handle): void {
    this.#streams.delete(stream);
  }

  streamReady(stream: Handle, events: number): void {
    this.#streams.get(stream)?.streamReady(events);
  }

  /** Keeps shared mappings of files up to date; when all is there. */
  followContents(): void {
    this.fs.context.contentChanged = (inode, from, to) =>
      this.process.sharedMaps.changed(this.kernel.lvm, inode, from, to);
    this.fs.context.contentGone = (inode) => {
      if (this.process.sharedMaps.forget(inode.id)) this.process.touch();
    };
  }

  override save(encoder: Encoder): void {
    encoder.u32(this.fs.id).u32(this.net.id).u32(this.process.id).u32(this.#nextTid);
  }

  override load(decoder: Decoder): void {
    this.fs = this.objects.get(decoder.u32(), FileSystem);
    this.net = this.objects.get(decoder.u32(), NetStack);
    this.process = this.objects.get(decoder.u32(), Process);
    this.#nextTid = decoder.u32();
    this.kernel.state = this;
  }
}

/** Makes the state of a guest that has not started. */
export function createState(kernel: Kernel, options: KernelOptions): void {
  const state = new KernelState(kernel, kernel.objects);
  kernel.state = state;
  state.fs = new FileSystem(kernel, kernel.objects);
  state.net = new NetStack(kernel, kernel.objects);
  const process = new Process(kernel.objects);
  process.kernel = kernel;
  process.pid = pid(FIRST_TID);
  process.processGroup = FIRST_TID;
  process.session = FIRST_TID;
  process.cwd = options.cwd;
  process.executable = options.program;
  process.argv = options.argv;
  process.env = options.env;
  process.files = new FdTable(kernel.objects);
  state.process = process;
  state.followContents();
  for (const fd of [0, 1, 2] as const) process.files.add(openConsole(kernel, fd), false);
}
