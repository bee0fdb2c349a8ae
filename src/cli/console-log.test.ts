/** Tests of ConsoleLog: however pieces overlap, each byte is printed once and in order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConsoleLog } from './console-log.ts';

test('overlapping pieces of a stream give the stream', () => {
  const piece = fc.tuple(fc.nat(60), fc.nat(20));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.array(piece), (stream, pieces) => {
      const all = Buffer.from(stream);
      const log = new ConsoleLog();
      let printed = Buffer.alloc(0);
      for (const [from, count] of pieces) {
        // A sender never leaves a gap: it starts at the latest where the last one ended.
        const offset = Math.min(from, printed.length);
        const got = log.accept(1, offset, all.subarray(offset, offset + count));
        assert.equal(got.missingBytes, 0);
        printed = Buffer.concat([printed, got.bytes]);
      }
      assert.deepEqual(printed, all.subarray(0, printed.length));
    }),
  );
});

test('a guest that was restored goes on where it was', () => {
  const log = new ConsoleLog(true);
  assert.equal(log.accept(1, 700, Buffer.from('abc')).missingBytes, 0);
  assert.equal(log.accept(1, 705, Buffer.from('x')).missingBytes, 2);
  assert.equal(log.accept(2, 9, Buffer.from('y')).missingBytes, 0);
});

test('streams count apart, and a gap is told', () => {
  const log = new ConsoleLog();
  log.accept(1, 0, Buffer.from('abc'));
  assert.deepEqual(log.accept(2, 0, Buffer.from('xy')), {
    bytes: Buffer.from('xy'),
    missingBytes: 0,
  });
  assert.deepEqual(log.accept(1, 5, Buffer.from('f')), {
    bytes: Buffer.from('f'),
    missingBytes: 2,
  });
  assert.deepEqual(log.accept(1, 3, Buffer.from('de')), {
    bytes: Buffer.alloc(0),
    missingBytes: 0,
  });
});
