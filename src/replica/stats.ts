/** Figures of a sentry that others show: which calls the guest made that are not supported. */
import { syscallName } from '../abi/syscalls.ts';
import type { Kernel } from '../libos/kernel.ts';

export interface UnsupportedCall {
  readonly name: string;
  readonly count: number;
}

export const unsupportedCalls = (kernel: Kernel): UnsupportedCall[] =>
  [...kernel.unsupported].map(([number, count]) => ({ name: syscallName(number), count }));
