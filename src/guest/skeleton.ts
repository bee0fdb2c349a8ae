/**
 * Skeleton: a guest process before the guest is in it. Starts as the few bytes of
 * sandbox/skeleton-elf.ts, is seized, and runs system calls that we inject: that is how mappings,
 * threads, signal actions and the filter of a guest come about, for a first start and for a
 * takeover alike. All threads are left stopped.
 */
import { errnoName } from '../abi/errno.ts';
import { MAP, PAGE_BYTES, TASK_SIZE, UFFD_OPEN_FLAGS } from '../abi/memory.ts';
import { PTRACE_EVENT, PTRACE_O, REG, REGISTERS_BYTES } from '../abi/ptrace.ts';
import {
  BPF_INSTRUCTION_BYTES,
  SECCOMP_FILTER_FLAG,
  SECCOMP_SET_MODE_FILTER,
} from '../abi/seccomp.ts';
import { SYS } from '../abi/syscalls.ts';
import { assert } from '../base/assert.ts';
import { shown } from '../base/byte-string.ts';
import { TardigradeError } from '../base/errors.ts';
import * as os from '../ffi/native.ts';
import { Listener } from '../sandbox/listener.ts';
import {
  GATE_END,
  GATE_SCRATCH,
  GATE_SCRATCH_BYTES,
  GATE_SYSCALL,
  skeletonElf,
} from '../sandbox/skeleton-elf.ts';
import { ProcessMemory } from './memory.ts';
import { Tracee } from './tracee.ts';

const MFD_CLOEXEC = 1;
const PR_SET_PDEATHSIG = 1;
const PR_SET_NAME = 15;
const PR_SET_NO_NEW_PRIVS = 38;
const SIGKILL = 9;
const SIGTRAP = 5;
/** VM, FS, FILES, SIGHAND, THREAD, SYSVSEM. */
const CLONE_THREAD_FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000;
const CLONE_CHILD_CLEARTID = 0x20_0000;

export class Skeleton {
  readonly hostPid: number;
  readonly memory: ProcessMemory;
  readonly first: Tracee;
  readonly #registers = Buffer.alloc(REGISTERS_BYTES);
  /** All threads made so far; each is seized and stopped at the gate. */
  readonly #threads: Tracee[] = [];

  /**
   * Starts the process. `title` (byte strings) is what ps shows. `keptFd` is inherited under its
   * own number (the memory image), and must be closed in the guest by `closeDescriptor`.
   */
  constructor(title: readonly string[], keptFd: number) {
    const program = os.memfdCreate('tardigrade-skeleton', MFD_CLOEXEC);
    assert(program >= 0, `memfd_create: ${errnoName(program)}`);
    const elf = skeletonElf();
    os.write(program, elf, elf.length);
    const F_SETFD = 2;
    os.fcntl(keptFd, F_SETFD, 0);
    const started = os.posixSpawn(`/proc/${os.getpid()}/fd/${program}`, title.map(shown), []);
    os.fcntl(keptFd, F_SETFD, 1);
    os.close(program);
    if (started < 0) {
      throw new TardigradeError(
        'kernel',
        `can't start a guest process: ${errnoName(started)}`,
        'allow executable memory files (sysctl vm.memfd_noexec=0)',
      );
    }
    this.hostPid = started;
    this.first = new Tracee(started);
    this.first.seize(PTRACE_O.TRACECLONE | PTRACE_O.TRACESYSGOOD | PTRACE_O.EXITKILL);
    this.first.interrupt();
    const stop = this.first.wait();
    assert(stop.kind === 'interrupted', `skeleton stopped by ${stop.kind}`);
    this.#threads.push(this.first);
    this.memory = new ProcessMemory(started);
    this.first.registers(this.#registers);
    this.call('prctl', PR_SET_PDEATHSIG, SIGKILL);
    this.call('munmap', GATE_END, TASK_SIZE - GATE_END);
  }

  /** Runs one call in a thread of the guest and gives its result; throws if it fails. */
  call(name: keyof typeof SYS, ...args: number[]): number {
    return this.callIn(this.first, name, ...args);
  }

  callIn(thread: Tracee, name: keyof typeof SYS, ...args: number[]): number {
    const result = this.#inject(thread, SYS[name], args);
    assert(result >= 0, `${name} in the guest: ${errnoName(result)}`);
    return result;
  }

  #inject(thread: Tracee, number: number, args: readonly number[]): number {
    this.#enterGate(thread, number, args);
    thread.resume();
    this.#awaitTrap(thread, `injected call ${number}`);
    thread.registers(this.#registers);
    return Number(this.#registers.readBigInt64LE(REG.rax));
  }

  /** The call came back to the gate. */
  #awaitTrap(thread: Tracee, what: string): void {
    const stop = thread.wait();
    assert(
      stop.kind === 'signal' && stop.signal === SIGTRAP,
      `${what} in the guest stopped by ${JSON.stringify(stop)}`,
    );
    thread.dropSignal();
  }

  #enterGate(thread: Tracee, number: number, args: readonly number[]): void {
    const registers = this.#registers;
    thread.registers(registers);
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = args;
    const set = (at: number, value: number) => registers.writeBigInt64LE(BigInt(value), at);
    set(REG.rip, GATE_SYSCALL);
    set(REG.rax, number);
    set(REG.orig_rax, -1);
    set(REG.rdi, a);
    set(REG.rsi, b);
    set(REG.rdx, c);
    set(REG.r10, d);
    set(REG.r8, e);
    set(REG.r9, f);
    thread.setRegisters(registers);
  }

  /** Puts bytes where injected calls can point to, 16-aligned; returns their address. */
  scratch(bytes: Uint8Array, offset = 0): number {
    assert(offset + bytes.length <= GATE_SCRATCH_BYTES, 'arguments fit in the scratch page');
    this.memory.writeForced(GATE_SCRATCH + offset, bytes);
    return GATE_SCRATCH + offset;
  }

  /** Maps part of the descriptor `fd` of the guest (or nothing: -1) at a fixed address. */
  map(start: number, end: number, protection: number, fd: number, offset: number): void {
    const kind = fd < 0 ? MAP.ANONYMOUS : 0;
    const flags = MAP.PRIVATE | MAP.FIXED | MAP.NORESERVE | kind;
    assert(start % PAGE_BYTES === 0 && end > start, 'a mapping has whole pages');
    this.call('mmap', start, end - start, protection, flags, fd, offset);
  }

  closeDescriptor(fd: number): void {
    this.call('close', fd);
  }

  /** One more thread; it is stopped before its first instruction. */
  addThread(clearChildTid: number): Tracee {
    const clear = clearChildTid === 0 ? 0 : CLONE_CHILD_CLEARTID;
    // The stack is set with all registers later; until then the thread runs at the gate only.
    this.#enterGate(this.first, SYS.clone, [CLONE_THREAD_FLAGS | clear, 0, 0, clearChildTid]);
    this.first.resume();
    const stop = this.first.wait();
    assert(stop.kind === 'event' && stop.event === PTRACE_EVENT.CLONE, 'clone is reported');
    const thread = new Tracee(this.first.eventMessage());
    const born = thread.wait();
    assert(born.kind === 'interrupted', `new thread stopped by ${born.kind}`);
    this.first.resume();
    this.#awaitTrap(this.first, 'clone');
    this.#threads.push(thread);
    return thread;
  }

  setThreadName(thread: Tracee, name: string): void {
    const TASK_COMM_BYTES = 16;
    const bytes = Buffer.alloc(TASK_COMM_BYTES);
    bytes.write(name.slice(0, TASK_COMM_BYTES - 1), 'latin1');
    this.callIn(thread, 'prctl', PR_SET_NAME, this.scratch(bytes));
  }

  /** The userfault descriptor by which written pages are known, brought over to us. */
  openUserfault(): number {
    const inGuest = this.call('userfaultfd', UFFD_OPEN_FLAGS);
    const ours = this.#bringOver(inGuest);
    this.closeDescriptor(inGuest);
    return ours;
  }

  /**
   * Puts all threads behind the filter; returns the listener. Nothing can be injected after this.
   */
  installFilter(program: Uint8Array): Listener {
    for (const thread of this.#threads) {
      this.callIn(thread, 'prctl', PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    }
    const header = Buffer.alloc(16); // struct sock_fprog
    header.writeUInt16LE(program.length / BPF_INSTRUCTION_BYTES, 0);
    header.writeBigUInt64LE(BigInt(GATE_SCRATCH + 16), 8);
    const address = this.scratch(header);
    this.scratch(program, 16);
    const { NEW_LISTENER, TSYNC, TSYNC_ESRCH } = SECCOMP_FILTER_FLAG;
    const flags = NEW_LISTENER | (this.#threads.length > 1 ? TSYNC | TSYNC_ESRCH : 0);
    const inGuest = this.call('seccomp', SECCOMP_SET_MODE_FILTER, flags, address);
    const ours = this.#bringOver(inGuest);
    const listener = new Listener(ours);
    // A listener left open in the guest would let it answer itself; the filter traps its close.
    this.#enterGate(this.first, SYS.close, [inGuest]);
    this.first.resume();
    assert(listener.receive(), 'the close is trapped');
    assert(listener.number === SYS.close, 'the close comes first');
    listener.continue(listener.id);
    this.#awaitTrap(this.first, 'close');
    return listener;
  }

  #bringOver(fdInGuest: number): number {
    const pidfd = os.syscall(SYS.pidfd_open, this.hostPid);
    assert(pidfd >= 0, `pidfd_open: ${errnoName(pidfd)}`);
    const ours = os.syscall(SYS.pidfd_getfd, pidfd, fdInGuest, 0);
    os.close(pidfd);
    assert(ours >= 0, `pidfd_getfd: ${errnoName(ours)}`);
    return ours;
  }

  get threads(): readonly Tracee[] {
    return this.#threads;
  }

  /** Kills what was built so far; for when building fails. */
  abandon(): void {
    os.kill(this.hostPid, SIGKILL);
    os.waitpid(this.hostPid, new Int32Array(1), 0);
    this.memory.close();
  }
}
