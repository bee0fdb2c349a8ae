/** Tests of the ELF and script checks on crafted files. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { craftElf } from './craft-elf.ts';
import { checkElf, parseScript, type ReadAt } from './elf.ts';

const reader =
  (bytes: Buffer): ReadAt =>
  (offset, size) =>
    bytes.subarray(Math.min(offset, bytes.length), Math.min(offset + size, bytes.length));

const check = (bytes: Buffer) => checkElf(reader(bytes));
const refusal = (bytes: Buffer): string => {
  const checked = check(bytes);
  assert.equal(checked.kind, 'refused');
  return checked.kind === 'refused' ? checked.why : '';
};

test('programs of this machine are accepted, with their loader', () => {
  const interpreter = '/lib64/ld-linux-x86-64.so.2';
  assert.deepEqual(check(craftElf()), { kind: 'program', interpreter });
  assert.deepEqual(check(craftElf({ type: 2, interpreter: null })), {
    kind: 'program',
    interpreter: null,
  });
  assert.equal(check(readFileSync(process.execPath)).kind, 'program');
});

test('what is no program of this machine is refused with the reason', () => {
  assert.match(refusal(craftElf({ machine: 183 })), /another architecture \(arm64\)/);
  assert.match(refusal(craftElf({ machine: 999 })), /machine number 999/);
  assert.match(refusal(craftElf({ elfClass: 1, machine: 3 })), /32-bit program \(x86/);
  assert.match(refusal(craftElf({ data: 2 })), /big-endian/);
  assert.match(refusal(craftElf({ type: 1 })), /object file/);
  assert.match(refusal(craftElf({ type: 4 })), /core dump/);
  assert.match(refusal(craftElf({ load: false })), /nothing to load/);
  assert.match(refusal(craftElf({ interpreter: 'relative' })), /loader/);
  assert.match(refusal(craftElf().subarray(0, 40)), /cut off/);
  assert.match(refusal(craftElf().subarray(0, 100)), /cut off/);
  assert.match(refusal(craftElf().subarray(0, 180)), /loader/);
});

test('what is not ELF is told apart', () => {
  for (const text of ['', 'x', '\x7fEL', '#!/bin/sh\n', 'MZ\x90']) {
    assert.equal(check(Buffer.from(text, 'latin1')).kind, 'not-elf');
  }
});

test('a damaged header is answered, never thrown at', () => {
  const intact = craftElf();
  const change = fc.tuple(fc.nat(intact.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), fc.nat(intact.length), (changes, size) => {
      const bytes = Buffer.from(intact);
      for (const [at, value] of changes) bytes[at] = value;
      const { kind } = check(bytes.subarray(0, size));
      assert.ok(['program', 'refused', 'not-elf'].includes(kind));
    }),
  );
});

test('a #! line is split as Linux does', () => {
  const line = (text: string) => parseScript(Buffer.from(text));
  assert.deepEqual(line('#!/bin/sh\necho'), { interpreter: '/bin/sh', argument: null });
  assert.deepEqual(line('#! \t/usr/bin/env  python3 -u \n'), {
    interpreter: '/usr/bin/env',
    argument: 'python3 -u',
  });
  assert.deepEqual(line('#!/bin/sh'), { interpreter: '/bin/sh', argument: null });
  assert.deepEqual(line('#!\n'), { interpreter: '', argument: null });
  assert.equal(line('# !/bin/sh\n'), null);
  assert.equal(line(''), null);
});
