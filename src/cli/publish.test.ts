/**
 * Tests of `--publish`: what is written is what is read, and everything else is one usage error.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TardigradeError } from '../base/errors.ts';
import { checkPublished, formatPublished, parsePublish } from './publish.ts';

const address = fc.oneof(
  fc.ipV4(),
  fc.ipV6().filter((text) => !text.includes('%')),
);
const guestPort = fc.integer({ min: 1, max: 65_535 });

test('what formatPublished writes, parsePublish reads', () => {
  fc.assert(
    fc.property(address, fc.nat(65_535), guestPort, (text, port, guest) => {
      const spec = { address: text, port, guestPort: guest };
      assert.deepEqual(parsePublish(formatPublished(spec)), spec);
    }),
  );
});

test('parts that are left out have their defaults', () => {
  const local = { address: '127.0.0.1' };
  assert.deepEqual(parsePublish('6379'), { ...local, port: 6379, guestPort: 6379 });
  assert.deepEqual(parsePublish('0:6379'), { ...local, port: 0, guestPort: 6379 });
  assert.deepEqual(parsePublish('localhost:8080:80'), { ...local, port: 8080, guestPort: 80 });
  assert.deepEqual(parsePublish('0.0.0.0:80'), { address: '0.0.0.0', port: 80, guestPort: 80 });
  assert.deepEqual(parsePublish('[::]:0:80'), { address: '::', port: 0, guestPort: 80 });
});

test('wrong values are refused, each with its reason', () => {
  const wrong: readonly [string, RegExp][] = [
    ['', /nothing is not a port/],
    ['x', /x is not a port/],
    ['-1', /-1 is not a port/],
    ['65536', /65536 is not a port/],
    ['1e3', /1e3 is not a port/],
    ['0', /guest port must be given/],
    ['80:0', /0 is not a guest port/],
    ['80:', /nothing is not a guest port/],
    ['80:70000', /70000 is not a guest port/],
    ['example.com:80', /example.com is not an address/],
    ['1.2.3:80', /1.2.3 is not an address/],
    ['1.2.3.4:5:6:7', /more than three parts/],
    ['::1:80', /more than three parts|not a port/],
    ['[::1]', /comes a port/],
    ['[zz]:80', /zz is not an IPv6 address/],
    ['[fe80::1%eth0]:80', /not an IPv6 address/],
    ['1:2:3', /a part too many/],
  ];
  for (const [text, reason] of wrong) {
    assert.throws(() => parsePublish(text), reason, text);
    assert.throws(
      () => parsePublish(text),
      (error) => error instanceof TardigradeError && error.code === 'usage',
    );
  }
});

test('no text makes it fail in another way', () => {
  const alphabet = fc.constantFrom(...'0123456789.:[]abcf%-');
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: alphabet })), (text) => {
      try {
        const { port, guestPort: guest } = parsePublish(text);
        assert.ok(port >= 0 && port <= 65_535 && guest >= 1 && guest <= 65_535);
      } catch (error) {
        assert.ok(error instanceof TardigradeError && error.code === 'usage');
      }
    }),
  );
});

test('a guest port is published once', () => {
  checkPublished([parsePublish('1:80'), parsePublish('2:81')]);
  assert.throws(() => checkPublished([parsePublish('1:80'), parsePublish('2:80')]), /twice/);
});
