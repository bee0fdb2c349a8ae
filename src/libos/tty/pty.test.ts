/** Tests of pty.ts, pty-file.ts and ioctl.ts, by calls: names, saving, limits, what is woken. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LibosGuest } from '../../../test/libos/guest.ts';
import { E } from '../../abi/errno.ts';
import { AT, O } from '../../abi/fs.ts';
import { TTY_IOCTL } from '../../abi/tty.ts';

class Terminals extends LibosGuest {
  open(path: string, flags: number = O.RDWR | O.NOCTTY): number {
    return this.call('openat', AT.FDCWD, this.bytes(`${path}\0`), flags, 0);
  }

  /** ioctl with an int behind its pointer; what stands there then, or -errno. */
  number(fd: number, request: number, value = 0): number {
    const at = this.sim.guest.u32s(value);
    const failed = this.call('ioctl', fd, request, at);
    return failed < 0 ? failed : this.sim.guest.peekU32(at);
  }

  pair(): { master: number; slave: number } {
    const master = this.open('/dev/ptmx');
    assert.equal(this.number(master, TTY_IOCTL.TIOCSPTLCK, 0), 0);
    const slave = this.open(`/dev/pts/${this.number(master, TTY_IOCTL.TIOCGPTN)}`);
    assert.ok(slave > master);
    return { master, slave };
  }

  put(fd: number, text: string): number {
    return this.call('write', fd, this.bytes(text), text.length);
  }

  take(fd: number, count = 4096): string | number {
    const got = this.call('read', fd, this.area(), count);
    return got < 0 ? got : this.peek(this.area(), got);
  }

  poll(fd: number): number {
    const at = this.sim.guest.u32s(fd, 0x7);
    this.call('poll', at, 1, 0);
    return this.sim.guest.peekU32(at + 4) >>> 16;
  }

  /** Asked by thread 2; the numbers of the process's signals since the last. */
  signals(): number[] {
    return this.sim.signals.splice(0).map(({ number }) => number);
  }
}

test('names: the lowest free number, as long as the master is open', () => {
  const guest = new Terminals();
  const first = guest.pair();
  const second = guest.pair();
  assert.equal(guest.number(second.master, TTY_IOCTL.TIOCGPTN), 1);
  guest.call('close', first.master);
  assert.equal(guest.open('/dev/pts/0'), E.ENOENT);
  guest.restore();
  assert.equal(guest.take(first.slave), '', 'hung up');
  assert.equal(guest.number(guest.open('/dev/ptmx'), TTY_IOCTL.TIOCGPTN), 0);
  assert.equal(guest.open('/dev/pts/0'), E.EIO, 'locked');
  const before = guest.kernel.objects.count;
  guest.call('close', first.slave);
  assert.equal(guest.kernel.objects.count, before - 3, 'nothing is left of it');
});

test('a name that the guest took away itself is nobody’s', () => {
  const guest = new Terminals();
  const { master, slave } = guest.pair();
  guest.call('unlink', guest.bytes('/dev/pts/0\0'));
  assert.equal(guest.call('mknod', guest.bytes('/dev/pts/0\0'), 0o100644, 0), 0);
  const peer = guest.call('ioctl', master, TTY_IOCTL.TIOCGPTPEER, O.RDWR | O.NOCTTY);
  assert.equal(guest.put(peer, 'peer'), 4);
  assert.equal(guest.take(master), 'peer');
  for (const fd of [master, slave, peer]) guest.call('close', fd);
  assert.ok(guest.open('/dev/pts/0', O.RDONLY) >= 0);
});

test('all of a terminal survives a restore', () => {
  const guest = new Terminals();
  const { master, slave } = guest.pair();
  const size = guest.bytes(Buffer.of(24, 0, 80, 0, 0, 0, 0, 0));
  guest.call('ioctl', slave, TTY_IOCTL.TIOCSWINSZ, size);
  guest.put(slave, 'prompt> ');
  guest.put(master, 'line\nhalf');
  guest.number(master, TTY_IOCTL.TIOCPKT, 1);
  guest.save();
  guest.put(master, '\x13');
  guest.restore();
  assert.equal(guest.take(master), '\x04', 'packet mode: stopped');
  assert.equal(guest.take(master), '\0prompt> line\r\nhalf');
  assert.equal(guest.poll(slave), 1, 'readable, and stopped');
  guest.put(master, '\x11\n');
  assert.equal(guest.take(slave), 'line\n');
  assert.equal(guest.take(slave), 'half\n');
  const back = guest.sim.guest.alloc(8);
  assert.equal(guest.call('ioctl', master, TTY_IOCTL.TIOCGWINSZ, back), 0);
  assert.equal(guest.sim.guest.peekU32(back), (80 << 16) | 24);
  guest.restore();
  guest.call('close', slave);
  guest.take(master);
  assert.equal(guest.take(master), '\0\r\n');
  assert.equal(guest.take(master), E.EIO);
  assert.equal(guest.poll(master), 0x14, 'hung up, writable');
});

test('a reader waits for its line, over a restore; a writer for room', () => {
  const guest = new Terminals();
  guest.addThread(2);
  const { master, slave } = guest.pair();
  const buffer = guest.sim.guest.alloc(65_536);
  const ask = () => guest.sim.call(2, 'read', slave, buffer, 100);
  assert.equal(ask(), 'blocked');
  guest.put(master, 'not ye');
  assert.equal(guest.sim.takeAnswer(2), null);
  guest.restore();
  assert.equal(ask(), 'blocked');
  guest.put(master, 't\r');
  assert.equal(guest.sim.takeAnswer(2), 8);
  assert.equal(guest.peek(buffer, 8), 'not yet\n');
  guest.take(master);
  assert.equal(guest.sim.call(2, 'write', slave, buffer, 20_000), 'blocked');
  let shown = 0;
  while (shown < 20_000) shown += (guest.take(master, 5000) as string).length;
  assert.equal(guest.sim.takeAnswer(2), 20_000);
});

test('the controlling terminal: keys, size and the end of the master are signals', () => {
  const guest = new Terminals();
  const { master, slave } = guest.pair();
  assert.equal(guest.open('/dev/tty'), E.ENXIO);
  guest.put(master, '\x03');
  assert.deepEqual(guest.signals(), [], 'it controls nothing yet');
  assert.equal(guest.call('ioctl', slave, TTY_IOCTL.TIOCSCTTY, 0), 0);
  assert.equal(guest.call('ioctl', slave, TTY_IOCTL.TIOCSCTTY, 0), 0);
  const other = guest.pair();
  assert.equal(guest.call('ioctl', other.slave, TTY_IOCTL.TIOCSCTTY, 0), E.EPERM);
  guest.restore();
  const tty = guest.open('/dev/tty');
  assert.equal(guest.number(tty, TTY_IOCTL.TIOCGPGRP), 1);
  assert.equal(guest.number(tty, TTY_IOCTL.TIOCGSID), 1);
  guest.put(master, '\x03\x1c');
  guest.call('ioctl', master, TTY_IOCTL.TIOCSIG, 20);
  guest.call('ioctl', master, TTY_IOCTL.TIOCSWINSZ, guest.bytes('12345678'));
  assert.deepEqual(guest.signals(), [2, 3, 20, 28]);
  assert.equal(guest.call('ioctl', tty, TTY_IOCTL.TIOCNOTTY, 0), 0);
  assert.deepEqual(guest.signals(), [1, 18]);
  assert.equal(guest.open('/dev/tty'), E.ENXIO);
  guest.open('/dev/pts/0', O.RDWR);
  assert.equal(guest.number(slave, TTY_IOCTL.TIOCGPGRP), 1, 'opened without O_NOCTTY');
  guest.call('close', master);
  assert.deepEqual(guest.signals(), [1, 18]);
  assert.equal(guest.put(slave, 'x'), E.EIO);
});

test('a read with VTIME ends when the time is up', () => {
  const guest = new Terminals();
  guest.addThread(2);
  const { master, slave } = guest.pair();
  const settings = guest.sim.guest.alloc(36);
  const set = (least: number, tenths: number): void => {
    guest.call('ioctl', slave, TTY_IOCTL.TCGETS, settings);
    const bytes = guest.sim.guest.peek(settings, 36);
    bytes.writeUInt32LE(0, 12);
    bytes[17 + 5] = tenths;
    bytes[17 + 6] = least;
    guest.sim.guest.poke(settings, bytes);
    assert.equal(guest.call('ioctl', slave, TTY_IOCTL.TCSETSW, settings), 0);
  };
  const ask = () => guest.sim.call(2, 'read', slave, guest.area(), 100);
  set(0, 5);
  assert.equal(ask(), 'blocked');
  guest.sim.advance(499e6);
  assert.equal(guest.sim.takeAnswer(2), null);
  guest.sim.advance(2e6);
  assert.equal(guest.sim.takeAnswer(2), 0);
  set(3, 5);
  assert.equal(ask(), 'blocked');
  guest.sim.advance(1e9);
  assert.equal(guest.sim.takeAnswer(2), null, 'no time runs before the first byte');
  guest.put(master, 'a');
  guest.put(master, 'b');
  guest.sim.advance(600e6);
  assert.equal(guest.sim.takeAnswer(2), 2);
});
