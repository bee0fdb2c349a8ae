/**
 * nginx in a single process: files served and put over connections that are kept alive, and parts
 * of a large one by sendfile.
 */

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { skipUnless } from '../support/requirements.ts';
import { type Connection, HttpClient, type Verb } from './connection.ts';
import { retried } from './load.ts';
import { testProgram } from './suite.ts';

const nginx = '/usr/sbin/nginx';
/** Larger than a socket's buffer. */
const page = Buffer.alloc(3_000_000, 'a page that is longer than any buffer on its way\n');

/** Numbers are files, put and got. */
class FileConnection implements Connection {
  readonly #client: HttpClient;

  constructor(port: number) {
    this.#client = new HttpClient(port);
  }

  async ask(verb: Verb, key: string, value?: number): Promise<string> {
    const isWrite = verb === 'set';
    const method = isWrite ? 'PUT' : 'GET';
    const path = `/put/${key}`;
    const { status, body } = await this.#client.send(method, path, String(value ?? ''));
    const expected = isWrite ? [201, 204] : [200, 404];
    assert.ok(expected.includes(status), `${method} ${path}: status ${status}: ${body}`);
    return status === 200 ? body.toString() : '';
  }

  close(): void {
    this.#client.close();
  }
}

function configuration(port: number, folder: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => {
    return `${name}_temp_path ${folder}/temporary-${name};`;
  });
  return `daemon off;
master_process off;
pid ${folder}/nginx.pid;
events { worker_connections 64; }
http {
  ${temporary.join('\n  ')}
  access_log ${folder}/access.log;
  sendfile on;
  keepalive_timeout 60s;
  server {
    listen ${port};
    root ${folder}/www;
    location /put/ { dav_methods PUT; create_full_put_path on; }
  }
}
`;
}

testProgram({
  title: 'nginx',
  skip: skipUnless(nginx, 'cli'),
  program: nginx,
  guestPort: 8080,
  args: (port, folder) => {
    mkdirSync(join(folder, 'www', 'put'), { recursive: true });
    writeFileSync(join(folder, 'www', 'page.txt'), page);
    const path = join(folder, 'nginx.conf');
    writeFileSync(path, configuration(port, folder));
    return ['-e', 'stderr', '-c', path];
  },
  connect: (port) => new FileConnection(port),
  kinds: ['register'],
  check: async (port) => {
    const client = new HttpClient(port);
    const whole = await retried(() => client.send('GET', '/page.txt'));
    assert.equal(whole.status, 200);
    assert.ok(whole.body.equals(page), 'the page has changed');
    assert.equal(whole.headers.connection, 'keep-alive');
    const missing = await retried(() => client.send('GET', '/missing'));
    assert.equal(missing.status, 404);
    client.close();
  },
});
