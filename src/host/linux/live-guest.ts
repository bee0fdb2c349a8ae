/** LiveGuest: what the parts of the Linux host hold of a guest that runs or is stopped. */
import type { ProcessMemory } from '../../guest/memory.ts';
import type { WrittenPages } from '../../guest/written-pages.ts';
import type { Listener } from '../../sandbox/listener.ts';
import type { AddressSpace } from './address-space.ts';

export interface LiveGuest {
  readonly hostPid: number;
  readonly pidfd: number;
  readonly memory: ProcessMemory;
  readonly listener: Listener;
  readonly written: WrittenPages;
  readonly space: AddressSpace;
}
