/** The numbers against the kernel's own header, where one is installed (linux-libc-dev). */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { SYS, syscallName } from './syscalls.ts';

const HEADER = '/usr/include/x86_64-linux-gnu/asm/unistd_64.h';

test('every call of the header is there, with its number', {
  skip: existsSync(HEADER) ? false : `${HEADER} is missing`,
}, () => {
  const numbers = new Map<string, number>(Object.entries(SYS));
  const text = readFileSync(HEADER, 'utf8');
  const defined = [...text.matchAll(/^#define __NR_(\w+) (\d+)$/gm)];
  assert.ok(defined.length > 300, 'the header has been understood');
  for (const [, name = '', number] of defined)
    assert.equal(numbers.get(name), Number(number), name);
});

test('no number has two names, and an unknown one is named by itself', () => {
  const numbers = Object.values(SYS);
  assert.equal(new Set(numbers).size, numbers.length);
  assert.equal(syscallName(SYS.read), 'read');
  assert.equal(syscallName(4711), 'syscall_4711');
});
