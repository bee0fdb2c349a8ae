/**
 * Runs a program on the Linux host with any stack of interposers between host and library OS:
 *
 *     node stacked-main.js [tracer,checkpointer,...] [HOST_PORT:GUEST_PORT] PROGRAM [ARG...]
 *
 * The stack is named from the host upwards; '-' is an empty one, or no port. The checkpointer
 * captures all the time, and what it captured counts as acknowledged a little later, since it has
 * no backups here. Ends with the program's status; says on standard error what the interposers saw.
 */
import { closeSync, readFileSync, writeSync } from 'node:fs';
import { FaultPlan } from '../../src/base/fault-points.ts';
import type { Epoch } from '../../src/base/ids.ts';
import { SlabPool } from '../../src/checkpoint/slab.ts';
import { openPorts } from '../../src/cli/listen.ts';
import { Console } from '../../src/host/linux/console.ts';
import { LinuxHost } from '../../src/host/linux/linux-host.ts';
import { describeMachine } from '../../src/host/linux/machine.ts';
import { Checkpointer } from '../../src/interpose/checkpointer.ts';
import { ForwardingLvm } from '../../src/interpose/forwarding.ts';
import { Tracer } from '../../src/interpose/tracer.ts';
import { Kernel } from '../../src/libos/kernel.ts';
import { nativeNumbers } from '../../src/libos/table.ts';
import { Loop, Timer } from '../../src/loop/loop.ts';
import type { Lvm } from '../../src/lvm/api.ts';

const CAPTURE_NS = 3e6;
const ACKNOWLEDGE_NS = 300_000;
const UNACKNOWLEDGED_MAX = 4;

/** A checkpointer whose backups are a timer. */
function checkpointer(loop: Loop, below: Lvm, pool: SlabPool): Checkpointer {
  const waiting: Epoch[] = [];
  const acknowledge = new Timer(() => {
    for (const next of waiting.splice(0)) made.release(next);
    made.reconsider();
  });
  const capture = new Timer(() => {
    // The first one is a base: nobody has followed until then, and output is held from then on.
    if (!made.isProtected) made.captureBase(({ frame }) => frame.release());
    else if (waiting.length < UNACKNOWLEDGED_MAX) made.captureOrRetry();
    loop.setTimer(capture, loop.nowNs() + CAPTURE_NS);
  });
  const made: Checkpointer = new Checkpointer(
    below,
    {
      mayCapture: () => waiting.length < UNACKNOWLEDGED_MAX,
      captured: ({ delta }) => {
        waiting.push(delta.epoch);
        delta.finish();
        delta.release();
        loop.setTimer(acknowledge, loop.nowNs() + ACKNOWLEDGE_NS);
      },
    },
    pool,
    new FaultPlan([], () => {}),
  );
  loop.setTimer(capture, loop.nowNs() + CAPTURE_NS);
  return made;
}

function main([stack = '-', port = '-', program = '', ...args]: readonly string[]): void {
  const loop = new Loop();
  const write = (stream: 1 | 2, bytes: Uint8Array): number => {
    for (let done = 0; done < bytes.length; ) done += writeSync(stream, bytes.subarray(done));
    return bytes.length;
  };
  const console = new Console(write, { hasInput: true, isConfirmed: false });
  const [hostPort = 0, guestPort = 0] = port.split(':').map(Number);
  const address = '127.0.0.1';
  const ports = port === '-' ? [] : openPorts([{ address, port: hostPort, guestPort }]);
  const host = new LinuxHost(loop, console, {
    rootDirectory: '/',
    publications: ports,
    nativeNumbers,
    machine: describeMachine('stacked'),
    report: () => {},
  });
  const seen: (() => string)[] = [];
  let lvm: Lvm = host;
  for (const name of stack.split(',')) {
    if (name === 'tracer') {
      let lineCount = 0;
      lvm = new Tracer(lvm, { isVerbose: true, sink: () => (lineCount += 1) });
      seen.push((): string => `tracer ${lineCount}`);
    } else if (name === 'checkpointer') {
      const made = checkpointer(loop, lvm, new SlabPool());
      lvm = made;
      seen.push((): string => `checkpointer ${made.epoch}`);
    } else if (name === 'forwarding') lvm = new ForwardingLvm(lvm);
  }
  const kernel = new Kernel(lvm);
  kernel.onExited = (status) => {
    host.closeStreams();
    write(2, Buffer.from(`${seen.map((tell) => tell()).join(', ')}\n`));
    process.exitCode = status.kind === 'exited' ? status.code : 128 + status.signal;
    loop.stop();
  };
  const env = ['PATH=/usr/bin:/bin', 'LANG=C'];
  kernel.start({ program, argv: [program, ...args], env, cwd: '/' });
  console.feed(readFileSync(0), true);
  loop.run();
  for (const { fd } of ports) closeSync(fd);
}

main(process.argv.slice(2));
