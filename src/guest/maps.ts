/**
 * The memory map of a guest process, from /proc/PID/maps, without what is the kernel's or ours
 * (gate, vsyscall). Read only while the guest is stopped.
 */
import { readFileSync } from 'node:fs';
import { PROT, TASK_SIZE } from '../abi/memory.ts';
import { guestAddress } from '../base/ids.ts';
import type { MemoryRegion } from '../lvm/api.ts';
import { GATE_END } from '../sandbox/skeleton-elf.ts';

export function readMaps(hostPid: number): MemoryRegion[] {
  const regions: MemoryRegion[] = [];
  for (const line of readFileSync(`/proc/${hostPid}/maps`, 'latin1').split('\n')) {
    const region = parseMapsLine(line);
    if (region !== null && region.start >= GATE_END && region.end <= TASK_SIZE) {
      regions.push(region);
    }
  }
  return regions;
}

/** `start-end perms offset dev inode path`, see proc_pid_maps(5); null for an empty line. */
function parseMapsLine(line: string): MemoryRegion | null {
  const match = /^([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) \S+ (\d+) *(.*)$/.exec(line);
  if (match === null) return null;
  const [, start = '', end = '', permissions = '', offset = '', inode = '', name = ''] = match;
  return {
    start: guestAddress(Number.parseInt(start, 16)),
    end: guestAddress(Number.parseInt(end, 16)),
    protection:
      (permissions[0] === 'r' ? PROT.READ : 0) |
      (permissions[1] === 'w' ? PROT.WRITE : 0) |
      (permissions[2] === 'x' ? PROT.EXEC : 0),
    shared: permissions[3] === 's',
    name,
    fileOffset: Number.parseInt(offset, 16),
    backed: inode !== '0',
  };
}
