/**
 * BackupState: what a replica that does not run the guest has of it: an image, which holds what is
 * chosen, and a log of the complete deltas after it. Used by replica.ts, as the machine says.
 */
import { present } from '../base/assert.ts';
import type { FaultPlan } from '../base/fault-points.ts';
import type { Epoch } from '../base/ids.ts';
import type { DeltaReader } from '../checkpoint/delta-reader.ts';
import { Image } from '../checkpoint/image.ts';
import { MemfdStore } from '../host/linux/memfd-store.ts';

interface LoggedDelta {
  readonly reader: DeltaReader;
  /** The checkpoint frame as it came, to be shipped on to a member that misses it. */
  readonly frame: Buffer;
}

export class BackupState {
  readonly store = new MemfdStore();
  readonly image: Image = new Image(this.store);
  readonly #log = new Map<number, LoggedDelta>();
  readonly #faults: FaultPlan;

  constructor(faults: FaultPlan) {
    this.#faults = faults;
  }

  /** A frame of a transfer, in stream order. True: with it the state is whole. */
  receive(reader: DeltaReader): boolean {
    this.#faults.at('during-join');
    this.image.apply(reader);
    return this.image.stage === 'complete';
  }

  /** A delta that the machine took. */
  append(epoch: Epoch, reader: DeltaReader, frame: Buffer): void {
    this.#log.set(epoch, { reader, frame });
  }

  /** The frame of a delta in the log. */
  frame(epoch: Epoch): Buffer {
    return present(this.#log.get(epoch), `delta ${epoch} in the log`).frame;
  }

  truncate(after: Epoch): void {
    for (const epoch of this.#log.keys()) if (epoch > after) this.#log.delete(epoch);
  }

  /** Puts the log up to and with `upTo` into the image. */
  apply(from: Epoch, upTo: Epoch): void {
    for (let next = from + 1; next <= upTo; next += 1) {
      const { reader } = present(this.#log.get(next), `delta ${next} in the log`);
      this.#faults.at('during-apply');
      this.image.apply(reader);
      this.#log.delete(next);
    }
  }

  /** The state is of no more use: another transfer begins. */
  close(): void {
    this.store.close();
  }
}
