/** A redis-server as a service, in any mode. */

import { freePort } from './ports.ts';
import { type ConnectOptions, connectRedis, type RedisClient } from './redis-client.ts';
import { findProgram } from './requirements.ts';
import { type Mode, Service, type ServiceSpec } from './service.ts';
import type { World } from './world.ts';

export interface RedisSpec extends Partial<Omit<ServiceSpec, 'mode' | 'publish'>> {
  readonly mode: Mode;
  /** Host port; a free one by default. */
  readonly port?: number;
  readonly redisArgs?: readonly string[];
}

export interface RedisService {
  readonly service: Service;
  readonly port: number;
  connect(options?: Partial<ConnectOptions>): Promise<RedisClient>;
}

const guestPort = 6379;

/**
 * Starts it and waits for its answer. No snapshots: this is about what memory holds. In the guest
 * it binds every address, as a published server must.
 */
export async function startRedis(world: World, spec: RedisSpec): Promise<RedisService> {
  const port = spec.port ?? (await freePort());
  const isNative = spec.mode === 'native';
  const args = [
    ...['--port', String(isNative ? port : guestPort)],
    ...['--bind', isNative ? '127.0.0.1' : '0.0.0.0', '--protected-mode', 'no'],
    ...['--save', '', '--appendonly', 'no', '--daemonize', 'no', '--loglevel', 'warning'],
    ...(spec.redisArgs ?? []),
  ];
  const service = new Service(world, {
    ...spec,
    program: spec.program ?? findProgram('redis-server') ?? 'redis-server',
    args,
    publish: { port, guestPort },
  });
  const connect = (options: Partial<ConnectOptions> = {}): Promise<RedisClient> => {
    return connectRedis({ port, ...options });
  };
  try {
    (await connect()).close();
  } catch (error) {
    throw new Error(`redis did not start: ${error}\n${service.program.describe()}`);
  }
  return { service, port, connect };
}
