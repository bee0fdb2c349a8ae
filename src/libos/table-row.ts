/**
 * One row of the system call table: what a call is, who serves it and how completely.
 * The rows stand in syscalls/*.ts beside their handlers; table.ts puts them together.
 */
import type { SyscallName } from '../abi/syscalls.ts';
import type { Handler } from './outcome.ts';

export type Row =
  /** As Linux does it. */
  | { readonly name: SyscallName; readonly level: 'full'; readonly handler: Handler }
  /** `note` says what is missing. */
  | {
      readonly name: SyscallName;
      readonly level: 'partial';
      readonly handler: Handler;
      readonly note: string;
    }
  /**
   * Never trapped: Linux runs it. `note` says why that is safe and how a checkpoint has its effect.
   */
  | {
      readonly name: SyscallName;
      readonly level: 'native';
      readonly note: string;
      /** For what the filter (src/sandbox) traps of it all the same. */
      readonly handler: Handler | undefined;
    }
  /** Always answered with one error; `note` says why. Not counted as unsupported. */
  | {
      readonly name: SyscallName;
      readonly level: 'refused';
      readonly errno: number;
      readonly note: string;
    };

export const full = (name: SyscallName, handler: Handler): Row => ({
  name,
  level: 'full',
  handler,
});

export const partial = (name: SyscallName, handler: Handler, note: string): Row => ({
  name,
  level: 'partial',
  handler,
  note,
});

export const nativeRow = (name: SyscallName, note: string, handler?: Handler): Row => ({
  name,
  level: 'native',
  note,
  handler,
});

export const refused = (name: SyscallName, errno: number, note: string): Row => ({
  name,
  level: 'refused',
  errno,
  note,
});
