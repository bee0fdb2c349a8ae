/**
 * Whether a file is a program that can be run here: the ELF header, and the loader that it names.
 * Pure: looks at the first bytes that it is given and believes none of them.
 */

const EM_X86_64 = 62;
const ET_EXEC = 2;
const ET_DYN = 3;
const PT_LOAD = 1;
const PT_INTERP = 3;
const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
/** The kernel's limit: one page of program headers. */
const PROGRAM_HEADERS_BYTES_MAX = 4096;
const INTERPRETER_BYTES_MAX = 4096;

/** Of asm names that people have met. */
const MACHINES: ReadonlyMap<number, string> = new Map([
  [2, 'SPARC'],
  [3, 'x86 (32 bits)'],
  [8, 'MIPS'],
  [20, 'PowerPC (32 bits)'],
  [21, 'PowerPC (64 bits)'],
  [22, 'S/390'],
  [40, 'ARM (32 bits)'],
  [43, 'SPARC (64 bits)'],
  [183, 'arm64'],
  [243, 'RISC-V'],
  [258, 'LoongArch'],
]);

const TYPES: ReadonlyMap<number, string> = new Map([
  [1, 'an object file, to be linked first'],
  [4, 'a core dump'],
]);

export type ElfCheck =
  | { readonly kind: 'not-elf' }
  /** `why` continues "NAME ...". */
  | { readonly kind: 'refused'; readonly why: string }
  /** `interpreter` is the loader's path in the root, null for a static program. */
  | { readonly kind: 'program'; readonly interpreter: string | null };

/** Reads up to `size` bytes of the file from `offset`; fewer where it ends. */
export type ReadAt = (offset: number, size: number) => Buffer;

const refused = (why: string): ElfCheck => ({ kind: 'refused', why });

/** Checks a file as execve(2) would, and that it is for this machine. */
export function checkElf(readAt: ReadAt): ElfCheck {
  const header = readAt(0, HEADER_BYTES);
  if (header.length < 4 || header.toString('latin1', 0, 4) !== '\x7fELF') {
    return { kind: 'not-elf' };
  }
  if (header.length < HEADER_BYTES && header[4] !== 1) return refused('is cut off');
  const machine = header.length >= 20 ? header.readUInt16LE(18) : 0;
  if (header[5] === 2) return refused('is for a big-endian machine, this one is x86-64');
  if (header[4] === 1) {
    const name = MACHINES.get(machine) ?? 'a 32-bit machine';
    return refused(`is a 32-bit program (${name}), and only x86-64 programs are run`);
  }
  if (machine !== EM_X86_64) {
    const name = MACHINES.get(machine) ?? `machine number ${machine}`;
    return refused(`is a program of another architecture (${name}), this machine is x86-64`);
  }
  const type = header.readUInt16LE(16);
  if (type !== ET_EXEC && type !== ET_DYN) {
    return refused(`is ${TYPES.get(type) ?? `an ELF file of type ${type}`}, not a program`);
  }
  return checkProgramHeaders(header, readAt);
}

function checkProgramHeaders(header: Buffer, readAt: ReadAt): ElfCheck {
  const offset = header.readBigUInt64LE(32);
  const size = header.readUInt16LE(54);
  const count = header.readUInt16LE(56);
  if (size !== PROGRAM_HEADER_BYTES || count === 0) return refused('has no program headers');
  if (count * size > PROGRAM_HEADERS_BYTES_MAX || offset > BigInt(Number.MAX_SAFE_INTEGER)) {
    return refused('has damaged program headers');
  }
  const table = readAt(Number(offset), count * size);
  if (table.length < count * size) return refused('is cut off');
  let isLoaded = false;
  let interpreter: string | null = null;
  for (let at = 0; at < table.length; at += size) {
    const type = table.readUInt32LE(at);
    if (type === PT_LOAD) isLoaded = true;
    if (type !== PT_INTERP || interpreter !== null) continue;
    interpreter = interpreterAt(table.subarray(at, at + size), readAt);
    if (interpreter === null) return refused('names no proper loader (PT_INTERP)');
  }
  return isLoaded ? { kind: 'program', interpreter } : refused('has nothing to load');
}

/** The path in a PT_INTERP segment, or null when it is not an absolute path. */
function interpreterAt(header: Buffer, readAt: ReadAt): string | null {
  const offset = header.readBigUInt64LE(8);
  const size = header.readBigUInt64LE(32);
  if (offset > BigInt(Number.MAX_SAFE_INTEGER) || size < 2n || size > INTERPRETER_BYTES_MAX) {
    return null;
  }
  const bytes = readAt(Number(offset), Number(size));
  if (bytes.length < Number(size) || bytes.at(-1) !== 0) return null;
  const path = bytes.toString('latin1', 0, bytes.indexOf(0));
  return path.startsWith('/') ? path : null;
}

/** The `#!` line of a script: the interpreter and its one optional argument, as Linux splits it. */
export interface ScriptLine {
  readonly interpreter: string;
  readonly argument: string | null;
}

/** BINPRM_BUF_SIZE: what of a file the kernel looks at. */
export const SCRIPT_LINE_BYTES_MAX = 256;

/** Null when it is no script; an empty interpreter when the line names none. */
export function parseScript(head: Buffer): ScriptLine | null {
  if (head.length < 2 || head.toString('latin1', 0, 2) !== '#!') return null;
  const end = head.indexOf('\n');
  const line = head.toString('latin1', 2, end < 0 ? Math.min(head.length, 256) : end);
  const text = line.replace(/^[ \t]+|[ \t]+$/g, '');
  const at = text.search(/[ \t]/);
  if (at < 0) return { interpreter: text, argument: null };
  return { interpreter: text.slice(0, at), argument: text.slice(at).replace(/^[ \t]+/, '') };
}
