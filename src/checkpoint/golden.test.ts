/** The golden files: what an earlier build wrote in each format is read as it was, for ever. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { readCheckpoint } from './checkpoint-file.ts';
import { DeltaReader } from './delta-reader.ts';
import { apply, MemoryFiles } from './fixtures.ts';
import { dumpFrame } from './frame-dump.ts';
import { Image } from './image.ts';
import { describe } from './inspect.ts';
import { MemoryPageStore } from './page-store.ts';

/** From dist/src/checkpoint. */
const folder = new URL('../../../test/golden/v1/', import.meta.url);
const bytes = (name: string): Buffer => readFileSync(new URL(`${name}.bin`, folder));
const json = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'));

for (const name of ['whole', 'join-base', 'chunk', 'delta']) {
  test(`format 1: ${name} reads as it was written`, () => {
    const dump = dumpFrame(DeltaReader.open(bytes(name)));
    assert.deepEqual(JSON.parse(JSON.stringify(dump)), json(name));
  });
}

test('format 1: the frames can be applied, both ways to the same state', () => {
  const direct = new Image(new MemoryPageStore());
  for (const name of ['whole', 'delta']) apply(direct, bytes(name));
  const joined = new Image(new MemoryPageStore());
  for (const name of ['join-base', 'chunk', 'delta']) apply(joined, bytes(name));
  assert.equal(joined.stage, 'complete');
  assert.equal(joined.epoch, 2);
  assert.equal(joined.digest(), direct.digest());
  const files = new MemoryFiles();
  files.contents.set('checkpoint.bin', bytes('checkpoint'));
  const restored = new Image(new MemoryPageStore());
  readCheckpoint(files, 'checkpoint.bin', restored);
  assert.equal(restored.digest(), direct.digest());
});

test('format 1: the file is described as it was', () => {
  const files = new MemoryFiles();
  files.contents.set('checkpoint.bin', bytes('checkpoint'));
  const report: unknown = JSON.parse(JSON.stringify(describe(files, 'checkpoint.bin')));
  assert.deepEqual(report, json('checkpoint'));
});

test('every golden file is tested', () => {
  const names = readdirSync(folder).filter((name) => name.endsWith('.bin'));
  assert.deepEqual(names.sort(), [
    'checkpoint.bin',
    'chunk.bin',
    'delta.bin',
    'join-base.bin',
    'whole.bin',
  ]);
});
