/**
 * Ports: who is bound to which port of one protocol inside the guest, by the rules of Linux for
 * SO_REUSEADDR, SO_REUSEPORT and IPV6_V6ONLY. Derived state: sockets enter themselves again when
 * loaded.
 */
import { E } from '../../abi/errno.ts';
import { ANY_V4, ANY_V6, type Endpoint, isV4 } from './address.ts';

const EPHEMERAL_FIRST = 32_768;
const EPHEMERAL_COUNT = 28_232;
const NO_USERS: ReadonlySet<never> = new Set();

/** A socket with a port. */
export interface PortUser {
  /** Null before it is bound. */
  readonly local: Endpoint | null;
  readonly isV6Only: boolean;
  readonly isListening: boolean;
  readonly options: { readonly reuseAddress: boolean; readonly reusePort: boolean };
}

/** Whether an address that a socket is bound to takes what comes for `ip`. */
export function covers(bound: string, isV6Only: boolean, ip: string): boolean {
  if (bound === ip) return true;
  if (bound === ANY_V4) return isV4(ip);
  return bound === ANY_V6 && !(isV6Only && isV4(ip));
}

export class Ports<User extends PortUser> {
  readonly #users = new Map<number, Set<User>>();
  /** UDP: SO_REUSEADDR on both is enough, as nobody listens. */
  readonly #isDatagram: boolean;

  constructor(isDatagram: boolean) {
    this.#isDatagram = isDatagram;
  }

  users(port: number): ReadonlySet<User> {
    return this.#users.get(port) ?? NO_USERS;
  }

  add(user: User, port: number): void {
    let users = this.#users.get(port);
    if (users === undefined) {
      users = new Set();
      this.#users.set(port, users);
    }
    users.add(user);
  }

  remove(user: User, port: number): void {
    const users = this.#users.get(port);
    users?.delete(user);
    if (users?.size === 0) this.#users.delete(port);
  }

  /** Whether `user` may be bound here; with `toListen`, whether it may listen. 0 or -EADDRINUSE. */
  check(user: User, wanted: Endpoint, toListen = false): number {
    for (const other of this.users(wanted.port)) {
      if (other === user || other.local === null) continue;
      const isOverlap =
        covers(other.local.ip, other.isV6Only, wanted.ip) ||
        covers(wanted.ip, user.isV6Only, other.local.ip);
      if (!isOverlap || this.#mayShare(user, other, toListen)) continue;
      return E.EADDRINUSE;
    }
    return 0;
  }

  #mayShare(user: User, other: User, toListen: boolean): boolean {
    if (user.options.reusePort && other.options.reusePort) return true;
    if (toListen) return !other.isListening;
    if (!user.options.reuseAddress || !other.options.reuseAddress) return false;
    return this.#isDatagram || !other.isListening;
  }

  /** A port that nobody has, from `start` on; -EADDRINUSE when all are taken. */
  ephemeral(start: number): number {
    for (let step = 0; step < EPHEMERAL_COUNT; step += 1) {
      const port = EPHEMERAL_FIRST + ((start + step) % EPHEMERAL_COUNT);
      if (!this.#users.has(port)) return port;
    }
    return E.EADDRINUSE;
  }
}
