/**
 * ZooKeeperSession: one client of ZooKeeper, with promises. Its library connects anew by itself and
 * keeps the session while the server does; when the session has expired, a new one is made here.
 */

import zookeeper, { type Client, type Exception } from 'node-zookeeper-client';
import { answer, type Connection, type NoAnswer, type Verb } from './connection.ts';

const { CreateMode } = zookeeper;
/** Longer than a takeover on a busy machine. */
const sessionTimeoutMs = 20_000;
const anyVersion = -1;

class ZooKeeperError extends Error {
  override readonly name = 'ZooKeeperError';
}

export class ZooKeeperSession {
  readonly #servers: string;
  #client: Client | null = null;
  /** Sessions so far: what ephemeral nodes and watches belong to. */
  sessions = 0;

  constructor(port: number) {
    this.#servers = `127.0.0.1:${port}`;
  }

  create(path: string, data: string, mode: keyof typeof CreateMode): Promise<string> {
    return this.#ask((client, done) => {
      client.create(path, Buffer.from(data), CreateMode[mode], done);
    });
  }

  /** Gives the version that the node has now. */
  async set(path: string, data: string): Promise<number> {
    const stat = await this.#ask<{ readonly version: number }>((client, done) => {
      client.setData(path, Buffer.from(data), anyVersion, done);
    });
    return stat.version;
  }

  get(path: string): Promise<string> {
    return this.#ask((client, done) => {
      client.getData(path, (error, data) => done(error, data?.toString() ?? ''));
    });
  }

  /** Of a node that exists; otherwise null. */
  async version(path: string, watcher?: (name: string) => void): Promise<number | null> {
    const stat = await this.#ask<{ readonly version: number } | null>((client, done) => {
      if (watcher === undefined) client.exists(path, done);
      else client.exists(path, (event) => watcher(event.getName()), done);
    });
    return stat?.version ?? null;
  }

  children(path: string): Promise<string[]> {
    return this.#ask((client, done) => client.getChildren(path, done));
  }

  /** Its session ends with it. */
  close(): void {
    this.#client?.close();
    this.#client = null;
  }

  async #ask<T>(
    send: (client: Client, done: (error: Exception | null, result: T) => void) => void,
  ): Promise<T> {
    const client = this.#connected();
    const asked = new Promise<T>((resolve, reject) => {
      send(client, (error, result) => (error ? reject(error) : resolve(result)));
    });
    try {
      return await answer(asked);
    } catch (error) {
      const cause = (error as NoAnswer).cause as Exception;
      const name = cause.getName?.() ?? '';
      // The library has no more to say about the other errors of a lost connection.
      if (name === '' || name === 'CONNECTION_LOSS' || name === 'SESSION_EXPIRED') throw error;
      throw new ZooKeeperError(name, { cause });
    }
  }

  #connected(): Client {
    if (this.#client?.getState().getName() === 'EXPIRED') this.close();
    if (this.#client === null) {
      const options = { sessionTimeout: sessionTimeoutMs, retries: 0 };
      this.#client = zookeeper.createClient(this.#servers, options);
      this.#client.connect();
      this.sessions += 1;
    }
    return this.#client;
  }
}

/** Lists are sequential nodes, counters the versions of nodes, registers their data. */
export class ZooKeeperConnection implements Connection {
  readonly #session: ZooKeeperSession;
  /** The last sequence number of each list, as this client was told. */
  readonly #last = new Map<string, number>();

  constructor(port: number) {
    this.#session = new ZooKeeperSession(port);
  }

  async ask(verb: Verb, key: string, value?: number): Promise<string> {
    const path = `/${key}`;
    const session = this.#session;
    switch (verb) {
      case 'append':
        await this.#append(path, value as number);
        return '';
      case 'entries': {
        const names = await orNothing(session.children(path));
        const entries = (names ?? []).map(splitName);
        entries.sort((left, right) => left.sequence - right.sequence);
        return entries.map((entry) => entry.value).join(' ');
      }
      case 'increment':
        return String(await this.#set(path, 'counted'));
      case 'value':
        return String((await session.version(path)) ?? 0);
      case 'set':
        await this.#set(path, String(value));
        return '';
      default:
        return (await orNothing(session.get(path))) ?? '';
    }
  }

  close(): void {
    this.#session.close();
  }

  async #append(path: string, value: number): Promise<void> {
    const create = (): Promise<string> =>
      this.#session.create(`${path}/${value}-`, '', 'PERSISTENT_SEQUENTIAL');
    const name = (await orNothing(create())) ?? (await this.#make(path, create));
    const { sequence } = splitName(name.slice(path.length + 1));
    const last = this.#last.get(path) ?? -1;
    if (sequence <= last) throw new Error(`${name} after sequence number ${last}`);
    this.#last.set(path, sequence);
  }

  async #set(path: string, data: string): Promise<number> {
    const set = (): Promise<number> => this.#session.set(path, data);
    return (await orNothing(set())) ?? (await this.#make(path, set));
  }

  async #make<T>(path: string, then: () => Promise<T>): Promise<T> {
    await this.#session.create(path, '', 'PERSISTENT');
    return then();
  }
}

/** Nothing where there is no node. */
async function orNothing<T>(promise: Promise<T>): Promise<T | null> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof ZooKeeperError && error.message === 'NO_NODE') return null;
    throw error;
  }
}

function splitName(name: string): { readonly value: number; readonly sequence: number } {
  const [value, sequence] = name.split('-').map(Number);
  return { value: value as number, sequence: sequence as number };
}
