/** Tests of the path walk and of the calls with directory descriptors. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsGuest } from '../../../test/support/fs-guest.ts';
import { E } from '../../abi/errno.ts';
import { AT, O, RESOLVE, S } from '../../abi/fs.ts';

const ROOT = {
  '/a/b/c': 'c',
  '/a/file': 'file',
  '/a/abs': { link: '/a/b' },
  '/a/rel': { link: 'b/../file' },
  '/a/self': { link: 'self' },
  '/a/up': { link: '../../../../a' },
  '/bin/run': { file: '#!', mode: 0o755 },
};

const errno = (value: unknown): unknown => (typeof value === 'number' ? value : 'found');

test('paths lead where path_resolution(7) says', () => {
  const guest = new FsGuest(ROOT);
  const cases: readonly (readonly [string, unknown])[] = [
    ['/a/b/c', 'found'],
    ['//a///b//c', 'found'],
    ['/../../a/file', 'found'],
    ['/a/abs/c', 'found'],
    ['/a/abs/../file', 'found'],
    ['/a/rel', 'found'],
    ['/a/up/up/up/b/c', 'found'],
    ['/a/self', E.ELOOP],
    ['/a/self/x', E.ELOOP],
    ['/a/file/', E.ENOTDIR],
    ['/a/file/x', E.ENOTDIR],
    ['/a/file/..', E.ENOTDIR],
    ['/a/none/..', E.ENOENT],
    ['', E.ENOENT],
    [`/a/${'x'.repeat(255)}`, E.ENOENT],
    [`/a/${'x'.repeat(256)}`, E.ENAMETOOLONG],
    [`/${'a/'.repeat(2047)}`, E.ENOENT],
    [`/${'a/'.repeat(2048)}`, E.ENAMETOOLONG],
    ['/a/\xff\xfe', E.ENOENT],
  ];
  for (const [path, expected] of cases) {
    assert.equal(errno(guest.stat(path)), expected, path.slice(0, 40));
  }
  assert.equal(guest.call('stat', 0x10, guest.buffer), E.EFAULT);
  assert.equal(guest.call('stat', guest.path('/a'), 0x10), E.EFAULT);
});

test('names are bytes: what is no UTF-8 stays as it is', () => {
  const guest = new FsGuest(ROOT);
  assert.equal(guest.writeFile('/a/\xff\x01\xe9', 'odd'), 3);
  assert.deepEqual((guest.readdir('/a') as string[]).sort().at(-1), '\xff\x01\xe9');
  assert.equal(guest.readFile('/a/\xff\x01\xe9'), 'odd');
});

test('forty links are followed, one more is a loop', () => {
  const guest = new FsGuest(ROOT);
  for (let index = 0; index < 41; index += 1) {
    const target = index === 0 ? '/a/file' : `/l${index - 1}`;
    guest.call('symlink', guest.path(target), guest.path(`/l${index}`, 1));
  }
  assert.equal(errno(guest.stat('/l39')), 'found');
  assert.equal(guest.stat('/l40'), E.ELOOP);
});

test('directory descriptors', () => {
  const guest = new FsGuest(ROOT);
  const dir = guest.open('/a', O.RDONLY | O.DIRECTORY);
  const file = guest.open('/a/file', O.RDONLY);
  const openat = (at: number, path: string): number =>
    guest.call('openat', at, guest.path(path), O.RDONLY, 0);
  const fd = openat(dir, 'b/c');
  assert.equal(guest.read(fd, 9), 'c');
  assert.ok(openat(dir, '/bin/run') >= 0);
  assert.ok(openat(-1, '/bin/run') >= 0, 'an absolute path needs no descriptor');
  assert.equal(openat(99, 'b'), E.EBADF);
  assert.equal(openat(file, 'b'), E.ENOTDIR);
  assert.equal(openat(1, 'b'), E.ENOTDIR);
  assert.equal(openat(dir, ''), E.ENOENT);
  const stat = (at: number, path: string, flags: number): number =>
    guest.call('newfstatat', at, guest.path(path), guest.buffer, flags);
  assert.equal(stat(file, '', AT.EMPTY_PATH), 0);
  assert.equal(stat(1, '', AT.EMPTY_PATH), 0);
  assert.equal(stat(file, '', 0), E.ENOENT);
  assert.equal(stat(dir, 'rel', AT.SYMLINK_NOFOLLOW), 0);
  assert.equal(guest.sim.guest.peekU32(guest.buffer + 24) & S.IFMT, S.IFLNK);
  assert.equal(stat(dir, 'rel', 0x8000_0000), E.EINVAL);
  assert.equal(guest.call('unlinkat', dir, guest.path('b'), 0), E.EISDIR);
  assert.equal(guest.call('unlinkat', dir, guest.path('b/c'), 0), 0);
  assert.equal(guest.call('unlinkat', dir, guest.path('b'), AT.REMOVEDIR), 0);
  assert.equal(guest.call('mkdirat', dir, guest.path('made'), 0o700), 0);
  assert.equal(guest.call('fchdir', dir), 0);
  assert.deepEqual(guest.readdir('made'), []);
  const made = guest.open('made', O.DIRECTORY);
  assert.equal(guest.call('rmdir', guest.path('made')), 0);
  assert.equal(guest.call('openat', made, guest.path('x'), O.CREAT | O.RDWR, 0o600), E.ENOENT);
  assert.equal(guest.dents(made, 4096), E.ENOENT);
});

test('the working directory', () => {
  const guest = new FsGuest(ROOT);
  const getcwd = (size: number): number => guest.call('getcwd', guest.buffer, size);
  assert.equal(getcwd(2), 2);
  assert.equal(guest.call('chdir', guest.path('/a/abs')), 0);
  assert.equal(getcwd(100), 5);
  assert.equal(guest.sim.guest.peek(guest.buffer, 5).toString(), '/a/b\0');
  assert.equal(getcwd(4), E.ERANGE);
  assert.equal(guest.readFile('c'), 'c');
  assert.equal(guest.readFile('../file'), 'file');
  assert.equal(guest.call('chdir', guest.path('c')), E.ENOTDIR);
  guest.call('mkdir', guest.path('/gone'), 0o755);
  guest.call('chdir', guest.path('/gone'));
  guest.call('rmdir', guest.path('/gone'));
  assert.equal(getcwd(100), E.ENOENT);
  assert.equal(guest.open('x', O.CREAT | O.RDWR), E.ENOENT);
  assert.equal(guest.call('chdir', guest.path('/')), 0);
});

test('openat2 resolves within bounds', () => {
  const guest = new FsGuest(ROOT);
  guest.call('symlink', guest.path('..'), guest.path('/a/out', 1));
  const dir = guest.open('/a', O.RDONLY | O.DIRECTORY);
  const open = (path: string, resolve: number, flags: number = O.RDONLY, mode = 0): number => {
    const how = guest.sim.guest.words(flags, mode, resolve);
    const fd = guest.call('openat2', dir, guest.path(path), how, 24);
    if (fd >= 0) guest.call('close', fd);
    return Math.min(fd, 0);
  };
  assert.equal(open('b/c', 0), 0);
  assert.equal(open('b/c', RESOLVE.BENEATH), 0);
  assert.equal(open('b/../b/c', RESOLVE.BENEATH), 0);
  assert.equal(open('b/../..', RESOLVE.BENEATH), E.EXDEV);
  assert.equal(open('abs', RESOLVE.BENEATH), E.EXDEV);
  assert.equal(open('out', RESOLVE.BENEATH), E.EXDEV);
  assert.equal(open('/b/c', RESOLVE.IN_ROOT), 0);
  assert.equal(open('../../b/c', RESOLVE.IN_ROOT), 0);
  assert.equal(open('/a/b/c', RESOLVE.IN_ROOT), E.ENOENT);
  assert.equal(open('rel', RESOLVE.NO_SYMLINKS), E.ELOOP);
  assert.equal(open(`/proc/self/fd/${dir}`, RESOLVE.NO_MAGICLINKS), E.ELOOP);
  assert.equal(open('/proc/version', RESOLVE.NO_XDEV), E.EXDEV);
  assert.equal(open('b/c', 0x100), E.EINVAL);
  assert.equal(open('b/c', 0, O.RDONLY, 0o644), E.EINVAL);
  assert.equal(open('b/n', 0, O.CREAT | O.RDWR, 0o644), 0);
  assert.equal(open('b/n', 0, 0x8000_0000), E.EINVAL);
  const how = guest.sim.guest.words(0, 0, 0, 0);
  assert.ok(guest.call('openat2', dir, guest.path('b/c'), how, 32) >= 0);
  const strange = guest.sim.guest.words(0, 0, 0, 1);
  assert.equal(guest.call('openat2', dir, guest.path('b/c'), strange, 32), E.E2BIG);
  assert.equal(guest.call('openat2', dir, guest.path('b/c'), how, 16), E.EINVAL);
});

test('O_PATH opens what can not be read, for nothing but looking', () => {
  const guest = new FsGuest(ROOT);
  const link = guest.open('/a/rel', O.PATH | O.NOFOLLOW);
  assert.ok(link >= 0);
  assert.equal(guest.read(link, 5), E.EBADF);
  assert.equal(guest.write(link, 'x'), E.EBADF);
  assert.equal(guest.call('fchmod', link, 0o600), E.EBADF);
  assert.equal(guest.call('ioctl', link, 0x541b, guest.buffer), E.EBADF);
  assert.equal(guest.call('readlinkat', link, guest.path(''), guest.buffer, 100), 9);
  const dir = guest.open('/a', O.PATH);
  assert.ok(guest.call('openat', dir, guest.path('file'), O.RDONLY, 0) >= 0);
  assert.equal(guest.call('fchdir', dir), 0);
  assert.equal(guest.dents(dir, 4096), E.EBADF);
  assert.equal(guest.call('fcntl', dir, 3, 0), O.PATH);
  assert.ok(guest.call('dup', dir) >= 0);
});

test('access is that of root, save to execute', () => {
  const guest = new FsGuest(ROOT);
  const access = (path: string, mode: number): number =>
    guest.call('access', guest.path(path), mode);
  assert.equal(access('/a/file', 6), 0);
  assert.equal(access('/a/file', 1), E.EACCES);
  assert.equal(access('/bin/run', 1), 0);
  assert.equal(access('/a', 7), 0);
  assert.equal(access('/none', 0), E.ENOENT);
  assert.equal(access('/a', 8), E.EINVAL);
});

test('the umask holds for what is made', () => {
  const guest = new FsGuest(ROOT);
  assert.equal(guest.call('umask', 0o077), 0o022);
  guest.call('close', guest.open('/f', O.CREAT | O.RDWR, 0o7777));
  guest.call('mkdir', guest.path('/d'), 0o7777);
  guest.call('mknod', guest.path('/p'), S.IFIFO | 0o666, 0);
  const modes = ['/f', '/d', '/p'].map((path) => {
    const stat = guest.stat(path);
    return typeof stat === 'number' ? stat : stat.mode;
  });
  assert.deepEqual(modes, [S.IFREG | 0o7700, S.IFDIR | 0o1700, S.IFIFO | 0o600]);
  assert.equal(guest.call('umask', 0o22), 0o077);
});
