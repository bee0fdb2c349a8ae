/**
 * SimConsole: captured output and fed input of a simulated guest. Used by SimHost.
 */
import { E } from '../../abi/errno.ts';
import { READY } from '../../lvm/api.ts';
import { ByteQueue } from './byte-queue.ts';

/** More than any test prints; a guest in a loop must not fill the memory. */
const CAPTURE_BYTES_MAX = 16 * 1024 * 1024;
const INPUT_BYTES_MAX = 1024 * 1024;

export class SimConsole {
  readonly #output = new Map<1 | 2, ByteQueue>([
    [1, new ByteQueue(CAPTURE_BYTES_MAX)],
    [2, new ByteQueue(CAPTURE_BYTES_MAX)],
  ]);
  readonly #input = new ByteQueue(INPUT_BYTES_MAX);
  readonly #taken = { 1: 0, 2: 0 };
  #isInputEnded = false;
  #wantsRoom = false;

  #of(stream: 1 | 2): ByteQueue {
    return this.#output.get(stream) as ByteQueue;
  }

  write(stream: 1 | 2, source: Uint8Array): number {
    if (source.length === 0) return 0;
    const count = this.#of(stream).put(source);
    this.#taken[stream] += count;
    if (count < source.length) this.#wantsRoom = true;
    return count === 0 ? E.EAGAIN : count;
  }

  /** What is captured is safe: the test has it. */
  delivered(stream: 1 | 2): number {
    return this.#taken[stream];
  }

  read(target: Uint8Array): number {
    if (target.length === 0) return 0;
    const count = this.#input.take(target);
    return count > 0 || this.#isInputEnded ? count : E.EAGAIN;
  }

  /** Takes what was captured; true in `freed` if someone waits for the room. */
  take(stream: 1 | 2): { readonly bytes: Buffer; readonly freed: boolean } {
    const bytes = this.#of(stream).takeAll();
    const freed = bytes.length > 0 && this.#wantsRoom;
    if (freed) this.#wantsRoom = false;
    return { bytes, freed };
  }

  limit(stream: 1 | 2, sizeBytes: number): void {
    this.#of(stream).limitBytes = sizeBytes;
  }

  /** Returns the bytes for which there was room. */
  feed(bytes: Uint8Array): number {
    return this.#input.put(bytes);
  }

  endInput(): void {
    this.#isInputEnded = true;
  }

  readyBits(): number {
    const isReadable = this.#input.sizeBytes > 0 || this.#isInputEnded;
    const isWritable = this.#of(1).roomBytes > 0 && this.#of(2).roomBytes > 0;
    return (isReadable ? READY.in : 0) | (isWritable ? READY.out : 0);
  }
}
