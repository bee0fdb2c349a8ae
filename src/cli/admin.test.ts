/** Tests of the admin socket: claims of names, requests, and everything that is no request. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { TardigradeError } from '../base/errors.ts';
import { ask, statusOfAll } from './admin-client.ts';
import { parseRequest, REQUEST_BYTES_MAX } from './admin-protocol.ts';
import { AdminServer } from './admin-server.ts';
import { LineReader } from './json-lines.ts';
import { claimName, listNames, NameClaim, openRuntimeDirectory } from './runtime-directory.ts';

const scratch = mkdtempSync(join(tmpdir(), 'tardigrade-admin-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
const directory = openRuntimeDirectory(join(scratch, 'run'));

/** What the server at `path` says to these bytes until it closes. */
const say = (path: string, bytes: string | Buffer): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.write(bytes));
    let said = '';
    socket.on('data', (chunk) => {
      said += chunk.toString();
    });
    socket.on('close', () => resolve(said));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error);
    });
  });

async function withServer<T>(
  name: string,
  handler: ConstructorParameters<typeof AdminServer>[0],
  use: (path: string) => Promise<T>,
): Promise<T> {
  const claim = await claimName(directory, name);
  const server = new AdminServer(handler);
  await server.listen(claim.socket);
  try {
    return await use(claim.socket);
  } finally {
    server.close();
    claim.release();
  }
}

test('a request is answered with its result or its error', async () => {
  const handler = async ({ command }: { command: string }) => {
    if (command === 'status') return { service: 'a' };
    throw new TardigradeError('replica', 'no primary', 'wait');
  };
  await withServer('a', handler, async (path) => {
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(await ask(path, 'a', { command: 'status' }), { service: 'a' });
    await assert.rejects(ask(path, 'a', { command: 'stop' }), (error: unknown) => {
      return (
        error instanceof TardigradeError &&
        error.code === 'replica' &&
        error.line === 'no primary; wait'
      );
    });
    assert.deepEqual(await statusOfAll(directory), [{ service: 'a' }]);
  });
  assert.deepEqual(listNames(directory), []);
});

test('what is no request costs its connection and nothing else', async () => {
  let handled = 0;
  const handler = async () => {
    handled += 1;
    return {};
  };
  await withServer('b', handler, async (path) => {
    const refused = [
      ['hello\n', /not JSON/],
      ['{"version":1}\n', /unknown command/],
      ['{"version":2,"command":"stop"}\n', /version 2/],
      ['[]\n', /version undefined/],
      ['null\n', /an object/],
      ['{"version":1,"command":"checkpoint","path":"x"}\n', /absolute path/],
      [Buffer.alloc(REQUEST_BYTES_MAX + 1, 0x20), /longer than/],
    ] as const;
    for (const [bytes, why] of refused) assert.match(await say(path, bytes), why);
    assert.equal(handled, 0);
    assert.deepEqual(await ask(path, 'b', { command: 'stop' }), {});
  });
});

test('a name is claimed once, and is free again when its holder is gone', async () => {
  const claim = await claimName(directory, 'c');
  assert.equal(await NameClaim.tryTake(directory, 'c'), null);
  await assert.rejects(claimName(directory, 'c'), /running already/);
  claim.release();
  const again = await claimName(directory, 'c');
  again.release();
  assert.equal(existsSync(again.socket), false);
});

test('the socket of a dead service is found out and removed', async () => {
  const path = join(directory, 'dead.sock');
  // Closing a listening node server would remove it: this is what a killed one leaves.
  writeFileSync(path, '');
  writeFileSync(join(directory, 'half-dead.lock'), '');
  await assert.rejects(
    ask(path, 'dead', { command: 'status' }),
    /no service named dead is running/,
  );
  assert.deepEqual(await statusOfAll(directory), []);
  assert.deepEqual(readdirSync(directory), []);
});

test('a service that answers oddly, late or not at all is told apart', async () => {
  const replies = ['x\n', '{"ok":1}\n', ''];
  for (const reply of replies) {
    const path = join(scratch, 'odd.sock');
    const server = createServer((socket) => socket.resume().end(reply)).listen(path);
    await assert.rejects(
      ask(path, 'odd', { command: 'status' }),
      reply === '' ? /ended before it answered/ : /answered oddly/,
    );
    await new Promise((resolve) => server.close(resolve));
  }
  const path = join(scratch, 'mute.sock');
  const server = createServer((socket) => socket.on('error', () => {})).listen(path);
  await assert.rejects(ask(path, 'mute', { command: 'status' }, 30), /did not answer in 0.03 s/);
  server.close();
});

test('a runtime directory that is not ours alone is refused', () => {
  const open = join(scratch, 'open');
  openRuntimeDirectory(open);
  assert.equal(statSync(open).mode & 0o777, 0o700);
  const link = join(scratch, 'link');
  symlinkSync(open, link);
  assert.throws(() => openRuntimeDirectory(link), /not a directory/);
  assert.throws(() => openRuntimeDirectory(join(scratch, 'no', 'where')), /can't be made/);
});

test('lines are found wherever chunks end', () => {
  fc.assert(
    fc.property(
      fc.array(fc.json(), { maxLength: 8 }),
      fc.integer({ min: 1, max: 9 }),
      (values, size) => {
        const bytes = Buffer.from(
          values.map((json) => `${JSON.stringify(JSON.parse(json))}\n`).join(''),
        );
        const reader = new LineReader(100_000);
        const found: unknown[] = [];
        for (let at = 0; at < bytes.length; at += size) {
          for (const line of reader.push(bytes.subarray(at, at + size))) {
            found.push(line.kind === 'value' ? line.value : line);
          }
        }
        assert.deepEqual(
          found,
          values.map((json) => JSON.parse(JSON.stringify(JSON.parse(json)))),
        );
      },
    ),
  );
});

test('no value makes parsing a request fail', () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      assert.equal(typeof parseRequest(value), 'string');
    }),
  );
});
