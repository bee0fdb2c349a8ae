/** Tests of tracer.ts and call-format.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lvmConformance } from '../../test/conformance/lvm.ts';
import { Recorder } from '../../test/conformance/recorder.ts';
import { simUnderTest } from '../../test/conformance/sim.ts';
import { E } from '../abi/errno.ts';
import { SYS } from '../abi/syscalls.ts';
import { type Handle, tid } from '../base/ids.ts';
import { SimHost } from '../host/sim/sim-host.ts';
import type { Lvm } from '../lvm/api.ts';
import { callText, resultText } from './call-format.ts';
import { Tracer, type TracerOptions } from './tracer.ts';

lvmConformance('Tracer on SimHost', () => simUnderTest((host) => new Tracer(host)));
lvmConformance('two Tracers on SimHost, one verbose', () =>
  simUnderTest((host) => new Tracer(new Tracer(host, { isVerbose: true }))),
);

/** Answers getpid and mmap at once, clone3 with a thread, and leaves all else waiting. */
class Client extends Recorder {
  readonly #lvm: Lvm;
  readonly #file: Handle;

  constructor(lvm: Lvm) {
    super();
    this.#lvm = lvm;
    lvm.attach(this);
    this.#file = lvm.rootOpen('/lib') as Handle;
  }

  override trapped(call: Parameters<Recorder['trapped']>[0]): void {
    super.trapped(call);
    if (call.number === SYS.getpid) this.#lvm.answer(call.thread, 1);
    if (call.number === SYS.openat) this.#lvm.answer(call.thread, E.ENOENT);
    if (call.number === SYS.clone3) this.#lvm.answerClone(call.thread, tid(2), []);
    if (call.number === SYS.sched_yield) this.#lvm.answerNative(call.thread);
    if (call.number === SYS.mmap) {
      const source = { kind: 'root', file: this.#file } as const;
      const failed = this.#lvm.answerMap(call.thread, 5, source);
      if (failed < 0) this.#lvm.answer(call.thread, failed);
    }
  }
}

/** One run of a guest; the same whether traced or not. */
function run(options: TracerOptions | null): {
  answers: unknown[];
  upcalls: unknown[];
  lines: readonly string[];
} {
  const sim = new SimHost({ root: { '/lib': 'text' } });
  const tracer = options === null ? null : new Tracer(sim, options);
  const lvm = tracer ?? sim;
  const client = new Client(lvm);
  lvm.launch({ program: '/bin/guest', argv: ['guest'], env: [] });
  const answers: unknown[] = [
    sim.call(1, 'getpid', 99),
    sim.call(1, 'openat', 0xffff_ff9cn, 0x7f00_0000_0000, 0x80000, 0),
    sim.call(1, 'mmap', 0, 4096, 1, 2, 5, 0),
    sim.call(1, 'mmap', 0, 0, 1, 2, 5, 0),
    sim.call(1, 'clone3', 0x1000, 88),
    sim.call(2, 'sched_yield'),
    sim.call(1, 'read', 3, 0x10000, 16),
    sim.call(2, 'futex', 1, 2, 3, 4, 5, 6),
  ];
  lvm.answer(tid(1), 5);
  answers.push(sim.takeAnswer(1));
  lvm.quiesce();
  lvm.resume();
  sim.settle();
  lvm.signal(tid(2), 9, Buffer.alloc(128));
  lvm.report('unsupported-call', 'bpf');
  lvm.exit({ kind: 'exited', code: 0 });
  sim.settle();
  return { answers, upcalls: client.upcalls, lines: tracer?.lines() ?? [] };
}

test('calls stand there with their arguments and answers', () => {
  assert.deepEqual(run({}).lines, [
    '[1] getpid() = 1',
    '[1] openat(-100, 0x7f0000000000, 0x80000, 0) = -ENOENT',
    '[1] mmap(0, 4096, 1, 2, 5, 0) = map of root file 1',
    '[1] mmap(0, 0, 1, 2, 5, 0) = -EINVAL',
    '[1] clone3(4096, 88) = thread 2',
    '[2] sched_yield() = native',
    '[1] read(3, 0x10000, 16) ...',
    '[2] futex(1, 2, 3, 4, 5, 6) ...',
    '[1] ... read = 5',
    '[2] ... futex = withdrawn',
    '[2] futex(1, 2, 3, 4, 5, 6) ...',
    '[2] --- signal 9 ---',
    '!!! unsupported-call: bpf',
    '+++ exited with 0 +++',
  ]);
});

test('the guest and the client see the same with and without a tracer', () => {
  const { answers, upcalls } = run(null);
  for (const options of [{}, { isVerbose: true }, { keptMax: 0 }]) {
    const traced = run(options);
    assert.deepEqual(traced.answers, answers);
    assert.deepEqual(traced.upcalls, upcalls);
  }
});

test('verbose shows what the client does for a call below it', () => {
  const lines = run({ isVerbose: true }).lines;
  const at = lines.indexOf('[1] getpid() ...');
  assert.equal(lines[at + 1], '[1] ... getpid = 1');
  assert.ok(lines.includes('    rootOpen(/lib) = 1'));
  assert.ok(lines.includes('    quiesce()'));
  assert.ok(lines.includes('    resume()'));
});

test('the ring keeps the last lines, the sink gets all', () => {
  const all: string[] = [];
  const { lines } = run({ keptMax: 3, sink: (line) => all.push(line) });
  assert.equal(all.length, 14);
  assert.deepEqual(lines, all.slice(-3));
});

test('arguments are decimal when small, hex when not; results name their errno', () => {
  const args = Buffer.alloc(48);
  const values = [-1n, 65_535n, 65_536n, 0xffff_ffffn, 0xffff_0000n, 2n ** 63n];
  values.forEach((value, index) => {
    args.writeBigUInt64LE(BigInt.asUintN(64, value), index * 8);
  });
  assert.equal(
    callText(SYS.mmap, args),
    'mmap(-1, 65535, 0x10000, -1, 0xffff0000, 0x8000000000000000)',
  );
  assert.equal(callText(SYS.close, args), 'close(-1)');
  assert.equal(resultText(-11), '-EAGAIN');
  assert.equal(resultText(4096), '4096');
  assert.equal(resultText(0x7f00_0000_0000), '0x7f0000000000');
});
