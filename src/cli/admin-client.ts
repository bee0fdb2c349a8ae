/**
 * The other side of the admin socket: one request to one service. Used by status, stop, checkpoint
 * and the demo. Bounded in time and size.
 */
import { connect } from 'node:net';
import { TardigradeError } from '../base/errors.ts';
import {
  ADMIN_VERSION,
  type AdminRequest,
  parseReply,
  REPLY_BYTES_MAX,
  type ServiceStatus,
} from './admin-protocol.ts';
import { errorFrom } from './exit-codes.ts';
import { LineReader } from './json-lines.ts';
import { listNames, NameClaim, runtimePath, socketPath } from './runtime-directory.ts';

const STATUS_TIMEOUT_MS = 5_000;
/** A service has 3 s to end in peace, then it is killed. */
const STOP_TIMEOUT_MS = 15_000;
/** Writing some GiB to a slow disk. */
const CHECKPOINT_TIMEOUT_MS = 600_000;

const requestTimeoutMs = ({ command }: AdminRequest): number => {
  if (command === 'status') return STATUS_TIMEOUT_MS;
  return command === 'stop' ? STOP_TIMEOUT_MS : CHECKPOINT_TIMEOUT_MS;
};

function serviceError(message: string, remedy: string): TardigradeError {
  return new TardigradeError('service', message, remedy);
}

function notRunning(name: string): TardigradeError {
  const remedy = 'see `tardigrade status` for those that do';
  return serviceError(`no service named ${name} is running`, remedy);
}

/** Sends one request to the socket at `path`, whose service is `name`; the reply's result. */
export function ask(
  path: string,
  name: string,
  request: AdminRequest,
  timeoutMs = requestTimeoutMs(request),
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const reader = new LineReader(REPLY_BYTES_MAX);
    const fail = (error: TardigradeError): void => {
      socket.destroy();
      reject(error);
    };
    const remedy = `see whether its process is alive, and stop it with kill`;
    socket.setTimeout(timeoutMs, () => {
      fail(serviceError(`the service ${name} did not answer in ${timeoutMs / 1000} s`, remedy));
    });
    socket.on('connect', () => {
      socket.write(`${JSON.stringify({ version: ADMIN_VERSION, ...request })}\n`);
    });
    socket.on('data', (chunk) => {
      for (const line of reader.push(chunk)) {
        const reply = line.kind === 'value' ? parseReply(line.value) : line.why;
        if (typeof reply === 'string') {
          fail(serviceError(`the service ${name} answered oddly (${reply})`, remedy));
        } else if (reply.ok) {
          socket.destroy();
          resolve(reply.result);
        } else {
          fail(errorFrom(reply.code, reply.line));
        }
        return;
      }
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const isAbsent = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      if (isAbsent) fail(notRunning(name));
      else fail(serviceError(`the service ${name} can't be reached (${error.code})`, remedy));
    });
    // After any of the above this changes nothing.
    socket.on('close', () => {
      fail(serviceError(`the service ${name} ended before it answered`, remedy));
    });
  });
}

/** Asks the service of that name of this user. */
export function askService(name: string, request: AdminRequest): Promise<unknown> {
  return ask(socketPath(runtimePath(), name), name, request);
}

/**
 * The status of every service that answers; what dead ones left behind is removed. `silent` hears
 * of those that live and don't answer.
 */
export async function statusOfAll(
  directory: string = runtimePath(),
  silent: (error: unknown) => void = () => {},
): Promise<readonly ServiceStatus[]> {
  const asked = listNames(directory).map(async (name) => {
    try {
      return (await ask(socketPath(directory, name), name, { command: 'status' })) as ServiceStatus;
    } catch (error) {
      // A name that can be claimed has no living service.
      const claim = await NameClaim.tryTake(directory, name);
      if (claim === null) silent(error);
      claim?.release();
      return null;
    }
  });
  return (await Promise.all(asked)).filter((status) => status !== null);
}
