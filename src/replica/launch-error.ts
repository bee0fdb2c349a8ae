/** Says in a line why a program could not be started; for both kinds of sentry. */
import { E, errnoName } from '../abi/errno.ts';
import { shown } from '../base/byte-string.ts';
import { TardigradeError } from '../base/errors.ts';

const REASONS: ReadonlyMap<number, readonly [string, string]> = new Map([
  [E.ENOENT, ['it, or the interpreter that it names, is not there', 'check the path and --root']],
  [E.EACCES, ['it is not an executable file', 'check its permissions']],
  [E.ENOEXEC, ['it is not an x86-64 ELF program', 'give a program for this processor']],
  [E.ELOOP, ['its path has too many symbolic links', 'check the path']],
  [E.E2BIG, ['its arguments and environment are too long', 'give fewer']],
]);

/** `errno` is what Lvm.launch returned. */
export function explainLaunch(program: string, errno: number): TardigradeError {
  const [reason, remedy] = REASONS.get(errno) ?? [errnoName(errno), 'check the program'];
  return new TardigradeError('program', `can't start ${shown(program)}: ${reason}`, remedy);
}
