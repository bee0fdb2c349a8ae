/**
 * Recorder: an LvmClient that notes each upcall and answers nothing. The client of the conformance
 * suite; also for tests of interposers.
 */
import type { Handle, Tid } from '../../src/base/ids.ts';
import type {
  ExitStatus,
  HeapArea,
  LvmClient,
  ProcessSetup,
  TrappedCall,
} from '../../src/lvm/api.ts';

export type Upcall =
  | { readonly kind: 'launched'; readonly first: Tid; readonly heap: HeapArea }
  | {
      readonly kind: 'trapped';
      readonly thread: Tid;
      readonly number: number;
      readonly args: Buffer;
    }
  | { readonly kind: 'withdrawn'; readonly thread: Tid }
  | { readonly kind: 'interrupted'; readonly thread: Tid; readonly signal: number }
  | { readonly kind: 'ready'; readonly handle: Handle; readonly events: number }
  | { readonly kind: 'alarm' }
  | { readonly kind: 'exited'; readonly status: ExitStatus };

/** A host that makes more upcalls than this is in a loop. */
const UPCALLS_MAX = 100_000;

export class Recorder implements LvmClient {
  readonly upcalls: Upcall[] = [];
  settledCount = 0;
  processSetup: ProcessSetup = { signalActions: new Map(), threads: [] };

  #note(upcall: Upcall): void {
    if (this.upcalls.length >= UPCALLS_MAX) throw new Error(`more than ${UPCALLS_MAX} upcalls`);
    this.upcalls.push(upcall);
  }

  of<Kind extends Upcall['kind']>(kind: Kind): Extract<Upcall, { kind: Kind }>[] {
    return this.upcalls.filter((upcall) => upcall.kind === kind) as Extract<
      Upcall,
      { kind: Kind }
    >[];
  }

  /** All bits with which a handle has become ready since `clear`. */
  readyBits(handle: number): number {
    let bits = 0;
    for (const upcall of this.of('ready')) if (upcall.handle === handle) bits |= upcall.events;
    return bits;
  }

  clear(): void {
    this.upcalls.length = 0;
  }

  launched(first: Tid, heap: HeapArea): void {
    this.#note({ kind: 'launched', first, heap });
  }

  trapped(call: TrappedCall): void {
    const { thread, number } = call;
    // A copy: the call is valid during this upcall only.
    this.#note({ kind: 'trapped', thread, number, args: Buffer.from(call.args) });
  }

  withdrawn(thread: Tid): void {
    this.#note({ kind: 'withdrawn', thread });
  }

  interrupted(thread: Tid, signal: number): number | null {
    this.#note({ kind: 'interrupted', thread, signal });
    return null;
  }

  ready(handle: Handle, events: number): void {
    this.#note({ kind: 'ready', handle, events });
  }

  alarm(): void {
    this.#note({ kind: 'alarm' });
  }

  settled(): void {
    this.settledCount += 1;
  }

  exited(status: ExitStatus): void {
    this.#note({ kind: 'exited', status });
  }

  setup(): ProcessSetup {
    return this.processSetup;
  }

  save(): void {}

  load(): void {}
}
