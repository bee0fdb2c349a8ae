/** Test of fs.ts: its numbers are those of the C headers, where there is a compiler to ask. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as abi from './fs.ts';

const HEADERS = `
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/fs.h>
#undef st_atim
struct kstat { unsigned long st_dev, st_ino, st_nlink; unsigned st_mode, st_uid, st_gid, pad;
  unsigned long st_rdev; long st_size, st_blksize, st_blocks;
  struct timespec st_atim, st_mtim, st_ctim;
  long unused[3]; };
`;

/** Names in C of the constants of one group. */
const GROUPS: readonly (readonly [object: Readonly<Record<string, number>>, prefix: string])[] = [
  [abi.S, 'S_'],
  [abi.LOCK, 'LOCK_'],
  [abi.SEEK, 'SEEK_'],
  [abi.FALLOC, 'FALLOC_FL_'],
  [abi.RENAME, 'RENAME_'],
  [abi.RESOLVE, 'RESOLVE_'],
  [abi.RWF, 'RWF_'],
  [abi.UTIME, 'UTIME_'],
  [abi.IOCTL, ''],
  [abi.AT, 'AT_'],
];
const LAYOUTS: readonly (readonly [object: Readonly<Record<string, number>>, type: string])[] = [
  [abi.STAT, 'struct kstat'],
  [abi.STATX, 'struct statx'],
  [abi.STATFS, 'struct statfs'],
  [abi.FLOCK, 'struct flock'],
  [abi.IOVEC, 'struct iovec'],
  [abi.OPEN_HOW, 'struct open_how'],
];

function expressions(): [name: string, c: string, value: number][] {
  const all: [string, string, number][] = [];
  for (const [object, prefix] of GROUPS) {
    for (const [name, value] of Object.entries(object)) {
      const c = `${prefix}${name}`;
      all.push([c, c, value]);
    }
  }
  for (const [name, value] of Object.entries(abi.O)) {
    if (name !== 'TMPFILE_BIT' && name !== 'LARGEFILE') all.push([`O_${name}`, `O_${name}`, value]);
  }
  for (const [name, value] of Object.entries(abi.F)) all.push([`F_${name}`, `F_${name}`, value]);
  for (const [object, type] of LAYOUTS) {
    for (const [field, value] of Object.entries(object)) {
      const c = field === 'sizeBytes' ? `sizeof(${type})` : `offsetof(${type}, ${field})`;
      all.push([`${type}.${field}`, c, value]);
    }
  }
  for (const field of ['d_ino', 'd_off', 'd_reclen', 'd_type', 'd_name'] as const) {
    all.push([field, `offsetof(struct dirent64, ${field})`, abi.DIRENT64[field]]);
  }
  return all;
}

const COMPILER = 'gcc';
const hasCompiler = spawnSync(COMPILER, ['--version']).status === 0;

test('constants and layouts are those of the C headers', { skip: !hasCompiler && 'no gcc' }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'tardigrade-abi-'));
  try {
    const all = expressions();
    const lines = all.map(([, c]) => `printf("%lld\\n", (long long)(${c}));`);
    writeFileSync(join(directory, 'a.c'), `${HEADERS}int main(void) {${lines.join('\n')}}`);
    const built = spawnSync(COMPILER, ['-w', '-o', 'a', 'a.c'], {
      cwd: directory,
      encoding: 'utf8',
    });
    assert.equal(built.status, 0, built.stderr);
    const run = spawnSync(join(directory, 'a'), { encoding: 'utf8' });
    const values = run.stdout.trim().split('\n').map(Number);
    assert.equal(values.length, all.length);
    for (const [index, [name, , value]] of all.entries()) {
      assert.equal(value, values[index], name);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
