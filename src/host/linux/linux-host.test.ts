/**
 * Tests of linux-host.ts without a guest: it conforms to the LVM API as the simulated host does,
 * bare and with interposers on it. With guests: test/exec.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  type HostUnderTest,
  type OutsidePeer,
  surroundings,
} from '../../../test/conformance/bench.ts';
import { lvmConformance } from '../../../test/conformance/lvm.ts';
import { delay } from '../../../test/support/wait.ts';
import { closePorts, openPorts } from '../../cli/listen.ts';
import { Tracer } from '../../interpose/tracer.ts';
import { nativeNumbers } from '../../libos/table.ts';
import { Loop } from '../../loop/loop.ts';
import type { Lvm } from '../../lvm/api.ts';
import { Console } from './console.ts';
import { LinuxHost } from './linux-host.ts';
import { describeMachine } from './machine.ts';

function makeRoot(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tg-host-'));
  for (const [path, entry] of Object.entries(surroundings.root)) {
    const at = join(folder, path);
    mkdirSync(dirname(at), { recursive: true });
    if ('link' in entry) {
      symlinkSync(entry.link, at);
    } else {
      writeFileSync(at, entry.file);
      chmodSync(at, entry.mode);
    }
  }
  return folder;
}

/** A client of node's own: what it sends and gets moves while the test awaits. */
function outsidePeer(port: number): OutsidePeer {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  const parts: Buffer[] = [];
  let isEnded = false;
  let isReset = false;
  socket.on('data', (bytes) => parts.push(bytes));
  socket.on('end', () => {
    isEnded = true;
  });
  socket.on('error', (error) => {
    isReset ||= (error as NodeJS.ErrnoException).code === 'ECONNRESET';
  });
  return {
    send: (data) => {
      socket.write(data);
    },
    take: () => Buffer.concat(parts.splice(0)),
    get isEnded() {
      return isEnded && parts.length === 0;
    },
    get isReset() {
      return isReset;
    },
    end: () => {
      socket.end();
    },
    reset: () => {
      socket.resetAndDestroy();
    },
  };
}

function linuxUnderTest(wrap: (host: Lvm) => Lvm): HostUnderTest {
  const loop = new Loop();
  const root = makeRoot();
  const written: Record<1 | 2, Buffer[]> = { 1: [], 2: [] };
  const write = (stream: 1 | 2, bytes: Uint8Array): number => {
    written[stream].push(Buffer.from(bytes));
    return bytes.length;
  };
  const console = new Console(write, { hasInput: true, isConfirmed: false });
  const spec = { address: '127.0.0.1', port: 0, guestPort: surroundings.published };
  const ports = openPorts([spec]);
  const host = new LinuxHost(loop, console, {
    rootDirectory: root,
    publications: ports,
    nativeNumbers,
    machine: describeMachine('test'),
    report: () => {},
  });
  const step = async (): Promise<void> => {
    loop.turn(0);
    await delay(0);
  };
  return {
    lvm: wrap(host),
    connect: () => outsidePeer(ports[0]?.port ?? 0),
    step,
    pass: async (durationNs) => {
      const end = host.clock('monotonic') + durationNs;
      while (host.clock('monotonic') < end) await step();
    },
    output: (stream) => Buffer.concat(written[stream].splice(0)),
    input: (data) => {
      console.feed(data, false);
    },
    endInput: () => {
      console.feed(Buffer.alloc(0), true);
    },
    close: () => {
      host.closeStreams();
      closePorts(ports);
      rmSync(root, { recursive: true, force: true });
    },
  };
}

lvmConformance('LinuxHost', () => linuxUnderTest((host) => host));
lvmConformance('Tracer on LinuxHost', () => linuxUnderTest((host) => new Tracer(host)));
