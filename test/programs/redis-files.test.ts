/**
 * redis-server that appends each write to its file and calls fsync before it answers: what it reads
 * back from the file, in its own restart of the data set, is what clients were told.
 */

import assert from 'node:assert/strict';
import { ConnectionLost, connectRedis, type RedisClient } from '../support/redis-client.ts';
import { findProgram, skipUnless } from '../support/requirements.ts';
import { formatReply, type Reply, textOf } from '../support/resp.ts';
import { delay } from '../support/wait.ts';
import { type Connection, NoAnswer, type Verb } from './connection.ts';
import { retried } from './load.ts';
import { testProgram } from './suite.ts';

const commandOf = {
  append: 'RPUSH',
  entries: 'LRANGE',
  increment: 'INCR',
  value: 'GET',
  set: 'SET',
  get: 'GET',
} as const;

/** Ten seconds. */
const loadingLooksMax = 1000;

class RedisConnection implements Connection {
  readonly #port: number;
  #client: RedisClient | null = null;

  constructor(port: number) {
    this.#port = port;
  }

  async ask(verb: Verb, key: string, value?: number): Promise<string> {
    if (verb === 'self') return formatReply(await this.call('DEBUG', 'LOADAOF'));
    const range = verb === 'entries' ? [0, -1] : [];
    const reply = await this.call(commandOf[verb], key, ...(value ? [value] : range));
    if (reply.type === 'error') throw new Error(`${verb} ${key}: ${reply.text}`);
    if (verb === 'append' || verb === 'set') return '';
    if (reply.type === 'integer') return String(reply.value);
    return reply.type === 'array'
      ? (reply.items ?? []).map(textOf).join(' ')
      : (textOf(reply) ?? '');
  }

  /** Asks again while the file is read: nothing was carried out then. */
  async call(...args: readonly (string | number)[]): Promise<Reply> {
    for (let left = loadingLooksMax; ; left -= 1) {
      const reply = await this.#call(...args);
      const isLoading = reply.type === 'error' && reply.text.startsWith('LOADING');
      if (!isLoading || left === 0) return reply;
      await delay(10);
    }
  }

  async #call(...args: readonly (string | number)[]): Promise<Reply> {
    try {
      this.#client ??= await connectRedis({ port: this.#port });
      return await this.#client.call(...args);
    } catch (error) {
      this.close();
      throw error instanceof ConnectionLost ? new NoAnswer(error.message) : error;
    }
  }

  close(): void {
    this.#client?.close();
    this.#client = null;
  }
}

testProgram({
  title: 'redis with an append-only file',
  skip: skipUnless('redis-server', 'cli'),
  program: findProgram('redis-server') ?? 'redis-server',
  guestPort: 6379,
  args: (port, folder) => [
    ...['--port', String(port), '--bind', '0.0.0.0', '--protected-mode', 'no', '--dir', folder],
    ...['--appendonly', 'yes', '--appendfsync', 'always', '--save', '', '--loglevel', 'warning'],
    ...['--auto-aof-rewrite-percentage', '0', '--enable-debug-command', 'yes'],
  ],
  connect: (port) => new RedisConnection(port),
  kinds: ['log', 'counter', 'register'],
  check: async (port) => {
    const connection = new RedisConnection(port);
    assert.equal(await retried(() => connection.ask('self', 'check')), '+OK');
    connection.close();
  },
});
