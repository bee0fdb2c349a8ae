/** Tests of the overlay: copy-up, whiteouts, names, lives of inodes, limits, deltas. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsGuest, type GuestStat } from '../../../test/support/fs-guest.ts';
import { Records } from '../../../test/support/records.ts';
import { E } from '../../abi/errno.ts';
import { AT, O, RENAME, S } from '../../abi/fs.ts';

const LONG = Buffer.alloc(200_000, 'a long file of the root. ');
const ROOT = {
  '/etc/passwd': 'root:x:0:0\n',
  '/etc/conf/a': 'a',
  '/etc/conf/b': { file: 'b', mode: 0o600, uid: 5, gid: 6 },
  '/etc/link': { link: 'conf/a' },
  '/etc/up': { link: '/etc/passwd' },
  '/usr/long': LONG,
  '/usr/dev': { device: 'char', rdev: 0x103 } as const,
};

const statOf = (stat: GuestStat | number): GuestStat => {
  assert.ok(typeof stat !== 'number', `stat gives ${stat}`);
  return stat;
};

const reloaded = (guest: FsGuest): void => {
  const records = new Records();
  guest.kernel.save(records, 'all');
  guest.load(records);
};

test('a file of the root is read, then written without changing the root', () => {
  const guest = new FsGuest(ROOT);
  assert.equal(guest.readFile('/etc/passwd'), 'root:x:0:0\n');
  const before = statOf(guest.stat('/etc/passwd'));
  const reader = guest.open('/etc/passwd', O.RDONLY);
  const writer = guest.open('/etc/passwd', O.WRONLY | O.APPEND);
  assert.equal(guest.write(writer, 'more'), 4);
  assert.equal(guest.readFile('/etc/passwd'), 'root:x:0:0\nmore');
  assert.equal(guest.pread(reader, 100, 5), 'x:0:0\nmore', 'also where it was open before');
  const after = statOf(guest.stat('/etc/passwd'));
  assert.deepEqual([after.inode, after.device], [before.inode, before.device]);
  assert.deepEqual(statOf(guest.fstat(reader)).size, 15);
  const again = new FsGuest(ROOT);
  assert.equal(again.readFile('/etc/passwd'), 'root:x:0:0\n');
});

test('opening for writing copies no content', () => {
  const guest = new FsGuest(ROOT);
  const fd = guest.open('/usr/long', O.RDWR);
  guest.pwrite(fd, Buffer.from('X'), 100_000);
  const { usedBytes } = guest.kernel.fs.context.budget;
  assert.ok(usedBytes > 0 && usedBytes <= 65_536, `${usedBytes} bytes for one page`);
  const expected = Buffer.from(LONG);
  expected.write('X', 100_000);
  assert.equal(guest.readFile('/usr/long'), expected.toString('latin1'));
  reloaded(guest);
  assert.equal(guest.readFile('/usr/long'), expected.toString('latin1'));
  assert.equal(guest.pread(fd, 3, 99_999), expected.toString('latin1', 99_999, 100_002));
});

test("copied-up metadata is the root's, and changes alone", () => {
  const guest = new FsGuest(ROOT);
  const before = statOf(guest.stat('/etc/conf/b'));
  assert.equal(guest.call('chmod', guest.path('/etc/conf/b'), 0o640), 0);
  const after = statOf(guest.stat('/etc/conf/b'));
  assert.deepEqual({ ...after, blocks: 0 }, { ...before, mode: S.IFREG | 0o640, blocks: 0 });
  assert.equal(guest.readFile('/etc/conf/b'), 'b');
});

test('whiteouts hide names of the root, in lookups and in lists', () => {
  const guest = new FsGuest(ROOT);
  assert.equal(guest.call('unlink', guest.path('/etc/conf/a')), 0);
  assert.equal(guest.stat('/etc/conf/a'), E.ENOENT);
  assert.deepEqual(guest.readdir('/etc/conf'), ['b']);
  assert.equal(guest.readFile('/etc/link'), E.ENOENT);
  assert.equal(guest.call('rmdir', guest.path('/etc/conf')), E.ENOTEMPTY);
  assert.equal(guest.call('unlink', guest.path('/etc/conf/b')), 0);
  assert.equal(guest.call('rmdir', guest.path('/etc/conf')), 0);
  assert.equal(guest.stat('/etc/conf'), E.ENOENT);
  assert.equal(guest.call('mkdir', guest.path('/etc/conf'), 0o755), 0);
  assert.deepEqual(guest.readdir('/etc/conf'), [], 'a new directory shows nothing of the old');
  reloaded(guest);
  assert.deepEqual(guest.readdir('/etc/conf'), []);
  assert.deepEqual((guest.readdir('/etc') as string[]).sort(), ['conf', 'link', 'passwd', 'up']);
});

test('a directory of the root is renamed with what is below and open', () => {
  const guest = new FsGuest(ROOT);
  const inside = guest.open('/etc/conf/a', O.RDONLY);
  const dir = guest.open('/etc/conf', O.RDONLY | O.DIRECTORY);
  assert.equal(guest.call('chdir', guest.path('/etc/conf')), 0);
  assert.equal(guest.call('rename', guest.path('/etc'), guest.path('/etc2', 1)), 0);
  assert.equal(guest.stat('/etc/conf/a'), E.ENOENT);
  assert.equal(guest.readFile('/etc2/conf/a'), 'a');
  assert.equal(guest.readlink(`/proc/self/fd/${inside}`), '/etc2/conf/a');
  assert.equal(guest.readlink(`/proc/self/fd/${dir}`), '/etc2/conf');
  assert.equal(guest.readlink('/proc/self/cwd'), '/etc2/conf');
  assert.equal(guest.readFile('b'), 'b');
  assert.equal(guest.call('rename', guest.path('/etc2/conf'), guest.path('/deep', 1)), 0);
  reloaded(guest);
  assert.equal(guest.readlink(`/proc/self/fd/${inside}`), '/deep/a');
  assert.equal(guest.pread(inside, 10, 0), 'a');
  assert.equal(guest.call('fchmod', inside, 0o600), 0);
  assert.equal(statOf(guest.stat('/deep/a')).mode & 0o777, 0o600);
  const fd = guest.call('openat', dir, guest.path('new'), O.CREAT | O.WRONLY, 0o644);
  assert.ok(fd >= 0);
  assert.deepEqual((guest.readdir('/deep') as string[]).sort(), ['a', 'b', 'new']);
});

test('a file without a name lives while it is open', () => {
  const guest = new FsGuest(ROOT);
  const own = guest.open('/new', O.CREAT | O.RDWR);
  guest.write(own, 'content');
  const lower = guest.open('/usr/long', O.RDONLY);
  assert.equal(guest.call('unlink', guest.path('/new')), 0);
  assert.equal(guest.call('unlink', guest.path('/usr/long')), 0);
  reloaded(guest);
  assert.equal(guest.pread(own, 10, 0), 'content');
  assert.equal(guest.pread(lower, 6, 0), 'a long');
  assert.equal(statOf(guest.fstat(own)).links, 0);
  assert.equal(guest.readlink(`/proc/self/fd/${own}`), '/new (deleted)');
  const again = guest.open(`/proc/self/fd/${own}`, O.RDONLY);
  assert.equal(guest.read(again, 10), 'content');
  const { context } = guest.kernel.fs;
  const count = context.inodeCount;
  for (const fd of [own, again, lower]) assert.equal(guest.call('close', fd), 0);
  assert.equal(context.inodeCount, count - 2);
  assert.equal(context.budget.usedBytes, 0);
});

test('a file that outlives its directory is saved and loaded', () => {
  const guest = new FsGuest(ROOT);
  guest.call('mkdir', guest.path('/d'), 0o755);
  const fd = guest.open('/d/f', O.CREAT | O.RDWR);
  guest.writeFile('/d/g', 'linked');
  guest.call('link', guest.path('/d/g'), guest.path('/h', 1));
  guest.call('link', guest.path('/h'), guest.path('/d/i', 1));
  for (const name of ['f', 'g', 'i']) guest.call('unlink', guest.path(`/d/${name}`));
  assert.equal(guest.call('rmdir', guest.path('/d')), 0);
  reloaded(guest);
  assert.equal(guest.write(fd, 'x'), 1);
  assert.equal(guest.readlink(`/proc/self/fd/${fd}`), '/d/f (deleted)');
  assert.equal(guest.readFile('/h'), 'linked');
  assert.equal(statOf(guest.stat('/h')).links, 1);
});

test('renameat2: exchange and no-replace', () => {
  const guest = new FsGuest(ROOT);
  const rename = (from: string, to: string, flags: number): number =>
    guest.call('renameat2', AT.FDCWD, guest.path(from), AT.FDCWD, guest.path(to, 1), flags);
  assert.equal(rename('/etc/passwd', '/usr/long', RENAME.NOREPLACE), E.EEXIST);
  assert.equal(rename('/etc/passwd', '/usr/none', RENAME.EXCHANGE), E.ENOENT);
  assert.equal(rename('/etc/passwd', '/usr/none', RENAME.WHITEOUT), E.EINVAL);
  assert.equal(rename('/etc', '/usr/x', RENAME.EXCHANGE | RENAME.NOREPLACE), E.EINVAL);
  assert.equal(rename('/etc/conf', '/etc/conf/b', RENAME.EXCHANGE), E.EINVAL);
  assert.equal(rename('/etc/conf', '/usr/long', RENAME.EXCHANGE), 0);
  assert.deepEqual((guest.readdir('/usr/long') as string[]).sort(), ['a', 'b']);
  assert.equal(statOf(guest.stat('/etc/conf')).size, LONG.length);
  assert.equal(rename('/etc', '/usr', RENAME.EXCHANGE), 0);
  reloaded(guest);
  assert.equal(guest.readFile('/usr/passwd'), 'root:x:0:0\n');
  assert.deepEqual((guest.readdir('/etc/long') as string[]).sort(), ['a', 'b']);
  assert.equal(rename('/proc', '/x', 0), E.EXDEV);
  assert.equal(rename('/etc/passwd', '/proc/x', 0), E.ENOENT);
});

test('O_TMPFILE makes a file that linkat can name', () => {
  const guest = new FsGuest(ROOT);
  assert.equal(guest.open('/usr', O.TMPFILE | O.RDONLY), E.EINVAL);
  const fd = guest.open('/usr', O.TMPFILE | O.RDWR, 0o600);
  assert.ok(fd >= 0);
  guest.write(fd, 'made');
  assert.equal(statOf(guest.fstat(fd)).links, 0);
  assert.deepEqual(guest.readdir('/usr'), ['dev', 'long']);
  const linkat = (from: string, dirfd: number, flags: number): number =>
    guest.call('linkat', dirfd, guest.path(from), AT.FDCWD, guest.path('/usr/made', 1), flags);
  reloaded(guest);
  assert.equal(linkat('', fd, AT.EMPTY_PATH), 0);
  assert.equal(guest.readFile('/usr/made'), 'made');
  assert.equal(guest.call('unlink', guest.path('/usr/made')), 0);
  assert.equal(linkat(`/proc/self/fd/${fd}`, AT.FDCWD, AT.SYMLINK_FOLLOW), 0);
  const exclusive = guest.open('/usr', O.TMPFILE | O.RDWR | O.EXCL, 0o600);
  assert.equal(linkat('', exclusive, AT.EMPTY_PATH), E.EEXIST);
  assert.equal(guest.call('unlink', guest.path('/usr/made')), 0);
  assert.equal(linkat('', exclusive, AT.EMPTY_PATH), E.ENOENT);
});

test('limits of bytes and of inodes give ENOSPC and lose nothing', () => {
  const guest = new FsGuest(ROOT);
  const { context } = guest.kernel.fs;
  context.budget.limitBytes = 256 * 1024;
  const fd = guest.open('/big', O.CREAT | O.RDWR);
  assert.equal(guest.write(fd, Buffer.alloc(500_000, 'x')), 256 * 1024);
  assert.equal(guest.write(fd, 'x'), E.ENOSPC);
  assert.equal(guest.call('fallocate', fd, 0, 0, 300_000), E.ENOSPC);
  assert.equal(statOf(guest.fstat(fd)).size, 256 * 1024);
  assert.equal(guest.call('ftruncate', fd, 0), 0);
  assert.equal(guest.write(fd, 'x'), 1);
  context.inodeLimit = context.inodeCount;
  assert.equal(guest.open('/other', O.CREAT | O.RDWR), E.ENOSPC);
  assert.equal(guest.call('mkdir', guest.path('/dir'), 0o755), E.ENOSPC);
  assert.equal(guest.open('/etc/passwd', O.RDWR), E.ENOSPC);
  assert.equal(guest.readFile('/etc/passwd'), 'root:x:0:0\n');
  assert.equal(guest.call('unlink', guest.path('/big')), 0);
  guest.call('close', fd);
  assert.ok(guest.open('/other', O.CREAT | O.RDWR) >= 0);
});

test('positions of getdents stay right while names come and go, and over a load', () => {
  const guest = new FsGuest(ROOT);
  for (let index = 0; index < 300; index += 1) guest.writeFile(`/etc/conf/f${index}`, '');
  const fd = guest.open('/etc/conf', O.DIRECTORY);
  const seen: string[] = [];
  const take = (sizeBytes: number): number => {
    const entries = guest.dents(fd, sizeBytes);
    assert.ok(typeof entries !== 'number');
    seen.push(...entries.map((entry) => entry.name));
    return entries.length;
  };
  take(400);
  guest.call('unlink', guest.path(`/etc/conf/${seen.at(-1)}`));
  guest.call('unlink', guest.path('/etc/conf/f290'));
  guest.writeFile('/etc/conf/late', '');
  guest.call('chmod', guest.path('/etc/conf/b'), 0o600);
  reloaded(guest);
  while (take(400) > 0);
  assert.equal(new Set(seen).size, seen.length, 'nothing twice');
  const expected = ['.', '..', 'a', 'b', 'late'];
  for (let index = 0; index < 300; index += 1) if (index !== 290) expected.push(`f${index}`);
  assert.deepEqual(seen.sort(), expected.sort());
  assert.equal(guest.call('lseek', fd, 0, 0), 0);
  seen.length = 0;
  while (take(4096) > 0);
  assert.equal(seen.length, expected.length - 1);
  assert.equal(
    guest.call('getdents64', fd, guest.buffer, 10),
    0,
    'at the end nothing is too small',
  );
  guest.call('lseek', fd, 0, 0);
  assert.equal(guest.call('getdents64', fd, guest.buffer, 10), E.EINVAL);
});

test('a delta of a large directory and a large file is small', () => {
  const guest = new FsGuest(ROOT);
  guest.call('mkdir', guest.path('/d'), 0o755);
  for (let index = 0; index < 2000; index += 1) guest.writeFile(`/d/file-${index}`, 'x');
  const fd = guest.open('/d/file-0', O.RDWR);
  guest.pwrite(fd, Buffer.alloc(1_000_000, 'y'), 0);
  const records = new Records();
  guest.kernel.save(records, 'all');
  records.clearCounts();
  guest.kernel.save(records, 'changes');
  assert.equal(records.counts.putBytes, 0);
  guest.pwrite(fd, Buffer.from('z'), 500_000);
  guest.writeFile('/d/one-more', 'x');
  guest.call('unlink', guest.path('/d/file-7'));
  guest.kernel.save(records, 'changes');
  assert.ok(records.counts.putBytes < 16_384, `${records.counts.putBytes} bytes`);
  guest.load(records);
  assert.equal((guest.readdir('/d', 65_536) as string[]).length, 2000);
  assert.equal(guest.stat('/d/file-7'), E.ENOENT);
  assert.equal(guest.pread(fd, 3, 499_999), 'yzy');
});

test('what is not a file of the guest is not opened', () => {
  const guest = new FsGuest(ROOT);
  assert.equal(guest.open('/usr/dev', O.RDONLY), E.ENXIO, 'a device of the host');
  assert.equal(guest.call('mknod', guest.path('/usr/x'), S.IFCHR | 0o666, 0x103), E.EPERM);
  assert.equal(guest.call('mknod', guest.path('/usr/x'), S.IFBLK | 0o666, 0x103), E.EPERM);
  assert.equal(guest.call('mknod', guest.path('/usr/s'), S.IFSOCK | 0o666, 0), 0);
  assert.equal(guest.open('/usr/s', O.RDONLY), E.ENXIO);
  assert.equal(guest.call('chroot', guest.path('/usr')), E.EPERM);
});
