/**
 * All of one frame as plain JSON values, in the order in which it stands: bytes as hexadecimal,
 * page data as CRC-32. Used by the golden files' test and tool; for people there is inspect.
 */
import { crc32 } from 'node:zlib';
import { Decoder } from '../base/codec.ts';
import type { DeltaReader } from './delta-reader.ts';
import { readContext, readSetup } from './sections.ts';

/** Bytes as text: hexadecimal without the zeros that most of a register area is. */
function hex(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('hex');
  const stripped = text.replace(/(00)+$/, '');
  return `${stripped} (${bytes.length})`;
}

export function dumpFrame(frame: DeltaReader): unknown {
  const pages: unknown[] = [];
  frame.visitPages((start, count, bytes) => pages.push([start.toString(16), count, crc32(bytes)]));
  const removed: unknown[] = [];
  frame.visitRemoved((start, end) => removed.push([start.toString(16), end.toString(16)]));
  const records: unknown[] = [];
  frame.visitRecords({
    put: (object, part, bytes) => records.push(['put', object, part, hex(bytes)]),
    remove: (object, part) => records.push(['remove', object, part]),
    removeObject: (object) => records.push(['removeObject', object]),
  });
  const handles: unknown[] = [];
  frame.visitHandles({
    handlePut: (handle, bytes) => handles.push(['put', handle, hex(bytes)]),
    handleRemove: (handle) => handles.push(['remove', handle]),
  });
  return {
    header: frame.header,
    clock: frame.clock,
    pendingSignals: frame.process?.pendingSignals.map(hex) ?? null,
    threads: frame.process?.threads ?? null,
    contexts: [...frame.contexts.values()].map(dumpContext),
    setup: frame.setup === null ? null : dumpSetup(frame.setup),
    regions: frame.regions,
    removed,
    pages,
    records,
    handles,
    console: frame.console.map((one) => ({ ...one, bytes: hex(one.bytes) })),
    consoleReleased: frame.consoleReleased,
    extras: [...frame.extras].map(([name, bytes]) => [name, hex(bytes)]),
    fileEnd: frame.fileEnd,
  };
}

function dumpContext(bytes: Buffer): unknown {
  const context = readContext(new Decoder(bytes), true);
  return {
    thread: context.thread,
    registers: hex(context.registers),
    extendedState: hex(context.extendedState),
    signalMask: context.signalMask.toString(16),
    pendingSignals: context.pendingSignals.map(hex),
  };
}

function dumpSetup(bytes: Buffer): unknown {
  const setup = readSetup(new Decoder(bytes));
  return {
    signalActions: [...setup.signalActions].map(([number, action]) => [number, hex(action)]),
    threads: setup.threads.map((one) => ({ ...one, alternateStack: hex(one.alternateStack) })),
  };
}
