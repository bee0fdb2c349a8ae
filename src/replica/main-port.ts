/**
 * MainPort: the sentry thread's line to its main thread. Events go out by postMessage; commands
 * come in when the main thread rings the loop's doorbell, since the sentry never returns to node's
 * own event loop. Used by sentry.ts and exec-sentry.ts.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { Loop } from '../loop/loop.ts';
import type { SentryCommand, SentryEvent } from './messages.ts';

/** Commands taken in one go. */
const COMMANDS_MAX = 256;

export class MainPort {
  readonly #port: MessagePort;

  constructor(port: MessagePort, loop: Loop, onCommand: (command: SentryCommand) => void) {
    this.#port = port;
    loop.onDoorbell = () => {
      for (let left = COMMANDS_MAX; left > 0; left -= 1) {
        const received = receiveMessageOnPort(port);
        if (received === undefined) return;
        onCommand(received.message as SentryCommand);
      }
    };
  }

  post(event: SentryEvent): void {
    this.#port.postMessage(event);
  }
}
