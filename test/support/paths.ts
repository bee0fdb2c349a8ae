/** Where things are in the repository, from compiled code. For tests and benchmarks. */

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Compiled to dist/test/support/paths.js. */
export const repositoryRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
export const cliPath = join(repositoryRoot, 'bin', 'tardigrade.mjs');
export const guestSources = join(repositoryRoot, 'test', 'guests');
export const programSources = join(repositoryRoot, 'test', 'programs', 'guests');
