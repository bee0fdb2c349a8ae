/**
 * The recorded script: what redis-server can do, family by family. Run against a native server and one
 * under the sandbox; the answers must be equal.
 */

import type { Argument, Reply } from '../support/resp.ts';
import { formatReply } from '../support/resp.ts';
import { type Normaliser, type Step, words } from './script.ts';

const items = (reply: Reply): readonly Reply[] =>
  reply.type === 'array' || reply.type === 'set' ? (reply.items ?? []) : [reply];

const sorted: Normaliser = {
  why: 'order in a hash table comes of a seed that each server draws',
  apply: (reply) => items(reply).map(formatReply).sort().join(', '),
};
const sortedPairs: Normaliser = {
  why: sorted.why,
  apply: (reply) => {
    const flat = items(reply).map(formatReply);
    const pairs = flat
      .filter((_, at) => at % 2 === 0)
      .map((key, at) => `${key}=${flat[2 * at + 1]}`);
    return pairs.sort().join(', ');
  },
};
const sortedScan: Normaliser = {
  why: sorted.why,
  apply: (reply) => {
    const [cursor, found] = items(reply);
    return `${cursor && formatReply(cursor)} ${found && sorted.apply(found)}`;
  },
};
const kindOnly: Normaliser = {
  why: 'an identifier of a connection, or drawn at random: only its form is the same',
  apply: (reply) => formatReply(reply).replace(/[0-9a-f]+/g, 'N'),
};
const milliseconds: Normaliser = {
  why: 'time passes between the two commands',
  apply: (reply) => {
    const left = Number(formatReply(reply).slice(1));
    return left > 0 && left <= 100_000 ? 'within 100 s' : String(left);
  },
};
const streamId: Normaliser = {
  why: 'made of the time of day',
  apply: (reply) => formatReply(reply).replace(/"\d{13}-\d+"/, '"TIME-N"'),
};
const withoutIdle: Normaliser = {
  why: 'time since the delivery',
  apply: (reply) => {
    const rows = items(reply).map((row) => items(row).map(formatReply));
    return rows.map(([id, consumer, , times]) => `${id} ${consumer} ${times}`).join(', ');
  },
};
const withoutTimes: Normaliser = {
  why: 'fields with the process, ports, times, memory and identifiers of one server',
  apply: (reply) => {
    const text = reply.type === 'bulk' ? (reply.bytes?.toString() ?? '') : formatReply(reply);
    const kept = /^(redis_version|redis_mode|arch_bits|atomicvar_api|role|maxclients|db\d+):/;
    return text
      .split('\r\n')
      .filter((line) => kept.test(line))
      .join(' ');
  },
};
const helloWithoutId: Normaliser = {
  why: 'the identifier of the connection',
  apply: (reply) => formatReply(reply).replace(/("id": ):\d+|("id", ):\d+/, '$1$2N'),
};

/** `a` is the usual connection; a line is one command on it. */
const on = (name: string, text: string): Step => ({ kind: 'call', on: name, args: words(text) });
const lines = (text: string): Step[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => on('a', line));
const as = (text: string, normaliser: Normaliser): Step => ({
  kind: 'call',
  on: 'a',
  args: words(text),
  as: normaliser,
});
const call = (...args: Argument[]): Step => ({ kind: 'call', on: 'a', args });
const send = (name: string, text: string): Step => ({ kind: 'send', on: name, args: words(text) });
const read = (name: string, count = 1): Step => ({ kind: 'read', on: name, count });
const wait = (ms: number): Step => ({ kind: 'wait', ms });
const raw = (name: string, bytes: string): Step => ({ kind: 'raw', on: name, bytes });

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

const transactions: Step[] = [
  ...lines(`
  MULTI
  SET t 1
  INCR t
  EXEC
  MULTI
  INCR t
  DISCARD
  GET t
  EXEC
  MULTI
  NOSUCHCOMMAND
  EXEC
  MULTI
  LPUSH t x
  INCR t
  EXEC
  WATCH t
  `),
  on('b', 'SET t 100'),
  ...lines(`
  MULTI
  INCR t
  EXEC
  GET t
  WATCH t
  UNWATCH
  `),
];

const pubSub: Step[] = [
  send('s', 'SUBSCRIBE news sport'),
  read('s', 2),
  send('s', 'PSUBSCRIBE n*'),
  read('s', 1),
  ...lines(`
  PUBLISH news hello
  PUBLISH other nobody
  PUBSUB NUMSUB news
  PUBSUB NUMPAT
  `),
  as('PUBSUB CHANNELS *', sorted),
  read('s', 2),
  send('s', 'PING'),
  read('s', 1),
  send('s', 'GET k'),
  read('s', 1),
  send('s', 'UNSUBSCRIBE news'),
  read('s', 1),
  on('a', 'PUBLISH news again'),
  read('s', 1),
  send('sh', 'SSUBSCRIBE shard'),
  read('sh', 1),
  on('a', 'SPUBLISH shard message'),
  read('sh', 1),
  on('a', 'CONFIG SET notify-keyspace-events KEA'),
  send('e', 'PSUBSCRIBE __key*__:watched'),
  read('e', 1),
  on('a', 'SET watched 1'),
  read('e', 1),
  on('a', 'DEL watched'),
  read('e', 1),
  on('a', 'CONFIG SET notify-keyspace-events ""'),
];

const blocking: Step[] = [
  send('w', 'BLPOP queue 0'),
  wait(30),
  on('a', 'RPUSH queue job1 job2'),
  read('w'),
  on('a', 'LRANGE queue 0 -1'),
  send('w', 'BRPOP nothing 0.05'),
  read('w'),
  send('w', 'BLMOVE empty target LEFT RIGHT 0'),
  wait(30),
  on('a', 'LPUSH empty moved'),
  read('w'),
  on('a', 'LRANGE target 0 -1'),
  send('w', 'BZPOPMIN zq 0'),
  wait(30),
  on('a', 'ZADD zq 5 five'),
  read('w'),
  send('w', 'BLMPOP 0 2 qa qb LEFT COUNT 3'),
  wait(30),
  on('a', 'RPUSH qb 1 2 3 4'),
  read('w'),
  send('w', 'XREAD BLOCK 0 STREAMS xs $'),
  wait(30),
  on('a', 'XADD xs 5-5 f v'),
  read('w'),
  on('a', 'WAIT 0 20'),
  { kind: 'call', on: 'w', args: ['CLIENT', 'ID'], as: kindOnly, capture: 'waiter' },
  send('w', 'BLPOP never 0'),
  wait(30),
  call('CLIENT', 'UNBLOCK', '!waiter', 'ERROR'),
  read('w'),
  // Two waiters: the first that came is served first.
  send('w', 'BLPOP fair 0'),
  wait(20),
  send('w2', 'BLPOP fair 0'),
  wait(20),
  on('a', 'RPUSH fair one two'),
  read('w'),
  read('w2'),
];

const keys: Step[] = [
  ...lines(`
  EXISTS k long missing
  RENAME long longer
  RENAMENX longer k
  RENAME missing x
  COPY longer copy
  COPY longer copy
  TOUCH copy k missing
  UNLINK copy missing
  PERSIST k
  TTL k
  TTL missing
  PEXPIRE k 100000
  `),
  as('PTTL k', milliseconds),
  as('TTL k', milliseconds),
  ...lines(`
  EXPIRE k 50 GT
  EXPIRE k 200 XX
  EXPIREAT k 33177117420
  EXPIRETIME k
  PEXPIREAT k 33177117420123
  PEXPIRETIME k
  PERSIST k
  TTL k
  PSETEX brief 40 here
  GET brief
  SET brief2 here PX 40
  SETEX day 86400 x
  EXPIRE k -1
  EXISTS k
  `),
  wait(150),
  ...lines(`
  GET brief
  EXISTS brief2
  EXPIRE missing 10
  DBSIZE
  DUMP numbers
  SELECT 3
  SET inthree 1
  MOVE inthree 4
  DBSIZE
  SELECT 4
  GET inthree
  SWAPDB 3 4
  SELECT 3
  FLUSHDB
  SELECT 0
  OBJECT HELP
  RANDOMKEY extra
  `),
  as('KEYS z*', sorted),
  call('RESTORE', 'restored', 0, Buffer.from('\x00\xc0\x2a\x0a\x00', 'latin1')),
  as('SCAN 0 COUNT 10000 MATCH h*', sortedScan),
  as('SCAN 0 COUNT 10000 TYPE stream', sortedScan),
];

const server: Step[] = [
  ...lines(`
  CONFIG GET maxmemory
  CONFIG GET maxmemory-policy
  CONFIG SET maxmemory 1
  SET toomuch x
  CONFIG SET maxmemory 0
  CONFIG SET maxmemory-policy allkeys-lru
  CONFIG GET maxmemory-policy
  CONFIG SET hz 50
  CONFIG GET hz
  CONFIG SET nosuchoption 1
  CONFIG SET maxclients notanumber
  CONFIG GET save
  CONFIG REWRITE
  CONFIG RESETSTAT
  CONFIG SET lazyfree-lazy-user-del yes
  CLIENT SETNAME tester
  CLIENT GETNAME
  CLIENT SETNAME "with space"
  CLIENT NO-EVICT ON
  CLIENT KILL 127.0.0.1:1
  CLIENT CACHING YES
  `),
  as('CLIENT ID', kindOnly),
  as('INFO server', withoutTimes),
  as('INFO clients', withoutTimes),
  as('INFO replication', withoutTimes),
  as('INFO keyspace', withoutTimes),
  as('TIME', kindOnly),
  as('ACL CAT scripting', sorted),
  ...lines(`
  COMMAND COUNT
  COMMAND GETKEYS MSET a 1 b 2
  COMMAND INFO get
  ACL WHOAMI
  ACL SETUSER reader on nopass ~r:* +get
  ACL GETUSER reader
  `),
  on('r', 'AUTH reader x'),
  on('r', 'GET r:1'),
  on('r', 'SET r:1 x'),
  on('r', 'GET other'),
  ...lines(`
  ACL DELUSER reader
  AUTH wrong
  ROLE
  REPLICAOF NO ONE
  CLUSTER INFO
  SLOWLOG RESET
  LATENCY RESET
  MEMORY PURGE
  DEBUG SLEEP 0
  LOLWUT VERSION 5 1 1 1
  SHUTDOWN NOSUCH
  SAVE
  `),
];

const replyModes: Step[] = [
  send('q', 'CLIENT REPLY OFF'),
  send('q', 'SET quiet 1'),
  send('q', 'INCR quiet'),
  send('q', 'CLIENT REPLY ON'),
  read('q'),
  send('q', 'CLIENT REPLY SKIP'),
  send('q', 'INCR quiet'),
  on('q', 'GET quiet'),
];

const errors: Step[] = [
  ...lines(`
  NOSUCH command here
  GET
  GET too many
  LPUSH s x
  HGET l f
  INCR words
  SETEX k 0 v
  LSET missing 0 x
  EXPIRE k notanumber
  OBJECT ENCODING missing
  XREADGROUP GROUP none c STREAMS x >
  RESTORE k 0 garbage
  SUBSCRIBE
  EVALSHA short 0
  `),
  raw('i', 'PING inline\r\n'),
  read('i'),
  raw('i', 'SET  inline   "quoted value"\r\nGET inline\r\n'),
  read('i', 2),
  raw('i', '\r\n\r\nPING\r\n'),
  read('i'),
  raw('i', '*3\r\n$3\r\nSET\r\n$5\r\nsplit\r\n'),
  wait(30),
  raw('i', '$2\r\nok\r\n'),
  read('i'),
  raw('i', '*1\r\n$x\r\n'),
  read('i'),
  { kind: 'closed', on: 'i' },
  raw('u', 'SET "unbalanced\r\n'),
  read('u'),
  { kind: 'closed', on: 'u' },
  on('l', 'QUIT'),
  { kind: 'closed', on: 'l' },
  { kind: 'reconnect', on: 'l' },
  on('l', 'PING'),
];

const mebibyte = 1 << 20;
const pattern = (size: number): Buffer => {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 1) bytes[at] = (at * 31 + (at >> 9)) & 0xff;
  return bytes;
};

const large: Step[] = [
  call('SET', 'large', pattern(5 * mebibyte + 3)),
  call('STRLEN', 'large'),
  call('GET', 'large'),
  call('GETRANGE', 'large', 3 * mebibyte, 3 * mebibyte + 50),
  call('APPEND', 'large', pattern(mebibyte)),
  call('SETRANGE', 'large', 8 * mebibyte, 'end'),
  call('GET', 'large'),
  call('BITCOUNT', 'large'),
  call('HSET', 'largehash', 'f', pattern(2 * mebibyte)),
  call('HGET', 'largehash', 'f'),
  call('RPUSH', 'largelist', pattern(mebibyte), pattern(mebibyte), 'small'),
  call('LRANGE', 'largelist', 0, -1),
  call('EVAL', 'return string.rep("x", 1500000)', 0),
  call('MGET', 'large', 'large', 'large'),
  call('UNLINK', 'large', 'largehash', 'largelist'),
];

const count = 10_000;
const pipelines: Step[] = [
  {
    kind: 'pipeline',
    on: 'p',
    commands: Array.from({ length: count }, () => ['INCR', 'pipelined']),
  },
  {
    kind: 'pipeline',
    on: 'p',
    commands: Array.from({ length: count }, (_, at) => [
      'SET',
      `p:${at % 100}`,
      'v'.repeat(at % 50),
    ]),
  },
  {
    kind: 'pipeline',
    on: 'p',
    commands: Array.from({ length: count }, (_, at) => ['GET', `p:${at % 100}`]),
  },
  {
    kind: 'pipeline',
    on: 'p',
    commands: Array.from({ length: 300 }, () => ['LRANGE', 'manyitems', 0, -1]),
  },
  call('RPUSH', 'manyitems', ...Array.from({ length: 2000 }, (_, at) => at)),
  call('LRANGE', 'manyitems', 0, -1),
  call('DEL', ...Array.from({ length: 100 }, (_, at) => `p:${at}`)),
];

const resp3: Step[] = [
  { kind: 'call', on: '3', args: ['HELLO', '3', 'SETNAME', 'three'], as: helloWithoutId },
  ...[
    'HSET m f1 v1 f2 v2',
    'HGETALL m',
    'SADD one member',
    'SMEMBERS one',
    'ZADD scores 1.5 a',
    'ZRANGE scores 0 -1 WITHSCORES',
    'ZSCORE scores a',
    'GET missing',
    'CONFIG GET maxmemory',
    'CLIENT TRACKING ON',
    'GET tracked',
  ].map((text) => on('3', text)),
  on('a', 'SET tracked changed'),
  read('3'),
  {
    kind: 'call',
    on: '3',
    args: ['EVAL', 'redis.setresp(3) return {map = {a = 1}}', 0],
  },
  { kind: 'call', on: '3', args: ['EVAL', 'return {double = 3.5}', 0] },
  { kind: 'call', on: '3', args: ['EVAL', 'return {set = {x = true}}', 0] },
  on('3', 'CLIENT GETNAME'),
  on('3', 'RESET'),
  on('3', 'HELLO 9'),
  { kind: 'call', on: '3', args: ['HELLO', '2'], as: helloWithoutId },
];

const end = lines(`
  DBSIZE
  FLUSHALL ASYNC
  DBSIZE
  SET last 1
  PING
`);

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
  ...transactions,
  ...pubSub,
  ...blocking,
  ...keys,
  ...server,
  ...replyModes,
  ...errors,
  ...large,
  ...pipelines,
  ...resp3,
  ...end,
];
