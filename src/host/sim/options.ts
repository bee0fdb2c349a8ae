/**
 * How a simulated host is set up, and what it has when nothing is said. Used by SimHost.
 */
import type { Tid } from '../../base/ids.ts';
import type { MachineInfo } from '../../lvm/api.ts';
import type { RootSpec } from './root.ts';

export interface SimOptions {
  readonly root?: RootSpec;
  /** Guest ports that the outside can reach. */
  readonly published?: readonly number[];
  readonly seed?: number;
  /** Clocks at the start. */
  readonly monotonicNs?: number;
  readonly realtimeNs?: number;
  readonly machine?: Partial<MachineInfo>;
  /** Whether `launch` looks for the program in the root; else it takes any. */
  readonly checksProgram?: boolean;
}

/** A signal that the library OS sent. */
export interface SentSignal {
  readonly thread: Tid;
  readonly number: number;
  readonly info: Buffer;
}

/** Clocks at the start: neither 0 nor today. */
export const START_NS = 1_000e9;
export const REALTIME_NS = 1_800_000_000e9;

export function simMachine(options: SimOptions): MachineInfo {
  return {
    cpuCount: 2,
    memoryBytes: 1024 ** 3,
    hostname: 'guest',
    cpuinfo: 'processor\t: 0\nmodel name\t: Simulated\n',
    ...options.machine,
  };
}
