/**
 * What the conformance suite needs of whoever makes a host for it, and its helpers to work one.
 * Used by lvm.ts and by the makers of hosts.
 */

import assert from 'node:assert/strict';
import { E } from '../../src/abi/errno.ts';
import type { Handle } from '../../src/base/ids.ts';
import type { Lvm } from '../../src/lvm/api.ts';
import { Recorder } from './recorder.ts';

/** The outside's end of a connection to a published port. What it does may take effect later. */
export interface OutsidePeer {
  send(data: Buffer): void;
  /** Takes all that has come from the guest by now. */
  take(): Buffer;
  /** The guest's side has ended, and all before was taken. */
  readonly isEnded: boolean;
  readonly isReset: boolean;
  /** Ends the sending side. */
  end(): void;
  reset(): void;
}

/** A host, with the outside around it. */
export interface HostUnderTest {
  readonly lvm: Lvm;
  connect(port: number): OutsidePeer;
  /** Lets the host serve what is due and the outside move a little. */
  step(): void | Promise<void>;
  /** As `step`, until this time has passed on the guest's monotonic clock. */
  pass(durationNs: number): void | Promise<void>;
  /** Takes what came out of standard output or error. */
  output(stream: 1 | 2): Buffer;
  input(data: Buffer): void;
  endInput(): void;
  close(): void | Promise<void>;
}

/** What the host under test must be given. */
export const surroundings = {
  /** Guest ports. */
  published: 6379,
  unpublished: 6380,
  /** The root: path -> content, or the target of a symlink, with these modes. */
  root: {
    '/etc/motd': { file: 'hello, guest\n', mode: 0o640 },
    '/etc/link': { link: 'motd', mode: 0o777 },
    '/etc/many/one': { file: '', mode: 0o644 },
    '/etc/many/two': { file: 'x', mode: 0o644 },
    '/bin/junk': { file: 'not a program\n', mode: 0o755 },
    '/up': { link: '..', mode: 0o777 },
  },
} as const;

/** Steps before something that must happen is given up; a real host waits a little in each. */
export const STEPS_MAX = 5_000;

export class Bench {
  readonly host: HostUnderTest;
  readonly lvm: Lvm;
  readonly client = new Recorder();

  constructor(host: HostUnderTest) {
    this.host = host;
    this.lvm = host.lvm;
    this.lvm.attach(this.client);
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    for (let step = 0; step < STEPS_MAX; step += 1) {
      if (condition()) return;
      await this.host.step();
    }
    assert.fail(`never happened: ${what}`);
  }

  listen(): Handle {
    return handleOf(this.lvm.streamListen(surroundings.published));
  }

  /** A new connection's two ends. */
  async connected(listener: Handle): Promise<{ stream: Handle; peer: OutsidePeer }> {
    const peer = this.host.connect(surroundings.published);
    let accepted: ReturnType<Lvm['streamAccept']> = E.EAGAIN;
    await this.until('a connection', () => {
      accepted = this.lvm.streamAccept(listener);
      return accepted !== E.EAGAIN;
    });
    assert.ok(typeof accepted !== 'number', `accept gave ${accepted}`);
    return { stream: (accepted as { stream: Handle }).stream, peer };
  }

  /** Reads until `count` bytes are there, the end or an error has come. */
  async read(stream: Handle, count: number): Promise<Buffer> {
    const target = Buffer.alloc(count);
    let done = 0;
    let last: number = E.EAGAIN;
    await this.until(`${count} bytes`, () => {
      last = this.lvm.streamRead(stream, target.subarray(done));
      if (last > 0) done += last;
      return done === count || (last <= 0 && last !== E.EAGAIN);
    });
    return target.subarray(0, done);
  }

  /** The next result of a read that is not -EAGAIN. */
  async readResult(stream: Handle): Promise<number> {
    let result: number = E.EAGAIN;
    await this.until('something to read', () => {
      result = this.lvm.streamRead(stream, Buffer.alloc(16));
      return result !== E.EAGAIN;
    });
    return result;
  }

  async received(peer: OutsidePeer, count: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let done = 0;
    await this.until(`${count} bytes outside`, () => {
      const part = peer.take();
      parts.push(part);
      done += part.length;
      return done >= count;
    });
    return Buffer.concat(parts);
  }
}

export function handleOf(value: Handle | number): Handle {
  assert.ok(value > 0, `a handle, not ${value}`);
  return value as Handle;
}
