/**
 * RunEvents: reads the JSON lines of `tardigrade run --json` as they come, and keeps what a test
 * asks for: the configuration, the replicas' processes, takeovers, and the guest's own output, of
 * which each byte must come once and in order.
 */

import assert from 'node:assert/strict';

export interface RunEvent {
  readonly event: string;
  readonly timeMs: number;
  readonly [field: string]: unknown;
}

export interface Configuration {
  readonly ballot: number;
  readonly primary: number;
  readonly members: readonly number[];
}

export interface Takeover {
  readonly replica: number;
  readonly epoch: number;
  readonly restoreMs: number;
  readonly reason: string;
}

export class RunEvents {
  /** All but statistics and output. */
  readonly all: RunEvent[] = [];
  readonly takeovers: Takeover[] = [];
  /** Host process of each replica that was ever started. */
  readonly pids = new Map<number, number>();
  readonly ended = new Set<number>();
  configuration: Configuration | null = null;
  statistics: Readonly<Record<string, unknown>> | null = null;
  readonly #output: [string, string] = ['', ''];
  /** Null until the first output of a restored guest, which goes on where it was. */
  readonly #outputBytes: [number | null, number | null];
  #taken = 0;

  constructor(isRestored: boolean) {
    const start = isRestored ? null : 0;
    this.#outputBytes = [start, start];
  }

  /** `lines` are all complete lines so far; each is looked at once. */
  take(lines: readonly string[]): void {
    for (; this.#taken < lines.length; this.#taken += 1) {
      const line = lines[this.#taken] as string;
      assert.ok(line.startsWith('{'), `a line of run --json is no object: ${line.slice(0, 200)}`);
      this.#event(JSON.parse(line) as RunEvent);
    }
  }

  /** What the guest wrote; stream 1 or 2. */
  output(stream: 1 | 2): string {
    return this.#output[stream - 1] as string;
  }

  /** For error messages: the latest events, and the end of what the guest said. */
  describe(): string {
    const first = this.all[0]?.timeMs ?? 0;
    const events = this.all.slice(-40).map(({ event, timeMs, ...rest }) => {
      return `    ${timeMs - first} ms ${event} ${JSON.stringify(rest).slice(0, 160)}`;
    });
    const [output, error] = this.#output.map((text) => text.slice(-3000).replace(/^/gm, '    '));
    return `\n${events.join('\n')}\n  the guest's output:\n${output}\n  and errors:\n${error}`;
  }

  #event(event: RunEvent): void {
    switch (event.event) {
      case 'output':
        this.#outputOf(event as RunEvent & { stream: 1 | 2; offset: number; bytes: string });
        return;
      case 'statistics':
        this.statistics = event.statistics as Readonly<Record<string, unknown>>;
        return;
      case 'configuration':
        this.configuration = event as RunEvent & Configuration;
        break;
      case 'replica-started':
        this.pids.set(Number(event.replica), Number(event.pid));
        break;
      case 'replica-ended':
        this.ended.add(Number(event.replica));
        break;
      case 'takeover':
        this.takeovers.push(event as RunEvent & Takeover);
        break;
      default:
        break;
    }
    this.all.push(event);
  }

  #outputOf(event: { stream: 1 | 2; offset: number; bytes: string }): void {
    const at = event.stream - 1;
    const expected = this.#outputBytes[at] ?? event.offset;
    assert.equal(event.offset, expected, 'output is not continuous');
    const bytes = Buffer.from(event.bytes, 'base64');
    this.#outputBytes[at] = event.offset + bytes.length;
    // Guests of the tests write ASCII, so pieces can be decoded by themselves.
    this.#output[at] += bytes.toString('latin1');
  }
}
