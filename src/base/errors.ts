/**
 * Errors that reach a person: what happened, why, and what to do, on one line.
 * Thrown anywhere, printed by the command line, which exits with `exitCode`.
 * An errno for the guest is a value, never one of these.
 */

/** `code` is stable and for programs; a new one only where a caller acts on it. */
export type ErrorCode =
  | 'usage'
  | 'program'
  | 'kernel'
  | 'port'
  | 'format'
  | 'peer'
  | 'service'
  | 'replica'
  | 'internal';

export class TardigradeError extends Error {
  override readonly name = 'TardigradeError';
  readonly code: ErrorCode;
  /** What the user can do about it; one sentence. */
  readonly remedy: string;

  constructor(code: ErrorCode, message: string, remedy: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.remedy = remedy;
  }

  /** The one line that a person reads. */
  get line(): string {
    return `${this.message}; ${this.remedy}`;
  }
}
