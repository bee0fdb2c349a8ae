/**
 * What happens to a service, as its reporters show it: one union, which is also the form of the
 * JSON lines of `run --json` (documented in docs/commands.md). Types only.
 */
import type { ReplicaStats, Role } from '../replica/messages.ts';

export type ServiceEvent =
  | {
      readonly event: 'started';
      readonly service: string;
      readonly pid: number;
      readonly program: string;
      readonly replicas: number;
      readonly published: readonly {
        readonly address: string;
        readonly port: number;
        readonly guestPort: number;
      }[];
    }
  | { readonly event: 'replica-started'; readonly replica: number; readonly pid: number }
  | {
      readonly event: 'replica-ended';
      readonly replica: number;
      readonly pid: number;
      /** `exit 1`, `SIGKILL`. */
      readonly how: string;
      /** What it said about it, if it could. */
      readonly reason: string | null;
    }
  | { readonly event: 'role'; readonly replica: number; readonly role: Role }
  | {
      readonly event: 'configuration';
      readonly ballot: number;
      readonly primary: number;
      readonly members: readonly number[];
    }
  | {
      readonly event: 'takeover';
      readonly replica: number;
      readonly ballot: number;
      readonly epoch: number;
      readonly restoreMs: number;
      readonly reason: string;
    }
  | { readonly event: 'joined'; readonly replica: number; readonly epoch: number }
  | { readonly event: 'lost'; readonly replica: number; readonly reason: string }
  | {
      readonly event: 'report';
      readonly replica: number;
      readonly what: string;
      readonly detail: string;
    }
  | { readonly event: 'statistics'; readonly replica: number; readonly statistics: ReplicaStats }
  | { readonly event: 'warning'; readonly line: string }
  | {
      readonly event: 'ended';
      /** How the guest ended, or null when it was stopped or lost. */
      readonly code: number | null;
      readonly signal: number | null;
      readonly reason: string;
    };

/** Shows a service to whoever started it. */
export interface Reporter {
  report(event: ServiceEvent): void;
  /** The guest's own output, each byte once. */
  output(stream: 1 | 2, offset: number, bytes: Buffer): void;
}
