/**
 * Connection: how a client asks a server that keeps numbers, whatever the protocol. It connects by
 * itself, and anew when the server is lost; a request that was under way then ends with NoAnswer,
 * and is never sent again by itself.
 */

import { Agent, type IncomingMessage, request } from 'node:http';
import { createConnection, type Socket } from 'node:net';
import { within } from '../support/wait.ts';

/** Lists: append, entries. Counters: increment, value. Registers: set, get. Self: its own check. */
export type Verb = 'append' | 'entries' | 'increment' | 'value' | 'set' | 'get' | 'self';

export interface Connection {
  /** The answer's text: nothing, a number, or numbers with spaces between. */
  ask(verb: Verb, key: string, value?: number): Promise<string>;
  close(): void;
}

/** The request may have been carried out or not. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/** Longer than a takeover takes on a busy machine. */
const answerTimeoutMs = 10_000;
const host = '127.0.0.1';

/** `promise`; whatever fails, and silence, is NoAnswer. */
export async function answer<T>(promise: Promise<T>): Promise<T> {
  try {
    return await within(promise, answerTimeoutMs, 'an answer');
  } catch (error) {
    throw new NoAnswer(String(error), { cause: error });
  }
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** Over connections that are kept alive. */
export class HttpClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  send(method: string, path: string, body = ''): Promise<HttpAnswer> {
    const { promise, done, fail } = deferred<HttpAnswer>();
    const headers = { 'content-length': Buffer.byteLength(body) };
    const options = { agent: this.#agent, host, port: this.#port, method, path, headers };
    const sent = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', fail);
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response;
        done({ status, headers, body: Buffer.concat(chunks) });
      });
    });
    sent.on('error', fail);
    sent.end(body);
    return answer(promise).catch((error) => {
      sent.destroy();
      throw error;
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** `POST /append/KEY` with the value as its body, `GET /entries/KEY`, and so on. */
export class HttpConnection implements Connection {
  readonly #client: HttpClient;

  constructor(port: number) {
    this.#client = new HttpClient(port);
  }

  async ask(verb: Verb, key: string, value?: number): Promise<string> {
    const isRead = !['append', 'increment', 'set'].includes(verb);
    const path = `/${verb}/${key}`;
    const method = isRead ? 'GET' : 'POST';
    const { status, body } = await this.#client.send(method, path, String(value ?? ''));
    if (status !== 200) throw new Error(`${path}: status ${status}: ${body}`);
    return body.toString();
  }

  close(): void {
    this.#client.close();
  }
}

/** `append KEY VALUE` and a newline; so is the answer. One request at a time. */
export class LineConnection implements Connection {
  readonly #port: number;
  #socket: Socket | null = null;

  constructor(port: number) {
    this.#port = port;
  }

  async ask(verb: Verb, key: string, value?: number): Promise<string> {
    this.#socket ??= this.#open();
    const socket = this.#socket;
    const { promise, done, fail } = deferred<string>();
    let text = '';
    const take = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      if (text.endsWith('\n')) done(text.trimEnd());
    };
    const ended = (): void => fail(new Error('connection closed'));
    socket.on('data', take).on('error', fail).on('close', ended);
    try {
      socket.write(`${verb} ${key} ${value ?? ''}\n`);
      return await answer(promise);
    } catch (error) {
      this.close();
      throw error;
    } finally {
      socket.off('data', take).off('error', fail).off('close', ended);
    }
  }

  #open(): Socket {
    const socket = createConnection({ port: this.#port, host, noDelay: true });
    // An error between two requests shows at the second; with no listener it would end the test.
    return socket.on('error', () => this.close());
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = null;
  }
}

function deferred<T>() {
  let done!: (value: T) => void;
  let fail!: (error: Error) => void;
  const promise = new Promise<T>((resolve, reject) => {
    done = resolve;
    fail = reject;
  });
  return { promise, done, fail };
}
