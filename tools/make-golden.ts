/**
 * Makes the golden files of the current checkpoint format: test/golden/v<format>/. They are made
 * once, when a format is fixed, and never again: what a release wrote must stay readable as it was,
 * so this refuses to touch a folder that exists. Run: `node dist/tools/make-golden.js`.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { epoch } from '../src/base/ids.ts';
import { writeCheckpoint } from '../src/checkpoint/checkpoint-file.ts';
import { DeltaReader } from '../src/checkpoint/delta-reader.ts';
import { apply, MemoryFiles, World } from '../src/checkpoint/fixtures.ts';
import { FORMAT_VERSION } from '../src/checkpoint/format.ts';
import { dumpFrame } from '../src/checkpoint/frame-dump.ts';
import { Image } from '../src/checkpoint/image.ts';
import { describe } from '../src/checkpoint/inspect.ts';
import { JoinTransfer } from '../src/checkpoint/join.ts';
import { MemoryPageStore } from '../src/checkpoint/page-store.ts';

/** The frames in the order in which a joiner can take them, the first alone, the rest together. */
function makeFrames(): { frames: Map<string, Buffer>; file: Buffer } {
  const world = new World();
  world.map(3, 4, 3, false);
  world.map(20, 1, 5, true);
  world.write(4, 0x41);
  world.putRecord(1, 0, Buffer.from([1, 0, 0xaa]));
  world.putRecord(1, 3, Buffer.from('a part'));
  world.putHandle(5, Buffer.from('a handle'));
  world.putExtra('origin', Buffer.from('golden'));
  world.say(Buffer.from('said in epoch 1\n'));
  world.threads.push({ id: 2, value: 3 });
  const frames = new Map([['whole', world.capture()]]);
  frames.set('join-base', world.joinBase());
  const transfer = new JoinTransfer(world.source(), world.pool, {
    base: epoch(1),
    regions: world.regions(),
  });
  const chunk = transfer.next();
  if (chunk === null || !transfer.isDone) throw new Error('the golden guest fits one chunk');
  frames.set('chunk', Buffer.from(chunk.finish()));
  world.write(5, 0x42);
  world.unmap(3, 1);
  world.map(30, 1, 1, false);
  world.putRecord(2, 0, Buffer.from([20, 0]));
  world.removeRecord(1, 3);
  world.removeObject(7);
  world.putHandle(6, Buffer.from('another'));
  world.removeHandle(5);
  world.say(Buffer.from('said in epoch 2\n'));
  world.release(16);
  world.threads.splice(0, 1);
  world.threads.push({ id: 3, value: 7 });
  world.actionValue = 9;
  frames.set('delta', world.capture());

  const image = new Image(new MemoryPageStore());
  for (const name of ['join-base', 'chunk', 'delta']) apply(image, frames.get(name) as Buffer);
  world.assertIn(image);
  const files = new MemoryFiles();
  writeCheckpoint(files, 'checkpoint', image, world.pool);
  return { frames, file: files.contents.get('checkpoint') as Buffer };
}

function main(): void {
  const root = join(fileURLToPath(import.meta.url), '../../..');
  const folder = join(root, `test/golden/v${FORMAT_VERSION}`);
  if (existsSync(folder)) {
    process.stderr.write(`${folder} exists: golden files are made once for a format\n`);
    process.exitCode = 1;
    return;
  }
  mkdirSync(folder, { recursive: true });
  const { frames, file } = makeFrames();
  for (const [name, frame] of frames) {
    writeFileSync(join(folder, `${name}.bin`), frame);
    const dump = dumpFrame(DeltaReader.open(frame));
    writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(dump, null, 2)}\n`);
  }
  writeFileSync(join(folder, 'checkpoint.bin'), file);
  const files = new MemoryFiles();
  files.contents.set('checkpoint.bin', file);
  const report = describe(files, 'checkpoint.bin');
  writeFileSync(join(folder, 'checkpoint.json'), `${JSON.stringify(report, null, 2)}\n`);
}

main();
