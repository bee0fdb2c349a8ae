/**
 * What is said on an admin socket: one line of JSON for a request, one for its reply. Spoken by
 * admin-server.ts and admin-client.ts. Types and checks only.
 */
import type { Role } from '../replica/messages.ts';

/** Grows with every incompatible change. */
export const ADMIN_VERSION = 1;
/** A request carries at most a path (4 KiB, each byte as up to six in JSON). */
export const REQUEST_BYTES_MAX = 32 * 1024;
/** A status names at most all replicas and all system calls. */
export const REPLY_BYTES_MAX = 1024 * 1024;
const PATH_LENGTH_MAX = 4096;

export type AdminRequest =
  | { readonly command: 'status' }
  | { readonly command: 'stop' }
  | { readonly command: 'checkpoint'; readonly path: string };

export type AdminReply =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly code: string; readonly line: string };

export interface UnsupportedCall {
  readonly name: string;
  readonly count: number;
}

/** The answer to `status`; the first four fields are for programs and stay as they are. */
export interface ServiceStatus {
  readonly service: string;
  readonly configuration: {
    readonly ballot: number;
    readonly primary: number;
    readonly members: readonly number[];
  } | null;
  readonly replicas: readonly {
    readonly id: number;
    readonly pid: number;
    readonly role: Role | 'starting';
    readonly epoch: number;
  }[];
  readonly published: readonly {
    readonly address: string;
    readonly port: number;
    readonly guestPort: number;
  }[];
  readonly pid: number;
  readonly program: string;
  readonly wantedReplicas: number;
  readonly uptimeMs: number;
  readonly takeovers: number;
  readonly restarts: number;
  readonly statistics: {
    readonly epoch: number;
    readonly chosenEpoch: number;
    readonly epochsPerSecond: number;
    readonly pauseP50Us: number;
    readonly pauseP99Us: number;
    readonly deltaBytesP50: number;
    readonly deltaBytesP99: number;
    readonly releaseP50Us: number;
    readonly calls: number;
    readonly heldBytes: number;
    readonly guestMemoryBytes: number;
  } | null;
  readonly unsupportedCalls: readonly UnsupportedCall[];
}

/** The request in a value from outside, or what is wrong with it. */
export function parseRequest(value: unknown): AdminRequest | string {
  if (typeof value !== 'object' || value === null) return 'a request is an object';
  const { version, command, path } = value as Readonly<Record<string, unknown>>;
  if (version !== ADMIN_VERSION) return `version ${String(version)}, not ${ADMIN_VERSION}`;
  if (command === 'status' || command === 'stop') return { command };
  if (command !== 'checkpoint') return 'unknown command';
  if (typeof path !== 'string' || !path.startsWith('/') || path.includes('\0')) {
    return 'the path is not an absolute path';
  }
  return path.length <= PATH_LENGTH_MAX ? { command, path } : 'the path is too long';
}

export function parseReply(value: unknown): AdminReply | string {
  if (typeof value !== 'object' || value === null) return 'a reply is an object';
  const { ok, result, code, line } = value as Readonly<Record<string, unknown>>;
  if (ok === true) return { ok, result };
  if (ok === false && typeof code === 'string' && typeof line === 'string') {
    return { ok, code, line };
  }
  return 'not a reply';
}
