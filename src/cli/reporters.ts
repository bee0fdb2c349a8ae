/**
 * The ways in which `run` shows a service: a live line on a terminal, plain lines elsewhere, JSON
 * lines for programs, or nothing but the guest's output. Made by run.ts; all writing is
 * OutputWriter's.
 */
import type { ServiceStatus } from './admin-protocol.ts';
import { eventText } from './event-text.ts';
import { liveLine, summaryLine } from './live-line.ts';
import type { OutputWriter } from './output-writer.ts';
import type { Reporter, ServiceEvent } from './service-events.ts';
import type { Scheduler } from './supervisor-types.ts';

const STDOUT = 1;
const STDERR = 2;
const PREFIX = 'tardigrade: ';
const NEWLINE = 0x0a;
const ERASE = '\r\x1b[K';
/** Often enough for the eye. */
const REDRAW_MS = 200;
const SUMMARY_MS = 10_000;

/** A reporter that may have something of its own on the screen. */
export interface ServiceReporter extends Reporter {
  /** The service ended: nothing is drawn after this. */
  close(): void;
}

export interface ReporterDeps {
  readonly writer: Pick<OutputWriter, 'write'>;
  readonly scheduler: Scheduler;
  readonly status: () => ServiceStatus;
}

/** `--quiet`: the guest's output, and warnings. */
export class QuietReporter implements ServiceReporter {
  readonly #deps: ReporterDeps;

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
  }

  report(event: ServiceEvent): void {
    if (event.event !== 'warning') return;
    this.#deps.writer.write(STDERR, `${PREFIX}${eventText(event)}\n`);
  }

  output(stream: 1 | 2, _offset: number, bytes: Buffer): void {
    this.#deps.writer.write(stream, bytes);
  }

  close(): void {}
}

/** `--json`: one object a line on standard output, the guest's output among them. */
export class JsonReporter implements ServiceReporter {
  readonly #deps: ReporterDeps;

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
  }

  report(event: ServiceEvent): void {
    this.#write(event);
  }

  output(stream: 1 | 2, offset: number, bytes: Buffer): void {
    this.#write({ event: 'output', stream, offset, bytes: bytes.toString('base64') });
  }

  close(): void {}

  #write(event: { readonly event: string; readonly [field: string]: unknown }): void {
    const { event: name, ...rest } = event;
    this.#deps.writer.write(
      STDOUT,
      `${JSON.stringify({ event: name, timeMs: this.#deps.scheduler.nowMs(), ...rest })}\n`,
    );
  }
}

/** Standard error is no terminal: a line for each event, and one for the figures now and then. */
export class PlainReporter implements ServiceReporter {
  readonly #deps: ReporterDeps;
  #cancel: () => void = () => {};
  #last = '';

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
    this.#schedule();
  }

  report(event: ServiceEvent): void {
    const text = eventText(event);
    if (text !== null) this.#deps.writer.write(STDERR, `${PREFIX}${text}\n`);
  }

  output(stream: 1 | 2, _offset: number, bytes: Buffer): void {
    this.#deps.writer.write(stream, bytes);
  }

  close(): void {
    this.#cancel();
  }

  #schedule(): void {
    this.#cancel = this.#deps.scheduler.after(SUMMARY_MS, () => {
      const line = summaryLine(this.#deps.status());
      // An idle service has nothing new to say.
      if (line !== this.#last) this.#deps.writer.write(STDERR, `${PREFIX}${line}\n`);
      this.#last = line;
      this.#schedule();
    });
  }
}

export interface TerminalDeps extends ReporterDeps {
  readonly columns: () => number;
  /** Whether standard output goes to the same terminal. */
  readonly isOutputHere: boolean;
}

/** Standard error is a terminal: events scroll, and one line below them shows the present. */
export class TerminalReporter implements ServiceReporter {
  readonly #deps: TerminalDeps;
  #isDrawn = false;
  #drawn = '';
  /** The guest left the cursor within a line: nothing of ours may be put there. */
  #isMidLine = false;
  #isClosed = false;
  #cancel: (() => void) | null = null;

  constructor(deps: TerminalDeps) {
    this.#deps = deps;
    this.#schedule();
  }

  report(event: ServiceEvent): void {
    const text = eventText(event);
    if (text === null) return;
    this.#erase();
    const before = this.#isMidLine ? '\n' : '';
    this.#isMidLine = false;
    this.#deps.writer.write(STDERR, `${before}${PREFIX}${text}\n`);
    this.#draw();
  }

  output(stream: 1 | 2, _offset: number, bytes: Buffer): void {
    const isHere = stream === STDERR || this.#deps.isOutputHere;
    if (isHere) this.#erase();
    this.#deps.writer.write(stream, bytes);
    if (!isHere) return;
    this.#isMidLine = bytes.at(-1) !== NEWLINE;
    // The next tick draws it: a guest that prints much must not make it flicker.
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#erase();
    this.#isClosed = true;
  }

  #schedule(): void {
    this.#cancel = this.#deps.scheduler.after(REDRAW_MS, () => {
      this.#draw();
      this.#schedule();
    });
  }

  #erase(): void {
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    this.#deps.writer.write(STDERR, ERASE);
  }

  #draw(): void {
    if (this.#isMidLine || this.#isClosed) return;
    // The last column stays free: some terminals wrap as soon as it is used.
    const line = liveLine(this.#deps.status(), this.#deps.columns() - 1);
    if (this.#isDrawn && line === this.#drawn) return;
    this.#deps.writer.write(STDERR, `${ERASE}${line}`);
    this.#isDrawn = true;
    this.#drawn = line;
  }
}
