/** Tests of /proc, /sys and /dev: what a guest sees is its own, and nothing of the host's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsGuest } from '../../../test/support/fs-guest.ts';
import { Records } from '../../../test/support/records.ts';
import { E } from '../../abi/errno.ts';
import { O, S } from '../../abi/fs.ts';
import { guestAddress } from '../../base/ids.ts';

const ROOT = {
  '/f': 'f',
  '/proc/1/mem': 'of the host',
  '/sys/secret': 'of the host',
  '/dev/sda': { device: 'block', rdev: 0x800 } as const,
};

const names = (guest: FsGuest, path: string): string[] => {
  const list = guest.readdir(path, 300);
  assert.ok(typeof list !== 'number', `${path}: ${list}`);
  return list;
};

/** Every path below `path`, without following links. */
function* everything(guest: FsGuest, path: string): Iterable<[path: string, mode: number]> {
  for (const name of names(guest, path)) {
    const at = `${path}/${name}`;
    const stat = guest.stat(at, 'lstat');
    // The descriptor that the list was read with is closed by now.
    if (stat === E.ENOENT && path.includes('/fd')) continue;
    assert.ok(typeof stat !== 'number', `${at}: ${stat}`);
    yield [at, stat.mode];
    if ((stat.mode & S.IFMT) === S.IFDIR) yield* everything(guest, at);
  }
}

test("nothing of the host's own trees is there", () => {
  const guest = new FsGuest(ROOT);
  assert.equal(guest.stat('/proc/1/mem'), E.ENOENT);
  assert.equal(guest.stat('/sys/secret'), E.ENOENT);
  assert.equal(guest.stat('/dev/sda'), E.ENOENT);
  assert.ok(!names(guest, '/dev').includes('sda'));
});

test('all that is listed can be looked at, and read to its end', () => {
  const guest = new FsGuest(ROOT);
  let count = 0;
  for (const tree of ['/proc', '/sys']) {
    for (const [path, mode] of everything(guest, tree)) {
      count += 1;
      if ((mode & S.IFMT) === S.IFLNK) assert.ok(typeof guest.readlink(path) === 'string', path);
      if ((mode & S.IFMT) !== S.IFREG) continue;
      const text = guest.readFile(path);
      assert.ok(typeof text === 'string', `${path}: ${text}`);
      assert.ok(!text.includes('undefined') && !text.includes('NaN'), `${path}: ${text}`);
    }
  }
  assert.ok(count > 150, `${count} files`);
});

test('the link to the program leads to its file, whatever it was started by', () => {
  const guest = new FsGuest({
    '/bin': { link: 'usr/bin' },
    '/usr/bin/x': { link: 'x-1' },
    '/usr/bin/x-1': '',
  });
  assert.equal(guest.readlink('/proc/self/exe'), '/usr/bin/x-1');
});

test('a process finds itself', () => {
  const guest = new FsGuest(ROOT);
  const { pid } = guest.kernel.state.process;
  assert.equal(guest.readlink('/proc/self'), `${pid}`);
  assert.equal(guest.readlink('/proc/thread-self'), `${pid}/task/${pid}`);
  assert.equal(guest.readlink('/proc/self/exe'), '/bin/x');
  assert.equal(guest.readFile('/proc/self/cmdline'), 'x\0');
  assert.equal(guest.readFile('/proc/self/comm'), 'x\n');
  assert.match(guest.readFile('/proc/self/stat') as string, new RegExp(`^${pid} \\(x\\) [RS] 0 `));
  assert.equal((guest.readFile('/proc/self/stat') as string).trim().split(' ').length, 52);
  assert.match(guest.readFile('/proc/self/status') as string, /^Threads:\t1$/m);
  assert.deepEqual(names(guest, '/proc/self/task'), [`${pid}`]);
  assert.equal(guest.writeFile('/proc/self/comm', 'renamed\n'), 8);
  assert.equal(guest.readFile('/proc/self/comm'), 'renamed\n');
  assert.equal(guest.stat('/proc/99999'), E.ENOENT);
  assert.equal(guest.stat('/proc/0'), E.ENOENT);
});

test('a process finds its memory', () => {
  const guest = new FsGuest(ROOT);
  const numbers = (path: string): number[] =>
    (guest.readFile(path) as string).trim().split(' ').map(Number);
  // What the reading itself takes is there after the first time.
  numbers('/proc/self/statm');
  const [sizePages = 0, residentPages = 0] = numbers('/proc/self/statm');
  const maps = guest.readFile('/proc/self/maps') as string;
  assert.match(maps, /^([0-9a-f]{8,}-[0-9a-f]{8,} [r-][w-][x-][ps] 0{8} 00:00 0 .*\n)+$/);
  const regions = [...maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+)/gm)];
  const bytes = regions.map(([, start, end]) => Number(`0x${end}`) - Number(`0x${start}`));
  assert.equal(
    bytes.reduce((sum, size) => sum + size),
    sizePages * 4096,
  );
  guest.sim.memory.map({
    start: guestAddress(0x7000_0000),
    end: guestAddress(0x7000_4000),
    protection: 5,
    shared: false,
    name: '/f',
    fileOffset: 0x3000,
    backed: true,
  });
  guest.sim.memory.fill(0x7000_1000, Buffer.alloc(4096, 1));
  assert.deepEqual(numbers('/proc/self/statm').slice(0, 2), [sizePages + 4, residentPages + 1]);
  const { inode } = guest.stat('/f') as { inode: number };
  const line = `70000000-70004000 r-xp 00003000 00:20 ${inode} `.padEnd(73);
  assert.ok((guest.readFile('/proc/self/maps') as string).includes(`${line}/f\n`));
  assert.match(guest.readFile('/proc/self/status') as string, /^VmRSS:\t +\d+ kB$/m);
});

test('descriptors are listed, and lead to what is open', () => {
  const guest = new FsGuest(ROOT);
  const fd = guest.open('/f', O.RDONLY);
  const listed = names(guest, '/proc/self/fd');
  assert.deepEqual(listed.slice(0, 4), ['0', '1', '2', `${fd}`]);
  assert.equal(guest.readlink(`/proc/self/fd/${fd}`), '/f');
  assert.match(guest.readFile(`/proc/self/fdinfo/${fd}`) as string, /^pos:\t0\nflags:\t0100000\n/);
  assert.equal(guest.readFile(`/dev/fd/${fd}`), 'f');
  assert.equal(guest.stat('/proc/self/fd/99'), E.ENOENT);
  assert.equal(guest.stat('/proc/self/fd/01'), E.ENOENT);
  const out = guest.open('/dev/stdout', O.WRONLY);
  assert.equal(guest.write(out, 'to the console'), 14);
  guest.call('pipe2', guest.buffer, 0);
  const pipe = guest.sim.guest.peekI32(guest.buffer);
  assert.match(`${guest.readlink(`/proc/self/fd/${pipe}`)}`, /^pipe:\[\d+\]$/);
});

test('settings keep what is written, over a load', () => {
  const guest = new FsGuest(ROOT);
  assert.equal(guest.readFile('/proc/sys/net/core/somaxconn'), '4096\n');
  assert.equal(guest.writeFile('/proc/self/oom_score_adj', '-500'), 4);
  assert.equal(guest.open('/proc/version', O.WRONLY), E.EACCES);
  assert.equal(guest.writeFile('/proc/self/oom_score_adj', 'x'.repeat(5000)), E.EINVAL);
  const boot = guest.readFile('/proc/sys/kernel/random/boot_id');
  const records = new Records();
  guest.kernel.save(records, 'all');
  guest.load(records);
  assert.equal(guest.readFile('/proc/self/oom_score_adj'), '-500\n');
  assert.equal(guest.readFile('/proc/sys/kernel/random/boot_id'), boot);
  assert.match(
    `${boot}`,
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n$/,
  );
  assert.notEqual(guest.readFile('/proc/sys/kernel/random/uuid'), boot);
});

test('an open generated file keeps its text until it is read from the start again', () => {
  const guest = new FsGuest(ROOT);
  const fd = guest.open('/proc/self/oom_score_adj', O.RDWR);
  assert.equal(guest.read(fd, 1), '0');
  guest.writeFile('/proc/self/oom_score_adj', '77');
  const records = new Records();
  guest.kernel.save(records, 'all');
  guest.load(records);
  assert.equal(guest.read(fd, 5), '\n');
  assert.equal(guest.pread(fd, 5, 0), '77\n');
});

test('nothing is made, renamed or removed in generated trees', () => {
  const guest = new FsGuest(ROOT);
  assert.equal(guest.open('/proc/new', O.CREAT | O.RDWR), E.EPERM);
  assert.equal(guest.call('mkdir', guest.path('/sys/new'), 0o755), E.EPERM);
  assert.equal(guest.call('unlink', guest.path('/proc/version')), E.EPERM);
  assert.equal(guest.call('rmdir', guest.path('/proc')), E.EBUSY);
  assert.equal(guest.call('rename', guest.path('/proc'), guest.path('/p', 1)), E.EXDEV);
  assert.equal(guest.call('chmod', guest.path('/proc/version'), 0o777), E.EPERM);
  assert.equal(guest.call('link', guest.path('/proc/version'), guest.path('/v', 1)), E.EXDEV);
});

test('machine-wide texts that programs parse', () => {
  const guest = new FsGuest(ROOT);
  assert.equal(
    guest.readFile('/sys/kernel/mm/transparent_hugepage/enabled'),
    'always madvise [never]\n',
  );
  assert.match(guest.readFile('/sys/devices/system/cpu/online') as string, /^0(-\d+)?\n$/);
  assert.match(guest.readFile('/proc/meminfo') as string, /^MemTotal: +\d+ kB\n/);
  assert.match(guest.readFile('/proc/uptime') as string, /^\d+\.\d\d \d+\.\d\d\n$/);
  assert.match(guest.readFile('/proc/mounts') as string, /^overlay \/ overlay rw/);
  const { cpuinfo } = guest.sim.machine();
  assert.equal(guest.readFile('/proc/cpuinfo'), cpuinfo);
});

test('the devices', () => {
  const guest = new FsGuest(ROOT);
  const open = (name: string): number => guest.open(`/dev/${name}`, O.RDWR);
  assert.equal(guest.read(open('null'), 9), '');
  assert.equal(guest.write(open('null'), 'gone'), 4);
  assert.equal(guest.read(open('zero'), 4), '\0\0\0\0');
  assert.equal((guest.read(open('zero'), 300_000) as string).length, 300_000);
  assert.equal(guest.write(open('full'), 'x'), E.ENOSPC);
  const random = guest.read(open('urandom'), 32);
  assert.ok(typeof random === 'string' && random.length === 32 && random !== '\0'.repeat(32));
  assert.notEqual(guest.read(open('random'), 32), random);
  assert.equal(open('tty'), E.ENXIO);
  const stat = guest.stat('/dev/null');
  assert.deepEqual(typeof stat === 'number' ? stat : stat.mode, S.IFCHR | 0o666);
  assert.equal(guest.writeFile('/dev/shm/segment', 'shared'), 6);
  assert.deepEqual(names(guest, '/dev/pts'), []);
  const fd = open('zero');
  const records = new Records();
  guest.kernel.save(records, 'all');
  guest.load(records);
  assert.equal(guest.read(fd, 2), '\0\0');
  assert.equal(guest.readFile('/dev/shm/segment'), 'shared');
});
