/** Free TCP ports on 127.0.0.1. Another process may take one before it is used: tests only. */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';

/** `count` different ports, all free at once a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  for (let index = 0; index < count; index += 1) {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

export async function freePort(): Promise<number> {
  return (await freePorts(1))[0] as number;
}
