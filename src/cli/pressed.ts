/**
 * Tells a first Ctrl-C from a second one. A signal that comes twice at once is one: a terminal
 * sends it to the whole group, and wrappers such as npm and timeout pass it on besides. Used by run
 * and exec.
 */

/** Faster than a person, slower than a wrapper on a busy machine. */
const TOGETHER_MS = 300;

export interface Presses {
  readonly first: () => void;
  readonly second: () => void;
}

/** The handler of one signal. */
export function pressed(
  { first, second }: Presses,
  nowMs: () => number = () => performance.now(),
): () => void {
  let firstMs: number | null = null;
  return () => {
    if (firstMs === null) {
      firstMs = nowMs();
      first();
    } else if (nowMs() - firstMs > TOGETHER_MS) {
      second();
    }
  };
}
