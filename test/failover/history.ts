/**
 * History: judges what clients were told against what they had been told before. Each key has one
 * writer, whose values increase, so a few numbers a key are enough, however long the run: what was
 * sent, what was acknowledged, what was seen. Pure: the order of the calls is the order of events.
 *
 * A write that got no answer is open: it may have happened or not, but it can't happen any more
 * once the writer has gone on, since its connection is gone with the server that held it.
 */

export type Outcome = 'acknowledged' | 'unknown';

export interface Violation {
  readonly key: string;
  readonly kind: 'lost' | 'went-back' | 'never-sent' | 'doubled' | 'reordered';
  readonly detail: string;
}

/** Enough to see a pattern; the count goes on. */
const violationsMax = 50;
/** Values of a register that are remembered one by one. */
const ownMax = 1000;

abstract class Key {
  readonly name: string;
  readonly #report: (violation: Violation) => void;

  constructor(name: string, report: (violation: Violation) => void) {
    this.name = name;
    this.#report = report;
  }

  protected report(kind: Violation['kind'], detail: string): void {
    this.#report({ key: this.name, kind, detail });
  }
}

/** `SET key n` with increasing n. */
export class Register extends Key {
  #sent = 0;
  #acknowledged = 0;
  #seen = 0;
  readonly #own = new Set<number>([0]);

  /** Before `SET key value` is sent. */
  beginWrite(value: number): void {
    if (value <= this.#sent) throw new Error(`${this.name}: ${value} is not above ${this.#sent}`);
    this.#sent = value;
    this.#own.add(value);
  }

  endWrite(value: number, outcome: Outcome): void {
    if (outcome === 'acknowledged') this.#acknowledged = Math.max(this.#acknowledged, value);
    if (this.#own.size > ownMax) this.#forgetBelow(this.#acknowledged);
  }

  /** Before `GET key` is sent; gives what `endRead` needs. */
  beginRead(): { readonly acknowledged: number; readonly seen: number } {
    return { acknowledged: this.#acknowledged, seen: this.#seen };
  }

  /** 0: the key is missing. */
  endRead(value: number, begun: { readonly acknowledged: number; readonly seen: number }): void {
    if (value < begun.acknowledged) {
      this.report('lost', `read ${value} after ${begun.acknowledged} was acknowledged`);
    } else if (value < begun.seen) {
      this.report('went-back', `read ${value} after ${begun.seen} was read`);
    } else if (value > this.#sent || (value > this.#acknowledged && !this.#own.has(value))) {
      this.report('never-sent', `read ${value}; the last one sent is ${this.#sent}`);
    } else {
      this.#seen = Math.max(this.#seen, value);
    }
  }

  /** What is below is judged by its order alone. */
  #forgetBelow(value: number): void {
    for (const own of this.#own) if (own < value) this.#own.delete(own);
  }
}

/** `INCR key`. */
export class Counter extends Key {
  /** The least that it can be, by what was acknowledged and read. */
  #least = 0;
  /** The most that it can be: `#least` and every open increment. */
  #most = 0;
  #isWriting = false;

  beginWrite(): number {
    if (this.#isWriting) throw new Error(`${this.name}: one increment at a time`);
    this.#isWriting = true;
    this.#most += 1;
    return this.#least;
  }

  /** `least` as beginWrite gave it; `value` is the reply, when there was one. */
  endWrite(least: number, value: number | null): void {
    this.#isWriting = false;
    if (value === null) return;
    if (value <= least) this.report('lost', `INCR gave ${value}; it was ${least} before`);
    else if (value > this.#most) this.report('doubled', `INCR gave ${value} of ${this.#most} sent`);
    // It is known exactly now, also after a violation: one is told once.
    this.#least = value;
    this.#most = value;
  }

  beginRead(): number {
    return this.#least;
  }

  endRead(value: number, least: number): void {
    if (value < least) this.report('lost', `read ${value}; it was ${least} before`);
    else if (value > this.#most) this.report('doubled', `read ${value} of ${this.#most} sent`);
    else this.#least = Math.max(this.#least, value);
  }
}

/** `RPUSH key n` with increasing n: the list is what was sent, less some of what is open. */
export class Log extends Key {
  readonly #outcomes = new Map<number, Outcome | 'sent'>();
  #lastSent = 0;
  /** The longest prefix that was ever read. */
  #seen: readonly number[] = [];

  get size(): number {
    return this.#outcomes.size;
  }

  beginWrite(value: number): void {
    if (value <= this.#lastSent) throw new Error(`${this.name}: ${value} does not increase`);
    this.#lastSent = value;
    this.#outcomes.set(value, 'sent');
  }

  endWrite(value: number, outcome: Outcome): void {
    this.#outcomes.set(value, outcome);
  }

  /** Before `LRANGE key 0 -1` is sent: what must be there. */
  beginRead(): { readonly acknowledged: readonly number[]; readonly seen: readonly number[] } {
    const acknowledged = [...this.#outcomes].filter(([, outcome]) => outcome === 'acknowledged');
    return { acknowledged: acknowledged.map(([value]) => value), seen: this.#seen };
  }

  endRead(values: readonly number[], begun: ReturnType<Log['beginRead']>): void {
    const present = new Set(values);
    const missing = begun.acknowledged.filter((value) => !present.has(value));
    if (missing.length > 0) {
      this.report('lost', `${missing.length} acknowledged entries, first ${missing[0]}`);
    }
    if (present.size < values.length) this.report('doubled', 'an entry is there twice');
    const strange = values.find((value) => !this.#outcomes.has(value));
    if (strange !== undefined) this.report('never-sent', `entry ${strange}`);
    const isRising = values.every((value, at) => at === 0 || value > (values[at - 1] as number));
    if (!isRising && present.size === values.length) this.report('reordered', 'not as sent');
    const changedAt = begun.seen.findIndex((value, at) => values[at] !== value);
    if (changedAt >= 0 && missing.length === 0 && isRising) {
      const detail = `entry ${changedAt} was ${begun.seen[changedAt]}, is ${values[changedAt]}`;
      this.report('went-back', detail);
    }
    if (values.length > this.#seen.length) this.#seen = values;
  }
}

export class History {
  readonly violations: Violation[] = [];
  violationCount = 0;

  register(name: string): Register {
    return new Register(name, this.#report);
  }

  counter(name: string): Counter {
    return new Counter(name, this.#report);
  }

  log(name: string): Log {
    return new Log(name, this.#report);
  }

  readonly #report = (violation: Violation): void => {
    this.violationCount += 1;
    if (this.violations.length < violationsMax) this.violations.push(violation);
  };

  /** Throws if anything was violated since the last call that didn't. */
  assertClean(context: string): void {
    if (this.violationCount === 0) return;
    const lines = this.violations.map(({ key, kind, detail }) => `  ${key}: ${kind}: ${detail}`);
    throw new Error(`${this.violationCount} violations ${context}\n${lines.join('\n')}`);
  }
}
