/** Tests of OutputGate: what is held, what is let out, and what a successor still has to say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Epoch, epoch } from '../base/ids.ts';
import { SimHost } from '../host/sim/sim-host.ts';
import { OutputGate } from './output-gate.ts';

/** A console that takes little at a time and delivers later, or never when the process dies. */
class SlowConsole extends SimHost {
  taken = Buffer.alloc(0);
  deliveredBytes = 0;
  room = 0;

  override consoleWrite(_stream: 1 | 2, source: Uint8Array): number {
    const count = Math.min(this.room, source.length);
    this.room -= count;
    this.taken = Buffer.concat([this.taken, source.subarray(0, count)]);
    return count === 0 ? -11 : count;
  }

  override consoleDelivered(stream: 1 | 2): number {
    return stream === 1 ? this.deliveredBytes : 0;
  }
}

const events = { ready() {}, halfReleased() {} };
/** The stream that the guest says: each byte tells its place. */
const said = (from: number, count: number): Buffer =>
  Buffer.from(Array.from({ length: count }, (_, index) => (from + index) % 251));

/** One process: a gate over a console, and the reader's side of it. */
class Primary {
  readonly host = new SlowConsole();
  readonly gate = new OutputGate(this.host, events);
  /** Offset of the first byte that this process sends. */
  start = 0;

  static after(previous: Primary, last: Epoch): Primary {
    const next = new Primary();
    next.start = previous.gate.consoleDelivered(1);
    let held: Buffer = Buffer.alloc(0);
    previous.gate.visitAllConsole((stream, offset, bytes) => {
      assert.equal(stream, 1);
      assert.equal(offset, next.start);
      held = bytes;
    });
    next.gate.restoreConsole(1, next.start, held, last);
    return next;
  }
}

test('whoever reads gets each byte, though processes die with what they had not delivered', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('say' as const), count: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ kind: fc.constant('epoch' as const), count: fc.nat(2) }),
    fc.record({ kind: fc.constant('room' as const), count: fc.nat(50) }),
    fc.record({ kind: fc.constant('deliver' as const), count: fc.nat(50) }),
    fc.record({ kind: fc.constant('die' as const), count: fc.constant(0) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let primary = new Primary();
      let open = 1;
      let total = 0;
      let read = Buffer.alloc(0);
      /** How much the reader gets of what the process has let out. */
      const deliver = (count: number): void => {
        const { host, start } = primary;
        host.deliveredBytes = Math.min(host.taken.length, host.deliveredBytes + count);
        const from = read.length - start;
        if (host.deliveredBytes > from) {
          read = Buffer.concat([read, host.taken.subarray(from, host.deliveredBytes)]);
        }
        primary.gate.consoleReady();
      };
      primary.gate.enter(epoch(1));
      for (const { kind, count } of steps) {
        const { gate, host } = primary;
        if (kind === 'say') {
          const bytes = said(total, count);
          total += gate.console(1, bytes);
        } else if (kind === 'epoch') {
          gate.enter(epoch(open + 1));
          open += 1;
          gate.release(epoch(open - 1));
        } else if (kind === 'room') {
          host.room += count;
          gate.consoleReady();
        } else if (kind === 'deliver') deliver(count);
        else {
          primary = Primary.after(primary, epoch(open));
          primary.gate.enter(epoch(open + 1));
          primary.gate.release(epoch(open));
          open += 1;
        }
        assert.ok(read.length <= total);
      }
      primary.gate.enter(epoch(open + 1));
      primary.gate.release(epoch(open));
      primary.host.room = 1e6;
      primary.gate.consoleReady();
      deliver(1e6);
      assert.deepEqual(read, said(0, total));
    }),
  );
});

test('nothing is let out before its epoch', () => {
  const primary = new Primary();
  primary.host.room = 100;
  primary.gate.enter(epoch(1));
  primary.gate.console(1, said(0, 10));
  primary.gate.enter(epoch(2));
  primary.gate.console(1, said(10, 10));
  assert.equal(primary.host.taken.length, 0);
  primary.gate.release(epoch(1));
  assert.equal(primary.host.taken.length, 10);
});

test('output that nobody takes makes the guest wait, and ends the wait when it is taken', () => {
  const ready: number[] = [];
  const host = new SlowConsole();
  const gate = new OutputGate(host, {
    ready: (_stream, bits) => ready.push(bits),
    halfReleased() {},
  });
  gate.enter(epoch(1));
  let taken = 0;
  for (let got = 1; got > 0; taken += Math.max(0, got))
    got = gate.console(1, Buffer.alloc(1 << 18));
  assert.equal(taken, 1 << 20);
  gate.enter(epoch(2));
  host.room = 1 << 21;
  gate.release(epoch(1));
  assert.deepEqual(ready, [], 'taken, but it could still be lost');
  host.deliveredBytes = 5;
  gate.consoleReady();
  assert.equal(ready.length, 1);
});
