/** Tests of finding programs, in roots made for each test. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { craftElf } from './craft-elf.ts';
import { exitCodeOf } from './exit-codes.ts';
import { DEFAULT_PATH, resolveProgram } from './guest-program.ts';
import { findInRoot } from './root-path.ts';

const root = mkdtempSync(join(tmpdir(), 'tardigrade-root-'));
after(() => rmSync(root, { recursive: true, force: true }));

function file(path: string, content: string | Buffer, mode = 0o755): void {
  const host = join(root, path);
  mkdirSync(dirname(host), { recursive: true });
  writeFileSync(host, content);
  chmodSync(host, mode);
}

file('/lib64/ld-linux-x86-64.so.2', craftElf({ interpreter: null }));
file('/usr/bin/server', craftElf());
file('/usr/bin/plain', craftElf(), 0o644);
file('/usr/bin/odd-loader', craftElf({ interpreter: '/lib/ld-musl-x86_64.so.1' }));
file('/usr/bin/arm', craftElf({ machine: 183 }));
file('/usr/bin/text', 'hello\n');
file('/opt/script', '#!/usr/bin/server -c fast\n');
file('/opt/nested', '#!/opt/script\n');
file('/opt/lost', '#!/usr/bin/python9\n');
file('/opt/empty-line', '#!\n');
file('/opt/loop', '#!/opt/loop\n');
symlinkSync('/usr/bin', join(root, 'bin'));
symlinkSync('/../../../../etc/passwd', join(root, 'opt/escape'));
symlinkSync('circle', join(root, 'opt/circle'));

const resolve = (name: string, args: string[] = [], cwd = '/') =>
  resolveProgram({ root, cwd, name, args, path: DEFAULT_PATH });

test('a name is searched in PATH, a path is taken as it is', () => {
  assert.deepEqual(resolve('server', ['-x']), {
    program: '/usr/bin/server',
    argv: ['server', '-x'],
  });
  assert.equal(resolve('/bin/server').program, '/bin/server');
  assert.deepEqual(resolve('./server', [], '/usr/bin'), {
    program: '/usr/bin/server',
    argv: ['./server'],
  });
});

test('a script starts its interpreter with the arguments that execve gives', () => {
  assert.deepEqual(resolve('/opt/script', ['a', 'b']), {
    program: '/usr/bin/server',
    argv: ['/usr/bin/server', '-c fast', '/opt/script', 'a', 'b'],
  });
  assert.deepEqual(resolve('/opt/nested', ['a']).argv, [
    '/usr/bin/server',
    '-c fast',
    '/opt/script',
    '/opt/nested',
    'a',
  ]);
});

test('what can not be started is refused with what and why', () => {
  const wrong: readonly [string, RegExp, number][] = [
    ['nothing', /program nothing was not found in the root/, 127],
    ['/usr/bin/nothing', /\/usr\/bin\/nothing is not there/, 127],
    ['plain', /not executable/, 126],
    ['/usr/bin', /is a directory/, 126],
    ['arm', /another architecture/, 126],
    ['text', /neither an ELF program nor a script/, 126],
    ['odd-loader', /needs the loader \/lib\/ld-musl/, 127],
    ['/opt/lost', /needs \/usr\/bin\/python9/, 127],
    ['/opt/empty-line', /names no interpreter/, 126],
    ['/opt/loop', /script of a script/, 126],
    ['/opt/circle', /can't be read \(too many symbolic links\)/, 126],
  ];
  for (const [name, reason, code] of wrong) {
    assert.throws(
      () => resolve(name),
      (error: Error) => {
        assert.match(error.message, reason);
        assert.equal(exitCodeOf(error), code, name);
        return true;
      },
    );
  }
  assert.throws(() => resolve('server', [], '/nowhere'), /working directory/);
});

test('links do not lead out of the root', () => {
  assert.deepEqual(findInRoot(root, '/', '/opt/escape'), { kind: 'missing' });
  // `..` after a link leaves the place that it leads to, not the one where it stands.
  assert.deepEqual(findInRoot(root, '/', '/bin/../opt/script'), { kind: 'missing' });
  const up = findInRoot(root, '/usr', '../../../../usr/bin/../bin/server');
  assert.equal(up.kind === 'found' && up.path, '/usr/bin/server');
});
