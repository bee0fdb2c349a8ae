/**
 * Who cleans up: a node:test context is an Owner, and so is a Scope, for programs that are no
 * tests. What is started is handed to its owner at once, so that it ends on every path.
 */

export interface Owner {
  /** Runs `action` when the owner ends, failed or not. */
  after(action: () => void | Promise<void>): void;
}

/** Runs its actions last first; an action that fails keeps none of the others from running. */
export class Scope implements Owner {
  readonly #actions: (() => void | Promise<void>)[] = [];

  after(action: () => void | Promise<void>): void {
    this.#actions.push(action);
  }

  async end(): Promise<void> {
    const errors: unknown[] = [];
    for (let action = this.#actions.pop(); action; action = this.#actions.pop()) {
      try {
        await action();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, `clean-up failed: ${errors[0]}`);
  }
}
