/**
 * The exit status of the command line for each kind of error; docs/commands.md lists them.
 * Above 118, so that they are not taken for the guest's own status, which `run` and `exec` pass on.
 */
import { type ErrorCode, TardigradeError } from '../base/errors.ts';

const EXIT_CODES: Readonly<Record<ErrorCode, number>> = {
  usage: 2,
  kernel: 119,
  port: 120,
  format: 121,
  peer: 122,
  service: 123,
  replica: 124,
  internal: 125,
  program: 126,
};

/** The program is not there; shells tell this from one that can't be run. */
export class MissingProgramError extends TardigradeError {}

const EXIT_PROGRAM_MISSING = 127;

export function exitCodeOf(error: unknown): number {
  if (error instanceof MissingProgramError) return EXIT_PROGRAM_MISSING;
  if (error instanceof TardigradeError) return EXIT_CODES[error.code];
  return EXIT_CODES.internal;
}

/** The one line for a person; an error that is a bug of ours says so. */
export function lineOf(error: unknown): string {
  if (error instanceof TardigradeError) return oneLine(error.line);
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return oneLine(`internal error: ${what}; please report it with what you did`);
}

/** Messages may quote what the outside gave: no control characters, no second line. */
export function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();
}

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(EXIT_CODES, code);

/** An error that crossed a process boundary as text; unknown codes count as `internal`. */
export function errorFrom(code: string, line: string): TardigradeError {
  const at = line.indexOf('; ');
  const known = isErrorCode(code) ? code : 'internal';
  if (known === 'internal') return new TardigradeError(known, briefly(line), 'please report it');
  if (at < 0) return new TardigradeError(known, line, 'see docs/commands.md');
  return new TardigradeError(known, line.slice(0, at), line.slice(at + 2));
}

/** A stack trace in a line: the error and where it was thrown. */
function briefly(line: string): string {
  const [what = '', where] = line.replace(/; please report it$/, '').split(/\s+at (?=\S)/);
  return where === undefined ? what : `${what} at ${where}`;
}
