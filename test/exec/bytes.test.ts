/** Paths, arguments and environment reach the guest as the bytes that they are. */

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cliPath } from '../support/paths.ts';
import type { Program } from '../support/program.ts';
import { skipUnless } from '../support/requirements.ts';
import { World } from '../support/world.ts';

const skip = skipUnless('cli');
/** Shows a file; a program of Debian's coreutils. */
const dump = ['/usr/bin/od', '-An', '-v', '-tx1'];

const hex = (text: string): string => Buffer.from(text).toString('hex');

async function textOf(program: Program): Promise<string> {
  assert.equal((await program.waitForExit(30_000)).code, 0, program.describe());
  return program.text('stdout').trim();
}

async function dumped(program: Program): Promise<string> {
  return (await textOf(program)).replace(/\s+/g, '');
}

test('program, arguments and environment that are not ASCII', { skip }, async (t) => {
  const world = new World(t);
  const folder = join(world.work, 'ü €');
  mkdirSync(folder);
  copyFileSync('/bin/echo', join(folder, 'écho'));
  for (const program of [join(folder, 'écho'), './écho']) {
    const args = ['exec', '--cwd', folder, '--', program, 'ä', '😀'];
    assert.equal(await textOf(world.tardigrade(args)), 'ä 😀');
  }
  const environment = ['exec', '-e', 'GRÖSSE=ß', '--', ...dump, '/proc/self/environ'];
  const bytes = await dumped(world.tardigrade(environment));
  assert.ok(bytes.includes(hex('\0GRÖSSE=ß\0')), bytes);
  const missing = world.tardigrade(['exec', '--', join(folder, 'straße')]);
  assert.equal((await missing.waitForExit(30_000)).code, 127);
  assert.match(missing.text('stderr'), /ü €\/straße is not there/);
});

test('names that are no UTF-8', { skip }, async (t) => {
  const world = new World(t);
  const folder = Buffer.concat([Buffer.from(`${world.work}/`), Buffer.from([0xff, 0xc3])]);
  mkdirSync(folder);
  writeFileSync(Buffer.concat([folder, Buffer.from('/file')]), 'found');
  const name = `"${world.work}/$(printf '\\377\\303')`;
  const tardigrade = `${process.execPath} ${cliPath}`;
  const byPath = `exec ${tardigrade} exec -- ${dump.join(' ')} ${name}/file"`;
  assert.equal(await dumped(world.start('sh', ['-c', byPath])), hex('found'));
  const byCwd = `exec ${tardigrade} run --cwd ${name}" -- ${dump.join(' ')} file`;
  assert.equal(await dumped(world.start('sh', ['-c', byCwd])), hex('found'));
  await world.expectNothingLeft();
});
