/**
 * Tests of inotify.ts and notifier.ts, by calls. What Linux tells of each call is in
 * test/guests/watches.c; here are the root, saving, and limits.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digest, FsGuest } from '../../../test/support/fs-guest.ts';
import { Records } from '../../../test/support/records.ts';
import { E } from '../../abi/errno.ts';
import { IN } from '../../abi/event.ts';
import { AT, IOCTL, O } from '../../abi/fs.ts';
import { INOTIFY_LIMITS } from './inotify.ts';

const ROOT = { '/d/a': 'file of the root', '/d/sub/b': 'b', '/d/other': 'o' };

const NAMES = new Map(Object.entries(IN).map(([name, bit]) => [bit, name]));

class Watcher extends FsGuest {
  fd = this.call('inotify_init1', IN.nonblock);

  watch(path: string, mask: number = IN.events): number {
    return this.call('inotify_add_watch', this.fd, this.path(path), mask);
  }

  /** All that is queued: `wd event[,isDirectory] [name]`. */
  events(room = 4096): string[] {
    const found: string[] = [];
    for (;;) {
      const got = this.call('read', this.fd, this.buffer, room);
      if (got === E.EAGAIN) return found;
      assert.ok(got > 0, `read gives ${got}`);
      const bytes = this.sim.guest.peek(this.buffer, got);
      for (let at = 0; at < got; at += 16 + bytes.readUInt32LE(at + 12)) {
        const mask = bytes.readUInt32LE(at + 4);
        const parts = [...NAMES].filter(([bit]) => bit !== IN.events && bit & mask & 0x4000_ffff);
        const name = bytes.toString('latin1', at + 16, at + 16 + bytes.readUInt32LE(at + 12));
        const words = parts.map(([, word]) => word).join(',');
        found.push(`${bytes.readInt32LE(at)} ${words} ${name.replace(/\0+$/, '')}`.trim());
      }
    }
  }

  reload(): void {
    const records = new Records();
    this.kernel.save(records, 'all');
    this.load(records);
  }
}

test('files of the root are told of by their directory, and by themselves', () => {
  const guest = new Watcher(ROOT);
  assert.equal(guest.watch('/d'), 1);
  assert.equal(guest.readFile('/d/a'), 'file of the root');
  assert.deepEqual(guest.events(), ['1 open a', '1 access a', '1 closeNowrite a']);
  assert.equal(guest.watch('/d/a', IN.modify | IN.deleteSelf), 2);
  const reader = guest.open('/d/a', O.RDONLY);
  guest.writeFile('/d/a', 'new');
  assert.deepEqual(guest.events(), [
    '1 open a',
    '1 modify a',
    '2 modify',
    '1 modify a',
    '2 modify',
    '1 closeWrite a',
  ]);
  guest.call('rename', guest.path('/d/other'), guest.path('/d/a', 1));
  assert.deepEqual(guest.events(), ['1 movedFrom other', '1 movedTo a']);
  guest.call('close', reader);
  assert.deepEqual(guest.events(), ['1 closeNowrite a', '2 deleteSelf', '2 ignored']);
  guest.call('unlinkat', AT.FDCWD, guest.path('/d/sub/b'), 0);
  guest.call('rmdir', guest.path('/d/sub'));
  assert.deepEqual(guest.events(), ['1 delete,isDirectory sub']);
});

test('calls that only attributes show; hard links; from file to file', () => {
  const guest = new Watcher(ROOT);
  guest.watch('/d', IN.events & ~(IN.open | IN.closeWrite | IN.closeNowrite));
  const name = guest.path('user.x', 1);
  guest.call('setxattr', guest.path('/d/a'), name, guest.buffer, 3, 0);
  assert.deepEqual(guest.events(), ['1 attrib a']);
  guest.call('removexattr', guest.path('/d/a'), name);
  guest.call('chown', guest.path('/d/a'), 5, -1);
  assert.deepEqual(guest.events(), ['1 attrib a'], 'equal events are one');
  guest.call('chown', guest.path('/d/a'), -1, -1);
  assert.deepEqual(guest.events(), []);
  const target = guest.open('/d/copy', O.CREAT | O.RDWR);
  assert.equal(guest.call('sendfile', target, guest.open('/d/a', O.RDONLY), 0, 4), 4);
  assert.deepEqual(guest.events(), ['1 create copy', '1 access a', '1 modify copy']);
  guest.call('utime', guest.path('/d/a'), 0);
  assert.deepEqual(guest.events(), ['1 attrib a']);
});

test('watches, queued events and what files were called survive a restore', () => {
  const guest = new Watcher(ROOT);
  guest.watch('/d');
  guest.watch('/proc/self/status');
  guest.watch('/');
  guest.call('inotify_rm_watch', guest.fd, 3);
  const open = guest.open('/d/new', O.CREAT | O.RDWR);
  guest.call('unlink', guest.path('/d/new'));
  for (let index = 0; index < 200; index += 1) {
    guest.call('mkdir', guest.path(`/d/${index}`), 0o755);
  }
  assert.equal(guest.events(64).length > 0, true);
  for (let index = 0; index < 200; index += 1) {
    guest.call('rmdir', guest.path(`/d/${index}`));
  }
  guest.reload();
  assert.equal(guest.watch('/d', IN.maskAdd | IN.open), 1);
  assert.equal(guest.watch('/proc/self/status'), 2);
  assert.equal(guest.watch('/'), 4, 'numbers are not given again');
  const deleted = Array.from({ length: 200 }, (_, index) => `1 delete,isDirectory ${index}`);
  assert.deepEqual(guest.events(), deleted);
  guest.call('close', open);
  assert.deepEqual(guest.events(), ['1 closeWrite new']);
  const cookie = (): number => {
    guest.call('rename', guest.path('/d/a'), guest.path('/d/b', 1));
    guest.call('rename', guest.path('/d/b'), guest.path('/d/a', 1));
    guest.call('read', guest.fd, guest.buffer, 4096);
    return guest.sim.guest.peekU32(guest.buffer + 8);
  };
  const first = cookie();
  guest.reload();
  assert.equal(cookie(), first + 2);
});

test('an open file outlives its name and the directory that it was in, over a restore', () => {
  const guest = new Watcher(ROOT);
  guest.call('mkdir', guest.path('/gone'), 0o755);
  const fd = guest.open('/gone/file', O.CREAT | O.RDWR);
  guest.watch('/gone', IN.closeWrite | IN.deleteSelf);
  guest.call('unlink', guest.path('/gone/file'));
  const records = new Records();
  guest.kernel.save(records, 'all');
  guest.call('rmdir', guest.path('/gone'));
  guest.kernel.save(records, 'changes');
  guest.load(records);
  guest.call('close', fd);
  assert.deepEqual(guest.events(), ['1 deleteSelf', '1 ignored']);
});

test('what changed is all that a delta needs', () => {
  const guest = new Watcher(ROOT);
  const [deltas, whole] = [new Records(), new Records()];
  guest.kernel.save(deltas, 'all');
  for (let round = 0; round < 6; round += 1) {
    const wd = guest.watch('/d');
    for (let index = 0; index < 100; index += 1) {
      guest.writeFile(`/d/${index % 7}`, 'text');
      if (index % 30 === round) guest.kernel.save(deltas, 'changes');
    }
    if (round % 2 === 0) guest.call('read', guest.fd, guest.buffer, 4000);
    if (round === 3) guest.call('inotify_rm_watch', guest.fd, wd);
    if (round === 4) guest.events();
    guest.kernel.save(deltas, 'changes');
  }
  guest.kernel.save(whole, 'all');
  assert.equal(digest(deltas), digest(whole));
});

test('the queue overflows once and goes on when it is read', () => {
  const guest = new Watcher(ROOT);
  guest.watch('/d', IN.create | IN.delete);
  const churn = (): void => {
    guest.call('mkdir', guest.path('/d/x'), 0o755);
    guest.call('rmdir', guest.path('/d/x'));
  };
  for (let index = 0; index < INOTIFY_LIMITS.events / 2 + 3; index += 1) churn();
  guest.reload();
  churn();
  const size = guest.call('ioctl', guest.fd, IOCTL.FIONREAD, guest.buffer);
  assert.equal(size, 0);
  assert.equal(guest.sim.guest.peekU32(guest.buffer), INOTIFY_LIMITS.events * 32 + 16);
  const events = guest.events();
  assert.equal(events.length, INOTIFY_LIMITS.events + 1);
  assert.equal(events.at(-1), '-1 overflow');
  churn();
  assert.equal(guest.events().length, 2);
});

test('there are limits to instances and watches, and closing gives them back', () => {
  const guest = new Watcher(ROOT);
  const { notifier } = guest.kernel.fs.context;
  const fds: number[] = [];
  for (;;) {
    const fd = guest.call('inotify_init');
    if (fd < 0) {
      assert.equal(fd, E.EMFILE);
      break;
    }
    fds.push(fd);
  }
  assert.equal(fds.length + 1, INOTIFY_LIMITS.instances);
  for (const fd of fds) guest.call('close', fd);
  guest.watch('/d');
  notifier.watchCount += INOTIFY_LIMITS.watches - 1;
  assert.equal(guest.watch('/d/a'), E.ENOSPC);
  notifier.watchCount -= INOTIFY_LIMITS.watches - 1;
  guest.call('close', guest.fd);
  assert.deepEqual([notifier.watchCount, notifier.instanceCount], [0, 0]);
  assert.equal(notifier.isActive, false);
});

test('the root, of which all names are below, has no directory that is told', () => {
  const guest = new Watcher(ROOT);
  guest.watch('/');
  guest.readdir('/');
  assert.deepEqual(guest.events(), [
    '1 open,isDirectory',
    '1 access,isDirectory',
    '1 closeNowrite,isDirectory',
  ]);
});
