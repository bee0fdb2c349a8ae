/** node, the one that runs us: HTTP, a worker thread, fs.promises, timers. */

import { join } from 'node:path';
import { programSources } from '../support/paths.ts';
import { skipUnless } from '../support/requirements.ts';
import { HttpConnection } from './connection.ts';
import { retried } from './load.ts';
import { testProgram } from './suite.ts';

testProgram({
  title: 'node',
  skip: skipUnless('cli'),
  program: process.execPath,
  guestPort: 8080,
  args: (port, folder) => [join(programSources, 'server.mjs'), String(port), folder],
  connect: (port) => new HttpConnection(port),
  kinds: ['log', 'counter'],
  check: async (port) => {
    const connection = new HttpConnection(port);
    await retried(() => connection.ask('self', 'check'));
    connection.close();
  },
});
