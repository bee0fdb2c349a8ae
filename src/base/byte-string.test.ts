/** Tests of byte-string.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { argumentText, byteString, shown } from './byte-string.ts';

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1');

test('UTF-8 is text to people and bytes to the guest', () => {
  assert.equal(argumentText(Buffer.from('/tmp/ü/€/😀')), '/tmp/ü/€/😀');
  assert.equal(byteString('/tmp/ü'), '/tmp/\xc3\xbc');
  assert.equal(shown('/tmp/\xc3\xbc'), '/tmp/ü');
  assert.equal(shown(byteString('ß€😀')), 'ß€😀');
});

test('any bytes arrive as they were given', () => {
  const samples = [
    '',
    '\xff',
    'a\x80b',
    '\xc3',
    '\xc3\xbc\xc3',
    '\xed\xb2\x80',
    '\xef\xbf\xbd\xff',
  ];
  samples.push(Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join(''));
  for (const sample of samples) {
    assert.equal(byteString(argumentText(bytesOf(sample))), sample, JSON.stringify(sample));
  }
  assert.equal(shown('a\xffb'), 'a\ufffdb');
});
