/**
 * The embedded master: what `tardigrade run` hosts beside its replicas, and the replicas' side of
 * it. Requests and replies are plain JSON values; whoever hosts it provides the connection. The
 * server must survive whatever it is sent: it answers `malformed`, and the host closes that
 * connection.
 */

import { type Ballot, ballot, epoch, type ReplicaId, replicaId } from '../base/ids.ts';
import {
  type Configuration,
  type ConfigurationId,
  configurationProblem,
} from '../reconfig/configuration.ts';
import { MEMBERS_MAX } from '../reconfig/limits.ts';
import type { MasterReply, MasterRequest, RequestId } from '../reconfig/types.ts';
import type { Master } from './master.ts';
import type { MemoryMaster } from './memory.ts';

/** Grows with every incompatible change of requests or replies. */
export const VERSION = 1;
/** Enough for any request or reply as JSON: MEMBERS_MAX ids of 16 digits, and the fields. */
export const EMBEDDED_BYTES_MAX = 512 + 20 * MEMBERS_MAX;

export type EmbeddedReply =
  | { readonly version: number; readonly reply: MasterReply }
  | { readonly version: number; readonly malformed: string };

/** The server's side: one request, parsed from JSON, to its reply. */
export function serveMaster(master: MemoryMaster, request: unknown): EmbeddedReply {
  const parsed = parseRequest(request);
  if (typeof parsed === 'string') return { version: VERSION, malformed: parsed };
  return { version: VERSION, reply: master.decide(parsed) };
}

/** Sends one request over a connection to the server and resolves with its parsed reply. */
export type EmbeddedCall = (request: unknown, signal: AbortSignal) => Promise<unknown>;

export interface EmbeddedOptions {
  /** After this a request is `unavailable`. */
  readonly timeoutMs: number;
}

/** The replica's side. */
export class EmbeddedMaster implements Master {
  readonly #call: EmbeddedCall;
  readonly #options: EmbeddedOptions;

  constructor(call: EmbeddedCall, options: EmbeddedOptions) {
    this.#call = call;
    this.#options = options;
  }

  async ask(request: MasterRequest): Promise<MasterReply> {
    const controller = new AbortController();
    const { promise, timer } = this.#deadline(controller);
    try {
      const call = this.#call({ version: VERSION, request }, controller.signal);
      return parseReply(await Promise.race([call, promise]));
    } catch (error) {
      return { kind: 'unavailable', reason: error instanceof Error ? error.message : `${error}` };
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Rejects when it is time; a call that ignores its signal must not leave us without an answer.
   */
  #deadline(controller: AbortController): { promise: Promise<never>; timer: NodeJS.Timeout } {
    const { timeoutMs } = this.#options;
    let expire = (_reason: Error): void => {};
    const promise = new Promise<never>((_resolve, reject) => {
      expire = reject;
    });
    const timer = setTimeout(() => {
      const reason = new Error(`the master did not answer within ${timeoutMs} ms`);
      controller.abort(reason);
      expire(reason);
    }, timeoutMs);
    return { promise, timer };
  }
}

type Fields = Readonly<Record<string, unknown>>;

class Malformed extends Error {}

/** The request, or what is wrong with it. */
export function parseRequest(value: unknown): MasterRequest | string {
  try {
    const outer = fields(value, 'request');
    if (outer.version !== VERSION) return `version ${String(outer.version)}, not ${VERSION}`;
    return requestOf(fields(outer.request, 'request'));
  } catch (error) {
    if (error instanceof Malformed) return error.message;
    throw error;
  }
}

function requestOf(value: Fields): MasterRequest {
  const id = requestIdOf(value.id);
  const { kind } = value;
  switch (kind) {
    case 'read':
    case 'found':
      return { kind, id };
    case 'newBallot':
      return { kind, id, previous: configurationIdOf(value.previous) };
    case 'complete':
      return {
        kind,
        id,
        ballot: ballotOf(value.ballot),
        previous: configurationIdOf(value.previous),
        members: membersOf(value.members),
        base: epoch(integer(value.base, 'base', 0)),
      };
    case 'addMember':
    case 'removeMember': {
      const member = replicaId(integer(value.member, 'member', 1));
      return { kind, id, previous: configurationIdOf(value.previous), member };
    }
    default:
      throw new Malformed('unknown kind of request');
  }
}

/** A reply as the server's host hands it on, without the version; or what is wrong with it. */
export function readReply(value: unknown): MasterReply | string {
  try {
    const reply = fields(value, 'reply');
    if (reply.kind !== 'unavailable') return replyOf(reply);
    return { kind: 'unavailable', reason: String(reply.reason) };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return error.message;
  }
}

/** Throws on anything that a server of this version wouldn't say. */
function parseReply(value: unknown): MasterReply {
  const outer = fields(value, 'reply');
  if (outer.version !== VERSION) throw new Malformed('the master has another version');
  if (outer.malformed !== undefined) {
    throw new Malformed(`the master refused the request: ${String(outer.malformed)}`);
  }
  return replyOf(fields(outer.reply, 'reply'));
}

function replyOf(reply: Fields): MasterReply {
  switch (reply.kind) {
    case 'granted': {
      const configuration = configurationOf(reply.configuration);
      return { kind: 'granted', ballot: ballotOf(reply.ballot), configuration };
    }
    case 'refused': {
      const current = reply.configuration;
      const configuration = current === null ? null : configurationOf(current);
      return { kind: 'refused', configuration };
    }
    default:
      throw new Malformed('unknown kind of reply');
  }
}

function configurationOf(value: unknown): Configuration {
  const all = fields(value, 'configuration');
  const configuration = {
    ...configurationIdOf(all),
    primary: replicaId(integer(all.primary, 'primary', 1)),
    members: membersOf(all.members),
    base: epoch(integer(all.base, 'base', 0)),
  };
  const problem = configurationProblem(configuration);
  if (problem !== null) throw new Malformed(`configuration: ${problem}`);
  return configuration;
}

function configurationIdOf(value: unknown): ConfigurationId {
  const all = fields(value, 'configuration id');
  return { ballot: ballotOf(all.ballot), version: integer(all.version, 'version', 1) };
}

function requestIdOf(value: unknown): RequestId {
  const all = fields(value, 'id');
  return {
    replica: replicaId(integer(all.replica, 'replica', 1)),
    sequence: integer(all.sequence, 'sequence', 1),
  };
}

function membersOf(value: unknown): readonly ReplicaId[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MEMBERS_MAX) {
    throw new Malformed('members is not a list of replicas');
  }
  return value.map((member) => replicaId(integer(member, 'member', 1)));
}

function ballotOf(value: unknown): Ballot {
  return ballot(integer(value, 'ballot', 1));
}

function fields(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Malformed(`${what} is not an object`);
  }
  return value as Fields;
}

function integer(value: unknown, what: string, min: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min) {
    throw new Malformed(`${what} is not an integer of at least ${min}`);
  }
  return value;
}
