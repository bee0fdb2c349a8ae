#!/usr/bin/env node
/** The `tardigrade` command; everything is in src/cli. */
import { existsSync } from 'node:fs';

const main = new URL('../dist/src/cli/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  console.error('tardigrade: not built yet; run `npm run build`');
  process.exitCode = 1;
}
