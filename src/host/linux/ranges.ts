/** Sets of address ranges: union and difference, for AddressSpace. Half-open, any order in. */

export interface Range {
  readonly start: number;
  readonly end: number;
}

/** The same addresses as sorted ranges that neither touch nor overlap. */
export function unionRanges(ranges: readonly Range[]): Range[] {
  const sorted = ranges.filter((range) => range.end > range.start);
  sorted.sort((a, b) => a.start - b.start);
  const union: Range[] = [];
  for (const { start, end } of sorted) {
    const last = union.at(-1);
    if (last !== undefined && start <= last.end) {
      union[union.length - 1] = { start: last.start, end: Math.max(last.end, end) };
    } else union.push({ start, end });
  }
  return union;
}

/** Addresses of `from` that are not in `taken`, sorted. */
export function subtractRanges(from: readonly Range[], taken: readonly Range[]): Range[] {
  const holes = unionRanges(taken);
  const rest: Range[] = [];
  for (const range of unionRanges(from)) {
    let start = range.start;
    for (const hole of holes) {
      if (hole.end <= start || hole.start >= range.end) continue;
      if (hole.start > start) rest.push({ start, end: hole.start });
      start = Math.max(start, hole.end);
    }
    if (start < range.end) rest.push({ start, end: range.end });
  }
  return rest;
}

/** The same, joined; or, if that is more than `most`, one that spans them all. */
export function fewRanges(ranges: readonly Range[], most: number): Range[] {
  const joined = unionRanges(ranges);
  const [first] = joined;
  const last = joined.at(-1);
  if (first === undefined || last === undefined || joined.length <= most) return joined;
  return [{ start: first.start, end: last.end }];
}
