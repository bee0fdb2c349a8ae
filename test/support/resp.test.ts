/** Tests of resp.ts: every type, in every division into chunks. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeCommand, formatReply, ProtocolError, RespParser } from './resp.ts';

/** All replies of `bytes`, given in chunks of these sizes (the last one again and again). */
function parse(bytes: Buffer, sizes: readonly number[] = [bytes.length]): string[] {
  const parser = new RespParser();
  const replies: string[] = [];
  for (let at = 0, index = 0; at < bytes.length; index += 1) {
    const size = sizes[Math.min(index, sizes.length - 1)] ?? 1;
    parser.push(bytes.subarray(at, at + size));
    at += size;
    for (let reply = parser.next(); reply; reply = parser.next()) replies.push(formatReply(reply));
  }
  return replies;
}

const samples: readonly (readonly [string, string])[] = [
  ['+OK\r\n', '+OK'],
  ['-ERR no\r\n', '-ERR no'],
  [':-42\r\n', ':-42'],
  [':9223372036854775807\r\n', ':9223372036854775807'],
  ['$5\r\na\r\nbc\r\n', '"a\\r\\nbc"'],
  ['$0\r\n\r\n', '""'],
  ['$-1\r\n', 'nil'],
  ['*-1\r\n', 'nil-array'],
  ['*0\r\n', '[]'],
  ['*3\r\n:1\r\n*1\r\n$1\r\nx\r\n$-1\r\n', '[:1, ["x"], nil]'],
  ['%2\r\n+a\r\n:1\r\n+b\r\n*0\r\n', '{+a: :1, +b: []}'],
  ['~2\r\n:1\r\n:2\r\n', 'set[:1, :2]'],
  ['>2\r\n+pubsub\r\n+x\r\n', 'push[+pubsub, +x]'],
  ['_\r\n', 'null'],
  ['#t\r\n', '#true'],
  ['#f\r\n', '#false'],
  [',3.25\r\n', ',3.25'],
  ['(12345678901234567890\r\n', '(12345678901234567890'],
  ['!5\r\nERR x\r\n', '-ERR x'],
  ['=6\r\ntxt:ab\r\n', '="txt:ab"'],
  ['|1\r\n+ttl\r\n:3\r\n+after\r\n', '+after'],
];

test('each type is parsed, and with what follows it', () => {
  for (const [wire, text] of samples) {
    assert.deepEqual(parse(Buffer.from(`${wire}+next\r\n`)), [text, '+next'], wire);
  }
});

test('division into chunks makes no difference', () => {
  const wire = Buffer.from(samples.map(([bytes]) => bytes).join(''));
  const expected = samples.map(([, text]) => text);
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 60 });
  fc.assert(fc.property(sizes, (chunks) => assert.deepEqual(parse(wire, chunks), expected)));
});

test('a large value is complete only with its last byte', () => {
  const body = 'x'.repeat(3_000_000);
  const wire = Buffer.from(`$${body.length}\r\n${body}\r\n`);
  const parser = new RespParser();
  for (let at = 0; at < wire.length - 1; at += 65_536) {
    parser.push(wire.subarray(at, Math.min(at + 65_536, wire.length - 1)));
    assert.equal(parser.next(), null);
  }
  parser.push(wire.subarray(-1));
  assert.equal(formatReply(parser.next() ?? assert.fail('no reply')).length, body.length + 2);
});

test('garbage is an error, not a wait', () => {
  for (const wire of [
    'hello\r\n',
    ':x\r\n',
    '$-7\r\n',
    '*999999999\r\n',
    '$1\r\nabc\r\n',
    '$\r\n',
  ]) {
    assert.throws(() => parse(Buffer.from(wire)), ProtocolError, wire);
  }
});

test('commands are encoded by bytes, not characters', () => {
  const bytes = encodeCommand(['SET', 'é', Buffer.from([0, 255]), 7]);
  const expected = ['*4\r\n$3\r\nSET\r\n$2\r\n', 'é', '\r\n$2\r\n', '\0\xff', '\r\n$1\r\n7\r\n'];
  const parts = expected.map((text, index) => Buffer.from(text, index === 3 ? 'latin1' : 'utf8'));
  assert.deepEqual(bytes, Buffer.concat(parts));
});
