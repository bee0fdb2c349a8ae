/** python3 of Debian: http.server, a threaded socket server, asyncio, and sqlite3 on a file. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { programSources } from '../support/paths.ts';
import { skipUnless } from '../support/requirements.ts';
import { HttpConnection, LineConnection } from './connection.ts';
import { retried } from './load.ts';
import { testProgram } from './suite.ts';

for (const kind of ['http', 'threads', 'asyncio', 'sqlite'] as const) {
  const connect = (port: number) =>
    kind === 'http' ? new HttpConnection(port) : new LineConnection(port);
  testProgram({
    title: `python3 ${kind}`,
    skip: skipUnless('/usr/bin/python3', 'cli'),
    // Not the first on PATH, which may be a script that starts another.
    program: '/usr/bin/python3',
    guestPort: 8000,
    args: (port, folder) => [join(programSources, 'server.py'), kind, String(port), folder],
    connect,
    kinds: ['log', 'counter'],
    check: async (port) => {
      const connection = connect(port);
      assert.equal(await retried(() => connection.ask('self', 'check')), 'ok');
      connection.close();
    },
  });
}
