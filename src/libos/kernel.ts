/**
 * Kernel: the library OS as a whole: the client of one `Lvm`. It owns the kernel objects,
 * dispatches trapped calls to their handlers, runs blocked ones again, and saves and loads itself.
 * A call's way: trapped -> #run -> handler (syscalls/) -> objects -> Outcome -> #finish -> Lvm.
 */
import { E } from '../abi/errno.ts';
import { AT } from '../abi/fs.ts';
import { syscallName } from '../abi/syscalls.ts';
import { assert, present } from '../base/assert.ts';
import { type Handle, pid, type Tid, tid } from '../base/ids.ts';
import type {
  ExitStatus,
  HeapArea,
  Lvm,
  LvmClient,
  ProcessSetup,
  RecordSink,
  RecordSource,
  TrappedCall,
} from '../lvm/api.ts';
import type { FileSystem } from './fs/file-system.ts';
import { factories } from './kinds.ts';
import { GuestFault, GuestMemory } from './memory.ts';
import type { NetStack } from './net/net-stack.ts';
import { Objects } from './object.ts';
import type { Exec, MapFile, Outcome, SendSignal } from './outcome.ts';
import { pagesUp } from './pages.ts';
import type { Process } from './process.ts';
import { interruption } from './signal/interruption.ts';
import { createState, KernelState } from './state.ts';
import { entries } from './table.ts';
import { Task } from './task.ts';
import { Deadlines } from './time/deadlines.ts';

/** A signal that a call brings upon its caller, such as SIGPIPE. */
interface OwnSignal {
  readonly number: number;
  readonly info: Uint8Array;
}

/** How a guest is set up; from the command line, as byte strings. */
export interface KernelOptions {
  readonly program: string;
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
}

export class Kernel implements LvmClient {
  readonly lvm: Lvm;
  readonly memory: GuestMemory;
  readonly objects = new Objects();
  readonly deadlines: Deadlines;
  /** Names the fixed objects; the root of what is saved. */
  state!: KernelState;
  /** Tasks by thread id. */
  readonly tasks = new Map<Tid, Task>();
  /** How often each unsupported call was made, by number; each is reported the first time. */
  readonly unsupported = new Map<number, number>();
  /** Told when the guest is gone. */
  onExited: (status: ExitStatus) => void = () => {};
  readonly #runnable: Task[] = [];
  /** The task whose handler runs. */
  #running: Task | null = null;
  /** The signal that ends the running task's call with it. */
  #ownSignal: OwnSignal | null = null;
  /** Signals of the running handler that wait for its end. */
  readonly #afterCall: (() => void)[] = [];
  #ended: ExitStatus | null = null;

  constructor(lvm: Lvm) {
    this.lvm = lvm;
    this.memory = new GuestMemory(lvm);
    this.deadlines = new Deadlines((earliestNs) => lvm.setAlarm(earliestNs));
    lvm.attach(this);
  }

  get fs(): FileSystem {
    return this.state.fs;
  }

  get net(): NetStack {
    return this.state.net;
  }

  /** How the guest ended, or null while it lives. */
  get ended(): ExitStatus | null {
    return this.#ended;
  }

  /** Starts the first program; -errno when it can't. */
  start(options: KernelOptions): number {
    createState(this, options);
    return this.lvm.launch({ program: options.program, argv: options.argv, env: options.env });
  }

  monotonicNs(): number {
    return this.lvm.clock('monotonic');
  }

  task(thread: Tid): Task {
    return present(this.tasks.get(thread), `task ${thread}`);
  }

  addTask(process: Process, thread: Tid, name: string): Task {
    const task = new Task(this.objects);
    task.tid = thread;
    task.process = process;
    task.name = name;
    this.tasks.set(thread, task);
    return task;
  }

  removeTask(task: Task): void {
    task.endCall();
    this.tasks.delete(task.tid);
    task.destroy();
  }

  /** Ends the guest: nothing of it runs any more. */
  exit(status: ExitStatus): void {
    this.#ended = status;
    this.lvm.exit(status);
  }

  makeRunnable(task: Task): void {
    if (task.isRunnable || task.state !== 'waiting') return;
    task.isRunnable = true;
    this.#runnable.push(task);
  }

  /* --- LvmClient ---------- */

  launched(first: Tid, heap: HeapArea): void {
    const process = this.state.process;
    process.setHeap(heap);
    assert(process.pid === pid(first), 'the first thread has the id of the process');
    const task = this.addTask(process, first, process.argv[0] ?? '');
    // Without links, as /proc/self/exe shows it: a loader finds $ORIGIN by it.
    const program = this.fs.walkTo(task, AT.FDCWD, process.executable, { follow: true });
    if (typeof program !== 'number') process.executable = program.path();
  }

  trapped(call: TrappedCall): void {
    const task = this.task(call.thread);
    const isAskedAgain =
      task.state !== 'idle' && task.callNumber === call.number && task.args.equals(call.args);
    if (isAskedAgain) task.stopWaiting();
    else {
      task.endCall();
      task.callNumber = call.number;
      task.args.set(call.args);
    }
    task.state = 'waiting';
    this.#run(task);
    this.#runWoken();
  }

  withdrawn(thread: Tid): void {
    const task = this.task(thread);
    task.stopWaiting();
    task.state = 'withdrawn';
  }

  interrupted(thread: Tid, signal: number): number | null {
    const task = this.task(thread);
    // A call that has not come here yet begins after the signal.
    if (task.state === 'idle') return null;
    const end = interruption(task, signal);
    if (end === null) this.withdrawn(thread);
    else task.endCall();
    return end;
  }

  ready(handle: Handle, events: number): void {
    this.state.streamReady(handle, events);
    this.#runWoken();
  }

  alarm(): void {
    this.deadlines.run(this.monotonicNs());
    this.#runWoken();
  }

  settled(): void {}

  exited(status: ExitStatus): void {
    this.#ended ??= status;
    this.onExited(this.#ended);
  }

  setup(): ProcessSetup {
    return {
      signalActions: this.state.process.signalActions,
      threads: [...this.tasks.values()].map((task) => ({
        thread: task.tid,
        clearChildTid: task.clearChildTid,
        robustList: task.robustList,
        robustListSize: task.robustListSize,
        alternateStack: task.alternateStack,
        name: task.name,
      })),
    };
  }

  save(sink: RecordSink, scope: 'all' | 'changes'): void {
    this.objects.save(sink, scope);
  }

  load(source: RecordSource): void {
    // Objects need the kernel while they load; the state object is told first.
    this.objects.load(source, factories(this));
    for (const object of this.objects.all()) {
      if (object instanceof KernelState) this.state = object;
      if (object instanceof Task) this.tasks.set(object.tid, object);
    }
    present(this.state, 'kernel state record').followContents();
  }

  /* --- dispatch ---------- */

  #run(task: Task): void {
    const handler = entries[task.callNumber];
    this.#running = task;
    let outcome: Outcome;
    if (handler === undefined) outcome = this.#countUnsupported(task.callNumber);
    else {
      try {
        outcome = handler(task, task.args);
      } catch (error) {
        if (!(error instanceof GuestFault)) throw error;
        outcome = E.EFAULT;
      }
    }
    this.#running = null;
    this.#finish(task, outcome);
    for (let send = this.#afterCall.shift(); send; send = this.#afterCall.shift()) send();
  }

  /**
   * Sends a signal on behalf of the kernel (SIGPIPE, timers), to a task or to the process (null). A
   * task whose handler runs gets it with the end of its call, as Linux does it.
   */
  signal(target: Task | null, number: number, info: Uint8Array): void {
    if (this.#running !== null && this.#running === target && this.#ownSignal === null) {
      this.#ownSignal = { number, info };
      return;
    }
    const send = () => {
      if (target === null) this.lvm.signal(null, number, info);
      else if (this.tasks.get(target.tid) === target) this.lvm.signal(target.tid, number, info);
    };
    if (this.#running === null) send();
    else this.#afterCall.push(send);
  }

  #finish(task: Task, outcome: Outcome): void {
    const own = this.#ownSignal;
    this.#ownSignal = null;
    if (typeof outcome === 'number') {
      task.endCall();
      if (own === null) this.lvm.answer(task.tid, outcome);
      else this.lvm.answerSignal(task.tid, outcome, task.tid, own.number, own.info);
      return;
    }
    if (own !== null) this.#afterCall.push(() => this.signal(task, own.number, own.info));
    switch (outcome.kind) {
      case 'blocked':
        task.armDeadline();
        return;
      case 'native':
        task.endCall();
        this.lvm.answerNative(task.tid);
        return;
      case 'map': {
        task.endCall();
        this.#map(task, outcome);
        return;
      }
      case 'clone': {
        task.endCall();
        const { child, tidTargets } = outcome;
        if (!this.lvm.answerClone(task.tid, child.tid, tidTargets)) this.removeTask(child);
        return;
      }
      case 'exec':
        this.#exec(task, outcome);
        return;
      case 'grow-heap': {
        const { start, end } = outcome;
        // The call is asked again as a new one, whatever came of it.
        task.endCall();
        task.process.heapGrown(this.lvm.growHeap(task.tid, start, end) ? end : null);
        return;
      }
      case 'drop-heap':
        task.endCall();
        this.lvm.dropHeap(task.tid, outcome.start, outcome.end, outcome.value);
        return;
      case 'signal':
        task.endCall();
        this.#answerSignal(task, outcome);
        return;
      case 'gone':
        return;
    }
  }

  #map(task: Task, { fd, source, shows }: MapFile): void {
    const { process } = task;
    const start = this.lvm.answerMap(task.tid, fd, source);
    if (start < 0) this.lvm.answer(task.tid, start);
    if (start <= 0 || shows === null) return;
    const { inode, offset, size } = shows;
    process.sharedMaps.add({ inode, start, end: start + pagesUp(size), offset });
    process.touch();
  }

  #exec(task: Task, { spec, file }: Exec): void {
    const { process } = task;
    const source = file.mapSource();
    const actions = process.ignoredSignals();
    const leader = tid(process.pid);
    const heap =
      typeof source === 'number'
        ? source
        : this.lvm.answerExec(task.tid, leader, spec, source, actions);
    const program = file.describe();
    file.release();
    task.endCall();
    if (typeof heap === 'number') {
      this.lvm.answer(task.tid, heap);
      return;
    }
    for (const other of [...this.tasks.values()]) if (other !== task) this.removeTask(other);
    this.tasks.clear();
    task.startProgram(leader, program);
    this.tasks.set(leader, task);
    process.startProgram(spec, program, actions, heap);
  }

  #answerSignal(task: Task, { target, number, info }: SendSignal): void {
    this.lvm.answerSignal(task.tid, 0, target?.tid ?? null, number, info);
  }

  /** Runs the handlers of woken tasks again; those that they wake follow in the same round. */
  #runWoken(): void {
    const runnable = this.#runnable;
    for (let next = 0; next < runnable.length; next += 1) {
      const task = runnable[next] as Task;
      task.isRunnable = false;
      if (task.state !== 'waiting') continue;
      task.stopWaiting();
      this.#run(task);
    }
    runnable.length = 0;
  }

  #countUnsupported(number: number): number {
    const count = this.unsupported.get(number) ?? 0;
    this.unsupported.set(number, count + 1);
    if (count === 0) this.lvm.report('unsupported-call', syscallName(number));
    return E.ENOSYS;
  }
}
