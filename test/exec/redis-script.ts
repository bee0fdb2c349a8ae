/**
 * The recorded script: what redis-server can do, family by family. Run against a native server and
 * one under the sandbox; the answers must be equal. This file has the types of data and scripts.
 */

import { serverSteps } from './redis-script-server.ts';
import type { Step } from './script.ts';
import {
  as,
  call,
  lines,
  sorted,
  sortedPairs,
  sortedScan,
  streamId,
  withoutIdle,
} from './script-steps.ts';

const strings = lines(`
  PING
  ECHO "hello world"
  SET k v
  GET k
  SET k w NX
  SET k w XX GET
  SETNX k2 1
  GETSET k2 2
  GETDEL k2
  GET k2
  MSET a 1 b 2 c 3
  MGET a b missing c
  MSETNX a 9 d 4
  INCR a
  INCRBY a 40
  DECR a
  DECRBY a 10
  INCRBYFLOAT a 0.5
  INCR a
  APPEND k xyz
  STRLEN k
  GETRANGE k 1 -2
  SETRANGE k 6 there
  GET k
  LCS k k
  SUBSTR k 0 2
  GETEX k PERSIST
  OBJECT ENCODING k
  OBJECT ENCODING b
  SET long aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
  OBJECT ENCODING long
  OBJECT REFCOUNT long
  TYPE long
  MEMORY USAGE long
`);

const bits = lines(`
  SETBIT bits 7 1
  SETBIT bits 100 1
  GETBIT bits 7
  GETBIT bits 8
  BITCOUNT bits
  BITCOUNT bits 0 0 BYTE
  BITPOS bits 1
  BITPOS bits 0 0 -1 BIT
  SET other "abcdef"
  BITOP AND and bits other
  BITOP OR or bits other
  BITOP XOR xor bits other
  BITOP NOT not other
  GET not
  BITFIELD field SET u8 0 255 GET u4 0 INCRBY i5 100 1
  BITFIELD field OVERFLOW FAIL INCRBY u2 102 5
  BITFIELD_RO field GET u8 0
`);

const hashes = [
  ...lines(`
  HSET h f1 v1 f2 v2 f3 v3
  HGET h f1
  HMGET h f1 missing f3
  HGETALL h
  HKEYS h
  HVALS h
  HLEN h
  HEXISTS h f2
  HSTRLEN h f2
  HINCRBY h n 5
  HINCRBYFLOAT h n 1.25
  HSETNX h f1 other
  HDEL h f1 f2 missing
  HRANDFIELD h 0
  OBJECT ENCODING h
  `),
  {
    kind: 'pipeline',
    on: 'a',
    commands: Array.from({ length: 600 }, (_, at) => ['HSET', 'big', `field${at}`, `value${at}`]),
  } satisfies Step,
  ...lines('OBJECT ENCODING big'),
  as('HGETALL big', sortedPairs),
  as('HSCAN h 0 COUNT 100', sortedScan),
];

const lists = lines(`
  RPUSH l a b c
  LPUSH l z
  LRANGE l 0 -1
  LLEN l
  LINDEX l 1
  LINSERT l BEFORE b between
  LSET l 0 first
  LPOS l c
  LREM l 1 b
  LPOP l
  RPOP l 2
  LTRIM l 0 5
  LRANGE l 0 -1
  RPUSHX missing x
  RPUSH l2 1 2 3 4 5
  LMOVE l2 l LEFT RIGHT
  RPOPLPUSH l2 l
  LMPOP 2 missing l2 LEFT COUNT 2
  OBJECT ENCODING l
  SORT l2 DESC
  RPUSH numbers 3 1 2
  SORT numbers
  SORT numbers DESC LIMIT 0 2 STORE kept
  LRANGE kept 0 -1
`);

const sets = [
  ...lines(`
  SADD s 1 2 3
  SADD s 3 4
  SCARD s
  SISMEMBER s 2
  SMISMEMBER s 2 9
  OBJECT ENCODING s
  SMEMBERS s
  SADD s2 3 4 5
  SREM s 1
  SMOVE s s2 2
  SINTERCARD 2 s s2
  SADD single one
  SPOP single
  SRANDMEMBER missing
  `),
  as('SADD words alpha beta gamma', sorted),
  as('SMEMBERS words', sorted),
  as('SUNION s s2', sorted),
  as('SINTER s s2', sorted),
  as('SDIFF s2 s', sorted),
  as('SSCAN words 0', sortedScan),
  ...lines('SUNIONSTORE all s s2 words'),
  as('SMEMBERS all', sorted),
  ...lines('OBJECT ENCODING words'),
];

const sortedSets = lines(`
  ZADD z 1 one 2 two 3 three
  ZADD z NX 9 one
  ZADD z GT CH 5 one
  ZADD z INCR 2 two
  ZSCORE z one
  ZMSCORE z one missing
  ZRANK z three
  ZREVRANK z three
  ZRANGE z 0 -1 WITHSCORES
  ZRANGE z (3 inf BYSCORE
  ZRANGEBYSCORE z -inf +inf LIMIT 1 1
  ZREVRANGE z 0 0
  ZINCRBY z 1.5 three
  ZCOUNT z 4 5
  ZCARD z
  ZADD lex 0 a 0 b 0 c 0 d
  ZRANGEBYLEX lex [b (d
  ZLEXCOUNT lex - +
  ZREMRANGEBYLEX lex [a [b
  ZADD z2 1 one 10 ten
  ZUNIONSTORE zu 2 z z2 WEIGHTS 1 2 AGGREGATE MAX
  ZRANGE zu 0 -1 WITHSCORES
  ZINTER 2 z z2 WITHSCORES
  ZDIFF 2 z z2
  ZPOPMIN z
  ZPOPMAX z 2
  ZMPOP 1 zu MIN
  ZRANDMEMBER missing
  ZREMRANGEBYRANK zu 0 0
  ZREMRANGEBYSCORE zu 0 100
  OBJECT ENCODING lex
  ZADD inf +inf top -inf bottom
  ZRANGE inf 0 -1 WITHSCORES
  ZADD bad notanumber x
`);

const streams: Step[] = [
  ...lines(`
  XADD x 1-1 f v
  XADD x 1-2 f w
  XADD x 2-* g h
  XADD x 1-1 f late
  XLEN x
  XRANGE x - +
  XREVRANGE x + - COUNT 1
  XREAD COUNT 2 STREAMS x 0
  XGROUP CREATE x group 0
  XGROUP CREATE x group 0
  XREADGROUP GROUP group alice COUNT 2 STREAMS x >
  XREADGROUP GROUP group bob STREAMS x >
  XPENDING x group
  `),
  as('XPENDING x group - + 10', withoutIdle),
  ...lines(`
  XACK x group 1-1
  XCLAIM x group bob 0 1-2
  XAUTOCLAIM x group alice 0 0
  XINFO GROUPS x
  XINFO STREAM x
  XDEL x 1-2
  XTRIM x MAXLEN 1
  XSETID x 9-9
  XGROUP DELCONSUMER x group bob
  XGROUP DESTROY x group
  `),
  as('XADD x * f now', streamId),
  ...lines('OBJECT ENCODING x'),
];

const special = lines(`
  PFADD hll a b c d e
  PFADD hll a
  PFCOUNT hll
  PFADD hll2 e f g
  PFMERGE hll3 hll hll2
  PFCOUNT hll3 hll
  GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
  GEODIST geo Palermo Catania km
  GEOHASH geo Palermo Catania
  GEOPOS geo Palermo missing
  GEOSEARCH geo FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHDIST
  GEOSEARCHSTORE near geo FROMMEMBER Palermo BYBOX 400 400 km ASC
  ZRANGE near 0 -1 WITHSCORES
`);

const scripts: Step[] = [
  call('EVAL', 'return {1, 2.9, "three", {4}, false, true}', 0),
  call('EVAL', 'return redis.call("SET", KEYS[1], ARGV[1])', 1, 'lua', 'set'),
  call('EVAL', 'return redis.call("GET", KEYS[1])', 1, 'lua'),
  call('EVAL', 'return redis.error_reply("MY error")', 0),
  call('EVAL', 'return redis.status_reply("FINE")', 0),
  call('EVAL', 'return redis.call("INCR", "lua")', 0),
  call('EVAL', 'return redis.pcall("INCR", "lua")', 0),
  call('EVAL', 'return cjson.encode({1, 2, {a = 3}})', 0),
  call('EVAL', 'return cjson.decode("[1, 2.5, null]")[2] * 2', 0),
  call('EVAL', 'return cmsgpack.pack({1, "two"})', 0),
  call('EVAL', 'return struct.pack(">I2", 258)', 0),
  call('EVAL', 'return bit.bxor(5, 3)', 0),
  call('EVAL', 'local s = 0 for i = 1, 100000 do s = s + i % 7 end return s', 0),
  call('EVAL', 'return redis.sha1hex("")', 0),
  call('EVAL', 'return math.floor(math.sin(1) * 1000000)', 0),
  call('EVAL', 'return undefinedVariable', 0),
  call('EVAL', 'this is not lua', 0),
  call('EVAL_RO', 'return redis.call("SET", "a", 1)', 0),
  call('SCRIPT', 'LOAD', 'return ARGV[1] .. "!"'),
  call('EVALSHA', 'e84a9b0f5bff93a0c7aa3acc33bd4cbb3d4b1c6f', 0, 'x'),
  { kind: 'call', on: 'a', args: ['SCRIPT', 'LOAD', 'return 7'], capture: 'sha' },
  call('EVALSHA', '!sha', 0),
  call('SCRIPT', 'EXISTS', '!sha', '0000000000000000000000000000000000000000'),
  call('SCRIPT', 'KILL'),
  call('SCRIPT', 'FLUSH'),
  call('EVALSHA', '!sha', 0),
  call(
    'FUNCTION',
    'LOAD',
    '#!lua name=lib\nredis.register_function("add", function(k, a) return a[1] + a[2] end)',
  ),
  call('FCALL', 'add', 0, 2, 3),
  call('FUNCTION', 'LIST'),
  { kind: 'call', on: 'a', args: ['FUNCTION', 'STATS'] },
  call('FUNCTION', 'LOAD', '#!lua name=lib\nreturn 1'),
  call('FUNCTION', 'DELETE', 'lib'),
  call('FCALL', 'add', 0, 2, 3),
  call('FUNCTION', 'FLUSH'),
];

export const redisScript: readonly Step[] = [
  ...strings,
  ...bits,
  ...hashes,
  ...lists,
  ...sets,
  ...sortedSets,
  ...streams,
  ...special,
  ...scripts,
  ...serverSteps,
];
