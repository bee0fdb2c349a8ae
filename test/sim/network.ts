/**
 * A simulated network of connections: FIFO within one, any order across; a break loses what is on
 * its way, and each end notices in its own time. A blocked direction holds messages, as TCP does,
 * until it is open again or the connection breaks. Knows nothing of what it carries.
 */

import type { ReplicaId } from '../../src/base/ids.ts';
import type { Prng } from './prng.ts';
import type { Scheduler } from './scheduler.ts';

/** An end: gets everything through `deliver`, so that it can be frozen. */
export interface Endpoint<M> {
  readonly id: ReplicaId;
  onMessage(from: ReplicaId, message: M): void;
  onPeerUp(peer: ReplicaId): void;
  onPeerDown(peer: ReplicaId): void;
  /** Run now, or when it wakes. Never, if it is dead. */
  deliver(run: () => void): void;
}

interface Direction<M> {
  lastMs: number;
  held: (() => void)[];
  waiting: M[];
}

interface Connection<M> {
  readonly ends: readonly [ReplicaId, ReplicaId];
  readonly delayMs: number;
  state: 'connecting' | 'up' | 'broken';
  attempts: number;
  readonly directions: Map<ReplicaId, Direction<M>>;
}

const connectAttemptsMax = 12;
const connectRetryMs = 25;

export class Network<M> {
  readonly #scheduler: Scheduler;
  readonly #prng: Prng;
  readonly #endpoints = new Map<ReplicaId, Endpoint<M>>();
  /** By pair; at most one that isn't broken. */
  readonly #connections = new Map<string, Connection<M>>();
  /** What each end believes to be up. */
  readonly #views = new Map<string, Connection<M>>();
  readonly #blocked = new Set<string>();
  /** Multiplies all delays. */
  slowness = 1;

  constructor(scheduler: Scheduler, prng: Prng) {
    this.#scheduler = scheduler;
    this.#prng = prng;
  }

  add(endpoint: Endpoint<M>): void {
    this.#endpoints.set(endpoint.id, endpoint);
  }

  /** The process is gone. Silent: with its machine, so that nobody is told. */
  remove(id: ReplicaId, silent: boolean): void {
    this.#endpoints.delete(id);
    for (const connection of this.#connections.values()) {
      if (connection.ends.includes(id)) this.#break(connection, silent);
    }
  }

  /** Send on the connection, which is made if there is none. */
  send(from: ReplicaId, to: ReplicaId, message: M): void {
    const view = this.#views.get(`${from}>${to}`);
    if (view?.state === 'broken') return; // not noticed yet
    const connection = this.#connections.get(pair(from, to)) ?? this.#connect(from, to);
    const direction = connection.directions.get(from) as Direction<M>;
    if (connection.state === 'up') this.#transmit(connection, from, to, message);
    else direction.waiting.push(message);
  }

  /** Break the connection between two, if there is one. */
  break(a: ReplicaId, b: ReplicaId): void {
    const connection = this.#connections.get(pair(a, b));
    if (connection !== undefined) this.#break(connection, false);
  }

  block(from: ReplicaId, to: ReplicaId): void {
    this.#blocked.add(`${from}>${to}`);
  }

  unblock(from: ReplicaId, to: ReplicaId): void {
    if (!this.#blocked.delete(`${from}>${to}`)) return;
    const connection = this.#connections.get(pair(from, to));
    const direction = connection?.directions.get(from);
    if (direction === undefined) return;
    for (const run of direction.held.splice(0)) run();
  }

  unblockAll(): void {
    for (const key of [...this.#blocked]) {
      const [from, to] = key.split('>').map(Number) as [ReplicaId, ReplicaId];
      this.unblock(from, to);
    }
  }

  #connect(a: ReplicaId, b: ReplicaId): Connection<M> {
    const direction = (): Direction<M> => ({ lastMs: 0, held: [], waiting: [] });
    const connection: Connection<M> = {
      ends: [a, b],
      delayMs: this.#prng.between(0.05, 2),
      state: 'connecting',
      attempts: 0,
      directions: new Map([
        [a, direction()],
        [b, direction()],
      ]),
    };
    this.#connections.set(pair(a, b), connection);
    this.#scheduler.after(this.#delay(connection) * 2, () => this.#attempt(connection));
    return connection;
  }

  #attempt(connection: Connection<M>): void {
    if (connection.state !== 'connecting') return;
    const [a, b] = connection.ends;
    const open = !this.#blocked.has(`${a}>${b}`) && !this.#blocked.has(`${b}>${a}`);
    if (open && this.#endpoints.has(a) && this.#endpoints.has(b)) {
      connection.state = 'up';
      this.#up(connection, a, b);
      this.#up(connection, b, a);
      return;
    }
    connection.attempts += 1;
    if (connection.attempts >= connectAttemptsMax) {
      this.#break(connection, false);
      return;
    }
    this.#scheduler.after(connectRetryMs, () => this.#attempt(connection));
  }

  #up(connection: Connection<M>, id: ReplicaId, peer: ReplicaId): void {
    const direction = connection.directions.get(id) as Direction<M>;
    const waiting = direction.waiting.splice(0);
    this.#endpoints.get(id)?.deliver(() => {
      if (connection.state === 'broken') return;
      const before = this.#views.get(`${id}>${peer}`);
      this.#views.set(`${id}>${peer}`, connection);
      if (before !== undefined) this.#endpoints.get(id)?.onPeerDown(peer);
      this.#endpoints.get(id)?.onPeerUp(peer);
    });
    for (const message of waiting) this.#transmit(connection, id, peer, message);
  }

  #transmit(connection: Connection<M>, from: ReplicaId, to: ReplicaId, message: M): void {
    const direction = connection.directions.get(from) as Direction<M>;
    const arrivalMs = this.#scheduler.nowMs + this.#delay(connection);
    direction.lastMs = Math.max(direction.lastMs, arrivalMs);
    const deliver = (): void => {
      if (connection.state === 'broken') return;
      const endpoint = this.#endpoints.get(to);
      endpoint?.deliver(() => {
        // Read from the socket's buffer: there even if the connection broke while it lay there, as
        // long as this end hasn't gone on to another.
        const view = this.#views.get(`${to}>${from}`);
        if (view === connection) endpoint.onMessage(from, message);
      });
    };
    this.#scheduler.at(direction.lastMs, () => {
      if (direction.held.length > 0 || this.#blocked.has(`${from}>${to}`)) {
        direction.held.push(deliver);
      } else {
        deliver();
      }
    });
  }

  #break(connection: Connection<M>, silent: boolean): void {
    if (connection.state === 'broken') return;
    connection.state = 'broken';
    const [a, b] = connection.ends;
    this.#connections.delete(pair(a, b));
    if (silent) return;
    this.#noticeLater(connection, a, b);
    this.#noticeLater(connection, b, a);
  }

  #noticeLater(connection: Connection<M>, id: ReplicaId, peer: ReplicaId): void {
    const noticeMs = this.#prng.chance(0.2) ? 150 : 5;
    this.#scheduler.after(this.#prng.between(0, noticeMs), () => {
      const endpoint = this.#endpoints.get(id);
      endpoint?.deliver(() => {
        const view = this.#views.get(`${id}>${peer}`);
        // Another has taken its place, which told both at once.
        if (view !== undefined && view !== connection) return;
        this.#views.delete(`${id}>${peer}`);
        endpoint.onPeerDown(peer);
      });
    });
  }

  #delay(connection: Connection<M>): number {
    const jitterMs = this.#prng.chance(0.02) ? this.#prng.between(0, 30) : this.#prng.next();
    return (connection.delayMs + jitterMs) * this.slowness;
  }
}

function pair(a: ReplicaId, b: ReplicaId): string {
  return a < b ? `${a}-${b}` : `${b}-${a}`;
}
