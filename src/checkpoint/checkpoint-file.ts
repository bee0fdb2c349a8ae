/**
 * Checkpoint files: frames one after the other and a trailer that counts them, so that one is
 * written and read in bounded memory and a cut is noticed. Written beside the name, synced and
 * renamed: under the name there is a whole file or what was there before. Used by `tardigrade
 * checkpoint`, `restore` and inspect. The frames are those of a stream to a joiner, so a running
 * guest can be written too.
 */
import { crc32 } from 'node:zlib';
import { assert, present } from '../base/assert.ts';
import { TardigradeError } from '../base/errors.ts';
import { type Epoch, epoch } from '../base/ids.ts';
import { DeltaReader } from './delta-reader.ts';
import { DeltaWriter, NO_PARENT } from './delta-writer.ts';
import type { CheckpointFiles } from './files.ts';
import { decodeHeader, formatError, HEADER_BYTES, OTHER_VERSION } from './format.ts';
import type { Image } from './image.ts';
import { imageFrames } from './image-frames.ts';
import { FILE_FRAMES_MAX } from './limits.ts';
import type { SlabPool } from './slab.ts';

/** Where the CRC stands in a frame; the trailer has the CRC-32 of these of all frames. */
const CRC_FROM = 12;
const CRC_END = 16;

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Writes one file: `append` each frame, then `commit`; or `abort`, which leaves nothing. */
export class CheckpointFileWriter {
  readonly #files: CheckpointFiles;
  readonly #path: string;
  readonly #temporary: string;
  #fd: number | null = null;
  #sizeBytes = 0;
  #frameCount = 0;
  #crcOfCrcs = 0;
  #epoch: Epoch = epoch(0);

  constructor(files: CheckpointFiles, path: string) {
    this.#files = files;
    this.#path = path;
    this.#temporary = files.temporaryPath(path);
    this.#try(() => {
      this.#fd = files.create(this.#temporary);
    });
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** A finished frame: a base first, then what a joiner would get. */
  append(frame: Buffer): void {
    this.#epoch = decodeHeader(frame).epoch;
    this.#crcOfCrcs = crc32(frame.subarray(CRC_FROM, CRC_END), this.#crcOfCrcs);
    this.#frameCount += 1;
    this.#try(() => {
      assert(this.#frameCount < FILE_FRAMES_MAX, 'frames of a file are bounded');
      this.#write(frame);
    });
  }

  /** Ends the file and gives it its name. */
  commit(pool: SlabPool): void {
    const writer = new DeltaWriter(pool);
    writer.begin('trailer', this.#epoch, NO_PARENT, { sequence: this.#frameCount });
    writer.fileEnd(this.#frameCount, this.#sizeBytes, this.#crcOfCrcs);
    const trailer = writer.seal();
    try {
      this.#try(() => {
        const fd = present(this.#fd, 'open file');
        this.#write(trailer.finish());
        this.#files.sync(fd);
        this.#fd = null;
        this.#files.close(fd);
        this.#files.rename(this.#temporary, this.#path);
      });
    } finally {
      trailer.release();
    }
    try {
      this.#files.syncFolder(this.#path);
    } catch {
      // The file is whole under its name; some file systems don't sync folders.
    }
  }

  /** Removes what was written. Harmless when there is nothing. */
  abort(): void {
    if (this.#fd !== null) {
      const fd = this.#fd;
      this.#fd = null;
      quietly(() => this.#files.close(fd));
    }
    quietly(() => this.#files.remove(this.#temporary));
  }

  #write(bytes: Buffer): void {
    const fd = present(this.#fd, 'open file');
    for (let at = 0; at < bytes.length; ) {
      const count = this.#files.write(fd, bytes.subarray(at));
      if (count <= 0) throw new Error('nothing could be written');
      at += count;
    }
    this.#sizeBytes += bytes.length;
  }

  #try(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.abort();
      throw new TardigradeError(
        'service',
        `the checkpoint could not be written to ${this.#path}: ${textOf(error)}`,
        'nothing of it was left there; make room or name another file',
        error,
      );
    }
  }
}

function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // The error that led here is the one to report.
  }
}

/** Writes a complete image to `path`; returns the size. The image must not change meanwhile. */
export function writeCheckpoint(
  files: CheckpointFiles,
  path: string,
  image: Image,
  pool: SlabPool,
): number {
  const writer = new CheckpointFileWriter(files, path);
  try {
    imageFrames(image, pool, (frame) => {
      try {
        writer.append(frame.finish());
      } finally {
        frame.release();
      }
    });
  } catch (error) {
    writer.abort();
    throw error;
  }
  writer.commit(pool);
  return writer.sizeBytes;
}

/** Where a frame stands in its file. */
export interface FramePlace {
  readonly index: number;
  readonly offset: number;
}

/**
 * Checks a file frame by frame and hands each but the trailer to `visit`; a frame's memory is
 * reused for the next. Whatever is wrong, with the file or in `visit`, is thrown with its place.
 */
export function readFrames(
  files: CheckpointFiles,
  path: string,
  visit: (frame: DeltaReader, place: FramePlace) => void,
): void {
  let fd: number;
  try {
    fd = files.openRead(path);
  } catch (error) {
    throw unreadable(path, error);
  }
  try {
    new FileScan(files, fd, path).run(visit);
  } finally {
    files.close(fd);
  }
}

function unreadable(path: string, error: unknown): TardigradeError {
  const remedy = 'name a checkpoint file that this user may read';
  return new TardigradeError('usage', `can't read ${path}: ${textOf(error)}`, remedy, error);
}

class FileScan {
  readonly #files: CheckpointFiles;
  readonly #fd: number;
  readonly #path: string;
  readonly #sizeBytes: number;
  #memory = Buffer.allocUnsafeSlow(64 * 1024);

  constructor(files: CheckpointFiles, fd: number, path: string) {
    this.#files = files;
    this.#fd = fd;
    this.#path = path;
    try {
      this.#sizeBytes = files.size(fd);
    } catch (error) {
      throw unreadable(path, error);
    }
  }

  run(visit: (frame: DeltaReader, place: FramePlace) => void): void {
    let offset = 0;
    let crcOfCrcs = 0;
    for (let index = 0; index < FILE_FRAMES_MAX; index += 1) {
      const place = { index, offset };
      const bytes = this.#at(place, () => this.#frame(place));
      const isEnd = this.#at(place, () => {
        const frame = DeltaReader.open(bytes);
        if (frame.header.kind !== 'trailer') {
          visit(frame, place);
          return false;
        }
        this.#checkEnd(frame, place, crcOfCrcs);
        return true;
      });
      if (isEnd) return;
      crcOfCrcs = crc32(bytes.subarray(CRC_FROM, CRC_END), crcOfCrcs);
      offset += bytes.length;
    }
    throw formatError(`${this.#path}: more than ${FILE_FRAMES_MAX} frames`);
  }

  /** Adds the place to whatever format error comes. */
  #at<T>(place: FramePlace, action: () => T): T {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof TardigradeError) || error.code !== 'format') throw error;
      const where = `${this.#path}: frame ${place.index} at offset ${place.offset}`;
      const isOther = error.remedy === OTHER_VERSION;
      const remedy = isOther ? OTHER_VERSION : 'use another checkpoint file';
      throw formatError(`${where}: ${error.message}`, remedy, error);
    }
  }

  #frame({ offset }: FramePlace): Buffer {
    const left = this.#sizeBytes - offset;
    if (left === 0 && offset > 0) throw formatError('the file is cut off: its trailer is missing');
    if (left < HEADER_BYTES) throw formatError(`the file is cut off at ${this.#sizeBytes}`);
    this.#read(this.#memory.subarray(0, HEADER_BYTES), offset);
    const { sizeBytes } = decodeHeader(this.#memory.subarray(0, HEADER_BYTES));
    if (sizeBytes > left) {
      throw formatError(`the file is cut off at ${this.#sizeBytes}: ${sizeBytes} bytes were due`);
    }
    if (sizeBytes > this.#memory.length) this.#memory = Buffer.allocUnsafeSlow(sizeBytes);
    const frame = this.#memory.subarray(0, sizeBytes);
    this.#read(frame, offset);
    return frame;
  }

  #read(target: Buffer, offset: number): void {
    for (let at = 0; at < target.length; ) {
      let count = 0;
      try {
        count = this.#files.read(this.#fd, target.subarray(at), offset + at);
      } catch (error) {
        throw unreadable(this.#path, error);
      }
      if (count <= 0) throw formatError(`the file was cut off at ${offset + at} while being read`);
      at += count;
    }
  }

  #checkEnd(trailer: DeltaReader, { index, offset }: FramePlace, crcOfCrcs: number): void {
    const end = present(trailer.fileEnd, 'end of a trailer');
    if (end.frameCount !== index || end.sizeBytes !== offset || end.crcOfCrcs !== crcOfCrcs) {
      throw formatError(
        `the trailer ends ${end.frameCount} frames in ${end.sizeBytes} bytes, not those before it`,
      );
    }
    const after = this.#sizeBytes - offset - trailer.header.sizeBytes;
    if (after !== 0) throw formatError(`${after} bytes follow the trailer`);
  }
}

/** Brings an empty image to the state in a file. If it fails the image is of no use. */
export function readCheckpoint(files: CheckpointFiles, path: string, image: Image): void {
  readFrames(files, path, (frame) => image.apply(frame));
  if (image.stage !== 'complete') {
    throw formatError(`${path}: the state in it is incomplete`, 'use another checkpoint file');
  }
}
