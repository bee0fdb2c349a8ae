/**
 * The wire form of the machine's control messages; see `types.ts` for what they mean. Called by
 * the transport. Whatever arrives must not get past `decodeMessage` unless `encodeMessage` could
 * have made it: one form for each message, no byte more.
 *
 *   version (1 byte) | kind (1 byte) | fields, each a varint (7 bits a byte, lowest first)
 *   configuration = ballot version primary base count member...
 */

import { assert } from '../base/assert.ts';
import { type Ballot, ballot, type Epoch, epoch, type ReplicaId, replicaId } from '../base/ids.ts';
import { type Configuration, configurationProblem } from './configuration.ts';
import { MEMBERS_MAX, MESSAGE_BYTES_MAX, VARINT_BYTES_MAX } from './limits.ts';
import type { Message } from './types.ts';

export const MESSAGE_VERSION = 1;

/** Numbers of the kinds, for good: a retired one stays here as a comment. */
const KINDS = {
  join: 1,
  welcome: 2,
  joined: 3,
  configuration: 4,
  heartbeat: 5,
  alive: 6,
  prepare: 7,
  prepared: 8,
  refused: 9,
} as const satisfies Record<Message['kind'], number>;

export type Decoded =
  | { readonly ok: true; readonly message: Message }
  | { readonly ok: false; readonly problem: string };

export function encodeMessage(message: Message): Uint8Array {
  const writer = new Writer();
  writer.byte(MESSAGE_VERSION);
  writer.byte(KINDS[message.kind]);
  switch (message.kind) {
    case 'join':
      break;
    case 'welcome':
    case 'configuration':
      writer.configuration(message.configuration);
      break;
    case 'joined':
      writer.integers(message.ballot, message.base, message.epoch);
      break;
    case 'heartbeat':
      writer.integers(message.ballot, message.chosen);
      break;
    case 'alive':
    case 'prepared':
      writer.integers(message.ballot, message.epoch);
      break;
    case 'prepare':
      writer.integers(message.ballot, message.epoch);
      writer.configuration(message.previous);
      break;
    case 'refused':
      writer.integers(message.ballot, message.configuration === null ? 0 : 1);
      if (message.configuration !== null) writer.configuration(message.configuration);
      break;
  }
  return writer.finish();
}

/** Never throws: a malformed message costs its connection and nothing else. */
export function decodeMessage(bytes: Uint8Array): Decoded {
  if (bytes.length > MESSAGE_BYTES_MAX) return { ok: false, problem: 'longer than any message' };
  try {
    const reader = new Reader(bytes);
    const version = reader.byte();
    if (version !== MESSAGE_VERSION) return { ok: false, problem: `version ${version}` };
    const message = decodeBody(reader);
    reader.end();
    return { ok: true, message };
  } catch (error) {
    if (error instanceof Malformed) return { ok: false, problem: error.message };
    throw error;
  }
}

function decodeBody(reader: Reader): Message {
  const kind = reader.byte();
  switch (kind) {
    case KINDS.join:
      return { kind: 'join' };
    case KINDS.welcome:
      return { kind: 'welcome', configuration: reader.configuration() };
    case KINDS.joined: {
      const sent = reader.ballot();
      const base = reader.epoch();
      const last = reader.epoch();
      if (last < base) throw new Malformed('the log ends before the image');
      return { kind: 'joined', ballot: sent, base, epoch: last };
    }
    case KINDS.configuration:
      return { kind: 'configuration', configuration: reader.configuration() };
    case KINDS.heartbeat:
      return { kind: 'heartbeat', ballot: reader.ballot(), chosen: reader.epoch() };
    case KINDS.alive:
      return { kind: 'alive', ballot: reader.ballot(), epoch: reader.epoch() };
    case KINDS.prepare: {
      const sent = reader.ballot();
      const last = reader.epoch();
      const previous = reader.configuration();
      if (previous.ballot >= sent) throw new Malformed('a ballot not above its previous one');
      return { kind: 'prepare', ballot: sent, previous, epoch: last };
    }
    case KINDS.prepared:
      return { kind: 'prepared', ballot: reader.ballot(), epoch: reader.epoch() };
    case KINDS.refused: {
      // 0: a fresh replica has promised nothing yet.
      const promised = ballot(reader.integer());
      const configuration = reader.flag() ? reader.configuration() : null;
      return { kind: 'refused', ballot: promised, configuration };
    }
    default:
      throw new Malformed(`unknown kind ${kind}`);
  }
}

class Malformed extends Error {}

class Writer {
  readonly #bytes = new Uint8Array(MESSAGE_BYTES_MAX);
  #length = 0;

  byte(value: number): void {
    assert(this.#length < MESSAGE_BYTES_MAX, 'a message beyond its limit');
    this.#bytes[this.#length++] = value;
  }

  integers(...values: readonly number[]): void {
    for (const value of values) this.integer(value);
  }

  integer(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, `not an unsigned integer: ${value}`);
    let rest = value;
    while (rest >= 128) {
      this.byte((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    this.byte(rest);
  }

  configuration(configuration: Configuration): void {
    const problem = configurationProblem(configuration);
    assert(problem === null, `configuration: ${problem}`);
    const { version, primary, base, members } = configuration;
    this.integers(configuration.ballot, version, primary, base, members.length, ...members);
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  byte(): number {
    const value = this.#bytes[this.#offset++];
    if (value === undefined) throw new Malformed('truncated');
    return value;
  }

  integer(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < VARINT_BYTES_MAX; count++) {
      const byte = this.byte();
      value += (byte % 128) * scale;
      scale *= 128;
      if (byte >= 128) continue;
      if (byte === 0 && count > 0) throw new Malformed('an integer longer than needed');
      if (!Number.isSafeInteger(value)) throw new Malformed('an integer beyond 2^53');
      return value;
    }
    throw new Malformed('an integer without end');
  }

  flag(): boolean {
    const value = this.byte();
    if (value > 1) throw new Malformed('neither there nor absent');
    return value === 1;
  }

  ballot(): Ballot {
    const value = this.integer();
    if (value === 0) throw new Malformed('ballot 0');
    return ballot(value);
  }

  epoch(): Epoch {
    return epoch(this.integer());
  }

  configuration(): Configuration {
    const sent = this.ballot();
    const version = this.integer();
    const primary = replicaId(this.integer());
    const base = this.epoch();
    const count = this.integer();
    if (count > MEMBERS_MAX) throw new Malformed('too many members');
    const members: ReplicaId[] = [];
    for (let index = 0; index < count; index++) members.push(replicaId(this.integer()));
    const configuration = { ballot: sent, version, primary, members, base };
    const problem = configurationProblem(configuration);
    if (problem !== null) throw new Malformed(`configuration: ${problem}`);
    return configuration;
  }

  end(): void {
    if (this.#offset !== this.#bytes.length) throw new Malformed('bytes after the message');
  }
}
