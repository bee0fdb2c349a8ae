/**
 * The conformance suite of the LVM API: what any host, and any stack of interposers on one, must
 * do, as far as it shows without a guest program. A test file calls `lvmConformance` with a way to
 * make the host. Asserts the contract (src/lvm/api.ts) only; it never asserts how long something
 * takes.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { E } from '../../src/abi/errno.ts';
import { READY } from '../../src/lvm/api.ts';
import { Bench, type HostUnderTest, handleOf, STEPS_MAX, surroundings } from './bench.ts';

const MILLISECOND = 1e6;
/** More than any socket buffers hold, so that a writer must meet its limit. */
const FLOOD_BYTES_MAX = 256 * 1024 * 1024;

type Check = (title: string, body: (bench: Bench) => void | Promise<void>) => void;

function rootChecks(check: Check): void {
  check('rootStat tells type, mode and size, and never follows', ({ lvm }) => {
    const file = lvm.rootStat('/etc/motd');
    assert.ok(typeof file !== 'number');
    assert.deepEqual([file.type, file.mode, file.sizeBytes], ['file', 0o640, 13]);
    const link = lvm.rootStat('/etc/link');
    assert.ok(typeof link !== 'number');
    assert.deepEqual([link.type, link.sizeBytes], ['symlink', 4]);
    const directory = lvm.rootStat('/etc');
    assert.ok(typeof directory !== 'number');
    assert.equal(directory.type, 'directory');
    assert.equal(new Set([file.inode, link.inode, directory.inode]).size, 3);
    assert.ok(typeof lvm.rootStat('/') !== 'number');
  });

  check('what is not there is -ENOENT, what is below a file -ENOTDIR', ({ lvm }) => {
    assert.equal(lvm.rootStat('/etc/none'), E.ENOENT);
    assert.equal(lvm.rootStat('/none/none'), E.ENOENT);
    assert.equal(lvm.rootStat('/etc/motd/none'), E.ENOTDIR);
    assert.equal(lvm.rootReadlink('/etc/none'), E.ENOENT);
    assert.equal(lvm.rootList('/etc/none'), E.ENOENT);
    assert.equal(lvm.rootOpen('/etc/none'), E.ENOENT);
  });

  check('rootReadlink reads symlinks only', ({ lvm }) => {
    assert.equal(lvm.rootReadlink('/etc/link'), 'motd');
    assert.equal(lvm.rootReadlink('/etc/motd'), E.EINVAL);
  });

  check('rootList lists all but . and .., with the inodes of rootStat', ({ lvm }) => {
    const entries = lvm.rootList('/etc');
    assert.ok(typeof entries !== 'number');
    const kinds = entries.map(({ name, type }) => `${name} ${type}`).sort();
    assert.deepEqual(kinds, ['link symlink', 'many directory', 'motd file']);
    for (const { name, inode } of entries) {
      const stat = lvm.rootStat(`/etc/${name}`);
      assert.ok(typeof stat !== 'number');
      assert.equal(stat.inode, inode, name);
    }
    assert.equal(lvm.rootList('/etc/motd'), E.ENOTDIR);
  });

  check('no symlink leads on, so none leads out', ({ lvm }) => {
    for (const result of [lvm.rootStat('/up/etc'), lvm.rootOpen('/up/etc/motd')]) {
      assert.ok(typeof result === 'number' && result < 0);
    }
    for (const path of ['/etc/link', '/etc', '/up']) {
      const file = lvm.rootOpen(path);
      assert.ok(file < 0, `${path} can't be opened as a file`);
    }
  });

  check('rootRead reads at any offset', ({ lvm }) => {
    const first = handleOf(lvm.rootOpen('/etc/motd'));
    const second = handleOf(lvm.rootOpen('/etc/motd'));
    assert.notEqual(first, second);
    const target = Buffer.alloc(32, '.');
    assert.equal(lvm.rootRead(first, 7, target), 6);
    assert.equal(target.toString('latin1', 0, 8), 'guest\n..');
    assert.equal(lvm.rootRead(first, 0, target.subarray(0, 5)), 5);
    assert.equal(target.toString('latin1', 0, 8), 'hello\n..');
    assert.equal(lvm.rootRead(first, 13, target), 0);
    assert.equal(lvm.rootRead(first, 1e9, target), 0);
    lvm.rootClose(first);
    assert.equal(lvm.rootRead(second, 0, target), 13);
    lvm.rootClose(second);
  });
}

function launchChecks(check: Check): void {
  check('launch of what is no program tells the errno, and nothing starts', async (bench) => {
    const launch = (program: string) => bench.lvm.launch({ program, argv: [program], env: [] });
    assert.equal(launch('/bin/none'), E.ENOENT);
    assert.equal(launch('/etc'), E.EACCES);
    assert.equal(launch('/etc/motd'), E.EACCES);
    assert.equal(launch('/bin/junk'), E.ENOEXEC);
    await bench.host.step();
    assert.deepEqual(bench.client.upcalls, []);
  });
}

function listenChecks(check: Check): void {
  check('only published ports take connections', ({ lvm }) => {
    assert.equal(lvm.streamListen(surroundings.unpublished), E.EADDRNOTAVAIL);
  });

  check('a connection makes the listener ready and is accepted once', async (bench) => {
    const listener = bench.listen();
    assert.equal(bench.lvm.streamAccept(listener), E.EAGAIN);
    bench.host.connect(surroundings.published);
    await bench.until('listener ready', () => (bench.client.readyBits(listener) & READY.in) !== 0);
    const accepted = bench.lvm.streamAccept(listener);
    assert.ok(typeof accepted !== 'number');
    assert.notEqual(accepted.stream, listener);
    assert.ok(accepted.peer.port > 0 && accepted.peer.host !== '');
    assert.equal(accepted.local.port, surroundings.published);
    assert.equal(bench.lvm.streamAccept(listener), E.EAGAIN);
  });

  check('a connection that came before listening is not lost', async (bench) => {
    const peer = bench.host.connect(surroundings.published);
    await bench.host.step();
    const listener = bench.listen();
    await bench.until('listener ready', () => (bench.client.readyBits(listener) & READY.in) !== 0);
    const accepted = bench.lvm.streamAccept(listener);
    assert.ok(typeof accepted !== 'number');
    bench.lvm.streamWrite(accepted.stream, Buffer.from('hi'));
    assert.equal((await bench.received(peer, 2)).toString(), 'hi');
  });

  check('a listener that was closed can be opened again', async (bench) => {
    const first = bench.listen();
    const before = await bench.connected(first);
    bench.lvm.streamClose(first, false);
    const second = bench.listen();
    assert.notEqual(second, first);
    const after = await bench.connected(second);
    for (const { stream, peer } of [before, after]) {
      bench.lvm.streamWrite(stream, Buffer.from('ok'));
      assert.equal((await bench.received(peer, 2)).toString(), 'ok');
    }
  });
}

function streamChecks(check: Check): void {
  check('bytes go both ways, and arrays handed in are the caller’s again', async (bench) => {
    const { stream, peer } = await bench.connected(bench.listen());
    assert.equal(bench.lvm.streamRead(stream, Buffer.alloc(8)), E.EAGAIN);
    bench.client.clear();
    peer.send(Buffer.from('question'));
    await bench.until('ready in', () => (bench.client.readyBits(stream) & READY.in) !== 0);
    assert.equal((await bench.read(stream, 8)).toString(), 'question');
    assert.equal(bench.lvm.streamRead(stream, Buffer.alloc(8)), E.EAGAIN);
    const answer = Buffer.from('answer');
    assert.equal(bench.lvm.streamWrite(stream, answer), 6);
    answer.fill(0);
    assert.equal((await bench.received(peer, 6)).toString(), 'answer');
  });

  check('what one read leaves the next one gets', async (bench) => {
    const { stream, peer } = await bench.connected(bench.listen());
    peer.send(Buffer.from('0123456789'));
    assert.equal((await bench.read(stream, 4)).toString(), '0123');
    assert.equal((await bench.read(stream, 6)).toString(), '456789');
  });

  check('the peer’s end is read as 0 after its bytes; writing goes on', async (bench) => {
    const { stream, peer } = await bench.connected(bench.listen());
    bench.client.clear();
    peer.send(Buffer.from('last'));
    peer.end();
    assert.equal((await bench.read(stream, 4)).toString(), 'last');
    assert.equal(await bench.readResult(stream), 0);
    assert.equal(await bench.readResult(stream), 0);
    await bench.until('hup', () => (bench.client.readyBits(stream) & READY.hup) !== 0);
    assert.equal(bench.client.readyBits(stream), READY.in | READY.out | READY.hup);
    assert.equal(bench.lvm.streamWrite(stream, Buffer.from('bye')), 3);
    assert.equal((await bench.received(peer, 3)).toString(), 'bye');
  });

  check('streamShutdown ends the sending side after what was written', async (bench) => {
    const { stream, peer } = await bench.connected(bench.listen());
    bench.lvm.streamWrite(stream, Buffer.from('tail'));
    bench.lvm.streamShutdown(stream);
    assert.equal((await bench.received(peer, 4)).toString(), 'tail');
    await bench.until('end', () => peer.take().length === 0 && peer.isEnded);
    assert.equal(bench.lvm.streamWrite(stream, Buffer.from('x')), E.EPIPE);
    peer.send(Buffer.from('still'));
    assert.equal((await bench.read(stream, 5)).toString(), 'still');
  });

  check('a reset by the peer is told once as -ECONNRESET', async (bench) => {
    const { stream, peer } = await bench.connected(bench.listen());
    bench.client.clear();
    peer.reset();
    await bench.until('ready', () => (bench.client.readyBits(stream) & READY.error) !== 0);
    assert.equal(await bench.readResult(stream), E.ECONNRESET);
    assert.equal(await bench.readResult(stream), 0);
    assert.equal(bench.lvm.streamWrite(stream, Buffer.from('x')), E.EPIPE);
  });

  check('a full stream takes no more until ready says so; nothing is lost', async (bench) => {
    const { stream, peer } = await bench.connected(bench.listen());
    const chunk = Buffer.alloc(64 * 1024);
    let written = 0;
    for (;;) {
      for (let at = 0; at < chunk.length; at += 1) chunk[at] = (written + at) % 251;
      const count = bench.lvm.streamWrite(stream, chunk);
      if (count === E.EAGAIN) break;
      assert.ok(count > 0 && count <= chunk.length, `write gave ${count}`);
      written += count;
      assert.ok(written < FLOOD_BYTES_MAX, 'there is a limit');
    }
    bench.client.clear();
    const bytes = await bench.received(peer, written);
    assert.equal(bytes.length, written);
    assert.ok(
      bytes.every((byte, index) => byte === index % 251),
      'in order',
    );
    await bench.until('ready out', () => (bench.client.readyBits(stream) & READY.out) !== 0);
    assert.ok(bench.lvm.streamWrite(stream, chunk) > 0);
  });

  check('streamClose lets what was written arrive, then the end', async (bench) => {
    const { stream, peer } = await bench.connected(bench.listen());
    bench.lvm.streamWrite(stream, Buffer.from('farewell'));
    bench.lvm.streamClose(stream, false);
    assert.equal((await bench.received(peer, 8)).toString(), 'farewell');
    await bench.until('end', () => peer.take().length === 0 && peer.isEnded);
    assert.equal(peer.isReset, false);
  });

  check('streamClose with reset resets', async (bench) => {
    const { stream, peer } = await bench.connected(bench.listen());
    bench.lvm.streamClose(stream, true);
    await bench.until('reset', () => {
      peer.take();
      return peer.isReset;
    });
  });

  check('streams do not mix', async (bench) => {
    const listener = bench.listen();
    const one = await bench.connected(listener);
    const two = await bench.connected(listener);
    one.peer.send(Buffer.from('one'));
    two.peer.send(Buffer.from('two'));
    assert.equal((await bench.read(two.stream, 3)).toString(), 'two');
    assert.equal((await bench.read(one.stream, 3)).toString(), 'one');
    bench.lvm.streamClose(one.stream, true);
    bench.lvm.streamWrite(two.stream, Buffer.from('alive'));
    assert.equal((await bench.received(two.peer, 5)).toString(), 'alive');
  });
}

function timeChecks(check: Check): void {
  check('clocks go forward', async ({ lvm, host }) => {
    const before = lvm.clock('monotonic');
    const realBefore = lvm.clock('realtime');
    await host.pass(2 * MILLISECOND);
    assert.ok(lvm.clock('monotonic') >= before + 2 * MILLISECOND);
    assert.ok(lvm.clock('realtime') > realBefore);
    assert.ok(lvm.clock('realtime') > 1_600_000_000e9, 'realtime counts from 1970');
    for (const name of ['boottime', 'process-cpu', 'thread-cpu'] as const) {
      assert.ok(lvm.clock(name) >= 0, name);
    }
  });

  check('the alarm rings once, not before its time', async (bench) => {
    const deadline = bench.lvm.clock('monotonic') + 5 * MILLISECOND;
    bench.lvm.setAlarm(deadline);
    for (let step = 0; bench.client.of('alarm').length === 0; step += 1) {
      assert.ok(step < STEPS_MAX, 'it rings');
      await bench.host.pass(MILLISECOND / 4);
    }
    assert.ok(bench.lvm.clock('monotonic') >= deadline, 'not too early');
    await bench.host.pass(10 * MILLISECOND);
    assert.equal(bench.client.of('alarm').length, 1);
  });

  check('a new alarm replaces the one before, Infinity cancels it', async (bench) => {
    const now = bench.lvm.clock('monotonic');
    bench.lvm.setAlarm(now + 2 * MILLISECOND);
    bench.lvm.setAlarm(now + 3600e9);
    await bench.host.pass(6 * MILLISECOND);
    assert.equal(bench.client.of('alarm').length, 0);
    bench.lvm.setAlarm(bench.lvm.clock('monotonic') + 4 * MILLISECOND);
    bench.lvm.setAlarm(Infinity);
    await bench.host.pass(10 * MILLISECOND);
    assert.equal(bench.client.of('alarm').length, 0);
  });

  check('an alarm in the past rings at once', async (bench) => {
    bench.lvm.setAlarm(bench.lvm.clock('monotonic') - 1);
    assert.equal(bench.client.of('alarm').length, 0, 'not from inside the call');
    await bench.until('alarm', () => bench.client.of('alarm').length === 1);
  });
}

function chanceAndMachineChecks(check: Check): void {
  check('random fills the whole of what it is given, differently each time', ({ lvm }) => {
    const first = Buffer.alloc(1024);
    const second = Buffer.alloc(1024);
    lvm.random(first);
    lvm.random(second);
    assert.notDeepEqual(first, second);
    for (const bytes of [first, second]) {
      const values = new Set(bytes);
      assert.ok(values.size > 128, `${values.size} of 256 byte values in 1024 bytes`);
      assert.ok(bytes.subarray(1000).some((byte) => byte !== 0));
    }
    lvm.random(new Uint8Array(0));
  });

  check('machine is sane and stays the same', ({ lvm }) => {
    const machine = lvm.machine();
    assert.ok(Number.isInteger(machine.cpuCount) && machine.cpuCount >= 1);
    assert.ok(machine.memoryBytes > 0 && machine.hostname !== '');
    assert.deepEqual(lvm.machine(), machine);
  });
}

function consoleChecks(check: Check): void {
  check('standard output and error are apart and in order', async (bench) => {
    const { lvm, host } = bench;
    const text = Buffer.from('first ');
    assert.equal(lvm.consoleWrite(1, text), 6);
    text.fill(0);
    assert.equal(lvm.consoleWrite(2, Buffer.from('trouble')), 7);
    assert.equal(lvm.consoleWrite(1, Buffer.from('second')), 6);
    let [out, error] = ['', ''];
    await bench.until('all output', () => {
      out += host.output(1).toString();
      error += host.output(2).toString();
      return out.length >= 12 && error.length >= 7;
    });
    assert.deepEqual([out, error], ['first second', 'trouble']);
  });

  check('standard input comes with readiness of handle 0, then its end', async (bench) => {
    const { lvm, host, client } = bench;
    const target = Buffer.alloc(16);
    assert.equal(lvm.consoleRead(target), E.EAGAIN);
    host.input(Buffer.from('typed'));
    await bench.until('ready', () => (client.readyBits(0) & READY.in) !== 0);
    assert.equal(lvm.consoleRead(target.subarray(0, 2)), 2);
    assert.equal(lvm.consoleRead(target.subarray(2)), 3);
    assert.equal(target.toString('latin1', 0, 5), 'typed');
    assert.equal(lvm.consoleRead(target), E.EAGAIN);
    client.clear();
    host.endInput();
    await bench.until('ready', () => (client.readyBits(0) & READY.in) !== 0);
    assert.equal(lvm.consoleRead(target), 0);
  });
}

/** Defines the suite for one way of making a host; each test gets a host of its own. */
export function lvmConformance(
  name: string,
  makeHost: () => HostUnderTest | Promise<HostUnderTest>,
): void {
  describe(`${name} conforms to the LVM API`, () => {
    const check: Check = (title, body) => {
      test(title, async () => {
        const host = await makeHost();
        try {
          await body(new Bench(host));
        } finally {
          await host.close();
        }
      });
    };
    const families = [rootChecks, launchChecks, listenChecks, streamChecks];
    for (const family of families) family(check);
    timeChecks(check);
    chanceAndMachineChecks(check);
    consoleChecks(check);
  });
}
