/**
 * `--publish [ADDR:]HOST[:GUEST]`: which port of this machine leads to which port of the guest.
 * Pure; the sockets are opened by listen.ts.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { TardigradeError } from '../base/errors.ts';

export interface PublishSpec {
  /** Numeric, without brackets. */
  readonly address: string;
  /** 0 asks for any free port. */
  readonly port: number;
  readonly guestPort: number;
}

/** As in docs/commands.md; the supervisor passes one descriptor for each to every replica. */
const PUBLISHED_MAX = 32;
const DEFAULT_ADDRESS = '127.0.0.1';
const FORM = 'write it as [ADDR:]HOST[:GUEST], such as 6379, 0:6379 or [::1]:8080:80';

function publishError(text: string, why: string, remedy = FORM): TardigradeError {
  return new TardigradeError('usage', `--publish ${text}: ${why}`, remedy);
}

/** A decimal port from `min` to 65535, or null. */
function portOf(text: string, min: number): number | null {
  if (!/^\d{1,5}$/.test(text)) return null;
  const port = Number(text);
  return port >= min && port <= 65_535 ? port : null;
}

/** Takes the address off the front; the rest is HOST[:GUEST]. */
function splitAddress(text: string): { address: string | null; rest: string } {
  const bracketed = /^\[([^\]]*)\]:(.*)$/.exec(text);
  if (bracketed) {
    const address = bracketed[1] as string;
    // A zone (%eth0) needs an interface index that means something else on another machine.
    if (!isIPv6(address) || address.includes('%')) {
      throw publishError(text, `${address || 'nothing'} is not an IPv6 address`);
    }
    return { address, rest: bracketed[2] as string };
  }
  if (text.includes('[') || text.includes(']')) {
    throw publishError(text, 'after an IPv6 address in brackets comes a port');
  }
  const parts = text.split(':');
  const first = parts[0] as string;
  if (parts.length > 3) {
    throw publishError(text, 'has more than three parts (an IPv6 address goes in brackets)');
  }
  if (parts.length === 1 || /^\d*$/.test(first)) return { address: null, rest: text };
  const address = first === 'localhost' ? DEFAULT_ADDRESS : first;
  if (!isIPv4(address)) throw publishError(text, `${first} is not an address`);
  return { address, rest: parts.slice(1).join(':') };
}

/** One value of `--publish`; throws a usage error that says what is wrong with it. */
export function parsePublish(text: string): PublishSpec {
  const { address, rest } = splitAddress(text);
  const parts = rest.split(':');
  if (parts.length > 2) throw publishError(text, 'has a part too many');
  const [hostText = '', guestText] = parts;
  const port = portOf(hostText, 0);
  if (port === null) throw publishError(text, `${hostText || 'nothing'} is not a port (0-65535)`);
  if (guestText === undefined && port === 0) {
    const remedy = 'name the port that the program listens on, such as 0:6379';
    throw publishError(text, 'with any free port, the guest port must be given', remedy);
  }
  const guestPort = guestText === undefined ? port : portOf(guestText, 1);
  if (guestPort === null) {
    throw publishError(text, `${guestText || 'nothing'} is not a guest port (1-65535)`);
  }
  return { address: address ?? DEFAULT_ADDRESS, port, guestPort };
}

/** What must hold of all of them together. */
export function checkPublished(specs: readonly PublishSpec[]): void {
  if (specs.length > PUBLISHED_MAX) {
    throw publishError('', `${specs.length} ports; at most ${PUBLISHED_MAX}`, 'publish fewer');
  }
  const guests = new Set<number>();
  for (const spec of specs) {
    if (guests.has(spec.guestPort)) {
      const why = `guest port ${spec.guestPort} is published twice`;
      throw publishError(formatPublished(spec), why, 'publish each guest port once');
    }
    guests.add(spec.guestPort);
  }
}

/** `127.0.0.1:6379` or `[::1]:6379`. */
export function formatEndpoint(address: string, port: number): string {
  return `${isIPv6(address) ? `[${address}]` : address}:${port}`;
}

/** In the form in which a user writes it. */
export function formatPublished(spec: PublishSpec): string {
  return `${formatEndpoint(spec.address, spec.port)}:${spec.guestPort}`;
}
