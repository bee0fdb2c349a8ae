/**
 * The overlay against Linux: random sequences of file operations, made by a guest through the
 * library OS and on a real directory through node:fs, must give the same results and the same tree,
 * also when the guest's state is saved and loaded in between. What is in the read-only root at the
 * start is in the real directory too.
 */
import assert from 'node:assert/strict';
import * as real from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { GuestSide, RealSide, type Result, type Side } from '../../../test/support/fs-sides.ts';

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND } = real.constants;
const { O_DIRECTORY, O_NOFOLLOW } = real.constants;

process.umask(0o022);

/* --- operations --- */

type Operation = readonly [keyof Side | 'reload', ...unknown[]];

const name = fc.constantFrom('a', 'b', 'c', 'd');
const path = fc
  .tuple(
    fc.array(
      fc.oneof(
        { weight: 6, arbitrary: name },
        { weight: 1, arbitrary: fc.constantFrom('.', '..', 'x') },
      ),
      {
        minLength: 1,
        maxLength: 4,
      },
    ),
    fc.constantFrom('', '', '', '', '/'),
  )
  // Never out of the directory: what lies above differs between the sides.
  .filter(([names]) => {
    let depth = 0;
    for (const step of names) {
      if (step === '..') depth -= 1;
      else if (step !== '.') depth += 1;
      if (depth < 0) return false;
    }
    return depth > 0 || names.at(-1) === '.';
  })
  .map(([names, slash]) => names.join('/') + slash);

const place = fc.nat(3);
const size = fc.oneof(
  fc.nat(20),
  fc.constantFrom(4095, 4096, 4097, 65_535, 65_536, 65_537, 140_000),
);
/** node asks nobody to read nothing. */
const count = size.map((bytes) => Math.max(1, bytes));
/** How many bytes, and which. */
const data = fc.tuple(
  fc.oneof(fc.nat(30), fc.constantFrom(4096, 5000, 65_600)),
  fc.constantFrom('+', '-', '!', '?'),
);
const openFlags = fc
  .tuple(
    fc.constantFrom(O_RDONLY, O_WRONLY, O_RDWR, O_RDWR),
    fc.subarray([O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW]),
    fc.constantFrom(0, 0, 0, O_DIRECTORY),
  )
  .map(([access, rest, last]) => [...rest, last].reduce((all, flag) => all | flag, access))
  // Kernels differ in what they say to this.
  .filter((flags) => (flags & O_CREAT) === 0 || (flags & O_DIRECTORY) === 0)
  .filter((flags) => (flags & O_EXCL) === 0 || (flags & O_CREAT) !== 0);
/** Only root, which every guest is, keeps set-id bits over writes. */
const setId = process.getuid?.() === 0 ? [0o4755, 0o2755] : [];
const mode = fc.constantFrom(0o644, 0o600, 0o755, 0o640, ...setId);
/** Never up and out: see `path`. */
const target = fc.constantFrom('a', 'd', 'd/a', './b', 'c/d', 'x', 'b/', 'd/../a');

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant('open' as const), place, path, openFlags, mode) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('close' as const), place) },
  { weight: 4, arbitrary: fc.tuple(fc.constant('write' as const), place, data) },
  { weight: 4, arbitrary: fc.tuple(fc.constant('pwrite' as const), place, data, size) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('read' as const), place, count) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('pread' as const), place, count, size) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('ftruncate' as const), place, size) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('fstat' as const), place) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('fchmod' as const), place, mode) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('truncate' as const), path, size) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('mkdir' as const), path) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('rmdir' as const), path) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('unlink' as const), path) },
  { weight: 6, arbitrary: fc.tuple(fc.constant('rename' as const), path, path) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('link' as const), path, path) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('symlink' as const), target, path) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('readlink' as const), path) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('chmod' as const), path, mode) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('utimes' as const), path, fc.nat(2 ** 30)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('stat' as const), path) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('lstat' as const), path) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('readdir' as const), path) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('reload' as const)) },
);

function perform(side: Side, [what, ...args]: Operation): Result {
  const act = side[what as keyof Side] as (...given: unknown[]) => Result;
  const given = args.map((arg) =>
    Array.isArray(arg) ? Buffer.alloc(arg[0] as number, arg[1] as string) : arg,
  );
  return act.apply(side, given);
}

/** All names below `path` with what they are, links unfollowed. */
function* tree(side: Side, directory: string): Iterable<string> {
  const names = side.readdir(directory);
  for (const entry of `${names}`.split(' ').filter((text) => text !== '')) {
    const at = `${directory}/${entry}`;
    const stat = side.lstat(at);
    yield `${at} ${stat}`;
    if (`${stat}`.startsWith('4')) yield* tree(side, at);
    else if (`${stat}`.startsWith('12')) yield `${at} -> ${side.readlink(at)}`;
    else {
      side.open(0, at, O_RDONLY, 0);
      yield `${at} ${side.read(0, 1 << 20)}`;
      side.close(0);
    }
  }
}

/** Long contents told apart by their ends. */
const short = (result: Result): string => {
  const text = `${result}`;
  return text.length <= 80 ? text : `${text.length}: ${text.slice(0, 20)}...${text.slice(-20)}`;
};

function runBoth(operations: readonly Operation[]): void {
  const guest = new GuestSide();
  const linux = new RealSide();
  try {
    for (const [index, step] of operations.entries()) {
      if (step[0] === 'reload') {
        guest.reload();
        continue;
      }
      const expected = perform(linux, step);
      const got = perform(guest, step);
      if (got === expected) continue;
      assert.fail(`step ${index} gives ${short(got)}, on Linux ${short(expected)}`);
    }
    guest.reload();
    const [ours, theirs] = [[...tree(guest, '.')], [...tree(linux, '.')]];
    for (const [index, line] of theirs.entries()) {
      if (ours[index] === line) continue;
      assert.fail(`the tree has ${short(ours[index] ?? 'nothing')}, on Linux ${short(line)}`);
    }
    assert.equal(ours.length, theirs.length);
  } finally {
    for (let fd = 0; fd < 4; fd += 1) linux.close(fd);
    real.rmSync(linux.top, { recursive: true, force: true });
  }
}

const RUNS = Number(process.env.FS_MODEL_RUNS ?? 150);

test('random operations give what Linux gives, over saves and loads', () => {
  const details = fc.check(
    fc.property(fc.array(operation, { minLength: 10, maxLength: 120 }), runBoth),
    { numRuns: RUNS },
  );
  if (!details.failed) return;
  const steps = details.counterexample?.[0].map((step) => JSON.stringify(step)).join('\n');
  const { message, stack } = details.errorInstance as Error;
  assert.fail(
    `seed ${details.seed}, path ${details.counterexamplePath}: ${message}\n${steps}\n${stack}`,
  );
});
