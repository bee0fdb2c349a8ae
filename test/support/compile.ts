/**
 * Compiles the C programs of test/guests with gcc, once a machine and user: the results stay in a
 * cache in the temporary directory, named by a digest of all that went in.
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { guestSources } from './paths.ts';

export type Linking = 'dynamic' | 'static';

const flags = ['-O1', '-g', '-Wall', '-Wextra', '-pthread'];
const compileTimeoutMs = 60_000;
const compiler = 'gcc';

function gcc(args: readonly string[]): { ok: boolean; text: string } {
  const options = { encoding: 'utf8', timeout: compileTimeoutMs } as const;
  const { status, stdout, stderr, error } = spawnSync(compiler, args, options);
  return { ok: status === 0, text: `${stdout ?? ''}${stderr ?? ''}${error ?? ''}` };
}

/** A folder that only this user can have filled. */
function cacheFolder(): string {
  const folder = join(tmpdir(), `tardigrade-guests-${process.getuid?.() ?? 0}`);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  if (statSync(folder).uid !== process.getuid?.()) {
    throw new Error(`${folder} belongs to another user; remove it or set TMPDIR`);
  }
  return folder;
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Path of the compiled `name`.c. Throws with gcc's words when it doesn't compile. */
export function compileGuest(name: string, linking: Linking): string {
  const source = join(guestSources, `${name}.c`);
  const args = [...flags, ...(linking === 'static' ? ['-static'] : [])];
  const digest = createHash('sha256')
    .update(JSON.stringify([args, gcc(['-dumpfullversion']).text]))
    .update(readFileSync(source))
    .update(readFileSync(join(guestSources, 'check.h')))
    .digest('hex');
  const target = join(cacheFolder(), `${name}-${linking}-${digest.slice(0, 16)}`);
  if (isThere(target)) return target;
  // Another test may compile the same: each to a name of its own, and the last one wins.
  const unfinished = `${target}.${process.pid}`;
  const { ok, text } = gcc([...args, '-o', unfinished, source, '-lm']);
  if (!ok) {
    rmSync(unfinished, { force: true });
    throw new Error(`gcc ${args.join(' ')} ${source}\n${text}`);
  }
  renameSync(unfinished, target);
  return target;
}
