/**
 * Makes random scripts of calls (test/guests/calls.c) from a seed. They begin with some objects
 * that are likely to be of use to each other, so that most calls succeed, and then do anything.
 */
import type { Prng } from '../../src/base/prng.ts';

/** What a script begins with; slots 0 to 7. */
const BEGINNINGS: readonly (readonly string[])[] = [
  ['pipe 0 1', 'dup 2 0', 'dup 3 1'],
  ['pair 0 1 st', 'pair 2 3 sq', 'pipe 4 5'],
  ['pair 0 1 dg', 'sock 2 un dg', 'bind 2 1', 'sock 3 un dg', 'connect 3 2'],
  ['sock 0 un st', 'bind 0 1', 'listen 0 1', 'sock 1 un st', 'connect 1 0', 'accept 2 0'],
  ['sock 0 un sq', 'bind 0 1', 'listen 0 2', 'sock 1 un sq', 'connect 1 0', 'accept 2 0'],
  [
    'sock 0 i4 st',
    'bind 0 0',
    'listen 0 3',
    'sock 1 i4 st',
    'connect 1 0',
    'connect 1 0',
    'accept 2 0',
  ],
  [
    'sock 0 i6 st',
    'bind 0 0',
    'listen 0 3',
    'sock 1 i6 st',
    'connect 1 0',
    'connect 1 0',
    'accept 2 0',
  ],
  ['sock 0 i4 dg', 'bind 0 0', 'sock 1 i4 dg', 'connect 1 0', 'sock 2 i4 dg', 'bind 2 0'],
  ['sock 0 i4 st', 'sock 1 un st', 'sock 2 un dg', 'sock 3 i4 dg', 'sock 4 un sq', 'eventfd 5 0 0'],
  ['eventfd 0 0 0', 'eventfd 1 3 1', 'pipe 2 3'],
];

/**
 * Not edge-triggered for output: Linux gives an edge whenever a message was freed, which tells a
 * program nothing.
 */
const EVENTS = ['1', '4', '5', '2005', '80000001', '80002001', '40000001', '40000005', 'c0002001'];

function newSocket(slot: number, prng: Prng): string {
  const domain = ['i4', 'i6', 'un'][prng.below(3)];
  const type = ['st', 'dg', 'sq'][prng.below(3)];
  const bind = prng.below(2) === 0 ? '' : `\nbind ${slot} ${prng.below(3)}`;
  return `sock ${slot} ${domain} ${type}${bind}`;
}

/** Two different slots. */
function pairOf(one: number, other: number, make: (one: number, other: number) => string): string {
  return make(one, one === other ? (other + 1) % 5 : other);
}

/** One line, or some that belong together. */
function word(prng: Prng): string {
  const slot = (): number => prng.below(8);
  const size = (): number => [0, 1, 5, 40, 100, 300][prng.below(6)] ?? 1;
  const flags = (): number => [0, 0, 0, 2, 0x20, 0x100][prng.below(6)] ?? 0;
  const events = (): string => EVENTS[prng.below(EVENTS.length)] ?? '1';
  const makers: readonly [number, () => string][] = [
    [10, () => `send ${slot()} ${size()} 0`],
    [10, () => `recv ${slot()} ${size()} ${flags()}`],
    [6, () => `write ${slot()} ${size()}`],
    [6, () => `read ${slot()} ${size()}`],
    [3, () => `evwrite ${slot()} ${[0, 1, 2, 77][prng.below(4)]}`],
    [12, () => `poll ${slot()}`],
    [3, () => `shutdown ${slot()} ${prng.below(3)}`],
    [4, () => `close ${slot()}`],
    [2, () => `dup ${6 + prng.below(2)} ${slot()}`],
    [3, () => `nread ${slot()}`],
    [3, () => `error ${slot()}`],
    // A TCP socket that connects to itself is a story of its own.
    [4, () => pairOf(prng.below(5), prng.below(5), (one, other) => `connect ${one} ${other}`)],
    [4, () => `accept ${slot()} ${slot()}`],
    [2, () => `listen ${slot()} ${prng.below(3)}`],
    [3, () => `sendto ${slot()} ${slot()} ${size()}`],
    // Never a Unix socket: one in flight to itself Linux collects when it sees fit.
    [3, () => `sendfd ${slot()} 5 ${size()}`],
    [3, () => `recvfd ${slot()} ${slot()} ${size()}`],
    [2, () => newSocket(prng.below(5), prng)],
    [1, () => `pair ${prng.below(5)} ${prng.below(5)} ${['st', 'dg', 'sq'][prng.below(3)]}`],
    [1, () => `pipe ${slot()} ${slot()}`],
    [2, () => `epoll ${8 + prng.below(2)}`],
    [10, () => `ctl ${8 + prng.below(2)} ${slot()} ${1 + prng.below(3)} ${events()}`],
    [2, () => `ctl ${8 + prng.below(2)} ${8 + prng.below(2)} ${1 + prng.below(3)} 1`],
    [14, () => `wait ${8 + prng.below(2)} 16`],
  ];
  let at = prng.below(makers.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, make] of makers) {
    if (at < weight) return make();
    at -= weight;
  }
  throw new Error('weights add up');
}

/** Without `edges`, no item of epoll is edge-triggered. */
export function makeScript(prng: Prng, length: number, edges = true): string[] {
  const lines = ['epoll 8', 'epoll 9', ...(BEGINNINGS[prng.below(BEGINNINGS.length)] ?? [])];
  const slots = [0, 1, 2, 3, 4, 5].filter(() => prng.below(2) === 0);
  for (const slot of slots) lines.push(`ctl 8 ${slot} 1 ${EVENTS[prng.below(EVENTS.length)]}`);
  while (lines.length < length) lines.push(...word(prng).split('\n'));
  return edges ? lines : lines.map((line) => line.replace(/^(ctl .*) [8c]000[02]001$/, '$1 2001'));
}
