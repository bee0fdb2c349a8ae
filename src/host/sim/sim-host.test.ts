/**
 * Tests of sim-host.ts: the contract by the conformance suite, then what a guest program would
 * show.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lvmConformance } from '../../../test/conformance/lvm.ts';
import { Recorder } from '../../../test/conformance/recorder.ts';
import { simUnderTest } from '../../../test/conformance/sim.ts';
import { E } from '../../abi/errno.ts';
import { SYS } from '../../abi/syscalls.ts';
import { guestAddress, tid } from '../../base/ids.ts';
import type { GuestImage, ThreadContext, ThreadSetup } from '../../lvm/api.ts';
import { PAGE_BYTES, type PageStore } from './memory.ts';
import { SimHost, type SimOptions } from './sim-host.ts';

lvmConformance('SimHost', simUnderTest);

const spec = { program: '/bin/guest', argv: ['guest'], env: [] };

function launched(options: SimOptions = {}): { sim: SimHost; client: Recorder } {
  const sim = new SimHost(options);
  const client = new Recorder();
  sim.attach(client);
  assert.equal(sim.launch(spec), 0);
  return { sim, client };
}

const setupOf = (thread: number): ThreadSetup => ({
  thread: tid(thread),
  clearChildTid: guestAddress(0),
  robustList: guestAddress(0),
  robustListSize: 0,
  alternateStack: new Uint8Array(0),
  name: 'guest',
});

/** What a checkpointer would take from a stopped host, its buffers copied. */
function imageOf(sim: SimHost): { image: GuestImage; pages: PageStore } {
  const context = sim.context();
  const copy = (thread: ThreadContext): ThreadContext => ({
    ...thread,
    registers: Buffer.from(thread.registers),
    extendedState: Buffer.from(thread.extendedState),
  });
  const regions = sim.regions();
  const pages = new Map<number, Uint8Array>();
  for (const region of regions) {
    sim.populatedPages(region, (start, count) => {
      for (let at = start as number; at < start + count * PAGE_BYTES; at += PAGE_BYTES) {
        pages.set(at / PAGE_BYTES, sim.guest.peek(at, PAGE_BYTES));
      }
    });
  }
  const image = {
    context: { ...context, threads: context.threads.map(copy) },
    setup: {
      signalActions: new Map(),
      threads: context.threads.map(({ thread }) => setupOf(thread)),
    },
    regions,
    memoryFd: 3,
    monotonicNs: sim.clock('monotonic'),
  };
  return { image, pages };
}

test('a call brings its arguments as 48 bytes and the answer back, at once or later', () => {
  const { sim, client } = launched();
  const answering = client.trapped.bind(client);
  client.trapped = (call) => {
    answering(call);
    if (call.number === SYS.read) sim.answer(call.thread, E.EBADF);
  };
  assert.equal(sim.call(1, 'read', -1, 0x7fff_0000_0000, 2n ** 64n - 1n), E.EBADF);
  const { args } = client.of('trapped')[0] as { args: Buffer };
  assert.equal(args.length, 48);
  assert.equal(args.readBigInt64LE(0), -1n);
  assert.equal(args.readBigInt64LE(8), 0x7fff_0000_0000n);
  assert.equal(args.readBigInt64LE(16), -1n);

  assert.equal(sim.call(1, 'write', 1), 'blocked');
  assert.equal(sim.takeAnswer(1), null);
  sim.answer(tid(1), 12);
  assert.equal(sim.takeAnswer(1), 12);
  assert.equal(sim.takeAnswer(1), null);
  assert.throws(() => sim.answer(tid(1), 12), /waits for no answer/);
});

test('quiesce withdraws what waits; resume asks it again, once, with the same arguments', () => {
  const { sim, client } = launched();
  sim.thread(2);
  sim.call(1, 'futex', 1, 2, 3);
  sim.call(2, 'read', 4);
  sim.answer(tid(2), 0);
  const before = client.of('trapped').map(({ args }) => args);
  client.clear();
  sim.quiesce();
  assert.deepEqual(client.upcalls, [{ kind: 'withdrawn', thread: 1 }]);
  sim.answer(tid(1), 99);
  sim.settle();
  assert.equal(client.upcalls.length, 1, 'nothing is asked while stopped');
  sim.resume();
  assert.equal(client.upcalls.length, 1, 'not from inside resume');
  assert.equal(sim.takeAnswer(1), null, 'an answer to a withdrawn call has no effect');
  const asked = client.of('trapped');
  assert.deepEqual(
    asked.map(({ thread, number, args }) => [thread, number, args]),
    [[1, SYS.futex, before[0]]],
  );
  sim.answer(tid(1), 5);
  assert.equal(sim.takeAnswer(1), 5);
});

test('an interrupted call takes no answer, and the thread may make another', () => {
  const { sim, client } = launched();
  sim.call(1, 'pause');
  sim.interrupt(1);
  sim.answer(tid(1), 1);
  assert.equal(sim.takeAnswer(1), null);
  assert.equal(sim.call(1, 'getpid'), 'blocked');
  assert.deepEqual(
    client.of('trapped').map(({ number }) => number),
    [SYS.pause, SYS.getpid],
  );
});

test('a guest goes on on another host where its checkpoint left it', () => {
  const { sim } = launched();
  sim.thread(2).signalMask = 5n;
  const text = sim.guest.cstring('kept');
  sim.call(1, 'read', 3, text, 7);
  sim.advance(77);
  sim.quiesce();
  const { image, pages } = imageOf(sim);

  const other = new SimHost({ monotonicNs: 1 });
  const client = new Recorder();
  other.attach(client);
  other.stores.set(3, pages);
  other.instantiate(image);
  assert.ok(other.isStopped);
  assert.equal(other.clock('monotonic'), sim.clock('monotonic'));
  assert.deepEqual(other.regions(), image.regions);
  let written = 0;
  other.takeWrittenPages((_start, count) => {
    written += count;
  });
  assert.equal(written, 0);
  assert.equal(other.context().threads[1]?.signalMask, 5n);
  other.resume();
  other.settle();
  const asked = client.of('trapped');
  assert.equal(asked.length, 1);
  assert.equal(asked[0]?.number, SYS.read);
  assert.equal(asked[0]?.args.readBigUInt64LE(8), BigInt(text));
  assert.equal(other.guest.peekText(text), 'kept');
  const fresh = other.guest.cstring('new');
  assert.equal(other.guest.peekText(text), 'kept', 'new memory is elsewhere');
  assert.equal(other.guest.peekText(fresh), 'new');
});

test('instantiate refuses a setup of other threads', () => {
  const { sim } = launched();
  sim.quiesce();
  const { image, pages } = imageOf(sim);
  const other = new SimHost();
  other.attach(new Recorder());
  other.stores.set(3, pages);
  const setup = { signalActions: new Map(), threads: [setupOf(9)] };
  assert.throws(() => other.instantiate({ ...image, setup }), /no setup of 1/);
});

test('mmap of a file maps its content; clone makes a thread; exit ends one', () => {
  const { sim, client } = launched({ root: { '/lib/x.so': 'library text' } });
  const file = sim.rootOpen('/lib/x.so');
  const tidTarget = sim.guest.words(0);
  assert.ok(file > 0);
  client.trapped = (call) => {
    if (call.number === SYS.mmap) {
      const source = { kind: 'root', file: file as never } as const;
      const failed = sim.answerMap(call.thread, 5, source);
      if (failed < 0) sim.answer(call.thread, failed);
    }
    if (call.number === SYS.clone3) sim.answerClone(call.thread, tid(2), [tidTarget]);
    if (call.number === SYS.exit) sim.answerNative(call.thread);
  };
  const mapped = sim.call(1, 'mmap', 0, 5000, 1, 2, 5, 0);
  assert.ok(typeof mapped === 'object' && mapped.kind === 'map');
  assert.equal(sim.guest.peek(mapped.address, 12).toString(), 'library text');
  assert.equal(sim.memoryWrite(mapped.address, Buffer.from('x')), E.EFAULT, 'read-only');
  assert.equal(sim.call(1, 'mmap', 0, 5000, 1, 2, 5, 12), E.EINVAL);
  assert.deepEqual(sim.call(1, 'clone3'), { kind: 'clone', child: 2 });
  assert.equal(sim.guest.peekU32(tidTarget), 2);
  assert.deepEqual(sim.call(2, 'exit', 0), { kind: 'gone' });
  assert.equal(sim.threads.size, 1);
  sim.cloneError = E.EAGAIN;
  assert.equal(sim.call(1, 'clone3'), E.EAGAIN);
  assert.equal(sim.threads.size, 1);
});

test('exit is told last, once, and ends what waits', () => {
  const { sim, client } = launched({ published: [80] });
  const listener = sim.streamListen(80);
  assert.ok(listener > 0);
  const peer = sim.connect(80);
  const accepted = sim.streamAccept(listener as never);
  assert.ok(typeof accepted !== 'number');
  sim.call(1, 'read', 0);
  sim.setAlarm(sim.clock('monotonic') + 5);
  client.clear();
  sim.exit({ kind: 'exited', code: 3 });
  assert.deepEqual(client.upcalls, [], 'not from inside the call');
  sim.advance(10);
  peer.send('anyone?');
  assert.deepEqual(sim.takeAnswer(1), { kind: 'gone' });
  assert.ok(peer.isReset);
  const last = client.upcalls.at(-1);
  assert.deepEqual(last, { kind: 'exited', status: { kind: 'exited', code: 3 } });
  assert.equal(client.upcalls.filter(({ kind }) => kind !== 'ready').length, 1);
});

test('a guest that ends while it is being stopped is not stopped', () => {
  const { sim, client } = launched();
  sim.call(1, 'read', 0);
  client.clear();
  sim.endsInQuiesce = { kind: 'signaled', signal: 11 };
  assert.equal(sim.quiesce(), false);
  assert.equal(sim.isStopped, false);
  sim.settle();
  assert.deepEqual(client.upcalls, [{ kind: 'exited', status: sim.endsInQuiesce }]);
  assert.equal(sim.quiesce(), false);
});

test('signals are recorded; masked ones stay pending in the context', () => {
  const { sim } = launched();
  const info = Buffer.alloc(128, 1);
  sim.thread(1).signalMask = 1n << 14n;
  assert.equal(sim.signal(tid(1), 15, info), 0);
  assert.equal(sim.signal(tid(1), 2, info), 0);
  assert.equal(sim.signal(tid(8), 2, info), E.ESRCH);
  assert.deepEqual(
    sim.signals.map(({ number }) => number),
    [15, 2],
  );
  sim.quiesce();
  assert.deepEqual(sim.context().threads[0]?.pendingSignals, [info]);
});

test('each alarm of a step of time finds the clock at its own time', () => {
  const { sim, client } = launched();
  const start = sim.clock('monotonic');
  const seen: number[] = [];
  client.alarm = () => {
    seen.push(sim.clock('monotonic') - start);
    if (seen.length < 3) sim.setAlarm(sim.clock('monotonic') + 10);
  };
  sim.setAlarm(start + 10);
  sim.advance(100);
  assert.deepEqual(seen, [10, 20, 30]);
  assert.equal(sim.clock('monotonic'), start + 100);
});

test('settled follows when nothing is left to serve, also after what it caused', () => {
  const { sim, client } = launched();
  const order: string[] = [];
  const trapped = client.trapped.bind(client);
  client.trapped = (call) => {
    trapped(call);
    order.push('trapped');
  };
  client.settled = () => {
    order.push('settled');
    if (order.length < 3) {
      sim.quiesce();
      sim.resume();
    }
  };
  sim.call(1, 'read');
  assert.deepEqual(order, ['trapped', 'settled', 'trapped', 'settled']);
});

test('a backpressured peer and a full console are told when there is room', () => {
  const { sim, client } = launched({ published: [80] });
  const listener = sim.streamListen(80) as never;
  const peer = sim.connect(80);
  peer.limit(4);
  const accepted = sim.streamAccept(listener);
  assert.ok(typeof accepted !== 'number');
  assert.equal(sim.streamWrite(accepted.stream, Buffer.from('123456')), 4);
  assert.equal(sim.streamWrite(accepted.stream, Buffer.from('56')), E.EAGAIN);
  sim.settle();
  client.clear();
  assert.equal(peer.text(), '1234');
  assert.deepEqual(client.of('ready'), [{ kind: 'ready', handle: accepted.stream, events: 2 }]);

  sim.console.limit(1, 3);
  assert.equal(sim.consoleWrite(1, Buffer.from('abcd')), 3);
  assert.equal(sim.consoleWrite(1, Buffer.from('d')), E.EAGAIN);
  client.clear();
  assert.equal(sim.output(), 'abc');
  assert.equal(client.of('ready').length, 1);
});
