/**
 * The Redis protocol, RESP2 and RESP3: replies as data, an incremental parser, and the encoding of
 * commands. Pure. For tests and benchmarks.
 */

export type Reply =
  | { readonly type: 'simple'; readonly text: string }
  | { readonly type: 'error'; readonly text: string }
  | { readonly type: 'integer'; readonly value: bigint }
  /** A bulk string; null is RESP2's nil. */
  | { readonly type: 'bulk'; readonly bytes: Buffer | null }
  | { readonly type: 'array'; readonly items: readonly Reply[] | null }
  | { readonly type: 'set' | 'push'; readonly items: readonly Reply[] }
  | { readonly type: 'map'; readonly entries: readonly (readonly [Reply, Reply])[] }
  | { readonly type: 'null' }
  | { readonly type: 'boolean'; readonly value: boolean }
  /** As it was sent: the text is what is compared. */
  | { readonly type: 'double' | 'big'; readonly text: string }
  | { readonly type: 'verbatim'; readonly bytes: Buffer };

export type Argument = string | number | Buffer;

/** Redis' own limit of a bulk string. */
const bulkBytesMax = 512 * 1024 * 1024;
const itemsMax = 1 << 24;
const lineBytesMax = 64 * 1024;

export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** Thrown inside the parser when the reply isn't complete yet: so many bytes are needed. */
class Incomplete {
  readonly neededBytes: number;

  constructor(neededBytes: number) {
    this.neededBytes = neededBytes;
  }
}

export function encodeCommand(args: readonly Argument[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg));
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

export class RespParser {
  #bytes: Buffer = Buffer.alloc(0);
  #chunks: Buffer[] = [];
  #waitingBytes = 0;
  #neededBytes = 1;
  #at = 0;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.length;
  }

  /** The next complete reply, or null. */
  next(): Reply | null {
    if (this.#bytes.length + this.#waitingBytes < this.#neededBytes) return null;
    if (this.#chunks.length > 0) {
      this.#bytes = Buffer.concat([this.#bytes, ...this.#chunks]);
      this.#chunks = [];
      this.#waitingBytes = 0;
    }
    this.#at = 0;
    try {
      const reply = this.#reply();
      this.#bytes = this.#bytes.subarray(this.#at);
      this.#neededBytes = 1;
      return reply;
    } catch (error) {
      if (!(error instanceof Incomplete)) throw error;
      this.#neededBytes = error.neededBytes;
      return null;
    }
  }

  #line(): string {
    const end = this.#bytes.indexOf('\r\n', this.#at);
    if (end < 0) {
      if (this.#bytes.length - this.#at > lineBytesMax) throw new ProtocolError('endless line');
      throw new Incomplete(this.#bytes.length + 1);
    }
    const text = this.#bytes.toString('utf8', this.#at, end);
    this.#at = end + 2;
    return text;
  }

  /** A size or count; -1 is null. */
  #count(text: string, limit: number): number {
    const count = Number(text);
    if (!/^-?\d+$/.test(text) || count < -1 || count > limit) {
      throw new ProtocolError(`bad count ${JSON.stringify(text.slice(0, 40))}`);
    }
    return count;
  }

  #blob(text: string): Buffer | null {
    const size = this.#count(text, bulkBytesMax);
    if (size === -1) return null;
    const end = this.#at + size + 2;
    if (end > this.#bytes.length) throw new Incomplete(end);
    const bytes = this.#bytes.subarray(this.#at, end - 2);
    if (this.#bytes.toString('latin1', end - 2, end) !== '\r\n') {
      throw new ProtocolError('a bulk string does not end where it says');
    }
    this.#at = end;
    return bytes;
  }

  #items(text: string): Reply[] | null {
    const count = this.#count(text, itemsMax);
    if (count === -1) return null;
    const items: Reply[] = [];
    for (let index = 0; index < count; index += 1) items.push(this.#reply());
    return items;
  }

  #entries(text: string): (readonly [Reply, Reply])[] {
    const count = this.#count(text, itemsMax);
    const entries: (readonly [Reply, Reply])[] = [];
    for (let index = 0; index < count; index += 1) entries.push([this.#reply(), this.#reply()]);
    return entries;
  }

  #reply(): Reply {
    const line = this.#line();
    const text = line.slice(1);
    switch (line[0]) {
      case '+':
        return { type: 'simple', text };
      case '-':
        return { type: 'error', text };
      case ':':
        if (!/^[+-]?\d+$/.test(text)) throw new ProtocolError(`bad integer ${text}`);
        return { type: 'integer', value: BigInt(text) };
      case '$':
        return { type: 'bulk', bytes: this.#blob(text) };
      case '*':
        return { type: 'array', items: this.#items(text) };
      case '~':
        return { type: 'set', items: this.#items(text) ?? [] };
      case '>':
        return { type: 'push', items: this.#items(text) ?? [] };
      case '%':
        return { type: 'map', entries: this.#entries(text) };
      case '|':
        // Attributes belong to the reply that follows, and tell nothing that is compared.
        this.#entries(text);
        return this.#reply();
      case '_':
        return { type: 'null' };
      case '#':
        return { type: 'boolean', value: text === 't' };
      case ',':
        return { type: 'double', text };
      case '(':
        return { type: 'big', text };
      case '!':
        return { type: 'error', text: (this.#blob(text) ?? '').toString() };
      case '=':
        return { type: 'verbatim', bytes: this.#blob(text) ?? Buffer.alloc(0) };
      default:
        throw new ProtocolError(`not a reply: ${JSON.stringify(line.slice(0, 40))}`);
    }
  }
}

/** The reply as text: the same text for the same reply, whatever bytes are in it. */
export function formatReply(reply: Reply): string {
  const blob = (bytes: Buffer): string => JSON.stringify(bytes.toString('latin1'));
  switch (reply.type) {
    case 'simple':
      return `+${reply.text}`;
    case 'error':
      return `-${reply.text}`;
    case 'integer':
      return `:${reply.value}`;
    case 'bulk':
      return reply.bytes === null ? 'nil' : blob(reply.bytes);
    case 'verbatim':
      return `=${blob(reply.bytes)}`;
    case 'array':
      return reply.items === null ? 'nil-array' : `[${reply.items.map(formatReply).join(', ')}]`;
    case 'set':
    case 'push':
      return `${reply.type}[${reply.items.map(formatReply).join(', ')}]`;
    case 'map': {
      const pairs = reply.entries.map(
        ([key, value]) => `${formatReply(key)}: ${formatReply(value)}`,
      );
      return `{${pairs.join(', ')}}`;
    }
    case 'null':
      return 'null';
    case 'boolean':
      return `#${reply.value}`;
    case 'double':
      return `,${reply.text}`;
    case 'big':
      return `(${reply.text}`;
  }
}

/** The reply's text for a simple or bulk string, null for nil; throws on anything else. */
export function textOf(reply: Reply): string | null {
  if (reply.type === 'simple') return reply.text;
  if (reply.type === 'bulk') return reply.bytes?.toString() ?? null;
  if (reply.type === 'null') return null;
  throw new ProtocolError(`wanted a string, got ${formatReply(reply).slice(0, 200)}`);
}

export function integerOf(reply: Reply): number {
  if (reply.type === 'integer') return Number(reply.value);
  throw new ProtocolError(`wanted an integer, got ${formatReply(reply).slice(0, 200)}`);
}
