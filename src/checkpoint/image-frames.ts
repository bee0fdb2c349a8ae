/**
 * An image as a stream of frames of bounded size, from which `Image.apply` makes an equal one: a
 * whole frame with everything small, then chunks of records, then chunks of pages. Used by the
 * checkpoint file and to bring another member to this image's state. The image must not change
 * meanwhile. `RecordChunks` also serves a join-base whose library OS is too big for one frame.
 */
import type { Epoch } from '../base/ids.ts';
import type { RecordSink } from '../lvm/api.ts';
import { DeltaHistory } from './delta-history.ts';
import { DeltaWriter, NO_PARENT, type SealedDelta } from './delta-writer.ts';
import { FLAG } from './format.ts';
import type { Image } from './image.ts';
import { JoinTransfer } from './join.ts';
import { FILE_CHUNK_BYTES } from './limits.ts';
import type { SlabPool } from './slab.ts';

/** Takes one frame; it must release it. */
export type FrameTaker = (frame: SealedDelta) => void;

/** A sink for records that emits a chunk whenever enough have come. */
export class RecordChunks implements RecordSink {
  readonly #writer: DeltaWriter;
  readonly #base: Epoch;
  readonly #emit: FrameTaker;
  #sequence = 0;

  /** Chunks belong to the base of epoch `base` and come right behind it, before any delta. */
  constructor(pool: SlabPool, base: Epoch, emit: FrameTaker) {
    this.#writer = new DeltaWriter(pool);
    this.#base = base;
    this.#emit = emit;
  }

  put(object: number, part: number, bytes: Uint8Array): void {
    this.#begun().put(object, part, bytes);
    if (this.#writer.sizeBytes >= FILE_CHUNK_BYTES) this.#flush();
  }

  remove(object: number, part: number): void {
    this.#begun().remove(object, part);
  }

  removeObject(object: number): void {
    this.#begun().removeObject(object);
  }

  /** Drops what was not emitted. */
  abandon(): void {
    this.#writer.abandon();
  }

  /** Emits what is left; returns the number of chunks, which is the first sequence of the pages. */
  end(): number {
    if (this.#writer.isOpen) this.#flush();
    return this.#sequence;
  }

  #begun(): DeltaWriter {
    if (!this.#writer.isOpen) {
      this.#writer.begin('chunk', this.#base, NO_PARENT, { sequence: this.#sequence });
    }
    return this.#writer;
  }

  #flush(): void {
    this.#sequence += 1;
    this.#emit(this.#writer.seal());
  }
}

/** Hands all frames of a complete image to `emit`, one at a time. */
export function imageFrames(image: Image, pool: SlabPool, emit: FrameTaker): void {
  emit(headFrame(image, pool));
  const records = new RecordChunks(pool, image.epoch, emit);
  const source = image.recordSource();
  try {
    for (const object of source.objects()) {
      for (const part of source.parts(object)) {
        const bytes = source.get(object, part);
        if (bytes !== null) records.put(object, part, bytes);
      }
    }
  } catch (error) {
    records.abandon();
    throw error;
  }
  const transfer = new JoinTransfer(
    {
      populatedPages: (region, visit) => image.pages.populated(region.start, region.end, visit),
      pageRead(address, target) {
        image.pages.read(address, target);
        return target.length;
      },
    },
    pool,
    {
      base: image.epoch,
      regions: image.regions,
      firstSequence: records.end(),
      chunkBytes: FILE_CHUNK_BYTES,
    },
  );
  for (let chunk = transfer.next(); chunk !== null; chunk = transfer.next()) emit(chunk);
}

function headFrame(image: Image, pool: SlabPool): SealedDelta {
  const { context, setup, regions } = image.guestImage();
  const writer = new DeltaWriter(pool);
  const history = new DeltaHistory();
  writer.begin('whole', image.epoch, NO_PARENT, { flags: FLAG.more });
  writer.clock(image.clocks.monotonicNs, image.clocks.realtimeNs);
  writer.process(context, history);
  writer.setup(setup, history);
  writer.regions(regions);
  for (const [handle, bytes] of image.handles) writer.handlePut(handle, bytes);
  for (const { stream, offset, bytes } of image.console.held()) {
    writer.consoleReleased(stream, offset);
    if (bytes.length > 0) writer.console(stream, offset, bytes);
  }
  for (const [name, bytes] of image.extras) writer.extra(name, bytes);
  return writer.seal();
}
