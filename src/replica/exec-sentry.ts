/**
 * The sentry thread of `tardigrade exec`: sandbox and library OS, no replication. A worker thread
 * of the command line's process, which sends input and signals and gets the exit status. Output
 * goes to the process's own descriptors 1 and 2.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { E } from '../abi/errno.ts';
import { present } from '../base/assert.ts';
import { TardigradeError } from '../base/errors.ts';
import { poll, write } from '../ffi/native.ts';
import { Console } from '../host/linux/console.ts';
import { LinuxHost } from '../host/linux/linux-host.ts';
import { describeMachine } from '../host/linux/machine.ts';
import { Tracer } from '../interpose/tracer.ts';
import { Kernel } from '../libos/kernel.ts';
import { sendSignalToProcess } from '../libos/signal/send.ts';
import { nativeNumbers } from '../libos/table.ts';
import { Loop } from '../loop/loop.ts';
import type { Lvm } from '../lvm/api.ts';
import { explainLaunch } from './launch-error.ts';
import { MainPort } from './main-port.ts';
import type { ReplicaOptions, SentryCommand } from './messages.ts';
import { unsupportedCalls } from './stats.ts';

const POLLOUT = 4;
const SIGPIPE = 13;

/** Writes all, waiting where the reader is slow; false when it is gone. */
function writeOut(stream: 1 | 2, bytes: Uint8Array): boolean {
  let rest = bytes;
  while (rest.length > 0) {
    const put = write(stream, rest, rest.length);
    if (put > 0) {
      rest = rest.subarray(put);
    } else if (put === E.EAGAIN || put === E.EINTR) {
      const waits = Buffer.alloc(8);
      waits.writeInt32LE(stream, 0);
      waits.writeInt16LE(POLLOUT, 4);
      poll(waits, 1, 1000);
    } else {
      return false;
    }
  }
  return true;
}

function main(options: ReplicaOptions): void {
  const loop = new Loop();
  const console = new Console(
    (stream, bytes) => {
      // As the kernel does to whoever writes to a pipe without a reader; what was written is lost.
      if (!writeOut(stream, bytes)) sendSignalToProcess(kernel.state.process, SIGPIPE);
      return bytes.length;
    },
    { hasInput: true, isConfirmed: false },
  );
  const port = new MainPort(present(parentPort, 'parent port'), loop, (command) =>
    onCommand(command),
  );
  console.onTaken = (bytes) => port.post({ type: 'console-taken', bytes });
  const host = new LinuxHost(loop, console, {
    rootDirectory: options.root,
    publications: options.published,
    nativeNumbers,
    machine: describeMachine(options.service),
    report: (event, detail) => port.post({ type: 'report', event, detail }),
  });
  let lvm: Lvm = host;
  if (options.interposers.includes('tracer')) {
    lvm = new Tracer(host, { sink: (line) => writeOut(2, Buffer.from(`${line}\n`)) });
  }
  const kernel = new Kernel(lvm);
  kernel.onExited = (status) => {
    for (const { name, count } of unsupportedCalls(kernel)) {
      port.post({ type: 'report', event: 'unsupported-total', detail: `${name} ${count}` });
    }
    host.closeStreams();
    port.post({ type: 'exited', status });
    loop.stop();
  };

  const onCommand = (command: SentryCommand): void => {
    if (command.type === 'stop') kernel.exit({ kind: 'signaled', signal: 15 });
    else if (command.type === 'signal') sendSignalToProcess(kernel.state.process, command.number);
    else if (command.type === 'console-input') {
      console.feed(Buffer.from(command.bytes, 'base64'), command.isEnd);
    }
  };

  port.post({ type: 'ready', port: 0, doorbell: loop.doorbell });
  const { program, argv, env, cwd } = options;
  const started = kernel.start({ program, argv, env, cwd });
  if (started < 0) throw explainLaunch(program, started);
  loop.run();
}

try {
  main(workerData as ReplicaOptions);
} catch (error) {
  const isOurs = error instanceof TardigradeError;
  const line = isOurs ? error.line : `internal error: ${(error as Error).stack ?? error}`;
  parentPort?.postMessage({ type: 'failed', code: isOurs ? error.code : 'internal', line });
}
