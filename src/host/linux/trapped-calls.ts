/**
 * TrappedCalls: the system calls that threads of the guest wait in: taken from the listener, handed
 * up to the client, and answered by its word. Used by LinuxHost. A call that was withdrawn
 * meanwhile (its thread was stopped) is not answered: it is asked again.
 */
import { E } from '../../abi/errno.ts';
import { MADV, MAP, PAGE_BYTES, PROT } from '../../abi/memory.ts';
import { SYS } from '../../abi/syscalls.ts';
import { assert, present } from '../../base/assert.ts';
import { type GuestAddress, type Tid, tid } from '../../base/ids.ts';
import type { LvmClient } from '../../lvm/api.ts';
import type { LiveGuest } from './live-guest.ts';
import { type InjectedCall, leaveImage, mremapRange } from './private-copy.ts';
import type { Range } from './ranges.ts';
import { Signals } from './signals.ts';
import type { HostThread, Threads } from './threads.ts';

export interface TrappedCallsDeps {
  client(): LvmClient;
  /** Of the calls that run untrapped. */
  readonly nativeNumbers: readonly number[];
  /** The loop's; see Loop.round. */
  round(): number;
  /** Runs something while all threads are stopped; not at all if the guest is gone. */
  stopped(action: () => void): void;
}

/** The call that `trapped` reports; one object, filled anew each time. */
class CurrentCall {
  thread: Tid = tid(0);
  number = 0;
  args: Uint8Array = Buffer.alloc(48);
}

export class TrappedCalls {
  readonly #threads: Threads;
  readonly #deps: TrappedCallsDeps;
  readonly #signals: Signals;
  readonly #call = new CurrentCall();
  /** The loop's round in which a thread was last stopped. */
  #stoppedInRound = -1;
  /** Set by the host while there is one. */
  guest: LiveGuest | null = null;
  /** Calls served so far. */
  count = 0;

  constructor(threads: Threads, deps: TrappedCallsDeps) {
    this.#threads = threads;
    this.#deps = deps;
    threads.onStopped = () => {
      this.#stoppedInRound = deps.round();
    };
    const client = {
      withdrawn: (thread: Tid) => deps.client().withdrawn(thread),
      interrupted: (thread: Tid, signal: number) => deps.client().interrupted(thread, signal),
    };
    this.#signals = new Signals(threads, client, deps.nativeNumbers);
  }

  #live(): LiveGuest {
    return present(this.guest, 'guest');
  }

  /** The listener was announced to have a notification. */
  receive(): void {
    const { listener } = this.#live();
    // Since the loop looked, the notification may have gone: to receive would be to wait.
    if (this.#stoppedInRound === this.#deps.round() && !listener.isReady(0)) return;
    if (!listener.receive()) return;
    this.#serve(listener.hostTid, listener.id, listener.number, listener.args);
    this.serveEarly();
  }

  /** A call of our own was waited for, and others came first. */
  serveEarly(): void {
    const { injector } = this.#threads;
    for (let early = injector.takeEarly(); early; early = injector.takeEarly()) {
      if (this.guest === null) return;
      this.#serve(early.hostTid, early.id, early.number, early.args);
    }
  }

  #serve(hostTid: number, id: bigint, number: number, args: Buffer): void {
    const thread = this.#threads.ofHost(hostTid);
    assert(thread !== undefined, `thread ${hostTid} is known`);
    thread.notification = id;
    thread.number = number;
    thread.args.set(args);
    this.count += 1;
    const call = this.#call;
    call.thread = thread.tid;
    call.number = thread.number;
    call.args = thread.args;
    this.#deps.client().trapped(call);
  }

  /** The thread, if it waits in a call; null if it was interrupted or is gone. */
  #waiting(thread: Tid): HostThread | null {
    const waiting = this.#threads.find(thread);
    return waiting === undefined || waiting.notification === 0n ? null : waiting;
  }

  /** Uses up the notification. */
  #take(thread: HostThread): bigint {
    const id = thread.notification;
    thread.notification = 0n;
    return id;
  }

  answer(thread: Tid, value: number): void {
    const waiting = this.#waiting(thread);
    if (waiting !== null) this.#live().listener.answer(this.#take(waiting), value);
  }

  answerNative(thread: Tid): void {
    const waiting = this.#waiting(thread);
    if (waiting === null) return;
    const id = this.#take(waiting);
    const { space, listener } = this.#live();
    const { number, args } = waiting;
    if (number === SYS.mremap && space.mayStandOnImage(mremapRange(args))) {
      // The call is made again, and then finds memory that it may move.
      this.#copyFromImage(waiting, mremapRange(args));
      return;
    }
    space.called(number, args);
    if (number === SYS.exit) this.#threads.leave(waiting);
    listener.continue(id);
  }

  /**
   * Gives a range memory of its own in place of the image, whose offsets are addresses: a mapping
   * of it can't be moved or grown.
   */
  #copyFromImage(caller: HostThread, range: Range): void {
    const { memory, listener, space } = this.#live();
    const { injector } = this.#threads;
    const call: InjectedCall = (name, ...args) =>
      injector.inject(caller.tracee, listener, name, args);
    this.#deps.stopped(() => leaveImage(space, memory, call, range));
  }

  /** `file` is a descriptor of ours, and stays it. */
  answerMap(thread: Tid, fd: number, file: number): number {
    const waiting = this.#waiting(thread);
    if (waiting === null) return 0;
    const put = this.#live().listener.addDescriptor(waiting.notification, file, fd);
    if (put < 0) return put === E.ENOENT ? 0 : put;
    this.answerNative(thread);
    return 0;
  }

  /** mmap of a file, as a private copy of its content; the address or -errno. */
  answerCopy(thread: Tid, content: Uint8Array): number {
    const waiting = this.#waiting(thread);
    if (waiting === null) return 0;
    this.#take(waiting);
    const { listener, space, memory } = this.#live();
    const word = (index: number): number => Number(waiting.args.readBigUInt64LE(index * 8));
    const [wanted, size, protection, asked, offset] = [word(0), word(1), word(2), word(3), word(5)];
    const kept = asked & (MAP.FIXED | MAP.FIXED_NOREPLACE);
    const flags = kept | MAP.PRIVATE | MAP.ANONYMOUS | MAP.NORESERVE;
    space.called(SYS.mmap, waiting.args);
    const shown = content.subarray(offset, offset + size);
    // Before the thread goes on.
    const fill = (start: number): void => {
      for (let at = 0; at < shown.length; at += PAGE_BYTES) {
        const page = shown.subarray(at, at + PAGE_BYTES);
        if (page.every((byte) => byte === 0)) continue;
        memory.tryWriteForced(start + at, page);
        space.wroteInto(start + at, start + at + page.length);
      }
    };
    const args = [wanted, size, protection, flags, -1, 0];
    return this.#threads.runInstead(waiting, 'mmap', args, listener, 'result', fill);
  }

  answerClone(thread: Tid, child: Tid, tidTargets: readonly GuestAddress[]): boolean {
    const waiting = this.#waiting(thread);
    if (waiting === null) return false;
    const id = this.#take(waiting);
    const { listener, memory } = this.#live();
    const value = Buffer.alloc(4);
    value.writeInt32LE(child);
    return this.#threads.clone(
      waiting,
      child,
      () => listener.continue(id),
      (tracee) => {
        this.#threads.add(child, tracee);
        for (const target of tidTargets) memory.write(target, value);
      },
    );
  }

  growHeap(thread: Tid, start: GuestAddress, end: GuestAddress): boolean {
    const waiting = this.#waiting(thread);
    if (waiting === null) return false;
    this.#take(waiting);
    const { listener, space } = this.#live();
    const flags = MAP.PRIVATE | MAP.ANONYMOUS | MAP.NORESERVE | MAP.FIXED_NOREPLACE;
    const args = [start, end - start, PROT.READ | PROT.WRITE, flags, -1, 0];
    if (this.#threads.runInstead(waiting, 'mmap', args, listener, null) !== start) return false;
    space.heapGrown(start, end);
    return true;
  }

  dropHeap(thread: Tid, start: GuestAddress, end: GuestAddress, value: number): void {
    const waiting = this.#waiting(thread);
    if (waiting === null) return;
    this.#take(waiting);
    const { listener, space } = this.#live();
    space.dropped(start, end);
    const args = [start, end - start, MADV.DONTNEED];
    this.#threads.runInstead(waiting, 'madvise', args, listener, value);
  }

  answerSignal(
    thread: Tid,
    value: number,
    target: Tid | null,
    number: number,
    info: Uint8Array,
  ): void {
    const waiting = this.#waiting(thread);
    if (waiting === null) return;
    this.#signals.answer(this.#live(), waiting, value, target, number, info);
  }

  signal(target: Tid | null, number: number, info: Uint8Array): number {
    return this.#signals.send(this.#live(), target, number, info);
  }
}
