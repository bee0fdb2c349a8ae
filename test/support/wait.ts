/** Bounded waits: each has a limit and says what it waited for. For tests and benchmarks. */

export class TimeoutError extends Error {
  override readonly name = 'TimeoutError';
}

export const delay = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

/** `promise`, or TimeoutError after `timeoutMs`. */
export async function within<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new TimeoutError(`${what}: nothing in ${timeoutMs} ms`);
    timer = setTimeout(() => reject(error), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks `check` again and again until it gives something other than undefined or false. What it
 * throws meanwhile counts as "not yet" and is told if time runs out.
 */
export async function eventually<T>(
  what: string,
  timeoutMs: number,
  check: () => T | undefined | false | Promise<T | undefined | false>,
  intervalMs = 50,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let problem: unknown = 'not yet';
  do {
    try {
      const value = await within(Promise.resolve(check()), timeoutMs, what);
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      problem = error;
    }
    await delay(intervalMs);
  } while (performance.now() < deadline);
  throw new TimeoutError(`${what}: not within ${timeoutMs} ms (${problem})`);
}
