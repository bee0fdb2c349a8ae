/** Fuzz tests of DeltaReader: whatever it is given, it reads it or throws a format error. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TardigradeError } from '../base/errors.ts';
import { epoch } from '../base/ids.ts';
import { DeltaReader } from './delta-reader.ts';
import { NO_PARENT } from './delta-writer.ts';
import { apply, World } from './fixtures.ts';
import { FORMAT_VERSION, HEADER_BYTES, stampFrame } from './format.ts';
import { Image } from './image.ts';
import { JoinTransfer } from './join.ts';
import { PAGE_BYTES } from './limits.ts';
import { MemoryPageStore } from './page-store.ts';

/** One frame of each kind, with every section that the kind can have. */
function samples(): { before: Buffer[]; frames: Buffer[] } {
  const world = new World();
  const fill = (): void => {
    world.map(3, 5, 3, false);
    world.map(20, 2, 5, true);
    world.write(4, world.epoch + 1);
    world.putRecord(1, 0, Buffer.from('object'));
    world.putRecord(1, 2, Buffer.from('page'));
    world.removeRecord(1, 2);
    world.removeObject(9);
    world.putHandle(5, Buffer.from('handle'));
    world.removeHandle(6);
    world.putExtra('name', Buffer.from('value'));
    world.say(Buffer.from('said'));
    world.threads.push({ id: 10 + world.epoch, value: 6 });
  };
  fill();
  const whole = world.capture();
  const base = world.joinBase();
  const transfer = new JoinTransfer(world.source(), world.pool, {
    base: epoch(1),
    regions: world.regions(),
  });
  const chunk = transfer.next();
  assert.ok(chunk !== null && transfer.isDone);
  fill();
  const delta = world.capture();
  world.writer.begin('trailer', epoch(2), NO_PARENT, { sequence: 3 });
  world.writer.fileEnd(3, 1000, 77);
  const frames = [whole, base, chunk.finish(), delta, world.writer.seal().finish()];
  return { before: [whole], frames };
}

/** Reads everything there is to read. */
function exhaust(reader: DeltaReader): number {
  let sum = 0;
  reader.visitPages((start, pageCount, bytes) => {
    assert.equal(bytes.length, pageCount * PAGE_BYTES);
    sum += start;
  });
  reader.visitRemoved((start, end) => {
    assert.ok(start < end);
  });
  const count = (): void => {
    sum += 1;
  };
  reader.visitRecords({ put: count, remove: count, removeObject: count });
  reader.visitHandles({ handlePut: count, handleRemove: count });
  return sum;
}

/** The frame is read and applied, or refused with a format error. */
function survives(frame: Buffer, before: readonly Buffer[]): void {
  let reader: DeltaReader;
  try {
    reader = DeltaReader.open(frame);
  } catch (error) {
    assert.ok(error instanceof TardigradeError, String(error));
    assert.equal(error.code, 'format');
    return;
  }
  exhaust(reader);
  for (const frames of [[], before]) {
    const image = new Image(new MemoryPageStore());
    for (const one of frames) apply(image, one);
    const problem = image.problem(reader);
    if (problem !== null) continue;
    image.apply(reader);
    if (image.stage === 'complete') image.guestImage();
  }
}

test('a frame of each kind is read as it is', () => {
  const { frames } = samples();
  const kinds = frames.map((frame) => DeltaReader.open(frame).header.kind);
  assert.deepEqual(kinds, ['whole', 'join-base', 'chunk', 'delta', 'trailer']);
  const delta = DeltaReader.open(frames[3] as Buffer);
  assert.equal(delta.header.epoch, 2);
  assert.equal(delta.header.parent, 1);
  // Every section: three mapped and rewritten pages, and thread 11 alone has changed.
  assert.equal(delta.pageCount, 3);
  assert.deepEqual([...delta.contexts.keys()], [11]);
  assert.deepEqual(delta.process?.threads, [1, 10, 11]);
  assert.equal(delta.recordCount, 4);
  assert.ok(delta.setup !== null && delta.regions !== null);
  assert.deepEqual([...delta.extras.keys()], ['name']);
  assert.equal(delta.console[0]?.offset, 4);
  assert.ok(exhaust(delta) > 0);
});

test('every truncation and every single changed byte is refused', () => {
  for (const frame of samples().frames) {
    for (let size = 0; size < frame.length; size += size < 300 ? 1 : 97) {
      assert.throws(() => DeltaReader.open(frame.subarray(0, size)), { code: 'format' });
    }
    assert.throws(() => DeltaReader.open(Buffer.concat([frame, Buffer.alloc(1)])), {
      code: 'format',
    });
    for (let at = 0; at < frame.length; at += at < 300 ? 1 : 89) {
      const damaged = Buffer.from(frame);
      damaged[at] = (damaged[at] as number) ^ 0x10;
      assert.throws(() => DeltaReader.open(damaged), { code: 'format' }, `byte ${at}`);
    }
  }
});

test('changes under a right CRC are read safely or refused', () => {
  const { before, frames } = samples();
  const change = fc.tuple(fc.nat(), fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0xff), fc.boolean());
  fc.assert(
    fc.property(
      fc.nat({ max: frames.length - 1 }),
      fc.array(change, { minLength: 1, maxLength: 4 }),
      (which, changes) => {
        const frame = Buffer.from(frames[which] as Buffer);
        for (const [where, value, isEarly] of changes) {
          // Most of a frame is page data; half of the changes are put where the structure is.
          const at = isEarly ? where % Math.min(frame.length, 3000) : where % frame.length;
          frame[Math.max(16, at)] = value;
        }
        survives(stampFrame(frame), before);
      },
    ),
    { numRuns: 6000 },
  );
});

test('a cut under a right CRC and size is read safely or refused', () => {
  const { before, frames } = samples();
  fc.assert(
    fc.property(fc.nat({ max: frames.length - 1 }), fc.nat(), (which, where) => {
      const whole = frames[which] as Buffer;
      const size = HEADER_BYTES + (where % (whole.length - HEADER_BYTES));
      const frame = Buffer.from(whole.subarray(0, size));
      frame.writeUInt32LE(size, 40);
      assert.throws(() => DeltaReader.open(stampFrame(frame)), { code: 'format' });
      survives(frame, before);
    }),
    { numRuns: 500 },
  );
});

test('random bytes are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (bytes, hasHeader) => {
      const header = (samples().frames[3] as Buffer).subarray(0, HEADER_BYTES);
      const frame = hasHeader ? Buffer.concat([header, bytes]) : Buffer.from(bytes);
      if (hasHeader) {
        frame.writeUInt32LE(frame.length, 40);
        stampFrame(frame);
      }
      assert.throws(() => DeltaReader.open(frame), { code: 'format' });
    }),
    { numRuns: 300 },
  );
});

test('a size far beyond what is there is refused before anything is allocated for it', () => {
  const frame = Buffer.from(samples().frames[3] as Buffer);
  // The process section's count of threads; it stands behind the clocks, and no signal is pending.
  const at = HEADER_BYTES + 8 + 16 + 8 + 4;
  assert.equal(frame.readUInt32LE(at), 3);
  frame.writeUInt32LE(30_000, at);
  assert.throws(() => DeltaReader.open(stampFrame(frame)), { message: /30000 threads don't fit/ });
  frame.writeUInt32LE(0xffff_ffff, at);
  assert.throws(() => DeltaReader.open(stampFrame(frame)), { message: /4294967295 threads/ });
});

test('another version is named, and what to do about it', () => {
  const frame = Buffer.from(samples().frames[3] as Buffer);
  frame.writeUInt16LE(FORMAT_VERSION + 1, 8);
  assert.throws(() => DeltaReader.open(frame), {
    code: 'format',
    message: new RegExp(
      `version ${FORMAT_VERSION + 1} of the checkpoint format, only ${FORMAT_VERSION} is known`,
    ),
    remedy: /version of tardigrade/,
  });
});
