/**
 * Checkpoints to files that were asked for and are not written yet. Used by the supervisor: a
 * checkpoint belongs to the replica that writes it and fails with it.
 */
import { TardigradeError } from '../base/errors.ts';
import { errorFrom, oneLine } from './exit-codes.ts';

/** Each is somebody's request on the admin socket, which has as many connections. */
const PENDING_MAX = 32;

interface Pending {
  readonly replica: number;
  readonly resolve: () => void;
  readonly reject: (error: TardigradeError) => void;
}

const failure = (message: string, remedy: string): TardigradeError =>
  new TardigradeError('replica', message, remedy);

export class PendingCheckpoints {
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;

  /** Has `begin` ask `replica` for one; resolves when it is whole. */
  add(replica: number, begin: (id: number) => void): Promise<void> {
    if (this.#pending.size >= PENDING_MAX) {
      return Promise.reject(failure('too many checkpoints at once', 'try again in a moment'));
    }
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { replica, resolve, reject });
      begin(id);
    });
  }

  done(id: number, error: string | null): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (error === null) pending?.resolve();
    else pending?.reject(errorFrom('format', oneLine(error)));
  }

  /** The replica is gone. */
  lost(replica: number): void {
    for (const [id, pending] of this.#pending) {
      if (pending.replica !== replica) continue;
      this.#pending.delete(id);
      pending.reject(failure('the primary died meanwhile', 'try again in a moment'));
    }
  }

  /** The service is gone. */
  ended(): void {
    for (const { reject } of this.#pending.values()) {
      reject(failure('the service ended meanwhile', 'start it again'));
    }
    this.#pending.clear();
  }
}
