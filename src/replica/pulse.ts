/**
 * Pulse: a replica's word that its process lives, by datagram, to every other one. It comes from
 * the main thread, because the sentry answers nobody while it takes or applies a large delta, and
 * that must not look like death. Pulses are heartbeats and no more: who gets one has heard of the
 * sender, provided that they are connected. Made by main.ts; must not decide who is suspected.
 *
 * A datagram is the body of a hello (replication/wire.ts), to the UDP port of the same number as
 * the TCP port. One that is lost, or a port that is taken, costs nothing but its help.
 */
import { timingSafeEqual } from 'node:crypto';
import {
  decodeHello,
  encodeHello,
  PACKET_HEADER_BYTES,
  WIRE_VERSION,
} from '../replication/wire.ts';
import type { PeerAddress } from './messages.ts';

/**
 * A sentry that says nothing for so long hangs, and its replica counts as dead. It reports several
 * times a second; taking the largest frame that there is takes some seconds.
 */
const SENTRY_MS_MAX = 10_000;

export interface PulseDeps {
  nowMs(): number;
  send(datagram: Buffer, host: string, port: number): void;
  /** These were heard since the last time. */
  heard(replicas: readonly number[]): void;
}

export interface PulseOptions {
  readonly self: number;
  readonly token: Buffer;
}

export class Pulse {
  readonly #deps: PulseDeps;
  readonly #options: PulseOptions;
  readonly #heard = new Set<number>();
  #peers: readonly PeerAddress[] = [];
  #sentryMs: number;

  constructor(deps: PulseDeps, options: PulseOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#sentryMs = deps.nowMs();
  }

  setPeers(peers: readonly PeerAddress[]): void {
    this.#peers = peers.filter(({ replica }) => replica !== this.#options.self);
  }

  /** The sentry said something. */
  sentryLives(): void {
    this.#sentryMs = this.#deps.nowMs();
  }

  received(datagram: Buffer): void {
    const hello = decodeHello(datagram);
    const { self, token } = this.#options;
    if (hello === null || hello.version !== WIRE_VERSION || hello.receiver !== self) return;
    if (!timingSafeEqual(hello.token, token)) return;
    if (this.#peers.some(({ replica }) => replica === hello.sender)) this.#heard.add(hello.sender);
  }

  /** To be called once a heartbeat. */
  beat(): void {
    if (this.#heard.size > 0) this.#deps.heard([...this.#heard]);
    this.#heard.clear();
    if (this.#deps.nowMs() - this.#sentryMs > SENTRY_MS_MAX) return;
    const { self, token } = this.#options;
    for (const { replica, host, port } of this.#peers) {
      const hello = { version: WIRE_VERSION, token, sender: self, receiver: replica };
      this.#deps.send(encodeHello(hello).subarray(PACKET_HEADER_BYTES), host, port);
    }
  }
}
