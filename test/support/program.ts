/**
 * Program: one child process with its output as lines, bounded waits and signals. Started by World,
 * which sees to it that none stays.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { constants } from 'node:os';
import { TimeoutError, within } from './wait.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProgramSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Keeps standard input open for `write`; otherwise it is /dev/null. */
  readonly hasInput?: boolean;
}

export type Stream = 'stdout' | 'stderr';

/** More output than any test makes; a program that floods us is ended. */
const outputBytesMax = 64 * 1024 * 1024;
/** From the end of a program to the end of what its pipes still hold. */
const outputGraceMs = 500;

export class Program {
  readonly title: string;
  /** Says in error messages what standard output means, in its place. */
  explain: (() => string) | null = null;
  readonly child: ChildProcess;
  readonly #lines: Record<Stream, string[]> = { stdout: [], stderr: [] };
  /** What came after the last newline. */
  readonly #rest: Record<Stream, string> = { stdout: '', stderr: '' };
  #outputLength = 0;
  readonly #changed = new EventEmitter();
  #exit: Exit | null = null;

  constructor(spec: ProgramSpec) {
    this.title = [spec.command, ...spec.args].join(' ').slice(0, 200);
    this.#changed.setMaxListeners(0);
    this.child = spawn(spec.command, spec.args, {
      cwd: spec.cwd,
      env: spec.env,
      stdio: [spec.hasInput === true ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      // A session of its own, so that what it starts can be told from other processes.
      detached: true,
    });
    for (const stream of ['stdout', 'stderr'] as const) {
      this.child[stream]?.setEncoding('utf8');
      this.child[stream]?.on('data', (text: string) => this.#append(stream, text));
    }
    this.child.on('error', (error) => {
      this.#append('stderr', `cannot start: ${error.message}\n`);
      this.#finish({ code: 127, signal: null });
    });
    this.child.on('close', (code, signal) => this.#finish({ code, signal }));
    this.child.on('exit', (code, signal) => {
      // What it left running may hold its output open for ever.
      setTimeout(() => this.#finish({ code, signal }), outputGraceMs).unref();
    });
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** How it ended; null while it runs. Set when its output is complete, as far as can be known. */
  get exit(): Exit | null {
    return this.#exit;
  }

  text(stream: Stream): string {
    return [...this.#lines[stream], this.#rest[stream]].join('\n');
  }

  /** Complete lines so far. */
  lines(stream: Stream): readonly string[] {
    return this.#lines[stream];
  }

  write(text: string): void {
    this.child.stdin?.write(text);
  }

  endInput(): void {
    this.child.stdin?.end();
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#exit === null) this.child.kill(signal);
  }

  /** Waits until `find` gives something; it is asked again after all output and the exit. */
  async until<T>(what: string, timeoutMs: number, find: () => T | undefined): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const value = find();
      if (value !== undefined) return value;
      if (this.#exit !== null) throw new Error(`${what}: ended before\n${this.describe()}`);
      const left = deadline - performance.now();
      try {
        await within(once(this.#changed, 'change'), left, what);
      } catch (error) {
        if (!(error instanceof TimeoutError)) throw error;
        throw new TimeoutError(`${what}: not in ${timeoutMs} ms\n${this.describe()}`);
      }
    }
  }

  /** The first line that matches, also one that came before. */
  waitForLine(pattern: RegExp, timeoutMs: number, stream: Stream = 'stdout'): Promise<string> {
    return this.until(`a line ${pattern} of ${this.title}`, timeoutMs, () => {
      return this.lines(stream).find((line) => pattern.test(line));
    });
  }

  waitForExit(timeoutMs: number): Promise<Exit> {
    return this.until(`the end of ${this.title}`, timeoutMs, () => this.#exit ?? undefined);
  }

  /** Lets go of its output, so that nothing keeps us from ending. */
  release(): void {
    this.child.stdout?.destroy();
    this.child.stderr?.destroy();
    this.child.stdin?.destroy();
    this.child.unref();
  }

  /** For error messages: what it is, how it ended, the end of what it said. */
  describe(): string {
    const end = this.#exit === null ? 'running' : exitText(this.#exit);
    const tail = (stream: Stream): string => {
      const end = [...this.#lines[stream].slice(-40), this.#rest[stream]].join('\n');
      return end.slice(-3000).trimEnd().replaceAll('\n', '\n    ');
    };
    return `  ${this.title} (pid ${this.pid}, ${end})
  stdout: ${this.explain?.() ?? tail('stdout')}
  stderr: ${tail('stderr')}`;
  }

  #append(stream: Stream, text: string): void {
    const lines = `${this.#rest[stream]}${text}`.split('\n');
    this.#rest[stream] = lines.pop() ?? '';
    for (const line of lines) this.#lines[stream].push(line);
    this.#outputLength += text.length;
    if (this.#outputLength > outputBytesMax) this.child.kill('SIGKILL');
    this.#changed.emit('change');
  }

  #finish(exit: Exit): void {
    this.#exit ??= exit;
    this.#changed.emit('change');
  }
}

export function exitText(exit: Exit): string {
  return exit.signal === null ? `exit status ${exit.code}` : `killed by ${exit.signal}`;
}

/** As a shell gives it: 128 and the signal's number for a death by signal. */
export function exitStatus(exit: Exit): number {
  return exit.signal === null ? (exit.code ?? 1) : 128 + constants.signals[exit.signal];
}
