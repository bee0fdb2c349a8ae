/**
 * DeltaHistory: what the last delta of a stream said of threads and setup, so that the next one
 * leaves out what is the same. One a stream: the checkpointer keeps one for its deltas and uses a
 * fresh one for a frame that must hold everything. To be cleared when a delta that used it is not
 * sent.
 */
import type { ThreadContext } from '../lvm/api.ts';

interface Known {
  readonly registers: Buffer;
  readonly extendedState: Buffer;
  signalMask: bigint;
  pendingSignals: Buffer;
}

function matches(known: Buffer, bytes: Uint8Array): boolean {
  return known.length === bytes.length && known.compare(bytes) === 0;
}

export class DeltaHistory {
  readonly #threads = new Map<number, Known>();
  #setup: Buffer | null = null;

  /** Forgets all: the next delta holds everything. Always safe. */
  clear(): void {
    this.#threads.clear();
    this.#setup = null;
  }

  /** Whether a thread's context differs from that in the last delta, which it then is. */
  takeContext(context: ThreadContext): boolean {
    const known = this.#threads.get(context.thread);
    const pending = context.pendingSignals;
    if (
      known !== undefined &&
      known.signalMask === context.signalMask &&
      matches(known.registers, context.registers) &&
      matches(known.extendedState, context.extendedState) &&
      (pending.length === 0
        ? known.pendingSignals.length === 0
        : matches(known.pendingSignals, Buffer.concat(pending)))
    ) {
      return false;
    }
    this.#remember(context, known);
    return true;
  }

  #remember(context: ThreadContext, known: Known | undefined): void {
    const { registers, extendedState, signalMask } = context;
    const pendingSignals = Buffer.concat(context.pendingSignals);
    if (
      known?.registers.length === registers.length &&
      known.extendedState.length === extendedState.length
    ) {
      known.registers.set(registers);
      known.extendedState.set(extendedState);
      known.signalMask = signalMask;
      known.pendingSignals = pendingSignals;
      return;
    }
    this.#threads.set(context.thread, {
      registers: Buffer.from(registers),
      extendedState: Buffer.from(extendedState),
      signalMask,
      pendingSignals,
    });
  }

  /** Forgets threads that are gone. */
  keepThreads(living: readonly ThreadContext[]): void {
    if (this.#threads.size <= living.length) return;
    const ids = new Set<number>(living.map((context) => context.thread));
    for (const id of this.#threads.keys()) if (!ids.has(id)) this.#threads.delete(id);
  }

  /** Whether the encoded setup differs from that in the last delta, which it then is. */
  takeSetup(encoded: Uint8Array): boolean {
    if (this.#setup !== null && matches(this.#setup, encoded)) return false;
    this.#setup = Buffer.from(encoded);
    return true;
  }
}
