/**
 * Resource limits (getrlimit(2)) of a guest process: the defaults of a fresh Linux login, and what
 * a change of them does. RLIMIT_NOFILE is enforced by the descriptor table.
 */
import { E } from '../../abi/errno.ts';
import { type Process, type ResourceLimit, UNLIMITED } from '../process.ts';

const RLIMIT = { STACK: 3, CORE: 4, NPROC: 6, NOFILE: 7, MEMLOCK: 8, NLIMITS: 16 } as const;
const NOFILE_HARD = 1_048_576;

const DEFAULTS: ReadonlyMap<number, ResourceLimit> = new Map([
  [RLIMIT.STACK, { soft: 8 << 20, hard: UNLIMITED }],
  [RLIMIT.CORE, { soft: 0, hard: UNLIMITED }],
  [RLIMIT.NPROC, { soft: 4096, hard: 4096 }],
  [RLIMIT.NOFILE, { soft: NOFILE_HARD, hard: NOFILE_HARD }],
  [RLIMIT.MEMLOCK, { soft: 8 << 20, hard: 8 << 20 }],
]);
const NO_LIMIT: ResourceLimit = { soft: UNLIMITED, hard: UNLIMITED };

/** Null for a number that Linux does not have. */
export function limitOf(process: Process, number: number): ResourceLimit | null {
  if (number >= RLIMIT.NLIMITS) return null;
  return process.limits.get(number) ?? DEFAULTS.get(number) ?? NO_LIMIT;
}

/** `bytes` is a struct rlimit64. */
export function setLimit(process: Process, number: number, bytes: Buffer): number {
  const before = limitOf(process, number);
  if (before === null) return E.EINVAL;
  const word = (at: number) => Math.min(UNLIMITED, Number(bytes.readBigUInt64LE(at)));
  const limit = { soft: word(0), hard: word(8) };
  if (limit.soft > limit.hard) return E.EINVAL;
  if (number === RLIMIT.NOFILE) {
    if (limit.hard > NOFILE_HARD) return E.EPERM;
    process.files.limit = limit.soft;
    process.files.touch();
  }
  process.limits.set(number, limit);
  process.touch();
  return 0;
}
