/**
 * Processor time of a guest's process and threads, as Linux counts it from outside. Used by the
 * Linux host.
 */
import { readFileSync } from 'node:fs';
import { CPU_CLOCK, CPU_CLOCK_ALL } from '../../abi/time.ts';

/** The clockid_t of another process. */
export const processClock = (hostPid: number): number =>
  (~hostPid << CPU_CLOCK.idShift) | CPU_CLOCK_ALL;

/** Threads of other processes have no clock id: the first figure is the time on a processor. */
export function threadCpuNs(hostPid: number, hostTid: number): number {
  try {
    return Number(
      readFileSync(`/proc/${hostPid}/task/${hostTid}/schedstat`, 'latin1').split(' ')[0],
    );
  } catch {
    return 0; // it ended, or Linux was built without
  }
}
