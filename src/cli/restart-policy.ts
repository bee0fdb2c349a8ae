/**
 * When a replica that ended is replaced: at once if it had been of use, later and later if replicas
 * end before they are, and not any more if they end too fast for anything to be served. Pure: time
 * is a parameter. Used by the supervisor.
 */

/**
 * Ten a second: no test and no misfortune kills that fast for a minute; a crash at each start does.
 */
export const RESTARTS_PER_MINUTE_MAX = 600;
const MINUTE_MS = 60_000;
const DELAY_MS_FIRST = 50;
const DELAY_MS_MAX = 2_000;
/** So many in a row that another attempt will hardly help: a person should look. */
export const USELESS_MAX = 8;
const DELAY_MS_HOPELESS = 30_000;

export class RestartPolicy {
  #useless = 0;
  #restarts: number[] = [];
  #restartCount = 0;

  /** All restarts so far. */
  get count(): number {
    return this.#restartCount;
  }

  /** A replica became a member: whatever was wrong is over. */
  useful(): void {
    this.#useless = 0;
  }

  /** A replica ended before it was of any use. True when it is time to tell a person. */
  useless(): boolean {
    this.#useless += 1;
    return this.#useless === USELESS_MAX;
  }

  /** How long to wait before the next start, or null: no more. */
  next(nowMs: number): number | null {
    this.#restarts = this.#restarts.filter((time) => time > nowMs - MINUTE_MS);
    if (this.#restarts.length >= RESTARTS_PER_MINUTE_MAX) return null;
    this.#restarts.push(nowMs);
    this.#restartCount += 1;
    if (this.#useless === 0) return 0;
    if (this.#useless >= USELESS_MAX) return DELAY_MS_HOPELESS;
    return Math.min(DELAY_MS_FIRST * 2 ** (this.#useless - 1), DELAY_MS_MAX);
  }
}
