/** Small files that look like programs and aren't ours to run. */

/** The start of an ELF file for another machine or word size, padded to a page. */
export function elfHeader(options: { readonly machine: number; readonly bits: 32 | 64 }): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.write('\x7fELF', 'latin1');
  bytes[4] = options.bits === 64 ? 2 : 1;
  bytes[5] = 1;
  bytes[6] = 1;
  bytes.writeUInt16LE(2, 16);
  bytes.writeUInt16LE(options.machine, 18);
  bytes.writeUInt32LE(1, 20);
  if (options.bits === 64) {
    bytes.writeBigUInt64LE(0x40_0000n, 24);
    bytes.writeUInt16LE(64, 52);
  } else {
    bytes.writeUInt32LE(0x40_0000, 24);
    bytes.writeUInt16LE(52, 40);
  }
  return bytes;
}

export const MACHINE = { i386: 3, arm: 40, x86_64: 62, aarch64: 183, riscv: 243 } as const;
