/**
 * Tests of line.ts and line-output.ts: what the guest test/guests/terminals.c, which compares with
 * Linux, does not reach.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CC, IFLAG, LFLAG, OFLAG } from '../../abi/tty.ts';
import { Decoder, Encoder } from '../../base/codec.ts';
import { Line } from './line.ts';
import { OUTPUT_BYTES_MAX } from './line-output.ts';
import type { Termios } from './termios.ts';

function terminal(change: (old: Termios) => Partial<Termios> = () => ({})) {
  const told: string[] = [];
  const owner = {
    signal: (number: number) => told.push(`signal ${number}`),
    flushed: (which: string) => told.push(`flushed ${which}`),
    flow: (isStopped: boolean) => told.push(isStopped ? 'stopped' : 'started'),
  };
  const line = new Line(owner);
  line.termios = { ...line.termios, ...change(line.termios) };
  const type = (text: string): number => line.type(Buffer.from(text, 'latin1'));
  const shown = (): string => line.output.take(100_000).toString('latin1');
  const read = (count = 4096): string => line.read(count).toString('latin1');
  return { line, owner, told, type, shown, read };
}

const without =
  (flag: number) =>
  ({ lflag }: Termios): Partial<Termios> => ({ lflag: lflag & ~flag });
const raw = without(LFLAG.ICANON | LFLAG.ECHO | LFLAG.ISIG);

test('a line that is too long loses its rest, but not its end', () => {
  const { line, type, shown, read } = terminal(({ iflag }) => ({ iflag: iflag | IFLAG.IMAXBEL }));
  assert.equal(type('x'.repeat(5000)), 5000);
  assert.equal(line.isReadable(1), false);
  assert.equal(type('\n'), 1);
  assert.equal(shown(), `${'x'.repeat(4095)}${'\x07'.repeat(905)}\r\n`);
  assert.equal(line.hasRoom, false, 'with a line to be read, more must wait');
  assert.equal(type('y'), 0);
  assert.equal(read(), `${'x'.repeat(4095)}\n`);
  assert.equal(type('y'), 1);
});

test('without lines, what does not fit is not taken', () => {
  const { line, type, read } = terminal(raw);
  assert.equal(type('x'.repeat(5000)), 4096);
  assert.equal(line.hasRoom, false);
  assert.equal(read(96).length, 96);
  assert.equal(type('y'.repeat(100)), 96);
  assert.equal(line.readableBytes, 4096);
});

test('an end of file that follows what a read takes goes with it', () => {
  const { line, type, read } = terminal();
  type('abc\x04def\n\x04');
  assert.equal(line.readableBytes, 7);
  assert.equal(read(3), 'abc', 'and the end with it');
  assert.equal(read(4), 'def\n');
  assert.equal(line.isReadable(1), true);
  assert.equal(read(), '');
  assert.equal(line.isReadable(1), false);
});

test('a signal throws away what is on its way, unless NOFLSH is set', () => {
  const plain = terminal();
  plain.type('line\nab\x03c');
  assert.deepEqual(plain.told, ['signal 2', 'flushed output', 'flushed input']);
  assert.equal(plain.shown(), '^Cc');
  assert.equal(plain.line.isReadable(1), false);
  const kept = terminal(({ lflag }) => ({ lflag: lflag | LFLAG.NOFLSH }));
  kept.type('ab\x1ac\n');
  assert.deepEqual(kept.told, ['signal 20']);
  assert.equal(kept.shown(), 'ab^Zc\r\n');
  assert.equal(kept.read(), 'abc\n');
});

test('flow: keys, any key with IXANY, calls, and settings that take the keys away', () => {
  const { line, told, type } = terminal(({ iflag }) => ({ iflag: iflag | IFLAG.IXANY }));
  type('\x13');
  assert.equal(line.isStopped, true);
  type('x');
  assert.equal(line.isStopped, false);
  line.stop(true);
  type('\x11');
  assert.equal(line.isStopped, true, 'a key does not undo the call');
  line.start(true);
  type('\x13');
  line.termios = { ...line.termios, iflag: 0 };
  assert.equal(line.isStopped, false);
  assert.deepEqual(told, ['stopped', 'started', 'stopped', 'started', 'stopped', 'started']);
});

test('erasing with slashes, and tabs', () => {
  const printed = terminal(({ lflag }) => ({ lflag: lflag | LFLAG.ECHOPRT }));
  printed.type('abc\x7f\x7fx\n');
  assert.equal(printed.shown(), 'abc\\cb/x\r\n');
  const tabs = terminal();
  tabs.line.output.write(Buffer.from('> '));
  tabs.type('a\tb\t\x7f\x7f\x7f');
  assert.equal(tabs.shown(), '> a\tb\t\b\b\b\b\b\b\b\b \b\b\b\b\b\b');
  assert.equal(tabs.line.output.column, 3);
});

test('killing a line, shown in each way', () => {
  const plain = terminal(without(LFLAG.ECHOKE));
  plain.type('ab\x15c\n');
  assert.equal(plain.shown(), 'ab^U\r\nc\r\n');
  const quiet = terminal(without(LFLAG.ECHO));
  quiet.type('ab\x15c\n');
  assert.equal(quiet.shown(), '');
  assert.equal(quiet.read(), 'c\n');
});

test('seven bits, upper case, and input that another program edits', () => {
  const old = terminal(({ iflag }) => ({ iflag: iflag | IFLAG.ISTRIP | IFLAG.IUCLC }));
  old.type('\xc1BC\n');
  assert.equal(old.read(), 'abc\n');
  const elsewhere = terminal(({ lflag }) => ({ lflag: (lflag | LFLAG.EXTPROC) & ~LFLAG.ICANON }));
  elsewhere.type('a\x03\x7f');
  assert.equal(elsewhere.read(), 'a\x03\x7f');
  assert.equal(elsewhere.shown(), '');
});

test('output stops when it is full; the echo a little later', () => {
  const { line, type, shown } = terminal();
  assert.equal(line.output.write(Buffer.alloc(20_000, 'x')), OUTPUT_BYTES_MAX);
  type('echo');
  assert.equal(shown().endsWith('xecho'), true);
  const flood = terminal(({ lflag, oflag }) => ({
    lflag: lflag & ~LFLAG.ICANON,
    oflag: oflag & ~OFLAG.OPOST,
  }));
  for (let round = 0; round < 40; round += 1) {
    flood.type('x'.repeat(4096));
    flood.read();
  }
  assert.equal(flood.shown().length, 65_536);
});

test('what is saved at any moment goes on as it was', () => {
  const texts = fc.array(
    fc.constantFrom('a', 'é', '\t', ' ', '\n', '\x04', '\x7f', '\x15', '\x16'),
  );
  const modes = fc.array(fc.constantFrom(0, LFLAG.ICANON, LFLAG.ECHO, LFLAG.ECHOPRT));
  const property = fc.property(texts, texts, modes, (before, after, toggles) => {
    const one = terminal();
    one.type(before.join(''));
    for (const flag of toggles) {
      one.line.termios = { ...one.line.termios, lflag: one.line.termios.lflag ^ flag };
    }
    one.line.output.write(Buffer.from('text'));
    const encoder = new Encoder();
    one.line.save(encoder);
    const two = terminal();
    const decoder = new Decoder(encoder.view());
    two.line.load(decoder);
    decoder.end();
    for (const { type } of [one, two]) type(`${after.join('')}\n`);
    assert.equal(two.shown(), one.shown());
    assert.equal(two.line.readableBytes, one.line.readableBytes);
    while (one.line.isReadable(1)) {
      assert.equal(two.read(), one.read());
      if (!one.line.isCanonical) break;
    }
    assert.equal(two.line.isReadable(1), one.line.isReadable(1));
    assert.equal(two.line.termios.cc[CC.MIN], 1);
  });
  fc.assert(property, { numRuns: 200 });
});
