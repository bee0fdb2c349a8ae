/**
 * Tests of fault-injector.ts: a client that keeps to the contract gets every byte through, for any
 * seed; and faults do happen.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Recorder } from '../../test/conformance/recorder.ts';
import { E } from '../abi/errno.ts';
import type { Handle } from '../base/ids.ts';
import { SimHost } from '../host/sim/sim-host.ts';
import { type Lvm, READY } from '../lvm/api.ts';
import { FaultInjector, type FaultInjectorOptions } from './fault-injector.ts';

const PORT = 80;

/** Sends back what comes on each stream, as an edge-triggered server does; closes after the end. */
class EchoClient extends Recorder {
  readonly #lvm: Lvm;
  readonly #waiting = new Map<Handle, Buffer>();
  readonly #ended = new Set<Handle>();
  readonly #target = Buffer.alloc(64);
  listener = 0 as Handle;

  constructor(lvm: Lvm) {
    super();
    this.#lvm = lvm;
    lvm.attach(this);
    this.listener = lvm.streamListen(PORT) as Handle;
  }

  override ready(handle: Handle, events: number): void {
    super.ready(handle, events);
    if (handle === this.listener) this.#accept();
    else if (this.#waiting.has(handle)) this.#serve(handle);
  }

  #accept(): void {
    for (;;) {
      const accepted = this.#lvm.streamAccept(this.listener);
      if (typeof accepted === 'number') return;
      this.#waiting.set(accepted.stream, Buffer.alloc(0));
      this.#serve(accepted.stream);
    }
  }

  #serve(stream: Handle): void {
    for (;;) {
      let waiting = this.#waiting.get(stream) as Buffer;
      while (waiting.length > 0) {
        const count = this.#lvm.streamWrite(stream, waiting);
        if (count < 0) {
          assert.equal(count, E.EAGAIN);
          return;
        }
        waiting = waiting.subarray(count);
        this.#waiting.set(stream, waiting);
      }
      if (this.#ended.has(stream)) {
        this.#waiting.delete(stream);
        this.#lvm.streamClose(stream, false);
        return;
      }
      const count = this.#lvm.streamRead(stream, this.#target);
      if (count === E.EAGAIN) return;
      assert.ok(count >= 0);
      if (count === 0) this.#ended.add(stream);
      else this.#waiting.set(stream, Buffer.from(this.#target.subarray(0, count)));
    }
  }
}

function echo(options: FaultInjectorOptions, messages: readonly string[]) {
  const sim = new SimHost({ published: [PORT] });
  const injector = new FaultInjector(sim, options);
  const client = new EchoClient(injector);
  const peers = [sim.connect(PORT), sim.connect(PORT)];
  const got = ['', ''];
  const collect = () => {
    sim.advance(options.delayNsMax ?? 0);
    peers.forEach((peer, index) => {
      got[index] += peer.text();
    });
  };
  for (const peer of peers) peer.limit(16);
  for (const message of messages) {
    for (const peer of peers) peer.send(message);
    collect();
  }
  for (const peer of peers) peer.end();
  const total = messages.join('');
  for (let step = 0; step < 20_000 && !peers.every((peer) => peer.isEnded); step += 1) collect();
  return { got, total, peers, sim, client, injector };
}

test('nothing is lost, added or stuck, for any seed and any rates', () => {
  const rate = fc.double({ min: 0, max: 0.8, noNaN: true });
  fc.assert(
    fc.property(
      fc.nat(),
      fc.record({ short: rate, again: rate, late: rate, spurious: rate }),
      fc.constantFrom(0, 1000),
      fc.array(fc.string({ minLength: 1, maxLength: 80 }), { maxLength: 6 }),
      (seed, rates, delayNsMax, messages) => {
        const { got, total, peers, sim } = echo({ seed, rates, delayNsMax }, messages);
        assert.deepEqual(got, [total, total]);
        assert.ok(
          peers.every((peer) => peer.isEnded && !peer.isReset),
          'all closed',
        );
        assert.equal(sim.network.openCount, 1, 'only the listener is left');
      },
    ),
    { numRuns: 200 },
  );
});

test('faults of each kind do happen, the same for the same seed', () => {
  const messages = Array.from({ length: 20 }, (_, index) => `message ${index} of twenty`);
  const { injector, client } = echo({ seed: 4 }, messages);
  for (const [kind, count] of Object.entries(injector.injected)) {
    assert.ok(count > 0, `${kind} happened`);
  }
  const again = echo({ seed: 4 }, messages);
  assert.deepEqual(again.injector.injected, injector.injected);
  assert.deepEqual(again.client.upcalls, client.upcalls);
});

test('without rates it injects nothing', () => {
  const rates = { short: 0, again: 0, late: 0, spurious: 0 };
  const { injector, got, total } = echo({ seed: 1, rates }, ['hello']);
  assert.deepEqual(injector.injected, { short: 0, again: 0, late: 0, spurious: 0 });
  assert.equal(got[0], total);
});

test('the client’s alarm rings at its time, once, beside what is owed', () => {
  const sim = new SimHost({ published: [PORT] });
  const rates = { short: 0, again: 1, late: 0, spurious: 0 };
  const injector = new FaultInjector(sim, { seed: 1, rates, delayNsMax: 10 });
  const client = new Recorder();
  injector.attach(client);
  const start = sim.clock('monotonic');
  injector.setAlarm(start + 1000);
  assert.equal(injector.consoleRead(Buffer.alloc(4)), E.EAGAIN);
  sim.advance(500);
  assert.deepEqual(client.upcalls, [{ kind: 'ready', handle: 0, events: READY.in }]);
  injector.consoleWrite(1, Buffer.from('x'));
  injector.setAlarm(start + 700);
  sim.advance(500);
  assert.deepEqual(
    client.upcalls.map(({ kind }) => kind),
    ['ready', 'ready', 'alarm'],
  );
  sim.advance(1000);
  assert.equal(client.upcalls.length, 3);
});

test('guest memory is never touched', () => {
  const sim = new SimHost();
  const rates = { short: 1, again: 1, late: 1, spurious: 1 };
  const injector = new FaultInjector(sim, { seed: 1, rates });
  const address = sim.guest.cstring('whole');
  const target = Buffer.alloc(5);
  for (let round = 0; round < 100; round += 1) {
    assert.equal(injector.memoryRead(address, target), 5);
    assert.equal(injector.memoryWrite(address, target), 5);
  }
  assert.equal(target.toString(), 'whole');
});
