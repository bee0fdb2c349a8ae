/** Tests of inspect: the report says what is in the file, and names the place of damage. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeCheckpoint } from './checkpoint-file.ts';
import { apply, MemoryFiles, WORLD_START, World } from './fixtures.ts';
import { Image } from './image.ts';
import { describe, reportText } from './inspect.ts';
import { MemoryPageStore } from './page-store.ts';

/** A guest with one thread that runs and one that waits in epoll_wait. */
function sample(): MemoryFiles {
  const world = new World();
  world.map(2, 6, 3, false);
  world.map(30, 3, 5, true);
  for (const slot of [2, 3, 7]) world.write(slot, slot);
  world.drop(3, 1);
  world.putRecord(1, 0, Buffer.from([22, 0, 1, 2, 3]));
  world.putRecord(1, 1, Buffer.alloc(4096, 1));
  world.putRecord(2, 0, Buffer.from([22, 0, 9]));
  world.putRecord(3, 0, Buffer.from([0x2c, 0x01]));
  world.putHandle(4, Buffer.from('listener'));
  world.putExtra('name\u001b[2J', Buffer.from('value'));
  world.say(Buffer.from('output'));
  world.threads.push({ id: 2, value: 3 });
  const contexts = world.contexts();
  const waiting = contexts[1]?.registers as Buffer;
  waiting.writeBigInt64LE(232n, 120);
  waiting.writeBigInt64LE(-516n, 80);
  waiting.writeBigUInt64LE(0x7f00_1234_5678n, 128);
  world.contexts = () => contexts;
  const image = new Image(new MemoryPageStore());
  apply(image, world.capture());
  const files = new MemoryFiles();
  writeCheckpoint(files, 'file', image, world.pool);
  return files;
}

test('the report has epochs, threads, regions and pages, objects by kind, handles', () => {
  const report = describe(sample(), 'file');
  assert.equal(report.epoch, 1);
  assert.equal(report.monotonicNs, 1000);
  assert.equal(report.frames.whole, 1);
  assert.equal(report.frames.trailer, 1);
  assert.deepEqual(
    report.threads.map(({ thread, name, restartsCall }) => ({ thread, name, restartsCall })),
    [
      { thread: 1, name: 'thread-1', restartsCall: null },
      { thread: 2, name: 'thread-2', restartsCall: 'epoll_wait' },
    ],
  );
  assert.equal(report.threads[1]?.rip, '7f0012345678');
  assert.equal(report.threads[1]?.pendingSignals, 1);
  assert.deepEqual(report.signalActions, [11]);
  const at = (slot: number): string => (WORLD_START + slot * 4096).toString(16);
  assert.deepEqual(
    report.regions.map((one) => [one.start, one.end, one.permissions, one.pages]),
    [
      [at(2), at(8), 'rw-p', 2],
      [at(30), at(33), 'r-xs', 3],
    ],
  );
  assert.equal(report.memoryPages, 5);
  assert.deepEqual(report.kinds, [
    { kind: 22, objects: 2, records: 3, bytes: 4104 },
    { kind: 300, objects: 1, records: 1, bytes: 2 },
  ]);
  assert.deepEqual(report.handles, [{ handle: 4, bytes: 8 }]);
  assert.deepEqual(report.console[0], { stream: 1, offset: 0, bytes: 6 });
  assert.deepEqual(JSON.parse(JSON.stringify(report)), report);
});

test('the text is for a terminal: a guest cannot put control characters into it', () => {
  const text = reportText(describe(sample(), 'file'));
  assert.match(text, /^file: tardigrade checkpoint, format 1\n {2}epoch {6}1 \(base 1\)\n/);
  assert.match(text, /epoll_wait \(restarts\)/);
  assert.match(text, /r-xs {3}3 {6}\/lib\//);
  assert.match(text, /name\.\[2J/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: there must be none
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f]/);
});

test('damage is one error with frame and offset', () => {
  const files = sample();
  const whole = files.contents.get('file') as Buffer;
  const damaged = Buffer.from(whole);
  damaged[100] = (damaged[100] as number) ^ 1;
  files.contents.set('file', damaged);
  assert.throws(() => describe(files, 'file'), {
    code: 'format',
    message: /^file: frame 0 at offset 0: the frame's CRC is [0-9a-f]{8}, not [0-9a-f]{8}/,
    remedy: 'use another checkpoint file',
  });
});
