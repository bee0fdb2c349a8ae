/**
 * What is in a checkpoint file, for a person and for programs: `describe` reads and checks all of
 * it and keeps sizes only, so it works for files bigger than memory. Used by `tardigrade inspect`.
 * Knows kinds of kernel objects by number only.
 */
import { syscallName } from '../abi/syscalls.ts';
import type { MemoryRegion, ProcessSetup, ThreadContext } from '../lvm/api.ts';
import { readFrames } from './checkpoint-file.ts';
import type { CheckpointFiles } from './files.ts';
import { FORMAT_VERSION, type FrameKind, formatError } from './format.ts';
import { Image } from './image.ts';
import { PAGE_BYTES } from './limits.ts';
import { PageSet } from './page-set.ts';
import { type KindReport, RecordSizes } from './record-sizes.ts';

interface ThreadReport {
  readonly thread: number;
  readonly name: string;
  /** Hexadecimal; null when the registers are not those of x86-64. */
  readonly rip: string | null;
  readonly rsp: string | null;
  /** The system call that the thread makes again when it goes on, or null. */
  readonly restartsCall: string | null;
  readonly signalMask: string;
  readonly pendingSignals: number;
  readonly extendedStateBytes: number;
}

interface RegionReport {
  readonly start: string;
  readonly end: string;
  /** As in /proc/PID/maps. */
  readonly permissions: string;
  readonly name: string;
  readonly backed: boolean;
  readonly pages: number;
}

export interface CheckpointReport {
  readonly path: string;
  readonly format: number;
  readonly sizeBytes: number;
  readonly frames: Readonly<Record<FrameKind, number>>;
  readonly baseEpoch: number;
  readonly epoch: number;
  readonly monotonicNs: number;
  readonly realtimeNs: number;
  readonly pendingSignals: number;
  readonly threads: readonly ThreadReport[];
  readonly signalActions: readonly number[];
  readonly regions: readonly RegionReport[];
  readonly memoryPages: number;
  readonly kinds: readonly KindReport[];
  readonly handles: readonly { readonly handle: number; readonly bytes: number }[];
  readonly console: readonly {
    readonly stream: number;
    readonly offset: number;
    readonly bytes: number;
  }[];
  readonly extras: readonly { readonly name: string; readonly bytes: number }[];
}

/** Reads a file; throws a format error that names the frame and offset where it is damaged. */
export function describe(files: CheckpointFiles, path: string): CheckpointReport {
  const pages = new PageSet();
  const records = new RecordSizes();
  const image = new Image(pages, records);
  const frames = { delta: 0, whole: 0, 'join-base': 0, chunk: 0, trailer: 1 };
  let baseEpoch = 0;
  let sizeBytes = 0;
  readFrames(files, path, (frame, place) => {
    const { kind, epoch } = frame.header;
    if (place.index === 0) baseEpoch = epoch;
    frames[kind] += 1;
    sizeBytes = place.offset + frame.header.sizeBytes;
    image.apply(frame);
  });
  if (image.stage !== 'complete') {
    throw formatError(`${path}: the state in it is incomplete`, 'use another checkpoint file');
  }
  const setup = image.setup();
  const context = image.context();
  const regions = image.regions.map((region) => regionReport(region, pages));
  return {
    path,
    format: FORMAT_VERSION,
    sizeBytes,
    frames,
    baseEpoch,
    epoch: image.epoch,
    ...image.clocks,
    pendingSignals: context.pendingSignals.length,
    threads: context.threads.map((thread) => threadReport(thread, setup)),
    signalActions: [...setup.signalActions.keys()],
    regions,
    memoryPages: regions.reduce((sum, region) => sum + region.pages, 0),
    kinds: records.kinds(),
    handles: [...image.handles].map(([handle, bytes]) => ({ handle, bytes: bytes.length })),
    console: image.console
      .held()
      .map(({ stream, offset, bytes }) => ({ stream, offset, bytes: bytes.length })),
    extras: [...image.extras].map(([name, bytes]) => ({ name, bytes: bytes.length })),
  };
}

function regionReport(region: MemoryRegion, pages: PageSet): RegionReport {
  const { start, end, protection, shared, name, backed } = region;
  const bit = (value: number, letter: string): string =>
    (protection & value) !== 0 ? letter : '-';
  return {
    start: start.toString(16),
    end: end.toString(16),
    permissions: bit(1, 'r') + bit(2, 'w') + bit(4, 'x') + (shared ? 's' : 'p'),
    name,
    backed,
    pages: pages.count(start, end),
  };
}

/** Offsets in struct user_regs_struct (sys/user.h) of x86-64. */
const REGISTER = { rax: 80, origRax: 120, rip: 128, rsp: 152, sizeBytes: 216 } as const;
/** -ERESTARTSYS, -ERESTARTNOINTR, -ERESTARTNOHAND, -ERESTART_RESTARTBLOCK (kernel-internal). */
const RESTARTS: ReadonlySet<bigint> = new Set([-512n, -513n, -514n, -516n]);

function threadReport(context: ThreadContext, setup: ProcessSetup): ThreadReport {
  const registers = Buffer.from(context.registers);
  const isX86 = registers.length === REGISTER.sizeBytes;
  const at = (offset: number): bigint => registers.readBigUInt64LE(offset);
  const call = isX86 ? registers.readBigInt64LE(REGISTER.origRax) : -1n;
  const restarts = call >= 0n && RESTARTS.has(registers.readBigInt64LE(REGISTER.rax));
  return {
    thread: context.thread,
    name: setup.threads.find((one) => one.thread === context.thread)?.name ?? '',
    rip: isX86 ? at(REGISTER.rip).toString(16) : null,
    rsp: isX86 ? at(REGISTER.rsp).toString(16) : null,
    restartsCall: restarts ? syscallName(Number(call)) : null,
    signalMask: context.signalMask.toString(16),
    pendingSignals: context.pendingSignals.length,
    extendedStateBytes: context.extendedState.length,
  };
}

/** The report for a person. */
export function reportText(report: CheckpointReport): string {
  const { frames } = report;
  const parts = (['whole', 'join-base', 'chunk', 'delta', 'trailer'] as const)
    .filter((kind) => frames[kind] > 0)
    .map((kind) => `${frames[kind]} ${kind}`);
  const lines = [
    `${report.path}: tardigrade checkpoint, format ${report.format}`,
    `  epoch      ${report.epoch} (base ${report.baseEpoch})`,
    `  frames     ${parts.join(', ')}; ${report.sizeBytes} bytes before the trailer`,
    `  clocks     monotonic ${report.monotonicNs} ns, realtime ${report.realtimeNs} ns`,
    `  memory     ${report.memoryPages} pages, ${report.memoryPages * PAGE_BYTES} bytes`,
    `  signals    ${report.signalActions.length} actions, ${report.pendingSignals} pending`,
    '',
    table(
      'threads',
      ['tid', 'name', 'rip', 'rsp', 'call', 'mask', 'pending'],
      report.threads,
      (one) => [
        one.thread,
        one.name,
        one.rip ?? '?',
        one.rsp ?? '?',
        one.restartsCall === null ? '-' : `${one.restartsCall} (restarts)`,
        one.signalMask,
        one.pendingSignals,
      ],
    ),
    table('regions', ['range', 'perms', 'pages', 'name'], report.regions, (one) => [
      `${one.start}-${one.end}`,
      one.permissions,
      one.pages,
      one.name,
    ]),
    table('library OS', ['kind', 'objects', 'records', 'bytes'], report.kinds, (one) => [
      one.kind,
      one.objects,
      one.records,
      one.bytes,
    ]),
    table('handles', ['handle', 'bytes'], report.handles, (one) => [one.handle, one.bytes]),
    table('console', ['stream', 'offset', 'bytes'], report.console, (one) => [
      one.stream,
      one.offset,
      one.bytes,
    ]),
    table('extras', ['name', 'bytes'], report.extras, (one) => [one.name, one.bytes]),
  ];
  return `${lines.join('\n')}\n`;
}

/** A guest chooses names: what would move a terminal's cursor is shown as a dot. */
function printable(value: string | number): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is about control characters
  return String(value).replace(/[\u0000-\u001f\u007f-\u009f]/g, '.');
}

function table<Row>(
  title: string,
  columns: readonly string[],
  rows: readonly Row[],
  cells: (row: Row) => readonly (string | number)[],
): string {
  if (rows.length === 0) return `${title}: none`;
  const body = rows.map((row) => cells(row).map(printable));
  const widths = columns.map((name, column) =>
    body.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), name.length),
  );
  const line = (row: readonly string[]): string =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd();
  return [`${title}: ${rows.length}`, line(columns), ...body.map(line)].join('\n');
}
