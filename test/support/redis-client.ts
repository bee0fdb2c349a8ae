/**
 * A Redis client for tests: `send` and `read` are apart, so that a test can pipeline, block and
 * subscribe as it likes; `call` is both. Every read is bounded. A client that has lost its
 * connection stays lost: `connectRedis` makes a new one.
 */

import { createConnection, type Socket } from 'node:net';
import { type Argument, encodeCommand, type Reply, RespParser } from './resp.ts';
import { delay, TimeoutError, within } from './wait.ts';

export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

interface Waiter {
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

export class RedisClient {
  readonly #socket: Socket;
  readonly #parser = new RespParser();
  readonly #replies: Reply[] = [];
  readonly #waiters: Waiter[] = [];
  readonly #timeoutMs: number;
  #lost: Error | null = null;
  /** Bytes received so far, of whatever. */
  receivedBytes = 0;

  /** Owns `socket`, which is connected. */
  constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (error) => this.#lose(new ConnectionLost(`connection: ${error.message}`)));
    socket.on('close', () => this.#lose(new ConnectionLost('connection closed')));
  }

  get isLost(): boolean {
    return this.#lost !== null;
  }

  send(...args: readonly Argument[]): void {
    this.#socket.write(encodeCommand(args));
  }

  sendRaw(bytes: Buffer | string): void {
    this.#socket.write(bytes);
  }

  /** The next reply, in the order of arrival. A late one loses the connection: it has no match. */
  async read(timeoutMs = this.#timeoutMs): Promise<Reply> {
    const ready = this.#replies.shift();
    if (ready) return ready;
    if (this.#lost) throw this.#lost;
    const reply = new Promise<Reply>((resolve, reject) => this.#waiters.push({ resolve, reject }));
    try {
      return await within(reply, timeoutMs, 'a reply');
    } catch (error) {
      if (error instanceof TimeoutError) this.close();
      throw error;
    }
  }

  call(...args: readonly Argument[]): Promise<Reply> {
    this.send(...args);
    return this.read();
  }

  /** Sends all, then reads all replies. */
  async pipeline(commands: readonly (readonly Argument[])[]): Promise<Reply[]> {
    this.sendRaw(Buffer.concat(commands.map(encodeCommand)));
    const replies: Reply[] = [];
    for (const _ of commands) replies.push(await this.read());
    return replies;
  }

  close(): void {
    this.#lose(new ConnectionLost('closed by the client'));
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.receivedBytes += chunk.length;
    this.#parser.push(chunk);
    try {
      for (let reply = this.#parser.next(); reply; reply = this.#parser.next()) {
        const waiter = this.#waiters.shift();
        if (waiter) waiter.resolve(reply);
        else this.#replies.push(reply);
      }
    } catch (error) {
      this.#lose(error as Error);
      this.#socket.destroy();
    }
  }

  #lose(error: Error): void {
    this.#lost ??= error;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#lost);
  }
}

/** One attempt. */
function connectOnce(port: number, host: string, timeoutMs: number): Promise<Socket> {
  const socket = createConnection({ port, host });
  const connected = new Promise<Socket>((resolve, reject) => {
    socket.once('connect', () => resolve(socket));
    socket.once('error', (error) => reject(new ConnectionLost(`connect: ${error.message}`)));
  });
  return within(connected, timeoutMs, `a connection to port ${port}`).catch((error) => {
    socket.destroy();
    throw error;
  });
}

export interface ConnectOptions {
  readonly port: number;
  readonly host?: string;
  /** Of each read, and of the whole of connecting. */
  readonly timeoutMs?: number;
}

/** Connects and waits for an answer to PING, with new attempts until `timeoutMs` have passed. */
export async function connectRedis(options: ConnectOptions): Promise<RedisClient> {
  const { port, host = '127.0.0.1', timeoutMs = 20_000 } = options;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const leftMs = Math.max(1, deadline - performance.now());
    let client: RedisClient | null = null;
    try {
      client = new RedisClient(await connectOnce(port, host, leftMs), timeoutMs);
      client.send('PING');
      // A connection that a dying server has taken would cost the whole time.
      const reply = await client.read(Math.min(leftMs, 2000));
      if (reply.type === 'simple') return client;
      throw new ConnectionLost(`PING: ${reply.type}`);
    } catch (error) {
      client?.close();
      if (performance.now() >= deadline) throw error;
      await delay(10);
    }
  }
}
