/**
 * Reads ELF programs (elf(5)) and lays them out in a guest's memory, as execve(2) of Linux does.
 * Used to start a guest; files come from the guest's root only.
 */
import { E } from '../../abi/errno.ts';
import { PAGE_BYTES, PROT } from '../../abi/memory.ts';

interface Segment {
  readonly address: number;
  readonly fileOffset: number;
  readonly fileBytes: number;
  readonly memoryBytes: number;
  /** PROT_ bits. */
  readonly protection: number;
}

export interface ElfProgram {
  /** ET_DYN: may be put at any address. */
  readonly isRelocatable: boolean;
  readonly entry: number;
  readonly segments: readonly Segment[];
  /** PT_INTERP. */
  readonly interpreter: string | null;
  readonly headersOffset: number;
  readonly headerCount: number;
  readonly headerBytes: number;
  /** PT_GNU_STACK asks for an executable stack. */
  readonly hasExecutableStack: boolean;
}

const PT = { LOAD: 1, INTERP: 3, PHDR: 6, GNU_STACK: 0x6474_e551 } as const;
const HEADER_BYTES = 64;

export const roundDown = (value: number): number => value - (value % PAGE_BYTES);
export const roundUp = (value: number): number => roundDown(value + PAGE_BYTES - 1);

/** Parses the file's start (with all program headers in it); -ENOEXEC for anything else. */
export function parseElf(bytes: Buffer): ElfProgram | number {
  if (bytes.length < HEADER_BYTES || bytes.readUInt32BE(0) !== 0x7f45_4c46) return E.ENOEXEC;
  const is64LittleEndian = bytes[4] === 2 && bytes[5] === 1;
  const machine = bytes.readUInt16LE(18);
  const type = bytes.readUInt16LE(16);
  if (!is64LittleEndian || machine !== 62 || (type !== 2 && type !== 3)) return E.ENOEXEC;
  const headersOffset = Number(bytes.readBigUInt64LE(32));
  const headerBytes = bytes.readUInt16LE(54);
  const headerCount = bytes.readUInt16LE(56);
  if (headerBytes !== 56 || headersOffset + headerCount * headerBytes > bytes.length) {
    return E.ENOEXEC;
  }
  const segments: Segment[] = [];
  let interpreter: string | null = null;
  let hasExecutableStack = false;
  for (let index = 0; index < headerCount; index += 1) {
    const at = headersOffset + index * headerBytes;
    const kind = bytes.readUInt32LE(at);
    const flags = bytes.readUInt32LE(at + 4);
    const word = (offset: number) => Number(bytes.readBigUInt64LE(at + offset));
    if (kind === PT.LOAD) {
      const protection =
        (flags & 4 ? PROT.READ : 0) | (flags & 2 ? PROT.WRITE : 0) | (flags & 1 ? PROT.EXEC : 0);
      segments.push({
        address: word(16),
        fileOffset: word(8),
        fileBytes: word(32),
        memoryBytes: word(40),
        protection,
      });
    } else if (kind === PT.INTERP) {
      const from = word(8);
      const text = bytes.toString('latin1', from, from + word(32));
      interpreter = text.split('\0', 1)[0] ?? '';
    } else if (kind === PT.GNU_STACK) hasExecutableStack = (flags & 1) !== 0;
  }
  if (segments.length === 0) return E.ENOEXEC;
  return {
    isRelocatable: type === 3,
    entry: Number(bytes.readBigUInt64LE(24)),
    segments,
    interpreter,
    headersOffset,
    headerCount,
    headerBytes,
    hasExecutableStack,
  };
}

/** End of the last segment, page-aligned; addresses are relative to the load base. */
export const elfEnd = (program: ElfProgram): number =>
  roundUp(Math.max(...program.segments.map((segment) => segment.address + segment.memoryBytes)));

/** Where the program headers lie in memory, relative to the load base (AT_PHDR). */
export function headersAddress(program: ElfProgram): number {
  const holder = program.segments.find(
    (segment) =>
      segment.fileOffset <= program.headersOffset &&
      program.headersOffset < segment.fileOffset + segment.fileBytes,
  );
  return holder === undefined ? 0 : holder.address + program.headersOffset - holder.fileOffset;
}
