/**
 * The skeleton: a program of a few bytes, made here, that every guest process starts as. It waits
 * to be seized; src/guest/skeleton.ts then empties its address space and builds the guest in it,
 * whether from a program or from a checkpoint. All that stays of it is the gate page.
 */

/** Where the gate page lies: the lowest page that Linux lets a process map. */
export const GATE = 0x1_0000;
/** Room for arguments of injected calls, in the second page. */
export const GATE_SCRATCH = GATE + 0x1000;
export const GATE_SCRATCH_BYTES = 0x1000;
/** End of the skeleton: the guest's own memory lies above. */
export const GATE_END = GATE + 0x2000;
/** `syscall; int3`: a call injected here comes back with a SIGTRAP. */
export const GATE_SYSCALL = GATE + 0xf00;

/** A static x86-64 ELF file. */
export function skeletonElf(): Buffer {
  const HEADER = 64;
  const PROGRAM_HEADER = 56;
  const fileBytes = GATE_END - GATE;
  const elf = Buffer.alloc(fileBytes);
  elf.write('\x7fELF\x02\x01\x01', 0, 'latin1');
  elf.writeUInt16LE(2, 16); // ET_EXEC
  elf.writeUInt16LE(62, 18); // EM_X86_64
  elf.writeUInt32LE(1, 20);
  const entry = 0x200;
  elf.writeBigUInt64LE(BigInt(GATE + entry), 24);
  elf.writeBigUInt64LE(BigInt(HEADER), 32); // program headers
  elf.writeUInt16LE(HEADER, 52);
  elf.writeUInt16LE(PROGRAM_HEADER, 54);
  elf.writeUInt16LE(1, 56);
  elf.writeUInt32LE(1, HEADER); // PT_LOAD
  elf.writeUInt32LE(5, HEADER + 4); // read, execute
  elf.writeBigUInt64LE(0n, HEADER + 8);
  elf.writeBigUInt64LE(BigInt(GATE), HEADER + 16);
  elf.writeBigUInt64LE(BigInt(GATE), HEADER + 24);
  elf.writeBigUInt64LE(BigInt(fileBytes), HEADER + 32);
  elf.writeBigUInt64LE(BigInt(fileBytes), HEADER + 40);
  elf.writeBigUInt64LE(0x1000n, HEADER + 48);
  // pause() for ever: mov eax, 34; syscall; jmp -9
  Buffer.from([0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7]).copy(elf, entry);
  Buffer.from([0x0f, 0x05, 0xcc]).copy(elf, GATE_SYSCALL - GATE);
  return elf;
}
