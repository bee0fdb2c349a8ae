/** Tests of the calls on descriptors, through the whole library OS on a simulated host. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsGuest } from '../../../test/support/fs-guest.ts';
import { Records } from '../../../test/support/records.ts';
import { E } from '../../abi/errno.ts';
import { F, FALLOC, LOCK, LOCK_TYPE, MFD, O, S, SEAL, SEEK } from '../../abi/fs.ts';

const ROOT = { '/f': 'file of the root', '/d/x': 'x' };
const BAD = 0x10;

const made = (guest: FsGuest, content = ''): number => {
  const fd = guest.open('/new', O.CREAT | O.TRUNC | O.RDWR);
  if (content !== '') guest.write(fd, content);
  guest.call('lseek', fd, 0, SEEK.SET);
  return fd;
};

test('read and write: descriptors, modes, bad addresses', () => {
  const guest = new FsGuest(ROOT);
  assert.equal(guest.read(99, 1), E.EBADF);
  assert.equal(guest.read(-1, 1), E.EBADF);
  const reader = guest.open('/f', O.RDONLY);
  assert.equal(guest.write(reader, 'x'), E.EBADF);
  assert.equal(guest.call('read', reader, BAD, 4), E.EFAULT);
  assert.equal(guest.call('lseek', reader, 0, SEEK.CUR), 0, 'nothing was read');
  const writer = guest.open('/new', O.CREAT | O.WRONLY);
  assert.equal(guest.read(writer, 1), E.EBADF);
  assert.equal(guest.call('write', writer, BAD, 4), E.EFAULT);
  assert.equal(guest.call('write', writer, BAD, 0), 0);
  assert.equal(guest.read(guest.open('/d', O.RDONLY), 1), E.EISDIR);
  assert.equal(guest.open('/d', O.WRONLY), E.EISDIR);
  assert.equal(guest.pread(reader, 1, -1), E.EINVAL);
});

test('a transfer that meets the end of memory stops there', () => {
  const guest = new FsGuest(ROOT);
  const end = guest.sim.guest.map(4096) + 4096;
  const fd = made(guest, 'ABCDEFGHIJ');
  assert.equal(guest.call('read', fd, end - 4, 10), 4);
  assert.equal(guest.sim.guest.peek(end - 4, 4).toString(), 'ABCD');
  assert.equal(guest.read(fd, 10), 'EFGHIJ');
  assert.equal(guest.call('pwrite64', fd, end - 4, 10, 0), 4);
  assert.equal(guest.pread(fd, 20, 0), 'ABCDEFGHIJ');
  assert.equal(guest.call('write', fd, end - 2, 10), 2);
  assert.equal(guest.pread(fd, 20, 0), 'ABCDEFGHIJCD');
});

test('vectors are gathered and scattered', () => {
  const guest = new FsGuest(ROOT);
  const { guest: memory } = guest.sim;
  const parts = ['one', '', 'three', 'twentytwo'].map((text) => [
    memory.bytes(Buffer.from(text)),
    text.length,
  ]);
  const iov = memory.words(...parts.flat());
  const fd = made(guest);
  assert.equal(guest.call('writev', fd, iov, 4), 17);
  assert.equal(guest.pread(fd, 100, 0), 'onethreetwentytwo');
  const targets = [2, 0, 5, 30].map((length) => [memory.alloc(32), length]);
  const into = memory.words(...targets.flat());
  assert.equal(guest.call('preadv', fd, into, 4, 3), 14);
  assert.equal(memory.peek(targets[0]?.[0] as number, 2).toString(), 'th');
  assert.equal(memory.peek(targets[2]?.[0] as number, 5).toString(), 'reetw');
  assert.equal(memory.peek(targets[3]?.[0] as number, 7).toString(), 'entytwo');
  assert.equal(guest.call('pwritev2', fd, iov, 1, 4, 0, 0), 3);
  assert.equal(guest.pread(fd, 9, 0), 'onetoneet');
  assert.equal(guest.call('pwritev2', fd, iov, 1, 0, 0, 16), 3, 'RWF_APPEND');
  assert.equal(guest.pread(fd, 9, 17), 'one');
  assert.equal(guest.call('preadv2', fd, into, 1, -1, 0, 0), 2, 'at the position, which moves');
  assert.equal(guest.call('lseek', fd, 0, SEEK.CUR), 19);
  assert.equal(guest.call('preadv2', fd, into, 1, 0, 0, 0x40), E.EOPNOTSUPP);
  assert.equal(guest.call('writev', fd, iov, -1), E.EINVAL);
  assert.equal(guest.call('writev', fd, iov, 1025), E.EINVAL);
  assert.equal(guest.call('writev', fd, BAD, 1), E.EFAULT);
  assert.equal(guest.call('readv', fd, memory.words(guest.buffer, -1), 1), E.EINVAL);
  assert.equal(guest.call('readv', fd, memory.words(BAD, 5), 1), E.EFAULT);
});

test('O_APPEND writes at the end, also by pwrite; descriptors of one open share a position', () => {
  const guest = new FsGuest(ROOT);
  const fd = guest.open('/f', O.RDWR | O.APPEND);
  guest.write(fd, '!');
  assert.equal(guest.pwrite(fd, Buffer.from('?'), 0), 1);
  assert.equal(guest.readFile('/f'), 'file of the root!?');
  const other = guest.call('dup', fd);
  guest.call('lseek', other, 5, SEEK.SET);
  assert.equal(guest.read(fd, 2), 'of');
  const own = guest.open('/f', O.RDONLY);
  assert.equal(guest.read(own, 4), 'file');
  assert.equal(guest.read(other, 4), ' the');
});

test('lseek, with holes', () => {
  const guest = new FsGuest(ROOT);
  const fd = made(guest);
  guest.pwrite(fd, Buffer.from('data'), 100_000);
  const seek = (offset: number, whence: number): number => guest.call('lseek', fd, offset, whence);
  assert.equal(seek(-1, SEEK.SET), E.EINVAL);
  assert.equal(seek(-4, SEEK.END), 100_000);
  assert.equal(seek(0, 9), E.EINVAL);
  assert.equal(seek(0, SEEK.DATA), 98_304);
  assert.equal(seek(98_304, SEEK.HOLE), 100_004);
  assert.equal(seek(5, SEEK.HOLE), 5);
  assert.equal(seek(100_004, SEEK.DATA), E.ENXIO);
  assert.equal(seek(2 ** 40, SEEK.SET), 2 ** 40);
  assert.equal(guest.read(fd, 10), '');
  assert.equal(guest.call('lseek', 1, 0, SEEK.CUR), E.ESPIPE);
});

test('fallocate makes and punches', () => {
  const guest = new FsGuest(ROOT);
  const fd = made(guest, 'x'.repeat(20_000));
  const fallocate = (mode: number, offset: number, length: number): number =>
    guest.call('fallocate', fd, mode, offset, length);
  const size = (): number => guest.call('lseek', fd, 0, SEEK.END);
  assert.equal(fallocate(FALLOC.KEEP_SIZE, 20_000, 100_000), 0);
  assert.equal(size(), 20_000);
  assert.equal(fallocate(0, 0, 30_000), 0);
  assert.equal(size(), 30_000);
  assert.equal(fallocate(FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 1, 9998), 0);
  const text = guest.pread(fd, 20_000, 0);
  assert.equal(text, `x${'\0'.repeat(9998)}${'x'.repeat(10_001)}`);
  assert.equal(guest.call('lseek', fd, 4096, SEEK.DATA), 8192);
  assert.equal(fallocate(FALLOC.ZERO_RANGE, 29_000, 2000), 0);
  assert.equal(size(), 31_000);
  assert.equal(fallocate(FALLOC.PUNCH_HOLE, 0, 10), E.EOPNOTSUPP);
  assert.equal(fallocate(FALLOC.COLLAPSE_RANGE, 0, 4096), E.EOPNOTSUPP);
  assert.equal(fallocate(0, 0, 0), E.EINVAL);
  assert.equal(fallocate(0, -1, 5), E.EINVAL);
  const reader = guest.open('/f', O.RDONLY);
  assert.equal(guest.call('fallocate', reader, 0, 0, 5), E.EBADF);
});

test('descriptors: dup, fcntl, close-on-exec, close_range', () => {
  const guest = new FsGuest(ROOT);
  const fd = guest.open('/f', O.RDWR | O.CLOEXEC | O.APPEND);
  const fcntl = (on: number, command: number, arg = 0): number =>
    guest.call('fcntl', on, command, arg);
  assert.equal(fcntl(fd, F.GETFD), 1);
  const twin = guest.call('dup', fd);
  assert.equal(fcntl(twin, F.GETFD), 0);
  assert.equal(fcntl(fd, F.GETFL), O.RDWR | O.APPEND | O.LARGEFILE);
  assert.equal(fcntl(twin, F.SETFL, O.NONBLOCK | O.WRONLY), 0);
  assert.equal(fcntl(fd, F.GETFL), O.RDWR | O.NONBLOCK | O.LARGEFILE);
  assert.equal(fcntl(fd, F.DUPFD_CLOEXEC, 20), 20);
  assert.equal(fcntl(20, F.GETFD), 1);
  assert.equal(fcntl(fd, F.DUPFD, -1), E.EINVAL);
  assert.equal(guest.call('dup2', fd, fd), fd);
  assert.equal(guest.call('dup3', fd, fd, 0), E.EINVAL);
  assert.equal(guest.call('dup3', fd, 21, O.CLOEXEC), 21);
  assert.equal(guest.call('dup2', fd, -1), E.EBADF);
  assert.equal(guest.call('dup2', 77, 78), E.EBADF);
  assert.equal(guest.call('ioctl', fd, 0x5450), 0);
  assert.equal(fcntl(fd, F.GETFD), 0);
  assert.equal(guest.call('ioctl', fd, 0x5451), 0);
  assert.equal(fcntl(fd, F.GETFD), 1);
  assert.equal(guest.call('ioctl', fd, 0x541b, guest.buffer), 0);
  assert.equal(guest.sim.guest.peekU32(guest.buffer), 16);
  assert.equal(guest.call('ioctl', fd, 0x5401, guest.buffer), E.ENOTTY);
  assert.equal(guest.call('ioctl', 1, 0x5401, guest.buffer), E.ENOTTY);
  assert.equal(guest.call('close_range', 20, 0xffff_ffff, 4), 0);
  assert.equal(fcntl(21, F.GETFD), 1);
  assert.equal(guest.call('close_range', 20, 0xffff_ffff, 0), 0);
  assert.equal(fcntl(21, F.GETFD), E.EBADF);
  assert.equal(guest.call('close_range', 5, 4, 0), E.EINVAL);
  assert.equal(fcntl(fd, 9999), E.EINVAL);
});

test('sendfile and copy_file_range', () => {
  const guest = new FsGuest(ROOT);
  const source = guest.open('/f', O.RDONLY);
  const target = made(guest);
  assert.equal(guest.call('sendfile', target, source, 0, 4), 4);
  assert.equal(guest.read(source, 3), ' of');
  const offset = guest.sim.guest.words(5);
  assert.equal(guest.call('sendfile', target, source, offset, 100), 11);
  assert.equal(guest.sim.guest.peekU32(offset), 16);
  assert.equal(guest.pread(target, 100, 0), 'fileof the root');
  assert.equal(guest.call('sendfile', 1, source, offset, 100), 0);
  assert.equal(guest.call('sendfile', target, 0, 0, 100), E.EINVAL);
  const [from, to] = [guest.sim.guest.words(0), guest.sim.guest.words(100_000)];
  assert.equal(guest.call('copy_file_range', source, from, target, to, 4, 0), 4);
  assert.equal(guest.pread(target, 100, 99_998), '\0\0file');
  const same = [target, guest.sim.guest.words(0), target, guest.sim.guest.words(2)];
  assert.equal(guest.call('copy_file_range', ...same, 10, 0), E.EINVAL);
  assert.equal(guest.call('copy_file_range', source, from, target, to, 4, 1), E.EINVAL);
  assert.equal(guest.call('copy_file_range', 0, from, target, to, 4, 0), E.EINVAL);
});

test('memfd_create and seals', () => {
  const guest = new FsGuest(ROOT);
  const create = (name: string, flags: number): number =>
    guest.call('memfd_create', guest.path(name), flags);
  const fd = create('mem', MFD.CLOEXEC | MFD.ALLOW_SEALING);
  assert.equal(guest.readlink(`/proc/self/fd/${fd}`), '/memfd:mem (deleted)');
  assert.equal(guest.write(fd, '12345'), 5);
  assert.equal(guest.call('fcntl', fd, F.GET_SEALS), 0);
  assert.equal(guest.call('fcntl', fd, F.ADD_SEALS, SEAL.grow), 0);
  assert.equal(guest.write(fd, '6'), E.EPERM);
  assert.equal(guest.pwrite(fd, Buffer.from('abc'), 3), 2);
  assert.equal(guest.call('ftruncate', fd, 9), E.EPERM);
  assert.equal(guest.call('fcntl', fd, F.ADD_SEALS, SEAL.write | SEAL.seal), 0);
  assert.equal(guest.pwrite(fd, Buffer.from('x'), 0), E.EPERM);
  assert.equal(guest.call('fcntl', fd, F.ADD_SEALS, SEAL.shrink), E.EPERM);
  const records = new Records();
  guest.kernel.save(records, 'all');
  guest.load(records);
  assert.equal(guest.call('fcntl', fd, F.GET_SEALS), SEAL.grow | SEAL.write | SEAL.seal);
  assert.equal(guest.pread(fd, 9, 0), '123ab');
  assert.equal(guest.call('fcntl', create('x', 0), F.ADD_SEALS, 0), E.EPERM);
  assert.equal(guest.call('fcntl', guest.open('/f', O.RDWR), F.GET_SEALS), E.EINVAL);
  const noExec = create('x', MFD.NOEXEC_SEAL);
  assert.equal(guest.call('fcntl', noExec, F.GET_SEALS), SEAL.exec);
  assert.equal(guest.call('fchmod', noExec, 0o700), E.EPERM);
  const runnable = create('x', MFD.ALLOW_SEALING);
  assert.equal(guest.call('fcntl', runnable, F.ADD_SEALS, SEAL.exec), 0);
  assert.equal(guest.call('fcntl', runnable, F.GET_SEALS), 0x3e, 'its content is sealed too');
  assert.equal(create('x', 0x1000), E.EINVAL);
  assert.equal(create('x'.repeat(250), 0), E.EINVAL);
});

test('RLIMIT_FSIZE cuts a write off, then gives EFBIG and SIGXFSZ', () => {
  const guest = new FsGuest(ROOT);
  guest.kernel.state.process.limits.set(1, { soft: 10, hard: 10 });
  const fd = made(guest);
  assert.equal(guest.write(fd, 'x'.repeat(20)), 10);
  assert.equal(guest.write(fd, 'x'), E.EFBIG);
  assert.deepEqual(
    guest.sim.signals.map(({ number }) => number),
    [25],
  );
});

/* --- locks --- */

const lock = (
  guest: FsGuest,
  fd: number,
  command: number,
  type: number,
  start: number,
  length: number,
) =>
  guest.call(
    'fcntl',
    fd,
    command,
    guest.sim.guest.struct('HHIQQII', type, SEEK.SET, 0, start, length, 0, 0),
  );

test('record locks of open files conflict by range and type', () => {
  const guest = new FsGuest(ROOT);
  const one = guest.open('/f', O.RDWR);
  const two = guest.open('/f', O.RDWR);
  const set = (fd: number, type: number, start: number, length: number): number =>
    lock(guest, fd, F.OFD_SETLK, type, start, length);
  assert.equal(set(one, LOCK_TYPE.write, 0, 10), 0);
  assert.equal(set(two, LOCK_TYPE.read, 9, 1), E.EAGAIN);
  assert.equal(set(two, LOCK_TYPE.read, 10, 0), 0);
  assert.equal(set(one, LOCK_TYPE.read, 100, 5), 0);
  assert.equal(set(one, LOCK_TYPE.unlock, 3, 2), 0, 'a hole in the middle');
  assert.equal(set(two, LOCK_TYPE.write, 3, 2), 0);
  assert.equal(set(two, LOCK_TYPE.write, 2, 2), E.EAGAIN);
  const query = guest.sim.guest.struct('HHIQQII', LOCK_TYPE.write, SEEK.SET, 0, 0, 0, 0, 0);
  assert.equal(guest.call('fcntl', one, F.OFD_GETLK, query), 0);
  assert.equal(guest.sim.guest.peekU16(query), LOCK_TYPE.write);
  assert.equal(guest.sim.guest.peekU32(query + 8), 3, 'the lowest of its owner');
  assert.equal(guest.sim.guest.peekI32(query + 24), -1);
  const records = new Records();
  guest.kernel.save(records, 'all');
  guest.load(records);
  assert.equal(set(two, LOCK_TYPE.read, 0, 1), E.EAGAIN);
  guest.call('close', one);
  assert.equal(set(two, LOCK_TYPE.read, 0, 1), 0, 'closed, its locks are gone');
});

test('record locks of a process: one owner, gone with any close', () => {
  const guest = new FsGuest(ROOT);
  const one = guest.open('/f', O.RDWR);
  const two = guest.open('/f', O.RDWR);
  const { locks } = guest.kernel.fs.context;
  assert.equal(lock(guest, one, F.SETLK, LOCK_TYPE.write, 0, 0), 0);
  assert.equal(lock(guest, two, F.SETLK, LOCK_TYPE.write, 0, 0), 0, 'its own do not conflict');
  assert.equal(lock(guest, two, F.OFD_SETLK, LOCK_TYPE.read, 5, 1), E.EAGAIN);
  guest.call('close', two);
  assert.ok(locks.isEmpty);
  const reader = guest.open('/f', O.RDONLY);
  assert.equal(lock(guest, reader, F.SETLK, LOCK_TYPE.write, 0, 0), E.EBADF);
  assert.equal(lock(guest, reader, F.SETLK, 7, 0, 0), E.EINVAL);
  assert.equal(lock(guest, reader, F.OFD_SETLK, LOCK_TYPE.read, 0, 0), 0);
  assert.equal(guest.call('fcntl', reader, F.SETLK, BAD), E.EFAULT);
});

test('flock, which waits when it is told to', () => {
  const guest = new FsGuest(ROOT);
  const one = guest.open('/f', O.RDONLY);
  const two = guest.open('/f', O.RDONLY);
  const flock = (fd: number, operation: number): number => guest.call('flock', fd, operation);
  assert.equal(flock(one, LOCK.SH), 0);
  assert.equal(flock(two, LOCK.SH), 0);
  assert.equal(flock(two, LOCK.EX | LOCK.NB), E.EAGAIN);
  assert.equal(flock(one, 77), E.EINVAL);
  assert.equal(flock(one, LOCK.EX), 0, 'the failed change lost the lock of the other');
  const first = guest.kernel.state.process.pid;
  const other = guest.kernel.addTask(guest.kernel.state.process, (first + 50) as never, 'second');
  assert.equal(guest.sim.call(other.tid, 'flock', two, LOCK.EX), 'blocked');
  assert.equal(guest.call('close', one), 0);
  assert.equal(guest.sim.takeAnswer(other.tid), 0);
});

/* --- pipes, console, extended attributes --- */

test('a FIFO has a name, and lives on while it is open', () => {
  const guest = new FsGuest(ROOT);
  assert.equal(guest.call('mknod', guest.path('/p'), S.IFIFO | 0o600, 0), 0);
  assert.equal(guest.open('/p', O.WRONLY | O.NONBLOCK), E.ENXIO);
  const reader = guest.open('/p', O.RDONLY | O.NONBLOCK);
  const writer = guest.open('/p', O.WRONLY | O.NONBLOCK);
  assert.equal(guest.write(writer, 'through'), 7);
  assert.equal(guest.call('unlink', guest.path('/p')), 0);
  const records = new Records();
  guest.kernel.save(records, 'all');
  guest.load(records);
  assert.equal(guest.read(reader, 20), 'through');
  assert.equal(guest.read(reader, 20), E.EAGAIN);
  guest.call('close', writer);
  guest.call('close', reader);
  const { context } = guest.kernel.fs;
  guest.writeFile('/next', '');
  assert.equal(context.nameless.size, 0, 'nothing is left of it');
});

test('a write to a full pipe goes on where it stopped', () => {
  const guest = new FsGuest(ROOT);
  const ends = guest.buffer;
  assert.equal(guest.call('pipe2', ends, 0), 0);
  const [reader, writer] = [guest.sim.guest.peekI32(ends), guest.sim.guest.peekI32(ends + 4)];
  const first = guest.kernel.state.process.pid;
  const other = guest.kernel.addTask(guest.kernel.state.process, (first + 50) as never, 'second');
  const data = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));
  const source = guest.sim.guest.bytes(data);
  assert.equal(guest.sim.call(other.tid, 'write', writer, source, data.length), 'blocked');
  let text = '';
  while (text.length < data.length) text += guest.read(reader, 30_000);
  assert.equal(guest.sim.takeAnswer(other.tid), data.length);
  assert.equal(text, data.toString('latin1'));
});

test('extended attributes', () => {
  const guest = new FsGuest(ROOT);
  const { guest: memory } = guest.sim;
  const name = memory.cstring('user.color');
  const value = memory.cstring('green');
  const path = (): number => guest.path('/f');
  assert.equal(guest.call('getxattr', path(), name, guest.buffer, 100), E.ENODATA);
  assert.equal(guest.call('setxattr', path(), name, value, 5, 2), E.ENODATA);
  assert.equal(guest.call('setxattr', path(), name, value, 5, 1), 0);
  assert.equal(guest.call('setxattr', path(), name, value, 5, 1), E.EEXIST);
  assert.equal(guest.call('getxattr', path(), name, guest.buffer, 0), 5);
  assert.equal(guest.call('getxattr', path(), name, guest.buffer, 4), E.ERANGE);
  assert.equal(guest.call('getxattr', path(), name, guest.buffer, 100), 5);
  assert.equal(memory.peek(guest.buffer, 5).toString(), 'green');
  assert.equal(guest.call('listxattr', path(), guest.buffer, 100), 11);
  const other = memory.cstring('system.posix_acl_access');
  assert.equal(guest.call('setxattr', path(), other, value, 5, 0), E.EOPNOTSUPP);
  assert.equal(guest.call('removexattr', path(), name), 0);
  assert.equal(guest.call('removexattr', path(), name), E.ENODATA);
});

test('times are exact to the nanosecond', () => {
  const guest = new FsGuest(ROOT);
  const times = guest.sim.guest.words(1_700_000_000, 123_456_789, 1_600_000_001, 987_654_321);
  assert.equal(guest.call('utimensat', -100, guest.path('/f'), times, 0), 0);
  const stat = guest.stat('/f');
  assert.ok(typeof stat !== 'number');
  assert.deepEqual(stat.mtime, [1_600_000_001, 987_654_321]);
  const omit = guest.sim.guest.words(0, 0x3ffffffe, 5, 6);
  assert.equal(guest.call('utimensat', guest.open('/f', O.RDONLY), 0, omit, 0), 0);
  const later = guest.stat('/f');
  assert.deepEqual(typeof later === 'number' ? later : later.mtime, [5, 6]);
  const wrong = guest.sim.guest.words(0, 1e9, 0, 0);
  assert.equal(guest.call('utimensat', -100, guest.path('/f'), wrong, 0), E.EINVAL);
});
