/** Tests of address.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { E } from '../../abi/errno.ts';
import { AF } from '../../abi/net.ts';
import {
  ANY_V4,
  ANY_V6,
  decodeInet,
  encodeInet,
  fromStreamAddress,
  isLoopback,
  isV4,
  LOOPBACK_V4,
  LOOPBACK_V6,
  parseIp,
} from './address.ts';

const group = fc.integer({ min: 0, max: 0xffff });

test('numeric addresses are read in all their forms', () => {
  assert.equal(parseIp('127.0.0.1'), LOOPBACK_V4);
  assert.equal(parseIp('0.0.0.0'), ANY_V4);
  assert.equal(parseIp('::'), ANY_V6);
  assert.equal(parseIp('::1'), LOOPBACK_V6);
  assert.equal(parseIp('::ffff:127.0.0.1'), LOOPBACK_V4);
  assert.equal(parseIp('fe80::1%eth0'), `fe80${'0'.repeat(27)}1`);
  assert.equal(parseIp('1:2:3:4:5:6:7:8'), '00010002000300040005000600070008');
  for (const wrong of ['', '1.2.3', '256.1.1.1', '1:2', '1::2::3', 'x::', '12345::']) {
    assert.equal(parseIp(wrong), null, wrong);
  }
});

test('an IPv6 address with any run of groups left out is read as the whole one', () => {
  const property = fc.property(
    fc.array(group, { minLength: 8, maxLength: 8 }),
    fc.nat(7),
    fc.nat(7),
    (groups, one, other) => {
      const [from, to] = [Math.min(one, other), Math.max(one, other)];
      const zeroed = groups.map((value, index) => (index >= from && index <= to ? 0 : value));
      const whole = zeroed.map((value) => value.toString(16).padStart(4, '0')).join('');
      const text = (part: number[]) => part.map((value) => value.toString(16)).join(':');
      const short = `${text(zeroed.slice(0, from))}::${text(zeroed.slice(to + 1))}`;
      assert.equal(parseIp(short), whole);
      assert.equal(parseIp(text(zeroed)), whole);
    },
  );
  fc.assert(property);
});

test('a sockaddr goes there and back; a short or foreign one is refused', () => {
  for (const [ip, family] of [
    [LOOPBACK_V4, AF.inet],
    [LOOPBACK_V6, AF.inet6],
    [LOOPBACK_V4, AF.inet6],
  ] as const) {
    const bytes = encodeInet({ ip, port: 6379 }, family);
    assert.deepEqual(decodeInet(bytes, family), { ip, port: 6379 });
    assert.equal(decodeInet(bytes.subarray(0, 8), family), E.EINVAL);
  }
  const v6 = encodeInet({ ip: LOOPBACK_V6, port: 1 }, AF.inet6);
  assert.equal(decodeInet(v6, AF.inet), E.EAFNOSUPPORT);
});

test('loopback and IPv4 are told apart from the rest', () => {
  assert.ok(isLoopback(parseIp('127.8.9.10') ?? ''));
  assert.ok(isLoopback(LOOPBACK_V6));
  assert.ok(!isLoopback(parseIp('128.0.0.1') ?? ''));
  assert.ok(isV4(parseIp('1.2.3.4') ?? '') && !isV4(LOOPBACK_V6));
  const odd = { family: 6, host: 'nonsense', port: 5 } as const;
  assert.deepEqual(fromStreamAddress(odd), { ip: ANY_V6, port: 5 });
});
