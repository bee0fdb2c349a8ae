/**
 * Load: clients that write and read while servers die, for servers of any protocol, judged by the
 * same history as redis. A client whose request got no answer goes on with fresh keys: what threads
 * of the server still do about that request, after it is restored, can then disturb nothing else.
 */

import { Counter, History, Log, type Register } from '../failover/history.ts';
import { delay, within } from '../support/wait.ts';
import { type Connection, NoAnswer, type Verb } from './connection.ts';

export type Kind = 'log' | 'counter' | 'register';

type Key = Log | Counter | Register;

/** From the death of a server to the next answers. Seconds; the machine may be busy. */
const patienceMs = 15_000;
/** Leaves the processor to the servers. */
const thinkMs = 2;
const reconnectMs = 20;
/** So that reading a list stays cheap. */
const writesPerKeyMax = 200;
/** Of each client, that are still looked at: more than there are deaths and full keys. */
const keysMax = 40;

export interface LoadOptions {
  readonly connect: () => Connection;
  readonly kinds: readonly Kind[];
  /** Of the server, for error messages. */
  readonly describe: () => string;
  readonly clients?: number;
}

class Client {
  readonly keys: Key[] = [];
  readonly #history: History;
  readonly #name: string;
  readonly #current = new Map<Kind, { readonly key: Key; writes: number }>();
  #generation = 0;
  /** Increases with every write, of whatever kind. */
  #number = 0;

  constructor(history: History, name: string) {
    this.#history = history;
    this.#name = name;
  }

  /** Fresh keys from now on. */
  retire(): void {
    this.#current.clear();
  }

  async write(connection: Connection, kind: Kind): Promise<void> {
    const key = this.#keyFor(kind);
    this.#number += 1;
    const value = this.#number;
    if (key instanceof Counter) {
      const least = key.beginWrite();
      let answered: number | null = null;
      try {
        answered = numberOf(await connection.ask('increment', key.name));
      } finally {
        key.endWrite(least, answered);
      }
      return;
    }
    key.beginWrite(value);
    try {
      await connection.ask(key instanceof Log ? 'append' : 'set', key.name, value);
    } catch (error) {
      key.endWrite(value, 'unknown');
      throw error;
    }
    key.endWrite(value, 'acknowledged');
  }

  #keyFor(kind: Kind): Key {
    let current = this.#current.get(kind);
    if (current === undefined || current.writes >= writesPerKeyMax) {
      this.#generation += 1;
      const name = `${kind}-${this.#name}-${this.#generation}`;
      current = { key: this.#history[kind](name), writes: 0 };
      this.#current.set(kind, current);
      this.keys.push(current.key);
      if (this.keys.length > keysMax) this.keys.shift();
    }
    current.writes += 1;
    return current.key;
  }
}

export class Load {
  readonly #history = new History();
  readonly #options: LoadOptions;
  readonly #clients: Client[];
  #loops: Promise<void>[] = [];
  #isStopping = false;
  #failure: unknown = null;
  #lastNoAnswer = '';
  acknowledged = 0;
  /** Requests that never got an answer. */
  open = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    const count = options.clients ?? 3;
    this.#clients = Array.from({ length: count }, (_, at) => new Client(this.#history, String(at)));
  }

  start(): void {
    this.#loops = this.#clients.map(async (client) => {
      try {
        await this.#loop(client);
      } catch (error) {
        this.#failure ??= error;
      }
    });
  }

  /** Waits until `count` more writes are acknowledged. */
  async progress(count: number): Promise<void> {
    const target = this.acknowledged + count;
    const deadline = performance.now() + patienceMs;
    while (this.acknowledged < target) {
      if (this.#failure !== null) throw this.#failure;
      if (performance.now() > deadline) {
        const { describe } = this.#options;
        const last = this.#lastNoAnswer;
        throw new Error(`no ${count} writes in ${patienceMs} ms; ${last}\n${describe()}`);
      }
      await delay(5);
    }
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await within(Promise.all(this.#loops), patienceMs, 'the end of the clients');
    if (this.#failure !== null) throw this.#failure;
  }

  /** Reads everything through a fresh connection, and judges it. */
  async verify(context: string): Promise<void> {
    const connection = this.#options.connect();
    try {
      for (const key of this.#clients.flatMap((client) => client.keys)) {
        await retried(() => readKey(connection, key));
      }
    } finally {
      connection.close();
    }
    this.#history.assertClean(context);
  }

  describe(): string {
    return `${this.acknowledged} writes acknowledged, 0 lost, ${this.open} without answer`;
  }

  async #loop(client: Client): Promise<void> {
    const { connect, kinds } = this.#options;
    const connection = connect();
    try {
      for (let turn = 0; !this.#isStopping; turn += 1) {
        try {
          await client.write(connection, kinds[turn % kinds.length] as Kind);
          this.acknowledged += 1;
        } catch (error) {
          if (!(error instanceof NoAnswer)) throw error;
          this.open += 1;
          this.#lastNoAnswer = error.message;
          client.retire();
          await delay(reconnectMs);
        }
        await delay(thinkMs);
      }
    } finally {
      connection.close();
    }
  }
}

async function readKey(connection: Connection, key: Key): Promise<void> {
  const ask = (verb: Verb): Promise<string> => connection.ask(verb, key.name);
  if (key instanceof Counter) {
    const least = key.beginRead();
    key.endRead(numberOf(await ask('value')), least);
  } else if (key instanceof Log) {
    const begun = key.beginRead();
    const words = (await ask('entries')).split(' ').filter((word) => word !== '');
    key.endRead(words.map(numberOf), begun);
  } else {
    const begun = key.beginRead();
    key.endRead(numberOf(await ask('get')), begun);
  }
}

/** Reads may be asked again until they are answered, within limits. */
export async function retried<T>(read: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof NoAnswer) || performance.now() > deadline) throw error;
      await delay(reconnectMs);
    }
  }
}

/** Nothing is 0, as a key that was never written. */
function numberOf(text: string): number {
  if (!/^\d*$/.test(text)) throw new Error(`not a number: ${text.slice(0, 200)}`);
  return Number(text);
}
