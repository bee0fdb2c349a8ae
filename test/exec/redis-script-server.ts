/**
 * The part of the recorded script about connections and the server: transactions, publishing,
 * blocking, expiry, configuration, errors, large values, pipelines, the newer protocol.
 */

import type { Step } from './script.ts';
import {
  as,
  call,
  helloWithoutId,
  kindOnly,
  lines,
  milliseconds,
  on,
  raw,
  read,
  send,
  sorted,
  sortedScan,
  wait,
  withoutTimes,
} from './script-steps.ts';

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

export const serverSteps: readonly Step[] = [
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
