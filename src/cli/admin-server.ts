/**
 * The supervisor's side of the admin socket: reads requests, hands them to the supervisor, writes
 * replies. Whatever is sent, at worst that connection is closed. The socket's directory is the
 * user's alone, which is the authorisation.
 */
import { chmodSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { TardigradeError } from '../base/errors.ts';
import {
  type AdminReply,
  type AdminRequest,
  parseRequest,
  REQUEST_BYTES_MAX,
} from './admin-protocol.ts';
import { lineOf } from './exit-codes.ts';
import { type Line, LineReader } from './json-lines.ts';

export type AdminHandler = (request: AdminRequest) => Promise<unknown>;

/** A person and some scripts at once. */
const CONNECTIONS_MAX = 32;
/** A connection that says nothing. A checkpoint may take long, but then a request is under way. */
const IDLE_MS_MAX = 10_000;
/** Requests of one connection that wait for their replies. */
const REQUESTS_MAX = 8;

export class AdminServer {
  readonly #handler: AdminHandler;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();

  constructor(handler: AdminHandler) {
    this.#handler = handler;
    this.#server = createServer((socket) => this.#serve(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Resolves when requests are taken. `path` must not exist. */
  async listen(path: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, resolve);
    });
    // Nobody else gets to it through the directory; this is for those who move it.
    chmodSync(path, 0o600);
    // A service outlives trouble with accepting (no descriptors left): who asks, asks again.
    this.#server.on('error', () => {});
  }

  /** Closes the socket, and every connection once its replies have been written. */
  close(): void {
    this.#server.close();
    for (const socket of this.#connections) socket.destroySoon();
  }

  #serve(socket: Socket): void {
    this.#connections.add(socket);
    const reader = new LineReader(REQUEST_BYTES_MAX);
    let waiting = 0;
    const answer = async (line: Line): Promise<void> => {
      waiting += 1;
      socket.setTimeout(0);
      const { reply, isFatal } = await this.#answer(line);
      waiting -= 1;
      if (!socket.writable) return;
      socket.write(`${JSON.stringify(reply)}\n`);
      if (isFatal) socket.destroySoon();
      else if (waiting === 0) socket.setTimeout(IDLE_MS_MAX);
    };
    socket.setTimeout(IDLE_MS_MAX, () => socket.destroy());
    socket.on('close', () => this.#connections.delete(socket));
    // The other side may leave at any time.
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      for (const line of reader.push(chunk)) {
        if (waiting >= REQUESTS_MAX) socket.destroy();
        if (socket.destroyed) break;
        void answer(line);
        if (line.kind === 'malformed') break;
      }
    });
  }

  async #answer(line: Line): Promise<{ reply: AdminReply; isFatal: boolean }> {
    const request = line.kind === 'value' ? parseRequest(line.value) : line.why;
    if (typeof request === 'string') {
      return { reply: { ok: false, code: 'peer', line: `${request}; see docs` }, isFatal: true };
    }
    try {
      return { reply: { ok: true, result: await this.#handler(request) }, isFatal: false };
    } catch (error) {
      const code = error instanceof TardigradeError ? error.code : 'internal';
      return { reply: { ok: false, code, line: lineOf(error) }, isFatal: false };
    }
  }
}
