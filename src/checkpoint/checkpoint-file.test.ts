/** Tests of checkpoint files: whole or not there, and nothing but a whole one is read. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { epoch } from '../base/ids.ts';
import {
  CheckpointFileWriter,
  readCheckpoint,
  readFrames,
  writeCheckpoint,
} from './checkpoint-file.ts';
import { nodeFiles } from './files.ts';
import { apply, MemoryFiles, World } from './fixtures.ts';
import { Image } from './image.ts';
import { JoinTransfer } from './join.ts';
import { MemoryPageStore } from './page-store.ts';

function sample(): { world: World; image: Image } {
  const world = new World();
  world.map(2, 6, 3, false);
  world.map(30, 3, 5, true);
  for (const slot of [2, 3, 7]) world.write(slot, slot);
  world.putRecord(1, 0, Buffer.from([22, 0, 1, 2, 3]));
  world.putRecord(1, 1, Buffer.alloc(4096, 1));
  world.putHandle(4, Buffer.from('listener'));
  world.putExtra('name', Buffer.from('value'));
  world.say(Buffer.from('output'));
  world.threads.push({ id: 2, value: 3 });
  const image = new Image(new MemoryPageStore());
  apply(image, world.capture());
  return { world, image };
}

function read(files: MemoryFiles, path: string): Image {
  const image = new Image(new MemoryPageStore());
  readCheckpoint(files, path, image);
  return image;
}

test('an image that is written and read is the same, and takes the next delta', () => {
  const { world, image } = sample();
  const files = new MemoryFiles();
  const sizeBytes = writeCheckpoint(files, 'file', image, world.pool);
  assert.deepEqual([...files.contents.keys()], ['file']);
  assert.equal(files.contents.get('file')?.length, sizeBytes);
  assert.equal(files.openCount, 0);
  assert.equal(world.pool.outCount, 0);
  const copy = read(files, 'file');
  world.assertIn(copy);
  assert.equal(copy.digest(), image.digest());
  world.write(4, 44);
  apply(copy, world.capture());
  world.assertIn(copy);
  assert.equal(files.openCount, 0);
});

test('a running guest is written as the stream that a joiner gets', () => {
  const { world } = sample();
  const files = new MemoryFiles();
  const writer = new CheckpointFileWriter(files, 'file');
  writer.append(world.joinBase());
  const transfer = new JoinTransfer(
    world.source(() => world.write(7, 99)),
    world.pool,
    { base: epoch(1), regions: world.regions(), chunkBytes: 4096 },
  );
  for (let chunk = transfer.next(); chunk !== null; chunk = transfer.next()) {
    writer.append(chunk.finish());
    chunk.release();
    world.drop(2, 1);
    writer.append(world.capture());
  }
  writer.commit(world.pool);
  world.assertIn(read(files, 'file'));
});

test('a file cut off anywhere is refused, with the place', () => {
  const { world, image } = sample();
  const files = new MemoryFiles();
  writeCheckpoint(files, 'file', image, world.pool);
  const whole = files.contents.get('file') as Buffer;
  const ends: number[] = [];
  readFrames(files, 'file', (frame, place) => ends.push(place.offset + frame.header.sizeBytes));
  assert.ok(ends.length >= 3);
  const sizes = [...ends, ...Array.from({ length: 400 }, (_, at) => (at * whole.length) / 400)];
  for (const size of sizes.map(Math.floor)) {
    files.contents.set('cut', whole.subarray(0, size));
    assert.throws(() => read(files, 'cut'), {
      code: 'format',
      message: /^cut: frame \d+ at offset \d+: .*cut off/,
    });
    assert.equal(files.openCount, 0);
  }
  files.contents.set('cut', whole.subarray(0, ends[1]));
  assert.throws(() => read(files, 'cut'), {
    message: `cut: frame 2 at offset ${ends[1]}: the file is cut off: its trailer is missing`,
  });
});

test('a changed byte, a missing, doubled or foreign frame, and a tail are refused', () => {
  const { world, image } = sample();
  const files = new MemoryFiles();
  writeCheckpoint(files, 'file', image, world.pool);
  const whole = files.contents.get('file') as Buffer;
  const frames: Buffer[] = [];
  readFrames(files, 'file', (frame, { offset }) => {
    frames.push(Buffer.from(whole.subarray(offset, offset + frame.header.sizeBytes)));
  });
  const trailer = whole.subarray(frames.reduce((sum, frame) => sum + frame.length, 0));
  const refused = (bytes: Buffer): void => {
    files.contents.set('bad', bytes);
    assert.throws(() => read(files, 'bad'), {
      code: 'format',
      message: /^bad: frame \d+ at offset/,
    });
  };
  for (let at = 0; at < whole.length; at += 37) {
    const damaged = Buffer.from(whole);
    damaged[at] = (damaged[at] as number) ^ 1;
    refused(damaged);
  }
  const [head, ...rest] = frames as [Buffer, ...Buffer[]];
  refused(Buffer.concat([...rest, trailer]));
  refused(Buffer.concat([head, ...rest.slice(1), trailer]));
  refused(Buffer.concat([head, head, ...rest, trailer]));
  refused(Buffer.concat([head, ...rest, rest[0] as Buffer, trailer]));
  refused(Buffer.concat([whole, Buffer.from('x')]));
  refused(Buffer.concat([whole, whole]));
  refused(Buffer.alloc(0));
  // Frames that fit each other, under the trailer of another file.
  const other = sample();
  other.world.write(3, 200);
  apply(other.image, other.world.capture());
  writeCheckpoint(files, 'other', other.image, other.world.pool);
  const foreign = files.contents.get('other') as Buffer;
  refused(Buffer.concat([foreign.subarray(0, foreign.length - trailer.length), trailer]));
});

test('whatever fails while writing, nothing is left and the old file stays', () => {
  const { world, image } = sample();
  const probe = new MemoryFiles();
  const sizeBytes = writeCheckpoint(probe, 'file', image, world.pool);
  const attempts: ((files: MemoryFiles) => void)[] = [0, 1, 63, 5000, sizeBytes - 1].map(
    (room) => (files) => {
      files.roomBytes = room;
    },
  );
  for (const operation of ['create', 'write', 'sync', 'rename']) {
    attempts.push((files) => files.failing.add(operation));
  }
  for (const spoil of attempts) {
    const files = new MemoryFiles();
    files.contents.set('file', Buffer.from('the old one'));
    spoil(files);
    assert.throws(() => writeCheckpoint(files, 'file', image, world.pool), {
      code: 'service',
      message: /^the checkpoint could not be written to file: (ENOSPC|EIO)/,
    });
    assert.deepEqual([...files.contents], [['file', Buffer.from('the old one')]]);
    assert.equal(files.openCount, 0);
    assert.equal(world.pool.outCount, 0);
  }
});

test('a folder that cannot be synced does not fail a file that is whole under its name', () => {
  const { world, image } = sample();
  const files = new MemoryFiles();
  files.failing.add('syncFolder');
  writeCheckpoint(files, 'file', image, world.pool);
  world.assertIn(read(files, 'file'));
});

test('a file that is missing or cannot be read is told from a damaged one', () => {
  const files = new MemoryFiles();
  assert.throws(() => read(files, 'none'), { code: 'usage', message: /^can't read none: ENOENT/ });
  files.contents.set('file', Buffer.alloc(100));
  assert.throws(() => read(files, 'file'), {
    code: 'format',
    message: /not a tardigrade checkpoint/,
  });
  files.failing.add('read');
  assert.throws(() => read(files, 'file'), { code: 'usage', message: /EIO/ });
  assert.equal(files.openCount, 0);
});

test('on a real disk: private, whole, and without leftovers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tardigrade-'));
  try {
    const { world, image } = sample();
    const files = nodeFiles('test');
    const path = join(folder, 'file.checkpoint');
    writeFileSync(path, 'old');
    writeCheckpoint(files, path, image, world.pool);
    assert.deepEqual(readdirSync(folder), ['file.checkpoint']);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const copy = new Image(new MemoryPageStore());
    readCheckpoint(files, path, copy);
    assert.equal(copy.digest(), image.digest());
    const damaged = readFileSync(path);
    writeFileSync(path, damaged.subarray(0, damaged.length - 1));
    const again = new Image(new MemoryPageStore());
    assert.throws(() => readCheckpoint(files, path, again), { code: 'format' });
    assert.throws(() => readCheckpoint(files, folder, new Image(new MemoryPageStore())), {
      code: 'usage',
      message: /it is a directory/,
    });
    assert.throws(() => writeCheckpoint(files, join(folder, 'no/file'), image, world.pool), {
      code: 'service',
      message: /ENOENT/,
    });
    assert.deepEqual(readdirSync(folder), ['file.checkpoint']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
