/**
 * A small client of the Redis protocol (RESP2), for the demo: one connection, commands in order. It
 * does not reconnect: a lost connection fails what waits, and whoever uses it makes a new one.
 */
import { connect, type Socket } from 'node:net';

export type Reply = string | number | null | readonly Reply[] | Error;

/** A reply and where it ends, or null when it has not come whole yet. */
export function parseReply(bytes: Buffer, at: number): { reply: Reply; end: number } | null {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd < 0) return null;
  const text = bytes.toString('utf8', at + 1, lineEnd);
  const next = lineEnd + 2;
  switch (bytes.toString('latin1', at, at + 1)) {
    case '+':
      return { reply: text, end: next };
    case '-':
      return { reply: new Error(text), end: next };
    case ':':
      return { reply: Number(text), end: next };
    case '$': {
      const size = Number(text);
      if (size < 0) return { reply: null, end: next };
      if (bytes.length < next + size + 2) return null;
      return { reply: bytes.toString('utf8', next, next + size), end: next + size + 2 };
    }
    case '*':
      return parseArray(bytes, next, Number(text));
    default:
      throw new Error(`not a reply of Redis: ${text.slice(0, 40)}`);
  }
}

function parseArray(bytes: Buffer, from: number, count: number) {
  const items: Reply[] = [];
  let at = from;
  for (let index = 0; index < count; index += 1) {
    const item = parseReply(bytes, at);
    if (item === null) return null;
    items.push(item.reply);
    at = item.end;
  }
  return { reply: items, end: at };
}

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

export class RedisConnection {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #received: Buffer = Buffer.alloc(0);
  #lost: Error | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#data(chunk));
    socket.on('error', (error) => this.#lose(error));
    socket.on('close', () => this.#lose(new Error('the connection was closed')));
  }

  static open(host: string, port: number, timeoutMs: number): Promise<RedisConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port });
      socket.setTimeout(timeoutMs, () => socket.destroy(new Error('connecting took too long')));
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.setTimeout(0);
        socket.off('error', reject);
        resolve(new RedisConnection(socket));
      });
    });
  }

  /** Sends a command; fails when no reply comes in time, and the connection with it. */
  async call(timeoutMs: number, ...args: readonly (string | number)[]): Promise<Reply> {
    if (this.#lost !== null) throw this.#lost;
    const parts = args.map((arg) => `$${Buffer.byteLength(String(arg))}\r\n${arg}\r\n`);
    this.#socket.write(`*${args.length}\r\n${parts.join('')}`);
    const timer = setTimeout(() => this.close(), timeoutMs);
    try {
      return await new Promise<Reply>((resolve, reject) => {
        this.#waiting.push({ resolve, reject });
      });
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#lose(new Error('the connection was given up'));
    this.#socket.destroy();
  }

  #data(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    for (;;) {
      const parsed = parseReply(this.#received, 0);
      if (parsed === null) return;
      this.#received = this.#received.subarray(parsed.end);
      this.#waiting.shift()?.resolve(parsed.reply);
    }
  }

  #lose(error: Error): void {
    this.#lost ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
