/**
 * The client of the latency benchmark, a process of its own so that it can be placed: one
 * connection, one SET at a time. Prints the microseconds of each as JSON. Started by
 * set-latency.ts.
 */

import { connect } from 'node:net';

export interface ClientRequest {
  readonly port: number;
  readonly warmUp: number;
  readonly count: number;
  readonly durationMsMax: number;
}

const reply = '+OK\r\n';
/** Of 64 bytes, as a small value is. */
const value = 'x'.repeat(64);

export function runLatencyClient(request: ClientRequest): Promise<readonly number[]> {
  const { port, warmUp, count, durationMsMax } = request;
  const command = Buffer.from(`*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$${value.length}\r\n${value}\r\n`);
  return new Promise((resolve, reject) => {
    const samples: number[] = [];
    let left = warmUp + count;
    let sentNs = 0n;
    const startedMs = performance.now();
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const send = (): void => {
      sentNs = process.hrtime.bigint();
      socket.write(command);
    };
    socket.on('connect', send);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the connection ended')));
    socket.on('data', (chunk) => {
      const elapsedNs = process.hrtime.bigint() - sentNs;
      // Five bytes come in one piece over loopback.
      if (chunk.toString('latin1') !== reply) {
        reject(new Error(`not +OK: ${chunk.toString('latin1')}`));
        return;
      }
      if (left <= count) samples.push(Number(elapsedNs) / 1000);
      left -= 1;
      if (left > 0 && performance.now() - startedMs < durationMsMax) {
        send();
        return;
      }
      resolve(samples);
      socket.destroy();
    });
  });
}
