/**
 * What all roles of the machine share: what it knows, its one request to the master, its effects.
 * Used by the files of the roles and by `machine.ts` only. Decides nothing about roles.
 */

import { assert } from '../base/assert.ts';
import { type Epoch, epoch, type ReplicaId } from '../base/ids.ts';
import { assertConfiguration, type Configuration, isMember } from './configuration.ts';
import { Intake } from './intake.ts';
import { CLOCK_STEPS_MIN, checkTiming } from './limits.ts';
import { OutputCommit } from './output-commit.ts';
import type { Role } from './roles.ts';
import type {
  Effect,
  MachineOptions,
  MasterReply,
  MasterRequest,
  Message,
  RequestId,
} from './types.ts';

/** A request without its identity. */
export type Question = MasterRequest extends infer R
  ? R extends MasterRequest
    ? Omit<R, 'id'>
    : never
  : never;

/** The request that is out or waits to be repeated; `dueMs` is null while it is out. */
interface Call {
  readonly request: MasterRequest;
  attempts: number;
  dueMs: number | null;
}

export class Core {
  readonly options: MachineOptions;
  readonly self: ReplicaId;
  readonly intake = new Intake();
  readonly commit: OutputCommit;
  role: Role = { kind: 'joining', phase: 'locating', primary: null, heardMs: 0, dueMs: null };
  /** The latest that is known to have been activated; null before the first. */
  configuration: Configuration | null = null;
  /** Runs with the embedder's clock, except where that jumps; see `advance`. */
  nowMs = 0;
  #clockMs: number | null = null;
  #effects: Effect[] = [];
  #call: Call | null = null;
  #sequence = 0;

  constructor(options: MachineOptions) {
    checkTiming(options.timing);
    assert(options.minReplicas >= 1, 'minReplicas is at least one');
    this.options = options;
    this.self = options.self;
    this.commit = new OutputCommit(options.windowEpochs);
  }

  /**
   * Time in which this process didn't run, or by which its clock was set, is no silence of others:
   * what they sent may lie in our buffers. So one call counts for a part of the failure timeout.
   */
  advance(clockMs: number): void {
    const passedMs = this.#clockMs === null ? 0 : clockMs - this.#clockMs;
    this.#clockMs = clockMs;
    const passedMsMax = this.options.timing.failureTimeoutMs / CLOCK_STEPS_MIN;
    this.nowMs += Math.max(0, Math.min(passedMs, passedMsMax));
  }

  emit(effect: Effect): void {
    this.#effects.push(effect);
  }

  send(to: ReplicaId, message: Message): void {
    assert(to !== this.self, 'a message to ourselves');
    this.emit({ kind: 'send', to, message });
  }

  get hasEffects(): boolean {
    return this.#effects.length > 0;
  }

  takeEffects(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** The request that has no final answer yet. */
  get pending(): MasterRequest | null {
    return this.#call?.request ?? null;
  }

  /** Ask the master; repeated with the same id until it grants or refuses. One at a time. */
  ask(question: Question): void {
    assert(this.#call === null, 'one request to the master at a time');
    this.#sequence += 1;
    const id: RequestId = { replica: this.self, sequence: this.#sequence };
    const request = { ...question, id } as MasterRequest;
    this.#call = { request, attempts: 0, dueMs: null };
    this.emit({ kind: 'askMaster', request });
  }

  /** Only where a late grant changes nothing for us; see the callers. */
  abandonRequest(): void {
    this.#call = null;
  }

  /** The request that `reply` settles, or null if it settles none. */
  settle(id: RequestId, reply: MasterReply): MasterRequest | null {
    const call = this.#call;
    if (call === null || call.request.id.sequence !== id.sequence) return null;
    if (call.dueMs !== null) return null;
    if (reply.kind === 'unavailable') {
      call.attempts += 1;
      call.dueMs = this.nowMs + this.backoffMs(call.attempts);
      return null;
    }
    this.#call = null;
    return call.request;
  }

  repeatRequest(): void {
    const call = this.#call;
    if (call === null || call.dueMs === null || this.nowMs < call.dueMs) return;
    call.dueMs = null;
    this.emit({ kind: 'askMaster', request: call.request });
  }

  backoffMs(attempts: number): number {
    const { retryMsMin, retryMsMax } = this.options.timing;
    const full = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(attempts, 16));
    return full / 2 + (full / 2) * this.options.random();
  }

  /** Whether `configuration` is newer than what is known here. */
  isNews(configuration: Configuration): boolean {
    return this.configuration === null || configuration.version > this.configuration.version;
  }

  /**
   * `next` is active and has us. Its history ends, for what an older ballot left here, at its base:
   * only now is it known that nothing beyond was chosen, so only now is the log cut.
   */
  adopt(next: Configuration): void {
    assertConfiguration(next);
    assert(isMember(next, this.self), 'adopts a configuration without this replica');
    const before = this.configuration;
    if (before !== null) {
      if (next.version <= before.version) return;
      assert(next.ballot >= before.ballot, 'ballots of active configurations go back');
    }
    assert(this.intake.promised >= next.ballot, 'a member never promised its ballot');
    if (before === null || next.ballot > before.ballot) this.#cutLog(next.base);
    this.configuration = next;
    if (next.ballot === this.intake.promised) this.intake.follow();
    this.emit({ kind: 'configured', configuration: next });
  }

  /** Take note of what is chosen, and have it applied. */
  learnChosen(chosen: Epoch): void {
    this.intake.learnChosen(chosen);
    const upTo = this.intake.appliable;
    if (upTo > this.intake.image) this.emit({ kind: 'apply', upTo });
  }

  refuse(to: ReplicaId): void {
    const { promised } = this.intake;
    this.send(to, { kind: 'refused', ballot: promised, configuration: this.configuration });
  }

  #cutLog(base: Epoch): void {
    assert(this.intake.last >= base, `a member has ${this.intake.last}, not the base ${base}`);
    if (this.intake.last > base) {
      this.intake.truncate(base);
      this.emit({ kind: 'truncate', after: base });
    }
    this.learnChosen(epoch(base));
  }
}
