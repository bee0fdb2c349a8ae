/**
 * Workload: several connections that write and read at once while servers die, each with keys of
 * its own to write and all to read. A connection that is lost is made anew; a request that has no
 * answer when that happens stays open in the history. What takes longer than `patienceMs` is a
 * failure: the service is then not available.
 */

import type { Prng } from '../../src/base/prng.ts';
import { ConnectionLost, connectRedis, type RedisClient } from '../support/redis-client.ts';
import { formatReply, integerOf, type Reply, textOf } from '../support/resp.ts';
import { delay, TimeoutError, within } from '../support/wait.ts';
import type { Counter, History, Log, Register } from './history.ts';

export interface WorkloadOptions {
  readonly port: number;
  readonly clients: number;
  /** Pause after each operation; leaves the processor to the servers. */
  readonly thinkMs: number;
  /** Without an answer for so long, a client takes its connection for dead and makes a new one. */
  readonly requestTimeoutMs: number;
  readonly patienceMs: number;
}

const logEntriesMax = 300;
/** Lists before the last one of each writer that are still looked at. */
const oldLogsMax = 2;

class Writer {
  readonly index: number;
  readonly register: Register;
  readonly counter: Counter;
  readonly logs: Log[] = [];
  readonly #history: History;
  #generation = 0;
  /** Increases with every write, of whatever kind. */
  number = 0;

  constructor(history: History, index: number) {
    this.#history = history;
    this.index = index;
    this.register = history.register(`r:${index}`);
    this.counter = history.counter(`c:${index}`);
    this.nextLog();
  }

  get log(): Log {
    return this.logs.at(-1) as Log;
  }

  /** A new list, so that none grows for ever; gives the name of one that isn't needed any more. */
  nextLog(): string | null {
    this.#generation += 1;
    this.logs.push(this.#history.log(`l:${this.index}:${this.#generation}`));
    return this.logs.length > oldLogsMax + 1 ? (this.logs.shift()?.name ?? null) : null;
  }
}

export class Workload {
  readonly #history: History;
  readonly #prng: Prng;
  readonly #options: WorkloadOptions;
  readonly #writers: Writer[];
  #loops: Promise<void>[] = [];
  #isStopping = false;
  #resume: (() => void) | null = null;
  #gate: Promise<void> = Promise.resolve();
  #idle = 0;
  #failure: Error | null = null;
  acknowledged = 0;
  /** Requests that never got an answer. */
  open = 0;
  /** When the last answer came to a write sent after `markMs`, for the time of a takeover. */
  #markMs = Number.POSITIVE_INFINITY;
  #firstAfterMarkMs: number | null = null;

  constructor(history: History, prng: Prng, options: WorkloadOptions) {
    this.#history = history;
    this.#prng = prng;
    this.#options = options;
    this.#writers = Array.from({ length: options.clients }, (_, at) => new Writer(history, at));
  }

  start(): void {
    this.#isStopping = false;
    this.#loops = this.#writers.map((writer) => this.#loop(writer));
  }

  /** From here on `answeredAfterMs` counts. */
  mark(): void {
    this.#markMs = performance.now();
    this.#firstAfterMarkMs = null;
  }

  /** Milliseconds from the mark to the first acknowledgement of a write sent after it. */
  get answeredAfterMs(): number | null {
    return this.#firstAfterMarkMs === null ? null : this.#firstAfterMarkMs - this.#markMs;
  }

  /** Waits until `count` more writes are acknowledged. */
  async progress(count: number): Promise<void> {
    const target = this.acknowledged + count;
    const deadline = performance.now() + this.#options.patienceMs;
    while (this.acknowledged < target) {
      this.#throwFailure();
      if (performance.now() > deadline) {
        throw new Error(`no ${count} more writes in ${this.#options.patienceMs} ms`);
      }
      await delay(5);
    }
  }

  /** Lets the clients end what they do, and hold. */
  async pause(): Promise<void> {
    if (this.#resume === null) {
      this.#gate = new Promise((resolve) => {
        this.#resume = resolve;
      });
    }
    const deadline = performance.now() + this.#options.patienceMs;
    while (this.#idle < this.#loops.length) {
      this.#throwFailure();
      if (performance.now() > deadline) throw new Error('the clients do not come to rest');
      await delay(5);
    }
  }

  resume(): void {
    this.#resume?.();
    this.#resume = null;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.resume();
    await within(Promise.all(this.#loops), this.#options.patienceMs * 2, 'the end of the clients');
    this.#loops = [];
    this.#throwFailure();
  }

  /** Reads everything through a fresh connection, and judges it. */
  async verify(context: string): Promise<void> {
    const client = await this.#connect();
    try {
      for (const writer of this.#writers) await this.#readAll(client, writer);
    } finally {
      client.close();
    }
    this.#throwFailure();
    this.#history.assertClean(context);
  }

  async #readAll(client: RedisClient, writer: Writer): Promise<void> {
    await this.#readRegister(client, writer);
    await this.#readCounter(client, writer);
    for (const log of writer.logs) {
      const begun = log.beginRead();
      const reply = await client.call('LRANGE', log.name, 0, -1);
      if (reply.type !== 'array') throw new Error(`LRANGE: ${formatReply(reply)}`);
      const values = (reply.items ?? []).map((item) => Number(textOf(item)));
      log.endRead(values, begun);
    }
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure;
  }

  #connect(): Promise<RedisClient> {
    const { port, patienceMs } = this.#options;
    return connectRedis({ port, timeoutMs: patienceMs });
  }

  async #loop(writer: Writer): Promise<void> {
    let client: RedisClient | null = null;
    try {
      while (!this.#isStopping) {
        if (this.#resume) {
          this.#idle += 1;
          await this.#gate;
          this.#idle -= 1;
          continue;
        }
        client = client === null || client.isLost ? await this.#connect() : client;
        await this.#operate(client, writer);
        if (this.#options.thinkMs > 0) await delay(this.#options.thinkMs);
      }
    } catch (error) {
      this.#failure ??= error as Error;
    } finally {
      client?.close();
    }
  }

  async #operate(client: RedisClient, writer: Writer): Promise<void> {
    const chance = this.#prng.fraction();
    const other = this.#writers[this.#prng.below(this.#writers.length)] as Writer;
    try {
      if (chance < 0.4) await this.#writeRegister(client, writer);
      else if (chance < 0.6) await this.#increment(client, writer);
      else if (chance < 0.8) await this.#append(client, writer);
      else if (chance < 0.92) await this.#readRegister(client, other);
      else await this.#readCounter(client, other);
    } catch (error) {
      // The request stays open; the next one goes over a new connection.
      if (!(error instanceof ConnectionLost || error instanceof TimeoutError)) throw error;
      this.open += 1;
      client.close();
    }
  }

  /** Counts an answered write, and keeps errors from being taken for answers. */
  async #write(client: RedisClient, ...args: (string | number)[]): Promise<Reply> {
    const sentMs = performance.now();
    client.send(...args);
    const reply = await client.read(this.#options.requestTimeoutMs);
    if (reply.type === 'error') throw new Error(`${args.join(' ')}: ${reply.text}`);
    this.acknowledged += 1;
    if (sentMs >= this.#markMs) this.#firstAfterMarkMs ??= performance.now();
    return reply;
  }

  async #writeRegister(client: RedisClient, writer: Writer): Promise<void> {
    writer.number += 1;
    const value = writer.number;
    writer.register.beginWrite(value);
    try {
      await this.#write(client, 'SET', writer.register.name, value);
    } catch (error) {
      writer.register.endWrite(value, 'unknown');
      throw error;
    }
    writer.register.endWrite(value, 'acknowledged');
  }

  async #increment(client: RedisClient, writer: Writer): Promise<void> {
    const least = writer.counter.beginWrite();
    let value: number | null = null;
    try {
      value = integerOf(await this.#write(client, 'INCR', writer.counter.name));
    } finally {
      writer.counter.endWrite(least, value);
    }
  }

  async #append(client: RedisClient, writer: Writer): Promise<void> {
    if (writer.log.size >= logEntriesMax) {
      const old = writer.nextLog();
      if (old !== null) await this.#write(client, 'DEL', old);
    }
    writer.number += 1;
    const { log, number } = writer;
    log.beginWrite(number);
    try {
      await this.#write(client, 'RPUSH', log.name, number);
    } catch (error) {
      log.endWrite(number, 'unknown');
      throw error;
    }
    log.endWrite(number, 'acknowledged');
  }

  async #readRegister(client: RedisClient, { register }: Writer): Promise<void> {
    const begun = register.beginRead();
    client.send('GET', register.name);
    const reply = await client.read(this.#options.requestTimeoutMs);
    register.endRead(Number(textOf(reply) ?? 0), begun);
  }

  async #readCounter(client: RedisClient, { counter }: Writer): Promise<void> {
    const begun = counter.beginRead();
    client.send('GET', counter.name);
    const reply = await client.read(this.#options.requestTimeoutMs);
    counter.endRead(Number(textOf(reply) ?? 0), begun);
  }
}
