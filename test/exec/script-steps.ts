/**
 * What the recorded script is written with: short forms of its steps, and the normalisers for what
 * differs between two servers by nature.
 */

import { type Argument, formatReply, type Reply } from '../support/resp.ts';
import { type Normaliser, type Step, words } from './script.ts';

const items = (reply: Reply): readonly Reply[] =>
  reply.type === 'array' || reply.type === 'set' ? (reply.items ?? []) : [reply];

export const sorted: Normaliser = {
  why: 'order in a hash table comes of a seed that each server draws',
  apply: (reply) => items(reply).map(formatReply).sort().join(', '),
};
export const sortedPairs: Normaliser = {
  why: sorted.why,
  apply: (reply) => {
    const flat = items(reply).map(formatReply);
    const pairs = flat
      .filter((_, at) => at % 2 === 0)
      .map((key, at) => `${key}=${flat[2 * at + 1]}`);
    return pairs.sort().join(', ');
  },
};
export const sortedScan: Normaliser = {
  why: sorted.why,
  apply: (reply) => {
    const [cursor, found] = items(reply);
    return `${cursor && formatReply(cursor)} ${found && sorted.apply(found)}`;
  },
};
export const kindOnly: Normaliser = {
  why: 'an identifier of a connection, or drawn at random: only its form is the same',
  apply: (reply) => formatReply(reply).replace(/[0-9a-f]+/g, 'N'),
};
export const milliseconds: Normaliser = {
  why: 'time passes between the two commands',
  apply: (reply) => {
    const left = Number(formatReply(reply).slice(1));
    return left > 0 && left <= 100_000 ? 'within 100 s' : String(left);
  },
};
export const streamId: Normaliser = {
  why: 'made of the time of day',
  apply: (reply) => formatReply(reply).replace(/"\d{13}-\d+"/, '"TIME-N"'),
};
export const withoutIdle: Normaliser = {
  why: 'time since the delivery',
  apply: (reply) => {
    const rows = items(reply).map((row) => items(row).map(formatReply));
    return rows.map(([id, consumer, , times]) => `${id} ${consumer} ${times}`).join(', ');
  },
};
export const withoutTimes: Normaliser = {
  why: 'fields with the process, ports, times, memory, samples and identifiers of one server',
  apply: (reply) => {
    const text = reply.type === 'bulk' ? (reply.bytes?.toString() ?? '') : formatReply(reply);
    const kept = /^(redis_version|redis_mode|arch_bits|atomicvar_api|role|maxclients|db\d+):/;
    return text
      .split('\r\n')
      .filter((line) => kept.test(line))
      .join(' ')
      .replace(/avg_ttl=\d+/g, 'avg_ttl=N');
  },
};
export const helloWithoutId: Normaliser = {
  why: 'the identifier of the connection',
  apply: (reply) => formatReply(reply).replace(/("id": ):\d+|("id", ):\d+/, '$1$2N'),
};

/** `a` is the usual connection; a line is one command on it. */
export const on = (name: string, text: string): Step => ({
  kind: 'call',
  on: name,
  args: words(text),
});
export const lines = (text: string): Step[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => on('a', line));
export const as = (text: string, normaliser: Normaliser): Step => ({
  kind: 'call',
  on: 'a',
  args: words(text),
  as: normaliser,
});
export const call = (...args: Argument[]): Step => ({ kind: 'call', on: 'a', args });
export const send = (name: string, text: string): Step => ({
  kind: 'send',
  on: name,
  args: words(text),
});
export const read = (name: string, count = 1): Step => ({ kind: 'read', on: name, count });
export const wait = (ms: number): Step => ({ kind: 'wait', ms });
export const raw = (name: string, bytes: string): Step => ({ kind: 'raw', on: name, bytes });
