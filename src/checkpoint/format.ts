/**
 * The frame: the one envelope of deltas, whole checkpoints, transfers and checkpoint files.
 * All integers are little-endian. docs/checkpoint-format.md describes the sections.
 *
 *   offset  size
 *   +------+-----+----------------------------------------------------------------------+
 *   |   0  |  8  | magic 89 'T' 'G' 'D' 0d 0a 1a 0a (shows transfers that change text)   |
 *   |   8  |  2  | format version                                                       |
 *   |  10  |  2  | 0                                                                    |
 *   |  12  |  4  | CRC-32 of everything from offset 16 to the end of the frame           |
 *   |  16  |  1  | kind: 1 delta, 2 whole, 3 join-base, 4 chunk, 5 trailer               |
 *   |  17  |  3  | 0                                                                    |
 *   |  20  |  4  | flags: 1 chunks follow, 2 last chunk                                  |
 *   |  24  |  8  | epoch that the frame brings the image to                              |
 *   |  32  |  8  | parent epoch: what the image must hold before (0: nothing)            |
 *   |  40  |  8  | size of the frame in bytes, header included                           |
 *   |  48  |  4  | sequence: number of the chunk; frames before it, in a trailer         |
 *   |  52  |  4  | number of sections                                                   |
 *   |  56  |  8  | 0                                                                    |
 *   +------+-----+----------------------------------------------------------------------+
 *   |  64  |  8  | section: tag u16, 0 u16, size of what follows u32                     |
 *   |  72  |  .. | its content                                                          |
 *   |  ..  |  .. | the next section, with nothing between                                |
 *   +------+-----+----------------------------------------------------------------------+
 *
 * Used by the writers and readers in this folder and by the transport, which asks `decodeHeader`
 * how much to receive. Must not know what sections hold.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../base/assert.ts';
import { DecodeError } from '../base/codec.ts';
import { TardigradeError } from '../base/errors.ts';
import { type Epoch, epoch } from '../base/ids.ts';
import { CHUNK_BYTES_MAX, FRAME_BYTES_MAX } from './limits.ts';

const MAGIC: Buffer = Buffer.from('895447440d0a1a0a', 'hex');
/** Its own number, not the program's; a change of any layout here or in a section changes it. */
export const FORMAT_VERSION = 1;
export const HEADER_BYTES = 64;
export const SECTION_HEADER_BYTES = 8;

const CRC_AT = 12;
const COVERED_FROM = 16;

/**
 * delta: what changed since the parent. whole: everything, or everything that doesn't come in the
 * chunks behind it. join-base: everything but the pages, of a guest that runs on. chunk: pages and
 * records of either. trailer: ends a checkpoint file.
 */
export type FrameKind = 'delta' | 'whole' | 'join-base' | 'chunk' | 'trailer';

const KINDS: readonly (FrameKind | null)[] = [
  null,
  'delta',
  'whole',
  'join-base',
  'chunk',
  'trailer',
];

export const FLAG = {
  /** whole, join-base: chunks follow, and the image is not complete before them. */
  more: 1,
  /** chunk: the last one. */
  last: 2,
} as const;

/** Tags of sections. A number once used is never given to another. */
export const TAG = {
  clock: 1,
  process: 2,
  context: 3,
  setup: 4,
  regions: 5,
  removed: 6,
  pages: 7,
  records: 8,
  handles: 9,
  console: 10,
  consoleReleased: 11,
  extra: 12,
  fileEnd: 13,
} as const;

export interface FrameHeader {
  readonly kind: FrameKind;
  readonly flags: number;
  readonly epoch: Epoch;
  readonly parent: Epoch;
  readonly sizeBytes: number;
  readonly sequence: number;
  readonly sectionCount: number;
  readonly crc: number;
}

const DAMAGED = 'it was damaged on its way or on disk: use another copy';

/** Remedy for what another version wrote. */
export const OTHER_VERSION = 'use the version of tardigrade that wrote it';

/** `what` is wrong with bytes that should have been a frame or file. */
export function formatError(what: string, remedy = DAMAGED, cause?: unknown): TardigradeError {
  return new TardigradeError('format', what, remedy, cause);
}

/** Runs `decode`; what it finds wrong comes out as a format error. */
export function asFormat<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof DecodeError)
      throw formatError(`${what}: ${error.message}`, DAMAGED, error);
    throw error;
  }
}

/** The most that a frame of this kind can have. */
function frameBytesMax(kind: FrameKind): number {
  return kind === 'chunk' || kind === 'trailer' ? CHUNK_BYTES_MAX : FRAME_BYTES_MAX;
}

function writeU53(bytes: Buffer, value: number, at: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, `u53 can't hold ${value}`);
  bytes.writeUInt32LE(value % 2 ** 32, at);
  bytes.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

function readU53(bytes: Buffer, at: number, what: string): number {
  const high = bytes.readUInt32LE(at + 4);
  if (high > 0x1f_ffff) throw new DecodeError(`${what} is above 2^53`);
  return high * 2 ** 32 + bytes.readUInt32LE(at);
}

/** Writes all of a header but the CRC, which `stampFrame` adds. */
export function writeHeader(bytes: Buffer, header: Omit<FrameHeader, 'crc'>): void {
  bytes.fill(0, 0, HEADER_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt16LE(FORMAT_VERSION, 8);
  bytes[16] = KINDS.indexOf(header.kind);
  bytes.writeUInt32LE(header.flags, 20);
  writeU53(bytes, header.epoch, 24);
  writeU53(bytes, header.parent, 32);
  writeU53(bytes, header.sizeBytes, 40);
  bytes.writeUInt32LE(header.sequence, 48);
  bytes.writeUInt32LE(header.sectionCount, 52);
}

/**
 * Adds the CRC to a frame that is otherwise complete; any thread that shares the bytes may do it.
 */
export function stampFrame(frame: Buffer): Buffer {
  frame.writeUInt32LE(crc32(frame.subarray(COVERED_FROM)), CRC_AT);
  return frame;
}

/**
 * Reads a header, of which at least HEADER_BYTES must be there, and checks it by itself: who reads
 * a stream learns from it how much to wait for, never more than the kind's limit.
 */
export function decodeHeader(bytes: Buffer): FrameHeader {
  return asFormat('frame header', () => parseHeader(bytes));
}

function parseHeader(bytes: Buffer): FrameHeader {
  const magicBytes = Math.min(bytes.length, MAGIC.length);
  if (!bytes.subarray(0, magicBytes).equals(MAGIC.subarray(0, magicBytes))) {
    throw formatError('this is not a tardigrade checkpoint or delta', 'check what was given');
  }
  if (bytes.length < HEADER_BYTES) {
    throw new DecodeError(`${HEADER_BYTES} bytes wanted, ${bytes.length} left`);
  }
  const version = bytes.readUInt16LE(8);
  if (version !== FORMAT_VERSION) {
    throw formatError(
      `this has version ${version} of the checkpoint format, only ${FORMAT_VERSION} is known here`,
      OTHER_VERSION,
    );
  }
  const kind = KINDS[bytes[16] as number] ?? null;
  if (kind === null) throw new DecodeError(`kind ${bytes[16]} is unknown`);
  const reserved = [10, 17, 18, 19, 56, 57, 58, 59, 60, 61, 62, 63];
  if (bytes[11] !== 0 || reserved.some((at) => bytes[at] !== 0)) {
    throw new DecodeError('reserved bytes are not 0');
  }
  const flags = bytes.readUInt32LE(20);
  if ((flags & ~(FLAG.more | FLAG.last)) !== 0) throw new DecodeError(`flags ${flags} are unknown`);
  const sizeBytes = readU53(bytes, 40, 'the size');
  if (sizeBytes < HEADER_BYTES || sizeBytes > frameBytesMax(kind)) {
    throw new DecodeError(`a ${kind} frame can't have ${sizeBytes} bytes`);
  }
  return {
    kind,
    flags,
    epoch: epoch(readU53(bytes, 24, 'the epoch')),
    parent: epoch(readU53(bytes, 32, 'the parent epoch')),
    sizeBytes,
    sequence: bytes.readUInt32LE(48),
    sectionCount: bytes.readUInt32LE(52),
    crc: bytes.readUInt32LE(CRC_AT),
  };
}

/** Reads the header of exactly one frame and checks its size and CRC. */
export function checkFrame(frame: Buffer): FrameHeader {
  const header = decodeHeader(frame);
  if (frame.length !== header.sizeBytes) {
    throw formatError(`the frame has ${frame.length} of ${header.sizeBytes} bytes`);
  }
  const crc = crc32(frame.subarray(COVERED_FROM));
  if (crc !== header.crc) {
    throw formatError(`the frame's CRC is ${hex(crc)}, not ${hex(header.crc)} as it says`);
  }
  return header;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}
