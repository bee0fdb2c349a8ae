/**
 * Finds redis-server for the demo, or installs Debian's package where that can be done without
 * asking: as root with apt-get, and without letting Debian start its own daemon.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const POLICY = '/usr/sbin/policy-rc.d';
const APT = 'apt-get';
const INSTALL = ['install', '-y', '--no-install-recommends', 'redis-server'] as const;

/** The absolute path of a program on PATH, or null. */
export function findProgram(name: string): string | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next one.
    }
  }
  return null;
}

/** Null if it went well, else what it said. */
function attempt(command: string, args: readonly string[]): string | null {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const result = spawnSync(command, args, { env, encoding: 'utf8' });
  if (result.status === 0) return null;
  const said = `${result.stdout ?? ''}${result.stderr ?? ''}`.trimEnd();
  return `${command} ${args.join(' ')} failed\n${said}`;
}

/** The path of redis-server, or what a person has to do. */
export function ensureRedis(say: (line: string) => void): { path: string } | { todo: string } {
  const found = findProgram('redis-server');
  if (found !== null) return { path: found };
  const todo = 'redis-server is missing; install it with: sudo apt-get install redis-server';
  if (process.getuid?.() !== 0 || findProgram(APT) === null) return { todo };
  say("installing Debian's redis-server");
  // The policy forbids daemons to be started; one that is there already is left as it is.
  const isPolicyOurs = !existsSync(POLICY);
  if (isPolicyOurs) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const failure = attempt(APT, ['update']) ?? attempt(APT, INSTALL);
    if (failure !== null) return { todo: failure };
  } finally {
    if (isPolicyOurs) rmSync(POLICY, { force: true });
  }
  const path = findProgram('redis-server');
  return path === null ? { todo } : { path };
}
