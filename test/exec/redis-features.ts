/**
 * A short script over the whole of what redis-server does, for the servers that are compared often:
 * under every stack of interposers, and replicated. The long one is redis-script.ts. It flushes
 * what is there and leaves one key, so that it can be run again on the same server.
 */
import type { Step } from './script.ts';
import { call, lines, on, read, send, sorted, wait } from './script-steps.ts';

const LARGE_BYTES = 4 << 20;
const pattern = Buffer.alloc(LARGE_BYTES, 'tardigrade\r\n\0\xff');

/** Gives the sum of a range, and fails on purpose. */
const sumScript = 'local s = 0 for i = 1, tonumber(ARGV[1]) do s = s + i end return s';

export const redisFeatures: readonly Step[] = [
  ...lines(`
    FLUSHALL
    CONFIG SET maxmemory-policy allkeys-lru
    CONFIG GET maxmemory-policy
    CONFIG SET slowlog-log-slower-than 10000
    CONFIG GET no-such-*
    SET text "some words" EX 1000
    APPEND text " more"
    GETRANGE text 5 -1
    INCRBYFLOAT float 2.5
    BITFIELD bits SET u8 0 200 INCRBY u8 0 10
    RPUSH list a b c d
    LMOVE list other LEFT RIGHT
    HSET hash one 1 two 2
    HINCRBY hash two 40
    ZADD scores 1 a 2 b 3 c
    ZRANGEBYSCORE scores (1 +inf WITHSCORES
    PFADD unique a b c a
    PFCOUNT unique
    GEOADD towns 13.361389 38.115556 Palermo
    GEOHASH towns Palermo
    XADD stream 1-1 field value
    XRANGE stream - +
    OBJECT ENCODING list
    SORT list DESC ALPHA
    WAIT 0 10
    MULTI
    INCR n
    NOSUCHCOMMAND
    EXEC
    MULTI
    INCR n
    INCR n
    EXEC
  `),
  call('SADD', 'set', 'x', 'y', 'z'),
  { kind: 'call', on: 'a', args: ['SMEMBERS', 'set'], as: sorted },
  // Scripts.
  call('EVAL', sumScript, 0, 1000),
  call('EVAL', "return redis.call('INCRBY', KEYS[1], ARGV[1])", 1, 'n', 40),
  call('EVAL', 'return redis.error_reply("on purpose")', 0),
  { kind: 'call', on: 'a', args: ['SCRIPT', 'LOAD', sumScript], capture: 'sum' },
  call('EVALSHA', '!sum', 0, 10),
  call('FUNCTION', 'FLUSH'),
  call(
    'FUNCTION',
    'LOAD',
    "#!lua name=tg\nredis.register_function('tg', function(keys, args) return args[1] end)",
  ),
  call('FCALL', 'tg', 0, 'called'),
  // Publish and subscribe.
  send('listener', 'SUBSCRIBE news'),
  read('listener'),
  send('listener', 'PSUBSCRIBE n*'),
  read('listener'),
  on('a', 'PUBLISH news "it works"'),
  read('listener', 2),
  // Blocking.
  on('a', 'BLPOP empty 0.05'),
  send('b', 'BLPOP queue 10'),
  send('c', 'XREAD BLOCK 10000 STREAMS stream $'),
  wait(60),
  on('a', 'RPUSH queue first second'),
  read('b'),
  on('a', 'XADD stream 2-1 field later'),
  read('c'),
  on('a', 'DEBUG SLEEP 0.05'),
  // Many in one go, and much at once.
  {
    kind: 'pipeline',
    on: 'a',
    commands: Array.from({ length: 500 }, (_, index) => ['SET', `key:${index % 50}`, `${index}`]),
  },
  on('a', 'MGET key:0 key:49'),
  call('SET', 'large', pattern),
  on('a', 'STRLEN large'),
  on('a', 'GET large'),
  on('a', 'DEL large'),
  // A connection that another one closes.
  {
    kind: 'call',
    on: 'victim',
    args: ['CLIENT', 'ID'],
    as: { why: 'drawn', apply: () => '' },
    capture: 'id',
  },
  call('CLIENT', 'KILL', 'ID', '!id'),
  { kind: 'closed', on: 'victim' },
  on('a', 'HELLO 9'),
  on('a', 'DBSIZE'),
  on('a', 'FLUSHALL'),
  on('a', 'SET kept yes'),
];
