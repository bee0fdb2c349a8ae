/**
 * What /proc says of the guest's memory: the mappings and their sizes, as the LVM API tells them.
 * Used by proc.ts and proc-process.ts; must not keep anything, since the guest runs on.
 */
import type { MemoryRegion } from '../../lvm/api.ts';
import type { FsContext } from './context.ts';
import { DEVICE } from './stat.ts';

/** Where the name begins in a line of /proc/PID/maps. */
const NAME_COLUMN = 73;

export interface MemorySizes {
  readonly sizeBytes: number;
  readonly residentBytes: number;
}

export function memorySizes(context: FsContext): MemorySizes {
  const { regions, residentBytes } = context.kernel.lvm.memoryUse();
  let sizeBytes = 0;
  for (const { start, end } of regions) sizeBytes += end - start;
  return { sizeBytes, residentBytes };
}

/** Text of /proc/PID/maps. */
export function mapsText(context: FsContext): string {
  const { regions } = context.kernel.lvm.memoryUse();
  return regions.map((region) => mapsLine(context, region)).join('');
}

function mapsLine(context: FsContext, region: MemoryRegion): string {
  const { start, end, protection, shared, name, fileOffset } = region;
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  const permissions = [
    (protection & 1) !== 0 ? 'r' : '-',
    (protection & 2) !== 0 ? 'w' : '-',
    (protection & 4) !== 0 ? 'x' : '-',
    shared ? 's' : 'p',
  ].join('');
  const stat = name.startsWith('/') ? context.root.stat(name) : 0;
  const file = typeof stat === 'number' ? '00:00 0' : `00:${hex(DEVICE.root, 2)} ${stat.inode}`;
  const line = `${hex(start, 8)}-${hex(end, 8)} ${permissions} ${hex(fileOffset, 8)} ${file} `;
  return name === '' ? `${line}\n` : `${line.padEnd(NAME_COLUMN)}${name}\n`;
}
