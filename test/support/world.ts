/**
 * World: what one test may touch. It has folders of its own (home, runtime, temporary), a mark in
 * the environment of all that it starts, and knows every process that came of it. When its owner
 * ends it kills them all and removes the folders; `expectNothingLeft` is the check that a test
 * makes before, to see that tardigrade had cleaned up by itself.
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import type { Owner } from './owner.ts';
import { cliPath } from './paths.ts';
import { awaitStop, family, isAlive, type ProcessInfo, readProcess } from './process-table.ts';
import { Program, type ProgramSpec } from './program.ts';
import { delay, eventually } from './wait.ts';

export class World {
  /** In the environment of every process; service names contain it too. */
  readonly mark = `tg${randomBytes(5).toString('hex')}`;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly #programs: Program[] = [];
  /** Every process ever seen, by identity: a restored guest may carry no mark. */
  readonly #seen = new Map<string, ProcessInfo>();

  constructor(owner: Owner) {
    this.folder = mkdtempSync(join(tmpdir(), 'tg-'));
    chmodSync(this.folder, 0o755);
    for (const name of ['home', 'run', 'tmp', 'work']) mkdirSync(join(this.folder, name));
    chmodSync(join(this.folder, 'run'), 0o700);
    this.env = {
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      HOME: join(this.folder, 'home'),
      XDG_RUNTIME_DIR: join(this.folder, 'run'),
      TMPDIR: join(this.folder, 'tmp'),
      LANG: 'C',
      TARDIGRADE_TEST: this.mark,
    };
    // Should the test's process end without its hooks, what it started still goes.
    const atExit = (): void => this.#killAll();
    process.once('exit', atExit);
    owner.after(async () => {
      process.off('exit', atExit);
      await this.#end();
    });
  }

  /** A folder for files of the test itself. */
  get work(): string {
    return join(this.folder, 'work');
  }

  start(command: string, args: readonly string[], more: Partial<ProgramSpec> = {}): Program {
    const env = { ...this.env, ...more.env };
    const program = new Program({ cwd: this.work, ...more, command, args, env });
    this.#programs.push(program);
    this.look();
    return program;
  }

  /** Starts `tardigrade ARGS`. */
  tardigrade(args: readonly string[], more: Partial<ProgramSpec> = {}): Program {
    return this.start(process.execPath, [cliPath, ...args], more);
  }

  /** Starts `tardigrade ARGS` and waits for its end. */
  async runTardigrade(args: readonly string[], timeoutMs = 30_000): Promise<Program> {
    const program = this.tardigrade(args);
    await program.waitForExit(timeoutMs);
    return program;
  }

  /** Remembers the processes that there are; to be called before one is killed. */
  look(): ProcessInfo[] {
    const roots = new Set(this.#programs.map((program) => program.pid));
    for (const info of this.#seen.values()) if (isAlive(info)) roots.add(info.pid);
    roots.delete(-1);
    const found = family(roots, this.mark);
    for (const info of found) this.#seen.set(`${info.pid}/${info.startTime}`, info);
    return found.filter(isAlive);
  }

  /**
   * Signals a process of this world, and no other. A stop has taken effect on return: every thread
   * stands still.
   */
  signal(pid: number, signal: NodeJS.Signals): void {
    const isOurs = this.look().some((info) => info.pid === pid);
    assert.ok(isOurs, `process ${pid} is not of this test, or gone; not sent ${signal}`);
    process.kill(pid, signal);
    if (signal === 'SIGSTOP') awaitStop(pid);
  }

  isRunning(pid: number): boolean {
    const info = readProcess(pid);
    return info !== null && info.state !== 'Z';
  }

  /** Fails if a process runs, or a file lies in a folder of tardigrade's, after `timeoutMs`. */
  async expectNothingLeft(timeoutMs = 5000): Promise<void> {
    const left = async (): Promise<string[]> => [
      ...this.look().map((info) => `process ${info.pid} (${info.state}): ${info.commandLine}`),
      ...['home', 'run', 'tmp'].flatMap((name) => filesBelow(join(this.folder, name))),
    ];
    const deadline = performance.now() + timeoutMs;
    while ((await left()).length > 0 && performance.now() < deadline) await delay(50);
    assert.deepEqual(await left(), [], 'something is left behind');
  }

  #killAll(): void {
    for (const info of this.look()) {
      try {
        process.kill(info.pid, 'SIGKILL');
      } catch {
        // Gone meanwhile.
      }
    }
  }

  async #end(): Promise<void> {
    for (const program of this.#programs) program.release();
    // A supervisor may start replacements while its replicas die: until nothing is left.
    await eventually(
      `the end of all processes of ${this.mark}`,
      10_000,
      () => {
        this.#killAll();
        return this.look().length === 0;
      },
      20,
    );
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Files, not folders: an empty folder of a service that is gone does no harm. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => `file ${relative(folder, join(entry.parentPath ?? entry.path, entry.name))}`);
}
