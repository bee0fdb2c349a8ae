/** Small ELF files for tests, right or wrong in one way each. Imported by tests only. */

interface Crafted {
  readonly elfClass?: number;
  readonly data?: number;
  readonly type?: number;
  readonly machine?: number;
  readonly interpreter?: string | null;
  readonly load?: boolean;
}

/** A small ELF file: header, two program headers, the interpreter's path. */
export function craftElf(options: Crafted = {}): Buffer {
  const { interpreter = '/lib64/ld-linux-x86-64.so.2', load = true } = options;
  const bytes = Buffer.alloc(64 + 2 * 56 + 64);
  bytes.write('\x7fELF', 0, 'latin1');
  bytes[4] = options.elfClass ?? 2;
  bytes[5] = options.data ?? 1;
  bytes[6] = 1;
  bytes.writeUInt16LE(options.type ?? 3, 16);
  bytes.writeUInt16LE(options.machine ?? 62, 18);
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(2, 56);
  if (load) bytes.writeUInt32LE(1, 64);
  if (interpreter !== null) {
    bytes.writeUInt32LE(3, 64 + 56);
    bytes.writeBigUInt64LE(176n, 64 + 56 + 8);
    bytes.writeBigUInt64LE(BigInt(interpreter.length + 1), 64 + 56 + 32);
    bytes.write(interpreter, 176, 'latin1');
  }
  return bytes;
}
