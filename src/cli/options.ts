/**
 * Values of the command line's options: each parser gives a value that is right by itself, or
 * throws a usage error that says what is wrong. Pure. Called by commands.ts through commander.
 */
import { posix } from 'node:path';
import { TardigradeError } from '../base/errors.ts';
import { FaultPlan } from '../base/fault-points.ts';
import { MEMBERS_MAX } from '../reconfig/limits.ts';
import { DEFAULT_PATH } from './guest-program.ts';
import type { PublishSpec } from './publish.ts';

/** What the guest is and sees; common to `run`, `restore` and `exec`. */
export interface GuestOptions {
  readonly name: string;
  readonly root: string;
  readonly cwd: string;
  /** `NAME=value`, the whole environment. */
  readonly env: readonly string[];
  readonly publish: readonly PublishSpec[];
  readonly interposers: readonly string[];
}

/** Which replicas a fault point is given to. */
type FaultTarget =
  | { readonly kind: 'initial' }
  | { readonly kind: 'later' }
  | { readonly kind: 'all' }
  | { readonly kind: 'replica'; readonly replica: number };

export interface FaultOption {
  readonly target: FaultTarget;
  /** `POINT[:COUNT]=kill|freeze|fail`, for the replica to act on (base/fault-points.ts). */
  readonly spec: string;
}

export interface ServiceOptions extends GuestOptions {
  readonly replicas: number;
  readonly failureTimeoutMs: number;
  readonly faults: readonly FaultOption[];
  readonly keepDeposed: boolean;
  readonly output: OutputMode;
  /** For tests: a module instead of the replicas' sentry. */
  readonly sentry: string | null;
}

export type OutputMode = 'auto' | 'json' | 'quiet';

/** A unix socket's path has at most 107 bytes; this leaves room for the runtime directory. */
const NAME_LENGTH_MAX = 40;
/** As many as a configuration can have members. */
const REPLICAS_MAX = MEMBERS_MAX;
const FAILURE_TIMEOUT_MS_MIN = 20;
const FAILURE_TIMEOUT_MS_MAX = 60_000;
/** Together they must fit the first page of a guest's stack area many times over. */
const ENV_MAX = 1024;

export function usage(message: string, remedy: string): TardigradeError {
  return new TardigradeError('usage', message, remedy);
}

function integer(option: string, text: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw usage(`${option} ${text}: not a number from ${min} to ${max}`, 'give such a number');
}

export const parseReplicas = (text: string): number => integer('--replicas', text, 1, REPLICAS_MAX);

export const parseFailureTimeout = (text: string): number =>
  integer('--failure-timeout', text, FAILURE_TIMEOUT_MS_MIN, FAILURE_TIMEOUT_MS_MAX);

/** A service's name: part of file names, process titles and lines, so plain. */
export function parseName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text) && text.length <= NAME_LENGTH_MAX) return text;
  const allowed = `use 1 to ${NAME_LENGTH_MAX} letters, digits, dots, dashes and underscores`;
  throw usage(`the service name "${text.slice(0, 60)}" can't be used`, allowed);
}

/** The name that a service has when none is given: the program's, as far as it is a name. */
export function defaultName(program: string): string {
  const base = posix.basename(program).replace(/[^A-Za-z0-9._-]+/g, '-');
  const plain = base.replace(/^[^A-Za-z0-9]+/, '').slice(0, NAME_LENGTH_MAX);
  return plain === '' ? 'service' : plain;
}

/** `K=V` of `--env`. */
export function parseEnv(text: string): string {
  const at = text.indexOf('=');
  if (at < 1) throw usage(`--env ${text}: not of the form NAME=VALUE`, 'write --env NAME=VALUE');
  if (text.includes('\0')) throw usage('--env: a value has a zero byte', 'leave it out');
  return text;
}

export function parseDirectory(option: string): (text: string) => string {
  return (text) => {
    if (text.startsWith('/')) return posix.normalize(text).replace(/(?<=.)\/$/, '');
    throw usage(`${option} ${text}: not an absolute path`, 'write one that starts with /');
  };
}

/** `initial:SPEC`, `later:SPEC`, `*:SPEC` or `ID:SPEC`. */
export function parseFault(text: string): FaultOption {
  const match = /^(initial|later|\*|[1-9]\d{0,8}):(.*)$/.exec(text);
  if (!match) {
    const form = 'write (initial|later|*|ID):POINT[:COUNT]=ACTION';
    throw usage(`--fault ${text}: can't be read`, form);
  }
  const [, who = '', spec = ''] = match;
  // Throws a usage error for what no replica would understand.
  new FaultPlan([spec], () => {});
  return { target: faultTarget(who), spec };
}

function faultTarget(who: string): FaultTarget {
  if (who === 'initial' || who === 'later') return { kind: who };
  if (who === '*') return { kind: 'all' };
  return { kind: 'replica', replica: Number(who) };
}

/** The fault points of replica `replica`; `isInitial` is the one that launches or restores. */
export function faultsFor(
  faults: readonly FaultOption[],
  replica: number,
  isInitial: boolean,
): readonly string[] {
  const concerns = ({ target }: FaultOption): boolean => {
    if (target.kind === 'replica') return target.replica === replica;
    return target.kind === 'all' || (target.kind === 'initial') === isInitial;
  };
  return faults.filter(concerns).map(({ spec }) => spec);
}

export function parseInterposer(text: string): string {
  if (text === 'tracer') return text;
  throw usage(`--interpose ${text}: unknown interposer`, 'there is: tracer');
}

/**
 * The guest's whole environment: a fixed base, then what was given; a later value replaces an
 * earlier one. Nothing of this machine's environment but the kind of terminal gets in.
 */
export function guestEnvironment(given: readonly string[], term: string): readonly string[] {
  if (given.length > ENV_MAX) throw usage(`${given.length} values of --env`, `at most ${ENV_MAX}`);
  const base = [`PATH=${DEFAULT_PATH}`, 'HOME=/root', 'LANG=C.UTF-8', `TERM=${term}`];
  const values = new Map<string, string>();
  for (const entry of [...base, ...given]) {
    const at = entry.indexOf('=');
    values.set(entry.slice(0, at), entry.slice(at + 1));
  }
  return [...values].map(([name, value]) => `${name}=${value}`);
}

/** The guest's PATH out of its environment. */
export function pathOf(env: readonly string[]): string {
  return env.find((entry) => entry.startsWith('PATH='))?.slice('PATH='.length) ?? DEFAULT_PATH;
}
