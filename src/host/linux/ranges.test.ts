/** Tests of ranges.ts, against sets of whole numbers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fewRanges, type Range, subtractRanges, unionRanges } from './ranges.ts';

const range = fc
  .tuple(fc.nat(50), fc.integer({ min: 1, max: 8 }))
  .map(([start, size]): Range => ({ start, end: start + size }));
const ranges = fc.array(range, { maxLength: 12 });

const members = (list: readonly Range[]): Set<number> => {
  const set = new Set<number>();
  for (const { start, end } of list) for (let at = start; at < end; at += 1) set.add(at);
  return set;
};

/** In order, apart and not empty. */
function assertTidy(list: readonly Range[]): void {
  for (const [index, { start, end }] of list.entries()) {
    assert.ok(start < end);
    const before = list[index - 1];
    if (before !== undefined) assert.ok(before.end < start);
  }
}

test('a union has all members, in few ranges', () => {
  fc.assert(
    fc.property(ranges, (list) => {
      const union = unionRanges(list);
      assertTidy(union);
      assert.deepEqual(members(union), new Set([...members(list)].sort((a, b) => a - b)));
    }),
  );
});

test('a difference has the members of the one that the other lacks', () => {
  fc.assert(
    fc.property(ranges, ranges, (from, taken) => {
      const without = members(taken);
      const expected = [...members(from)].filter((at) => !without.has(at));
      const left = members(subtractRanges(unionRanges(from), taken));
      assert.deepEqual(
        [...left].sort((a, b) => a - b),
        expected.sort((a, b) => a - b),
      );
    }),
  );
});

test('few ranges hold at least all members, and exactly them if that is few', () => {
  fc.assert(
    fc.property(ranges, fc.nat(6), (list, most) => {
      const few = fewRanges(list, most);
      assertTidy(few);
      const union = unionRanges(list);
      if (union.length <= most) assert.deepEqual(few, union);
      else assert.equal(few.length, 1);
      const all = members(few);
      for (const at of members(list)) assert.ok(all.has(at));
    }),
  );
});
