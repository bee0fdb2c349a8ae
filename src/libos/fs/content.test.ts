/** Tests of content.ts: against a plain array of bytes, over saves and loads. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Records } from '../../../test/support/records.ts';
import { E } from '../../abi/errno.ts';
import { Budget, Content, FILE_BYTES_MAX, PAGE_BYTES } from './content.ts';

const LOWER = Buffer.alloc(150_000, 'what the root has. ');
const OBJECT = 7;

/** A content and the bytes that it must have. */
class Pair {
  budget = new Budget(2 ** 30);
  content = new Content(this.budget);
  bytes: Buffer;
  readonly #records = new Records();
  #hasSaved = false;

  constructor(lowerBytes: number) {
    this.bytes = Buffer.from(LOWER.subarray(0, lowerBytes));
    if (lowerBytes > 0) this.#showLower(this.content, lowerBytes, lowerBytes);
  }

  #showLower(content: Content, lowerBytes: number, sizeBytes: number): void {
    content.setLower(lowerBytes, sizeBytes, (offset, target) => {
      // In pieces, as a host may.
      const part = LOWER.subarray(
        offset,
        Math.min(LOWER.length, offset + 10_000, offset + target.length),
      );
      target.set(part);
      return part.length;
    });
  }

  #fit(size: number): void {
    const next = Buffer.alloc(size);
    this.bytes.copy(next);
    this.bytes = next;
  }

  write(offset: number, length: number, letter: string): void {
    const data = Buffer.alloc(length, letter);
    assert.equal(this.content.write(offset, data), length);
    if (length === 0) return;
    if (offset + length > this.bytes.length) this.#fit(offset + length);
    data.copy(this.bytes, offset);
  }

  truncate(size: number): void {
    assert.equal(this.content.truncate(size), 0);
    this.#fit(size);
  }

  punch(start: number, length: number): void {
    assert.equal(this.content.punch(start, start + length), 0);
    const end = Math.min(this.bytes.length, start + length);
    if (start < end) this.bytes.fill(0, start, end);
  }

  reserve(start: number, length: number): void {
    assert.equal(this.content.reserve(start, start + length), 0);
  }

  save(): void {
    this.content.savePages(OBJECT, this.#records, this.#hasSaved ? 'changes' : 'all');
    this.#hasSaved = true;
    const { lowerBytes, sizeBytes } = this.content;
    this.budget = new Budget(2 ** 30);
    this.content = new Content(this.budget);
    this.#showLower(this.content, lowerBytes, sizeBytes);
    for (const part of this.#records.parts(OBJECT)) {
      this.content.loadPage(part, this.#records.get(OBJECT, part) as Uint8Array);
    }
  }

  check(): void {
    assert.equal(this.content.sizeBytes, this.bytes.length);
    const got = Buffer.alloc(this.bytes.length);
    assert.equal(this.content.copyOut(0, got), 0);
    assert.ok(got.equals(this.bytes), 'the bytes are those that were written');
    // Where a hole is said to be there are zeros, up to the data that follows.
    for (let at = 0; at < this.bytes.length; ) {
      const hole = this.content.seek(at, 'hole');
      if (hole === this.bytes.length) break;
      const data = this.content.seek(hole, 'data');
      const end = data === E.ENXIO ? this.bytes.length : data;
      assert.ok(end > hole, 'a hole is not empty');
      assert.ok(this.bytes.subarray(hole, end).every((byte) => byte === 0));
      at = end;
    }
  }
}

const offset = fc.oneof(
  fc.nat(200_000),
  fc.nat(40).map((page) => page * PAGE_BYTES),
  fc.constantFrom(65_535, 65_536, 65_537),
);
const length = fc.oneof(fc.nat(100), fc.nat(20_000), fc.constantFrom(4096, 65_536, 100_000));
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(fc.constant('write' as const), offset, length, fc.constantFrom('+', '-')),
  },
  { weight: 2, arbitrary: fc.tuple(fc.constant('truncate' as const), offset) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('punch' as const), offset, length) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('reserve' as const), offset, length) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('save' as const)) },
);

test('holds what was written, over the root and over saves', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0, 1, 4096, 70_000, 150_000),
      fc.array(step, { maxLength: 30 }),
      (lowerBytes, steps) => {
        const pair = new Pair(lowerBytes);
        for (const [what, ...args] of steps) {
          (pair[what] as (...given: unknown[]) => void).apply(pair, args);
          pair.check();
        }
        pair.save();
        pair.check();
        pair.content.dispose();
        assert.equal(pair.budget.usedBytes, 0, 'all is given back');
      },
    ),
    { numRuns: Number(process.env.FS_MODEL_RUNS ?? 300) },
  );
});

test('a delta has the pages that were written since the last, and nothing else', () => {
  const content = new Content(new Budget(2 ** 30));
  content.write(0, Buffer.alloc(50 * PAGE_BYTES, 'x'));
  const records = new Records();
  content.savePages(OBJECT, records, 'all');
  assert.equal(records.counts.put, 50);
  records.clearCounts();
  content.savePages(OBJECT, records, 'changes');
  assert.equal(records.counts.put, 0);
  content.write(17 * PAGE_BYTES + 100, Buffer.from('y'));
  content.write(31 * PAGE_BYTES - 1, Buffer.from('yy'));
  content.savePages(OBJECT, records, 'changes');
  assert.equal(records.counts.put, 3);
  content.truncate(10 * PAGE_BYTES);
  content.savePages(OBJECT, records, 'changes');
  assert.equal(records.counts.put, 3, 'pages that are gone are removed, not put');
  assert.deepEqual(
    [...records.parts(OBJECT)].sort((a, b) => a - b),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
});

test('sparse files cost what is written; the budget holds', () => {
  const budget = new Budget(256 * 1024);
  const content = new Content(budget);
  assert.equal(content.write(2 ** 40, Buffer.from('far')), 3);
  assert.ok(budget.usedBytes <= 65_536);
  assert.equal(content.sizeBytes, 2 ** 40 + 3);
  assert.equal(content.seek(0, 'data'), 2 ** 40);
  assert.equal(content.write(0, Buffer.alloc(500_000)), 192 * 1024, 'as much as there is room');
  assert.equal(content.write(2 ** 30, Buffer.alloc(1)), E.ENOSPC);
  assert.equal(content.truncate(0), 0);
  assert.equal(budget.usedBytes, 0);
  assert.equal(content.write(2 ** 30, Buffer.alloc(1)), 1);
});

test('a file has a largest size', () => {
  const content = new Content(new Budget(2 ** 30));
  assert.equal(content.write(FILE_BYTES_MAX - 1, Buffer.from('ab')), 1);
  assert.equal(content.write(FILE_BYTES_MAX, Buffer.from('b')), E.EFBIG);
  assert.equal(content.truncate(FILE_BYTES_MAX + 1), E.EFBIG);
  assert.equal(content.sizeBytes, FILE_BYTES_MAX);
});

test('what the root can not give is an error, not zeros', () => {
  const content = new Content(new Budget(2 ** 30));
  content.setLower(10_000, 10_000, () => E.EIO);
  assert.equal(content.view(0, 10), E.EIO);
  assert.equal(content.write(5, Buffer.from('x')), E.EIO);
  assert.equal(content.write(PAGE_BYTES * 3, Buffer.from('x')), 1, 'nothing shows through there');
});
