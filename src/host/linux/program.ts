/**
 * Makes the first image of a guest from a program: ELF segments, interpreter, stack with arguments,
 * environment and auxiliary vector, as execve(2) of Linux leaves them, but without a vDSO (its code
 * could not be restored elsewhere). The result is started like any checkpoint.
 */
import { readFileSync } from 'node:fs';
import { E } from '../../abi/errno.ts';
import { PAGE_BYTES, PROT } from '../../abi/memory.ts';
import { FLAGS_START, REG, REGISTERS_BYTES, USER_CS, USER_SS } from '../../abi/ptrace.ts';
import { Encoder } from '../../base/codec.ts';
import { guestAddress, type Tid } from '../../base/ids.ts';
import type { GuestImage, HeapArea, LaunchSpec, MemoryRegion } from '../../lvm/api.ts';
import { type ElfProgram, elfEnd, headersAddress, parseElf, roundDown, roundUp } from './elf.ts';
import type { MemfdStore } from './memfd-store.ts';
import type { Root } from './root.ts';

/**
 * Where a position-independent program and its interpreter go; as Linux does without randomisation.
 */
const PROGRAM_BASE = 0x5555_5555_4000;
const INTERPRETER_BASE = 0x7fff_e000_0000;
const STACK_TOP = 0x7fff_ffff_e000;
/** RLIMIT_STACK of the first thread; mapped whole, filled on demand. */
const STACK_BYTES = 8 << 20;
/** Mapped for brk at the start; more comes as it is asked for. */
const HEAP_BYTES = 1 << 20;
/** MAX_ARG_STRLEN and friends: what arguments and environment may take of the stack. */
const STRINGS_BYTES_MAX = 2 << 20;

const AT = {
  NULL: 0,
  PHDR: 3,
  PHENT: 4,
  PHNUM: 5,
  PAGESZ: 6,
  BASE: 7,
  FLAGS: 8,
  ENTRY: 9,
  UID: 11,
  EUID: 12,
  GID: 13,
  EGID: 14,
  PLATFORM: 15,
  HWCAP: 16,
  CLKTCK: 17,
  SECURE: 23,
  RANDOM: 25,
  HWCAP2: 26,
  EXECFN: 31,
  MINSIGSTKSZ: 51,
} as const;

export interface LoadedProgram {
  readonly image: GuestImage;
  readonly heap: HeapArea;
}

interface Placed {
  readonly base: number;
  readonly elf: ElfProgram;
}

/**
 * Builds the image in `store`; -errno as execve(2). `content` is the program's, if it isn't what
 * the root has at its path.
 */
export function loadProgram(
  spec: LaunchSpec,
  root: Root,
  store: MemfdStore,
  first: Tid,
  random: Uint8Array,
  content: Buffer | number = root.readProgram(spec.program),
): LoadedProgram | number {
  const regions: MemoryRegion[] = [];
  const program = place(content, spec.program, PROGRAM_BASE, store, regions);
  if (typeof program === 'number') return program;
  let interpreter: Placed | null = null;
  if (program.elf.interpreter !== null) {
    const { interpreter: path } = program.elf;
    const found = place(root.readProgram(path), path, INTERPRETER_BASE, store, regions);
    // execve says ENOENT for the program when its interpreter is missing.
    if (typeof found === 'number') return found;
    interpreter = found;
  }
  const heapStart = roundUp(program.base + elfEnd(program.elf)) + PAGE_BYTES;
  const heap = { start: guestAddress(heapStart), end: guestAddress(heapStart + HEAP_BYTES) };
  regions.push(anonymous(heap.start, heap.end, PROT.READ | PROT.WRITE, '[heap]'));
  const stackProtection = PROT.READ | PROT.WRITE | (program.elf.hasExecutableStack ? PROT.EXEC : 0);
  regions.push(anonymous(STACK_TOP - STACK_BYTES, STACK_TOP, stackProtection, '[stack]'));
  const pointer = buildStack(spec, program, interpreter, store, random);
  if (pointer < 0) return pointer;
  const registers = Buffer.alloc(REGISTERS_BYTES);
  const set = (at: number, value: bigint) => registers.writeBigUInt64LE(value, at);
  const start = interpreter ?? program;
  set(REG.rip, BigInt(start.base + start.elf.entry));
  set(REG.rsp, BigInt(pointer));
  set(REG.cs, USER_CS);
  set(REG.ss, USER_SS);
  set(REG.eflags, FLAGS_START);
  registers.writeBigInt64LE(-1n, REG.orig_rax);
  const thread = {
    thread: first,
    registers,
    extendedState: Buffer.alloc(0),
    signalMask: 0n,
    pendingSignals: [],
  };
  const setup = {
    thread: first,
    clearChildTid: guestAddress(0),
    robustList: guestAddress(0),
    robustListSize: 0,
    alternateStack: Buffer.alloc(0),
    name: spec.program.split('/').at(-1) ?? '',
  };
  return {
    heap,
    image: {
      context: { pendingSignals: [], threads: [thread] },
      setup: { signalActions: new Map(), threads: [setup] },
      regions: regions.sort((a, b) => a.start - b.start),
      memoryFd: store.fd,
      monotonicNs: 0,
    },
  };
}

function anonymous(start: number, end: number, protection: number, name: string): MemoryRegion {
  return {
    start: guestAddress(start),
    end: guestAddress(end),
    protection,
    shared: false,
    name,
    fileOffset: 0,
    backed: false,
  };
}

/** Puts one ELF file into the store and its mappings into `regions`. */
function place(
  bytes: Buffer | number,
  path: string,
  preferredBase: number,
  store: MemfdStore,
  regions: MemoryRegion[],
): Placed | number {
  if (typeof bytes === 'number') return bytes;
  const elf = parseElf(bytes);
  if (typeof elf === 'number') return elf;
  const base = elf.isRelocatable ? preferredBase : 0;
  let previousEnd = 0;
  for (const segment of elf.segments) {
    const start = roundDown(base + segment.address);
    const end = roundUp(base + segment.address + segment.memoryBytes);
    if (start < previousEnd) return E.ENOEXEC;
    previousEnd = end;
    // The whole first page comes from the file, as a mapping of it would show.
    const lead = base + segment.address - start;
    const from = segment.fileOffset - lead;
    store.write(start, bytes.subarray(from, segment.fileOffset + segment.fileBytes));
    regions.push({
      start: guestAddress(start),
      end: guestAddress(end),
      protection: segment.protection,
      shared: false,
      name: path,
      fileOffset: from,
      backed: true,
    });
  }
  return { base, elf };
}

/** Writes strings and vectors below STACK_TOP; returns the stack pointer, or -E2BIG. */
function buildStack(
  spec: LaunchSpec,
  program: Placed,
  interpreter: Placed | null,
  store: MemfdStore,
  random: Uint8Array,
): number {
  const strings = new Encoder(4096);
  const offsets = (texts: readonly string[]): number[] =>
    texts.map((text) => {
      const at = strings.length;
      strings.raw(Buffer.from(text, 'latin1')).u8(0);
      return at;
    });
  const argv = offsets(spec.argv);
  const env = offsets(spec.env);
  const [execfn = 0, platform = 0] = offsets([spec.program, 'x86_64']);
  const randomAt = strings.length;
  strings.raw(random.subarray(0, 16));
  if (strings.length > STRINGS_BYTES_MAX) return E.E2BIG;
  const stringsAt = roundDown16(STACK_TOP - 16 - strings.length);
  store.write(stringsAt, strings.view());

  const own = ownAuxiliaryVector();
  const auxiliary: [number, number][] = [
    [AT.HWCAP, own.get(AT.HWCAP) ?? 0],
    [AT.HWCAP2, own.get(AT.HWCAP2) ?? 0],
    [AT.MINSIGSTKSZ, own.get(AT.MINSIGSTKSZ) ?? 2048],
    [AT.PAGESZ, PAGE_BYTES],
    [AT.CLKTCK, 100],
    [AT.PHDR, program.base + headersAddress(program.elf)],
    [AT.PHENT, program.elf.headerBytes],
    [AT.PHNUM, program.elf.headerCount],
    [AT.BASE, interpreter?.base ?? 0],
    [AT.FLAGS, 0],
    [AT.ENTRY, program.base + program.elf.entry],
    [AT.UID, 0],
    [AT.EUID, 0],
    [AT.GID, 0],
    [AT.EGID, 0],
    [AT.SECURE, 0],
    [AT.RANDOM, stringsAt + randomAt],
    [AT.EXECFN, stringsAt + execfn],
    [AT.PLATFORM, stringsAt + platform],
    [AT.NULL, 0],
  ];
  const vectors = new Encoder(4096);
  vectors.u53(argv.length);
  for (const at of argv) vectors.u53(stringsAt + at);
  vectors.u53(0);
  for (const at of env) vectors.u53(stringsAt + at);
  vectors.u53(0);
  for (const [type, value] of auxiliary) vectors.u53(type).u53(value);
  const pointer = roundDown16(stringsAt - vectors.length);
  store.write(pointer, vectors.view());
  return pointer;
}

const roundDown16 = (value: number): number => value - (value % 16);

/** What Linux told this process about the processor. */
function ownAuxiliaryVector(): Map<number, number> {
  const bytes = readFileSync('/proc/self/auxv');
  const vector = new Map<number, number>();
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    const type = Number(bytes.readBigUInt64LE(at));
    vector.set(type, Number(bytes.readBigUInt64LE(at + 8) & 0x1f_ffff_ffff_ffffn));
  }
  return vector;
}
