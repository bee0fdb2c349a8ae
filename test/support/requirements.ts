/**
 * What a test needs of the machine. `skipUnless` gives what node:test takes as `skip`: false, or
 * the reason with what to do about it.
 */

import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { repositoryRoot } from './paths.ts';

const debianPackage = {
  gcc: 'gcc libc6-dev',
  'redis-server': 'redis-server',
  'redis-benchmark': 'redis-tools',
  setpriv: 'util-linux',
  taskset: 'util-linux',
  '/usr/bin/python3': 'python3',
  '/usr/sbin/nginx': 'nginx-light',
  '/usr/bin/java': 'default-jre-headless',
  '/usr/share/java/slf4j-simple.jar': 'libslf4j-java',
  '/usr/share/java/zookeeper.jar': 'libzookeeper-java',
} as const;

const compiler: keyof typeof debianPackage = 'gcc';

export type Requirement = keyof typeof debianPackage | 'static-libc' | 'root' | 'cli';

/** Absolute path of a program on PATH, or null. */
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

function problem(requirement: Requirement): string | null {
  switch (requirement) {
    case 'root':
      return process.getuid?.() === 0 ? null : 'must be run as root';
    case 'cli': {
      const isBuilt = existsSync(join(repositoryRoot, 'dist', 'src', 'cli', 'main.js'));
      return isBuilt ? null : 'the command line is not built';
    }
    case 'static-libc': {
      const options = { encoding: 'utf8' } as const;
      const path = spawnSync(compiler, ['-print-file-name=libc.a'], options).stdout?.trim() ?? '';
      return path.startsWith('/') ? null : 'needs libc.a; sudo apt-get install libc6-dev';
    }
    default: {
      const isPath = requirement.startsWith('/');
      if (isPath ? existsSync(requirement) : findProgram(requirement) !== null) return null;
      return `needs ${requirement}; sudo apt-get install ${debianPackage[requirement]}`;
    }
  }
}

export function skipUnless(...requirements: readonly Requirement[]): string | false {
  const problems = requirements.map(problem).filter((text) => text !== null);
  return problems.length === 0 ? false : problems.join('; ');
}
