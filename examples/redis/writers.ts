/**
 * Clients that write increasing values, each to a list of its own, and remember what was
 * acknowledged. They reconnect when their connection is lost, as any client of Redis has to be able
 * to.
 */
import { RedisConnection } from './resp.ts';

const HOST = '127.0.0.1';
const CALL_TIMEOUT_MS = 3_000;
const RECONNECT_MS = 2;
/** Values that are read back at once. */
const READ_COUNT = 10_000;

/** What one writer found when it read everything back. */
export interface Verdict {
  readonly acknowledged: number;
  /** Acknowledged and not there. */
  readonly lost: number;
  /** There, though never sent, twice or out of order. */
  readonly wrong: number;
}

export class Writer {
  readonly #key: string;
  readonly #port: number;
  readonly #acknowledged: number[] = [];
  #sent = 0;
  #isStopped = false;
  #connection: RedisConnection | null = null;
  /** When the first write was answered over a connection made after the time that was given. */
  #firstAnswer: { readonly afterMs: number; answerMs: number | null } | null = null;
  readonly #ended: Promise<void>;

  constructor(number: number, port: number) {
    this.#key = `writer:${number}`;
    this.#port = port;
    this.#ended = this.#write();
  }

  get acknowledged(): number {
    return this.#acknowledged.length;
  }

  /** From now on looks for the first answer of a new connection. */
  watch(nowMs: number): void {
    this.#firstAnswer = { afterMs: nowMs, answerMs: null };
  }

  get firstAnswerMs(): number | null {
    return this.#firstAnswer?.answerMs ?? null;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#ended;
  }

  async #write(): Promise<void> {
    while (!this.#isStopped) {
      try {
        const connectedMs = performance.now();
        this.#connection = await RedisConnection.open(HOST, this.#port, CALL_TIMEOUT_MS);
        await this.#writeOver(this.#connection, connectedMs);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
      } finally {
        this.#connection?.close();
      }
    }
  }

  async #writeOver(connection: RedisConnection, connectedMs: number): Promise<void> {
    while (!this.#isStopped) {
      this.#sent += 1;
      const value = this.#sent;
      const reply = await connection.call(CALL_TIMEOUT_MS, 'RPUSH', this.#key, value);
      if (typeof reply !== 'number') throw new Error(`RPUSH: ${String(reply)}`);
      this.#acknowledged.push(value);
      const watch = this.#firstAnswer;
      if (watch !== null && watch.answerMs === null && connectedMs > watch.afterMs) {
        watch.answerMs = performance.now();
      }
    }
  }

  /** Reads everything back and compares. */
  async verify(): Promise<Verdict> {
    const connection = await RedisConnection.open(HOST, this.#port, CALL_TIMEOUT_MS);
    try {
      const present = new Set<number>();
      let wrong = 0;
      let last = 0;
      for (let from = 0; ; from += READ_COUNT) {
        const to = from + READ_COUNT - 1;
        const reply = await connection.call(CALL_TIMEOUT_MS, 'LRANGE', this.#key, from, to);
        if (!Array.isArray(reply)) throw new Error(`LRANGE: ${String(reply)}`);
        for (const item of reply) {
          const value = Number(item);
          if (!(value > last && value <= this.#sent)) wrong += 1;
          last = value;
          present.add(value);
        }
        if (reply.length < READ_COUNT) break;
      }
      const lost = this.#acknowledged.filter((value) => !present.has(value)).length;
      return { acknowledged: this.#acknowledged.length, lost, wrong };
    } finally {
      connection.close();
    }
  }
}
