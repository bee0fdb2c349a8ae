/**
 * The form of a recorded script: steps on named connections, run against any redis, giving a
 * transcript to compare. What differs between two servers by nature is replaced by the step that
 * asks for it, each with its reason; nothing else is.
 */

import { createHash } from 'node:crypto';
import type { RedisClient } from '../support/redis-client.ts';
import { type Argument, formatReply, type Reply } from '../support/resp.ts';
import { delay } from '../support/wait.ts';

/** Makes replies comparable. `why` is for the reader: what differs, and by what nature. */
export interface Normaliser {
  readonly why: string;
  apply(reply: Reply): string;
}

export type Step =
  /** Sends and reads one reply. `!name` among the arguments stands for a captured one. */
  | {
      readonly kind: 'call';
      readonly on: string;
      readonly args: readonly Argument[];
      readonly as?: Normaliser;
      /** Keeps the reply (an integer or string) under this name. */
      readonly capture?: string;
    }
  | { readonly kind: 'send'; readonly on: string; readonly args: readonly Argument[] }
  | { readonly kind: 'raw'; readonly on: string; readonly bytes: string }
  | { readonly kind: 'read'; readonly on: string; readonly count: number }
  | {
      readonly kind: 'pipeline';
      readonly on: string;
      readonly commands: readonly (readonly Argument[])[];
    }
  | { readonly kind: 'wait'; readonly ms: number }
  /** The server closes this connection. */
  | { readonly kind: 'closed'; readonly on: string }
  | { readonly kind: 'reconnect'; readonly on: string };

/** Longer replies are compared by digest; a difference is still told by length. */
const shownMax = 400;

function shorten(text: string): string {
  if (text.length <= shownMax) return text;
  const digest = createHash('sha256').update(text, 'latin1').digest('hex').slice(0, 16);
  return `${text.slice(0, 60)}... ${text.length} characters, ${digest}`;
}

/** One word a space; quoted by double quotes where it has spaces. */
export function words(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '');
}

export function commandCount(steps: readonly Step[]): number {
  return steps.filter(({ kind }) => kind === 'call' || kind === 'send').length;
}

class Runner {
  readonly #connect: () => Promise<RedisClient>;
  readonly #clients = new Map<string, RedisClient>();
  readonly #captured = new Map<string, string>();

  constructor(connect: () => Promise<RedisClient>) {
    this.#connect = connect;
  }

  async #client(name: string): Promise<RedisClient> {
    const client = this.#clients.get(name) ?? (await this.#connect());
    this.#clients.set(name, client);
    return client;
  }

  #filled(args: readonly Argument[]): Argument[] {
    return args.map((arg) => {
      if (typeof arg !== 'string' || !arg.startsWith('!')) return arg;
      const value = this.#captured.get(arg.slice(1));
      if (value === undefined) throw new Error(`${arg} was not captured`);
      return value;
    });
  }

  async step(step: Step): Promise<string> {
    if (step.kind !== 'wait') return this.#stepOn(await this.#client(step.on), step);
    await delay(step.ms);
    return 'waited';
  }

  async #stepOn(client: RedisClient, step: Exclude<Step, { kind: 'wait' }>): Promise<string> {
    switch (step.kind) {
      case 'call': {
        const reply = await client.call(...this.#filled(step.args));
        if (step.capture !== undefined) {
          this.#captured.set(step.capture, formatReply(reply).replace(/^[:+]|^"|"$/g, ''));
        }
        return shorten(step.as ? step.as.apply(reply) : formatReply(reply));
      }
      case 'send':
        client.send(...this.#filled(step.args));
        return 'sent';
      case 'raw':
        client.sendRaw(step.bytes);
        return 'sent';
      case 'read': {
        const replies: string[] = [];
        for (let left = step.count; left > 0; left -= 1) {
          replies.push(formatReply(await client.read()));
        }
        return shorten(replies.join(' / '));
      }
      case 'pipeline': {
        const replies = await client.pipeline(step.commands);
        return shorten(replies.map(formatReply).join(' '));
      }
      case 'closed':
        return await client.read().then(
          (reply) => `open: ${formatReply(reply)}`,
          () => (client.isLost ? 'closed' : 'open'),
        );
      case 'reconnect':
        client.close();
        this.#clients.delete(step.on);
        return 'reconnected';
    }
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }
}

function title(step: Step): string {
  if (step.kind === 'wait') return `wait ${step.ms} ms`;
  if (step.kind === 'raw') return `${step.on}: raw ${JSON.stringify(step.bytes).slice(0, 80)}`;
  if (step.kind === 'pipeline') return `${step.on}: ${step.commands.length} commands in one go`;
  if (step.kind !== 'call' && step.kind !== 'send') return `${step.on}: ${step.kind}`;
  return `${step.on}: ${step.args.map((arg) => String(arg).slice(0, 60)).join(' ')}`;
}

/** One line a step: what was asked, and what came. */
export async function runScript(
  steps: readonly Step[],
  connect: () => Promise<RedisClient>,
): Promise<string[]> {
  const runner = new Runner(connect);
  const transcript: string[] = [];
  try {
    for (const step of steps) {
      let answer: string;
      try {
        answer = await runner.step(step);
      } catch (error) {
        answer = `FAILED ${error}`;
      }
      transcript.push(`${title(step)} -> ${answer}`);
    }
  } finally {
    runner.close();
  }
  return transcript;
}
