/**
 * Tests of Image with the writer and reader: what is applied is what was captured, or nothing is.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AssertionError } from '../base/assert.ts';
import { TardigradeError } from '../base/errors.ts';
import { epoch, guestAddress } from '../base/ids.ts';
import { DeltaReader } from './delta-reader.ts';
import { NO_PARENT } from './delta-writer.ts';
import { ALL_STEPS, apply, step, World } from './fixtures.ts';
import { FLAG } from './format.ts';
import { Image } from './image.ts';
import { imageFrames } from './image-frames.ts';
import { ADDRESS_END, PAGE_BYTES } from './limits.ts';
import { MemoryPageStore } from './page-store.ts';

const steps = fc.array(
  fc.array(
    fc.tuple(fc.nat({ max: ALL_STEPS - 1 }), fc.nat({ max: 47 }), fc.integer({ min: 1, max: 200 })),
    { maxLength: 30 },
  ),
  { minLength: 1, maxLength: 6 },
);

function newImage(): Image {
  return new Image(new MemoryPageStore());
}

test('a random sequence of deltas gives the state of the world at each epoch', () => {
  fc.assert(
    fc.property(steps, (epochs) => {
      const world = new World();
      const image = newImage();
      for (const one of epochs) {
        for (const each of one) step(world, each);
        apply(image, world.capture());
        world.assertIn(image);
      }
      assert.equal(world.pool.outCount, 0);
    }),
    { numRuns: 300 },
  );
});

test('the digest is that of the state, not of the way to it, and shows a change', () => {
  fc.assert(
    fc.property(steps, (epochs) => {
      const world = new World();
      world.map(0, 3, 3, false);
      const image = newImage();
      for (const one of epochs) {
        for (const each of one) step(world, each);
        apply(image, world.capture());
      }
      const copy = newImage();
      imageFrames(image, world.pool, (frame) => {
        apply(copy, Buffer.from(frame.finish()));
        frame.release();
      });
      world.assertIn(copy);
      assert.equal(copy.digest(), image.digest());
      const before = image.digest();
      world.map(1, 1, 3, false);
      world.write(1, 7);
      apply(image, world.capture());
      assert.notEqual(image.digest(), before);
    }),
    { numRuns: 100 },
  );
});

test('a delta whose parent is not the epoch of the image is refused and changes nothing', () => {
  const world = new World();
  world.map(0, 4, 3, false);
  const first = world.capture();
  world.write(1, 9);
  const second = world.capture();
  world.write(2, 9);
  world.putRecord(1, 0, Buffer.from('x'));
  const third = world.capture();

  const image = newImage();
  assert.throws(() => apply(image, second), { code: 'format', message: /epoch 1 to 2/ });
  assert.equal(image.stage, 'empty');
  apply(image, first);
  const digest = image.digest();
  assert.throws(() => apply(image, third), { code: 'format', message: /epoch 2 to 3/ });
  assert.throws(() => apply(image, first), { code: 'format', message: /needs an empty image/ });
  assert.equal(image.digest(), digest);
  apply(image, second);
  assert.throws(() => apply(image, second), { code: 'format' });
  apply(image, third);
  world.assertIn(image);
});

test('a damaged delta changes nothing, and the undamaged one can still be applied', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), (where, flip) => {
      const world = new World();
      world.map(0, 4, 3, false);
      const image = newImage();
      apply(image, world.capture());
      world.write(1, 3);
      world.putRecord(1, 1, Buffer.from('record'));
      world.threads.push({ id: 9, value: 9 });
      const frame = world.capture();
      const damaged = Buffer.from(frame);
      damaged[where % frame.length] = (damaged[where % frame.length] as number) ^ flip;
      const digest = image.digest();
      assert.throws(() => apply(image, damaged), { code: 'format' });
      assert.throws(() => apply(image, frame.subarray(0, where % frame.length)), {
        code: 'format',
      });
      assert.equal(image.digest(), digest);
      apply(image, frame);
      world.assertIn(image);
    }),
    { numRuns: 200 },
  );
});

test('a delta that takes a thread or console output for granted is refused whole', () => {
  const world = new World();
  world.say(Buffer.from('hello'));
  const other = new World();
  other.say(Buffer.from('hello'));
  const image = newImage();
  apply(image, world.capture());
  // Another history: its thread 7 is as in its own first frame, which this image never saw.
  other.threads.push({ id: 7, value: 2 });
  other.capture();
  other.map(0, 1, 3, false);
  other.write(0, 1);
  const digest = image.digest();
  assert.throws(() => apply(image, other.capture()), {
    message: /thread 7 is said to be unchanged/,
  });
  const third = new World();
  third.capture();
  third.say(Buffer.from('from 0 on again'));
  assert.throws(() => apply(image, third.capture()), { message: /console output at 0; 5 is next/ });
  assert.equal(image.digest(), digest);
});

test('an image whose page store fails says so and is not used again', () => {
  const pages = new MemoryPageStore();
  let isFull = false;
  pages.write = (address, bytes) => {
    if (isFull) throw new Error('ENOSPC: no space left on device');
    MemoryPageStore.prototype.write.call(pages, address, bytes);
  };
  const image = new Image(pages);
  const world = new World();
  world.map(0, 4, 3, false);
  apply(image, world.capture());
  world.write(1, 1);
  isFull = true;
  const frame = world.capture();
  assert.throws(() => apply(image, frame), { code: 'replica', message: /epoch 2 .*ENOSPC/ });
  isFull = false;
  assert.throws(() => apply(image, frame), {
    code: 'format',
    message: /could not be stored whole/,
  });
  assert.throws(() => image.guestImage(), AssertionError);
});

test('an image that waits for chunks cannot be run, nor take deltas or chunks out of turn', () => {
  const { pool, writer } = new World();
  const guest = new World();
  guest.map(0, 2, 3, false);
  guest.write(0, 5);
  const complete = newImage();
  apply(complete, guest.capture());
  const frames: Buffer[] = [];
  imageFrames(complete, pool, (frame) => {
    frames.push(Buffer.from(frame.finish()));
    frame.release();
  });
  const image = newImage();
  apply(image, frames[0] as Buffer);
  assert.equal(image.stage, 'receiving');
  assert.throws(() => image.guestImage(), AssertionError);
  assert.throws(() => apply(image, guest.capture()), { message: /a delta among chunks/ });
  const chunk = (base: number, sequence: number): Buffer => {
    writer.begin('chunk', epoch(base), NO_PARENT, { sequence, flags: FLAG.last });
    const sealed = writer.seal();
    const bytes = Buffer.from(sealed.finish());
    sealed.release();
    return bytes;
  };
  assert.throws(() => apply(image, chunk(1, 5)), { message: /chunk 5; 0 is next/ });
  assert.throws(() => apply(image, chunk(2, 0)), { message: /a chunk of base 2; the base is 1/ });
  assert.equal(image.stage, 'receiving');
  for (const frame of frames.slice(1)) apply(image, frame);
  assert.equal(image.stage, 'complete');
  assert.equal(image.digest(), complete.digest());
  assert.throws(() => apply(image, chunk(1, 1)), { message: /no chunk is expected/ });
});

test('an abandoned delta is made up for by the next one', () => {
  const world = new World();
  const image = newImage();
  apply(image, world.capture());
  (world.threads[0] as { value: number }).value = 50;
  world.actionValue = 8;
  const { writer, history } = world;
  writer.begin('delta', epoch(2), epoch(1));
  writer.process({ pendingSignals: [], threads: world.contexts() }, history);
  writer.setup(world.setup(), history);
  writer.abandon();
  assert.equal(world.pool.outCount, 0);
  apply(image, world.capture());
  world.assertIn(image);
});

test('a delta of nothing is small, however much the guest has', () => {
  const world = new World();
  world.map(0, 48, 3, false);
  for (let slot = 0; slot < 48; slot += 1) world.write(slot, slot + 1);
  for (let object = 1; object <= 100; object += 1) {
    world.putRecord(object, 0, Buffer.alloc(1000));
  }
  assert.ok(world.capture().length > 48 * PAGE_BYTES);
  assert.ok(world.capture().length < 200);
});

test('removed ranges count before pages, wherever they stand in the frame', () => {
  const world = new World();
  world.map(0, 4, 3, false);
  world.write(0, 1);
  const image = newImage();
  apply(image, world.capture());
  const { writer } = world;
  writer.begin('delta', epoch(2), epoch(1));
  writer.clock(1, 1);
  writer.process({ pendingSignals: [], threads: world.contexts() }, world.history);
  writer.pageRun(world.address(1), 2).fill(7);
  writer.removedRange(guestAddress(0), guestAddress(ADDRESS_END));
  const sealed = writer.seal();
  assert.equal(sealed.pageCount, 2);
  image.apply(DeltaReader.open(sealed.finish()));
  sealed.release();
  const memory = Buffer.alloc(4 * PAGE_BYTES);
  image.pages.read(world.address(0), memory);
  const firsts = [0, 1, 2, 3].map((slot) => memory[slot * PAGE_BYTES]);
  assert.deepEqual(firsts, [0, 7, 7, 0]);
});

test('errors are for people: one line with what to do', () => {
  const image = newImage();
  try {
    apply(
      image,
      Buffer.from('GET / HTTP/1.1\r\nHost: somewhere.example\r\nAccept: everything\r\n\r\n'),
    );
    assert.fail('it was applied');
  } catch (error) {
    assert.ok(error instanceof TardigradeError);
    assert.match(
      error.line,
      /^this is not a tardigrade checkpoint or delta; check what was given$/,
    );
  }
});
