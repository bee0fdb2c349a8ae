/**
 * LinuxHost: the LVM API on real Linux, without root: seccomp user notification for trapped calls,
 * ptrace to stop and look, userfaultfd and PAGEMAP_SCAN for written pages, process_vm_readv for
 * memory. Lives on the sentry thread; serves one guest process. It knows nothing of the library OS
 * above it, nor whether an interposer stands between.
 */

import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { E, errnoName } from '../../abi/errno.ts';
import { PAGE_BYTES } from '../../abi/memory.ts';
import { SYS } from '../../abi/syscalls.ts';
import { CLOCK } from '../../abi/time.ts';
import { assert, present } from '../../base/assert.ts';
import { type GuestAddress, type Handle, handle, type Tid, tid } from '../../base/ids.ts';
import * as native from '../../ffi/native.ts';
import { WrittenPages } from '../../guest/written-pages.ts';
import { EPOLL, type Loop, Timer } from '../../loop/loop.ts';
import type {
  ClockName,
  ExitStatus,
  GuestImage,
  HeapArea,
  LaunchSpec,
  Lvm,
  LvmClient,
  MachineInfo,
  MapSource,
  MemoryRegion,
  MemoryUse,
  PageVisitor,
  ProcessContext,
  RootEntry,
  RootStat,
  StreamAddress,
} from '../../lvm/api.ts';
import { filterProgram } from '../../sandbox/filter.ts';
import { AddressSpace } from './address-space.ts';
import { type Built, buildGuest } from './build.ts';
import type { Console } from './console.ts';
import { processClock, threadCpuNs } from './cpu-clocks.ts';
import type { LiveGuest } from './live-guest.ts';
import { contentFile, readWhole } from './map-content.ts';
import { MemfdStore } from './memfd-store.ts';
import { loadProgram } from './program.ts';
import { Root } from './root.ts';
import { RootFiles } from './root-files.ts';
import { type Publication, Streams } from './streams.ts';
import { succeed } from './successor.ts';
import { Threads } from './threads.ts';
import { TrappedCalls } from './trapped-calls.ts';

export interface LinuxHostOptions {
  readonly rootDirectory: string;
  readonly publications: readonly Publication[];
  /** Numbers of the calls that run untrapped. */
  readonly nativeNumbers: readonly number[];
  readonly machine: MachineInfo;
  readonly report: (event: string, detail: string) => void;
}

const SIGKILL = 9;
const FIRST_TID = tid(1);

export class LinuxHost implements Lvm {
  readonly #loop: Loop;
  readonly #options: LinuxHostOptions;
  readonly #console: Console;
  readonly #root: Root;
  readonly #streams: Streams;
  readonly #threads = new Threads();
  readonly #calls: TrappedCalls;
  readonly #files: RootFiles;
  readonly #alarm: Timer;
  readonly #timespec = Buffer.alloc(16);
  #client: LvmClient | null = null;
  #guest: LiveGuest | null = null;
  #image: MemfdStore | null = null;
  #exitStatus: ExitStatus | null = null;
  /** `exited` was the last upcall. */
  #isGone = false;

  constructor(loop: Loop, console: Console, options: LinuxHostOptions) {
    this.#loop = loop;
    this.#options = options;
    this.#console = console;
    this.#root = new Root(options.rootDirectory);
    this.#files = new RootFiles(this.#root);
    this.#streams = new Streams(loop, options.publications, (stream, events) =>
      this.#ready(stream, events),
    );
    console.onReady = (events) => this.#ready(handle(0), events);
    this.#alarm = new Timer(() => this.#upcall().alarm());
    this.#calls = new TrappedCalls(this.#threads, {
      client: () => this.#upcall(),
      nativeNumbers: options.nativeNumbers,
      round: () => loop.round,
      stopped: (action) => this.#whileStopped(action),
    });
    loop.onSettled = () => {
      this.#calls.serveEarly();
      this.#client?.settled();
    };
  }

  attach(client: LvmClient): void {
    assert(this.#client === null, 'one client');
    this.#client = client;
  }

  #upcall(): LvmClient {
    return present(this.#client, 'client');
  }

  #live(): LiveGuest {
    return present(this.#guest, 'guest');
  }

  #ready(stream: Handle, events: number): void {
    if (!this.#isGone) this.#client?.ready(stream, events);
  }

  /* --- life ---------- */

  launch(spec: LaunchSpec): number {
    const store = new MemfdStore();
    const random = Buffer.alloc(16);
    randomFillSync(random);
    const loaded = loadProgram(spec, this.#root, store, FIRST_TID, random);
    if (typeof loaded === 'number') {
      store.close();
      return loaded;
    }
    this.#bringUp(loaded.image, store, spec.argv, null);
    this.#upcall().launched(FIRST_TID, loaded.heap);
    this.resume();
    return 0;
  }

  /** The store behind `image.memoryFd`, which this host owns from now on. */
  useImage(store: MemfdStore, title: readonly string[]): void {
    this.#image = store;
    this.#title = title;
  }

  #title: readonly string[] = ['tardigrade: guest'];

  instantiate(image: GuestImage): void {
    const store = present(this.#image, 'image store');
    assert(store.fd === image.memoryFd, 'the image is the one announced');
    this.#bringUp(image, store, this.#title, null);
  }

  #bringUp(
    image: GuestImage,
    store: MemfdStore,
    title: readonly string[],
    replaces: AddressSpace | null,
  ): void {
    assert(this.#guest === null, 'one guest');
    this.#image = store;
    const filter = filterProgram(this.#options.nativeNumbers);
    const built: Built = buildGuest(image, store, filter, title);
    const pidfd = native.syscall(SYS.pidfd_open, built.hostPid);
    assert(pidfd >= 0, `pidfd_open: ${errnoName(pidfd)}`);
    for (const { tid: guestTid, tracee } of built.threads) this.#threads.add(guestTid, tracee);
    const written = new WrittenPages(built.hostPid, built.uffd);
    const { rootDirectory } = this.#options;
    this.#guest = {
      hostPid: built.hostPid,
      pidfd,
      memory: built.memory,
      listener: built.listener,
      written,
      space: new AddressSpace({
        hostPid: built.hostPid,
        written,
        image: store,
        imageRegions: image.regions,
        rootDirectory: rootDirectory === '/' ? '' : rootDirectory,
        replaces,
      }),
    };
    this.#calls.guest = this.#guest;
    this.#loop.add(pidfd, EPOLL.in, () => this.#ended());
    this.#loop.add(built.listener.fd, EPOLL.in, (events) => {
      if (events & EPOLL.in) this.#calls.receive();
      // No thread is left behind the filter: the guest is ending, the pidfd tells how.
      else this.#loop.remove(built.listener.fd);
    });
  }

  exit(status: ExitStatus): void {
    this.#exitStatus ??= status;
    if (this.#guest !== null) native.kill(this.#guest.hostPid, SIGKILL);
  }

  #ended(): void {
    const guest = this.#live();
    const word = new Int32Array(1);
    // A stop that met the end has taken it already.
    if (native.waitpid(guest.hostPid, word, 0) < 0) {
      word[0] = this.#threads.ofHost(guest.hostPid)?.tracee.end ?? 0;
    }
    this.#forget(guest);
    this.#loop.setTimer(this.#alarm, Infinity);
    const code = word[0] as number;
    const signal = code & 0x7f;
    const observed: ExitStatus =
      signal === 0 ? { kind: 'exited', code: (code >> 8) & 0xff } : { kind: 'signaled', signal };
    this.#isGone = true;
    this.#upcall().exited(this.#exitStatus ?? observed);
  }

  #forget(guest: LiveGuest): void {
    this.#guest = null;
    this.#calls.guest = null;
    this.#loop.remove(guest.pidfd);
    this.#loop.remove(guest.listener.fd);
    native.close(guest.pidfd);
    native.close(guest.listener.fd);
    guest.memory.close();
    guest.written.close();
  }

  answerExec(
    thread: Tid,
    leader: Tid,
    spec: LaunchSpec,
    program: MapSource,
    actions: ReadonlyMap<number, Uint8Array>,
  ): HeapArea | number {
    const caller = this.#threads.find(thread);
    if (caller === undefined || caller.notification === 0n) return E.EINTR;
    const store = new MemfdStore();
    const content =
      program.kind === 'bytes'
        ? Buffer.from(program.content)
        : readWhole(this.#files.descriptor(program.file));
    const random = Buffer.alloc(16);
    randomFillSync(random);
    const loaded = loadProgram(spec, this.#root, store, leader, random, content);
    if (typeof loaded === 'number') {
      store.close();
      return loaded;
    }
    const old = this.#live();
    // From here on there is no way back, as for execve itself.
    if (!this.#threads.stop(old.hostPid)) return E.EINTR;
    const image = succeed(loaded.image, this.#threads.context(), thread, actions);
    this.#threads.endAll(old.hostPid);
    this.#forget(old);
    this.#image?.close();
    this.#bringUp(image, store, spec.argv, old.space);
    this.resume();
    return loaded.heap;
  }

  /** Lets go of what is left outside: connections. After `exited`. */
  closeStreams(): void {
    this.#streams.closeAll();
  }

  /** Resident memory of the guest; 0 when there is none. */
  guestMemoryBytes(): number {
    if (this.#guest === null) return 0;
    try {
      const statm = readFileSync(`/proc/${this.#guest.hostPid}/statm`, 'latin1');
      return Number(statm.split(' ')[1]) * PAGE_BYTES;
    } catch {
      return 0;
    }
  }

  /** Trapped calls served so far. */
  get callCount(): number {
    return this.#calls.count;
  }

  get guestPid(): number | null {
    return this.#guest?.hostPid ?? null;
  }

  /* --- trapped calls ---------- */

  answer(thread: Tid, value: number): void {
    this.#calls.answer(thread, value);
  }

  answerNative(thread: Tid): void {
    this.#calls.answerNative(thread);
  }

  answerMap(thread: Tid, fd: number, source: MapSource): number {
    if (source.kind === 'root')
      return this.#calls.answerMap(thread, fd, this.#files.descriptor(source.file));
    if (source.isShared) return this.#calls.answerCopy(thread, source.content);
    const file = contentFile(source);
    if (file < 0) return file;
    const result = this.#calls.answerMap(thread, fd, file);
    native.close(file);
    return result;
  }

  answerClone(thread: Tid, child: Tid, tidTargets: readonly GuestAddress[]): boolean {
    return this.#calls.answerClone(thread, child, tidTargets);
  }

  growHeap(thread: Tid, start: GuestAddress, end: GuestAddress): boolean {
    return this.#calls.growHeap(thread, start, end);
  }

  dropHeap(thread: Tid, start: GuestAddress, end: GuestAddress, value: number): void {
    this.#calls.dropHeap(thread, start, end, value);
  }

  answerSignal(
    thread: Tid,
    value: number,
    target: Tid | null,
    number: number,
    info: Uint8Array,
  ): void {
    this.#calls.answerSignal(thread, value, target, number, info);
  }

  signal(target: Tid | null, number: number, info: Uint8Array): number {
    return this.#guest === null ? E.ESRCH : this.#calls.signal(target, number, info);
  }

  /* --- memory ---------- */

  memoryRead(address: GuestAddress, target: Uint8Array): number {
    return this.#guest === null ? E.EFAULT : this.#guest.memory.read(address, target);
  }

  memoryWrite(address: GuestAddress, source: Uint8Array, isForced = false): number {
    if (this.#guest === null) return E.EFAULT;
    const { memory, space } = this.#guest;
    if (!isForced) return memory.write(address, source);
    space.wroteInto(address, address + source.length);
    return memory.tryWriteForced(address, source);
  }

  /* --- stopping and looking ---------- */

  quiesce(): boolean {
    if (this.#guest === null || !this.#threads.stop(this.#guest.hostPid)) return false;
    for (const thread of this.#threads.all()) {
      if (thread.notification === 0n) continue;
      thread.notification = 0n;
      this.#upcall().withdrawn(thread.tid);
    }
    return true;
  }

  #whileStopped(action: () => void): void {
    if (!this.quiesce()) return;
    try {
      action();
    } finally {
      this.resume();
    }
  }

  resume(): boolean {
    return this.#threads.release();
  }

  context(): ProcessContext {
    return this.#threads.context();
  }

  regions(): readonly MemoryRegion[] {
    return this.#live().space.regions();
  }

  regionsChanged(): boolean {
    return this.#live().space.isChanged;
  }

  takeDroppedRanges(visit: PageVisitor): void {
    this.#live().space.takeDropped(visit);
  }

  takeWrittenPages(visit: PageVisitor): void {
    this.#live().space.takeWritten(visit);
  }

  populatedPages(region: MemoryRegion, visit: PageVisitor): void {
    this.#live().space.populated(region.start, region.end, visit);
  }

  memoryUse(): MemoryUse {
    return { regions: this.#live().space.look(), residentBytes: this.guestMemoryBytes() };
  }

  pageRead(address: GuestAddress, target: Uint8Array): number {
    return this.#live().memory.readForced(address, target);
  }

  /* --- time and chance ---------- */

  clock(name: ClockName, thread?: Tid): number {
    const pid = this.guestPid;
    if (name === 'thread-cpu') return pid === null ? 0 : threadCpuNs(pid, this.#hostTid(thread));
    if (name === 'process-cpu' && pid === null) return 0;
    const id = name === 'process-cpu' ? processClock(pid ?? 0) : CLOCK[name];
    if (native.clockGettime(id, this.#timespec) < 0) return 0;
    const seconds = this.#timespec.readUInt32LE(0);
    return seconds * 1e9 + this.#timespec.readUInt32LE(8);
  }

  #hostTid(thread: Tid | undefined): number {
    return thread === undefined ? 0 : (this.#threads.find(thread)?.hostTid ?? 0);
  }

  setAlarm(deadlineNs: number): void {
    this.#loop.setTimer(this.#alarm, deadlineNs);
  }

  random(target: Uint8Array): void {
    randomFillSync(target);
  }

  machine(): MachineInfo {
    return this.#options.machine;
  }

  /* --- root ---------- */

  rootStat(path: string): RootStat | number {
    return this.#root.stat(path);
  }

  rootReadlink(path: string): string | number {
    return this.#root.readlink(path);
  }

  rootList(path: string): readonly RootEntry[] | number {
    return this.#root.list(path);
  }

  rootOpen(path: string): Handle | number {
    return this.#files.open(path);
  }

  rootRead(file: Handle, offset: number, target: Uint8Array): number {
    return native.pread(this.#files.descriptor(file), target, target.length, offset);
  }

  rootClose(file: Handle): void {
    this.#files.close(file);
  }

  /* --- streams and console ---------- */

  streamListen(port: number): Handle | number {
    return this.#streams.listen(port);
  }

  streamAccept(
    listener: Handle,
  ): { stream: Handle; peer: StreamAddress; local: StreamAddress } | number {
    return this.#streams.accept(listener);
  }

  streamRead(stream: Handle, target: Uint8Array): number {
    return this.#streams.read(stream, target);
  }

  streamWrite(stream: Handle, source: Uint8Array): number {
    return this.#streams.write(stream, source);
  }

  streamShutdown(stream: Handle): void {
    this.#streams.shutdown(stream);
  }

  streamClose(stream: Handle, reset: boolean): void {
    this.#streams.close(stream, reset);
  }

  consoleWrite(stream: 1 | 2, source: Uint8Array): number {
    return this.#console.write(stream, source);
  }

  consoleDelivered(stream: 1 | 2): number {
    return this.#console.delivered(stream);
  }

  consoleRead(target: Uint8Array): number {
    return this.#console.read(target);
  }

  report(event: string, detail: string): void {
    this.#options.report(event, detail);
  }
}
