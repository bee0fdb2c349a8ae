/**
 * Console: where a guest's standard output goes and its standard input comes from. The replica
 * decides what stands behind it (a terminal under `exec`, the supervisor under `run`).
 */
import { E } from '../../abi/errno.ts';
import { READY } from '../../lvm/api.ts';

/** Input that waits for the guest to read it. */
const INPUT_BYTES_MAX = 1 << 20;

export class Console {
  /** Set by the host: READY bits for handle 0. */
  onReady: (events: number) => void = () => {};
  /** Input that the guest took: whoever feeds it may feed so much more. */
  onTaken: (bytes: number) => void = () => {};
  readonly #write: (stream: 1 | 2, bytes: Uint8Array) => number;
  readonly #isConfirmed: boolean;
  readonly #delivered = { 1: 0, 2: 0 };
  #input: Buffer[] = [];
  #inputBytes = 0;
  #isEnded: boolean;

  /**
   * `write` takes released output and says how much of it; without input the guest reads an end.
   * `isConfirmed`: what was taken may be lost with this process until `confirm` says otherwise.
   */
  constructor(
    write: (stream: 1 | 2, bytes: Uint8Array) => number,
    { hasInput, isConfirmed }: { readonly hasInput: boolean; readonly isConfirmed: boolean },
  ) {
    this.#write = write;
    this.#isConfirmed = isConfirmed;
    this.#isEnded = !hasInput;
  }

  write(stream: 1 | 2, bytes: Uint8Array): number {
    const taken = this.#write(stream, bytes);
    if (!this.#isConfirmed && taken > 0) this.#delivered[stream] += taken;
    return taken;
  }

  delivered(stream: 1 | 2): number {
    return this.#delivered[stream];
  }

  /** Of all that was taken of a stream, so many bytes have reached their reader. */
  confirm(stream: 1 | 2, total: number): void {
    if (total <= this.#delivered[stream]) return;
    this.#delivered[stream] = total;
    this.onReady(READY.out);
  }

  /**
   * Input from outside; false when there is too much already (ask again after the guest has read).
   */
  feed(bytes: Buffer, isEnd: boolean): boolean {
    if (this.#inputBytes + bytes.length > INPUT_BYTES_MAX) return false;
    if (bytes.length > 0) this.#input.push(bytes);
    this.#inputBytes += bytes.length;
    this.#isEnded ||= isEnd;
    this.onReady(READY.in);
    return true;
  }

  read(target: Uint8Array): number {
    const [first] = this.#input;
    if (first === undefined) return this.#isEnded ? 0 : E.EAGAIN;
    const count = Math.min(first.length, target.length);
    target.set(first.subarray(0, count), 0);
    this.#inputBytes -= count;
    this.onTaken(count);
    if (count === first.length) this.#input.shift();
    else this.#input[0] = first.subarray(count);
    return count;
  }
}
