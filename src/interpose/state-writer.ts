/**
 * StateWriter: writes what a stopped guest consists of into frames: as a delta to the last one, or
 * whole but for the pages, for somebody who joins. Owned by the checkpointer, which stops the guest
 * and numbers the epochs. Knows what an earlier capture that failed left to be told.
 */
import type { FaultPlan } from '../base/fault-points.ts';
import type { Epoch, GuestAddress } from '../base/ids.ts';
import { DeltaHistory } from '../checkpoint/delta-history.ts';
import { DeltaWriter, NO_PARENT, type SealedDelta } from '../checkpoint/delta-writer.ts';
import { PAGE_BYTES } from '../checkpoint/limits.ts';
import { PageRuns } from '../checkpoint/page-runs.ts';
import type { SlabPool } from '../checkpoint/slab.ts';
import type { Lvm, LvmClient, MemoryRegion } from '../lvm/api.ts';
import type { HandleTable } from './handle-table.ts';
import type { OutputGate } from './output-gate.ts';

export class StateWriter {
  readonly #inner: Lvm;
  readonly #handles: HandleTable;
  readonly #gate: OutputGate;
  readonly #faults: FaultPlan;
  readonly #writer: DeltaWriter;
  readonly #baseWriter: DeltaWriter;
  readonly #history = new DeltaHistory();
  readonly #written = new PageRuns();
  readonly #dropped = new PageRuns();
  /** The last capture failed after the library OS had told its changes: it must tell all. */
  #mustSaveAll = false;
  #mustSaveRegions = true;

  constructor(
    inner: Lvm,
    handles: HandleTable,
    gate: OutputGate,
    pool: SlabPool,
    faults: FaultPlan,
  ) {
    this.#inner = inner;
    this.#handles = handles;
    this.#gate = gate;
    this.#faults = faults;
    this.#writer = new DeltaWriter(pool);
    this.#baseWriter = new DeltaWriter(pool);
  }

  /** What changed since epoch `last`, as epoch `next`. */
  writeDelta(client: LvmClient, next: Epoch, last: Epoch): SealedDelta {
    const writer = this.#writer;
    const inner = this.#inner;
    writer.begin('delta', next, last);
    this.#writeMachine(writer, client, this.#history);
    if (this.#mustSaveRegions || inner.regionsChanged()) {
      this.#mustSaveRegions = true;
      writer.regions(inner.regions());
    }
    // Pages of a capture that failed are still in the lists: nothing written is forgotten.
    inner.takeDroppedRanges(this.#dropped.visit);
    inner.takeWrittenPages(this.#written.visit);
    this.#dropped.forEach((start, count) => {
      writer.removedRange(start, (start + count * PAGE_BYTES) as GuestAddress);
    });
    this.#faults.at('during-capture');
    this.#writePages(writer);
    this.#writeClient(writer, client);
    this.#faults.at('after-capture');
    this.#mustSaveAll = false;
    this.#mustSaveRegions = false;
    return writer.seal();
  }

  /** All but the pages, which are still to come: those of the mappings that this returns. */
  writeBase(
    client: LvmClient,
    at: Epoch,
    history: DeltaHistory,
  ): { readonly frame: SealedDelta; readonly regions: readonly MemoryRegion[] } {
    const writer = this.#baseWriter;
    writer.begin('join-base', at, NO_PARENT);
    const regions = this.#inner.regions();
    this.#writeMachine(writer, client, history);
    writer.regions(regions);
    client.save(writer, 'all');
    this.#mustSaveAll = false;
    this.#mustSaveRegions = false;
    this.#handles.save(
      'all',
      (handle, bytes) => writer.handlePut(handle, bytes),
      () => {},
    );
    for (const stream of [1, 2] as const) {
      writer.consoleReleased(stream, this.#gate.consoleDelivered(stream));
    }
    this.#gate.visitAllConsole((stream, offset, bytes) => writer.console(stream, offset, bytes));
    return { frame: writer.seal(), regions };
  }

  /** Deltas begin anew after this moment; what was written until now is left to a base's pages. */
  beginHistory(): DeltaHistory {
    this.#written.clear();
    this.#dropped.clear();
    this.#inner.takeDroppedRanges(() => {});
    this.#inner.takeWrittenPages(() => {});
    this.#history.clear();
    return this.#history;
  }

  /** The capture left no trace but in the lists of pages, which the next one carries. */
  failed(): void {
    this.#writer.abandon();
    this.#baseWriter.abandon();
    this.#handles.forgetSave();
    this.#mustSaveRegions = true;
  }

  /** The pages are told, and forgotten here. Returns how many were written. */
  takePages(): number {
    const { pageCount } = this.#written;
    this.#written.clear();
    this.#dropped.clear();
    return pageCount;
  }

  /** Clocks, threads, and what Linux can't be asked for. */
  #writeMachine(writer: DeltaWriter, client: LvmClient, history: DeltaHistory): void {
    const inner = this.#inner;
    writer.clock(inner.clock('monotonic'), inner.clock('realtime'));
    writer.process(inner.context(), history);
    writer.setup(client.setup(), history);
  }

  #writePages(writer: DeltaWriter): void {
    const runs = this.#written;
    writer.reservePages(runs.length, runs.pageCount);
    for (let index = 0; index < runs.length; index += 1) {
      const view = writer.pageRun(runs.start(index), runs.count(index));
      const got = this.#inner.pageRead(runs.start(index), view);
      if (got < view.length) this.#readAround(runs.start(index), view, got);
    }
  }

  /**
   * The rest of a run of which `got` bytes could be read: the next page can't be. It lies beyond
   * the end of a mapped file, or was unmapped since a capture that failed; those behind it may well
   * be there, of another mapping.
   */
  #readAround(start: GuestAddress, view: Buffer, got: number): void {
    for (let at = got; at < view.length; ) {
      const page = at - (at % PAGE_BYTES);
      view.fill(0, page, page + PAGE_BYTES);
      at = page + PAGE_BYTES;
      if (at === view.length) return;
      at += this.#inner.pageRead((start + at) as GuestAddress, view.subarray(at));
    }
  }

  #writeClient(writer: DeltaWriter, client: LvmClient): void {
    const scope = this.#mustSaveAll ? 'all' : 'changes';
    this.#mustSaveAll = true;
    client.save(writer, scope);
    this.#handles.save(
      'changes',
      (handle, bytes) => writer.handlePut(handle, bytes),
      (handle) => writer.handleRemove(handle),
    );
    for (const stream of [1, 2] as const) {
      const offset = this.#gate.consoleDelivered(stream);
      if (offset > 0) writer.consoleReleased(stream, offset);
    }
    this.#gate.visitConsole((stream, offset, bytes) => writer.console(stream, offset, bytes));
  }
}
