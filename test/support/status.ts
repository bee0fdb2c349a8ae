/** Reads `tardigrade status NAME --json` and checks that it has the documented form. */

import assert from 'node:assert/strict';
import type { World } from './world.ts';

interface ReplicaStatus {
  readonly id: number;
  readonly pid: number;
  readonly role: string;
  readonly epoch: number;
}

export interface ServiceStatus {
  readonly service: string;
  readonly configuration: {
    readonly ballot: number;
    readonly primary: number;
    readonly members: readonly number[];
  };
  readonly replicas: readonly ReplicaStatus[];
  readonly published: readonly {
    readonly address: string;
    readonly port: number;
    readonly guestPort: number;
  }[];
  readonly unsupportedCalls: readonly { readonly name: string; readonly count: number }[];
}

const statusTimeoutMs = 15_000;

function isInteger(value: unknown, what: string): void {
  assert.ok(Number.isInteger(value), `${what} is ${JSON.stringify(value)}`);
}

/** Throws unless `value` is a status as the documentation has it. */
export function checkStatus(value: unknown): ServiceStatus {
  const status = value as ServiceStatus;
  assert.equal(typeof status.service, 'string', 'service');
  isInteger(status.configuration.ballot, 'ballot');
  isInteger(status.configuration.primary, 'primary');
  for (const member of status.configuration.members) isInteger(member, 'member');
  for (const replica of status.replicas) {
    isInteger(replica.id, 'id');
    isInteger(replica.pid, 'pid');
    isInteger(replica.epoch, 'epoch');
    assert.equal(typeof replica.role, 'string', 'role');
  }
  for (const published of status.published) {
    assert.equal(typeof published.address, 'string', 'address');
    isInteger(published.port, 'port');
    isInteger(published.guestPort, 'guestPort');
  }
  for (const { name, count } of status.unsupportedCalls) {
    assert.equal(typeof name, 'string', 'name of an unsupported call');
    isInteger(count, 'count');
  }
  return status;
}

export async function readStatus(world: World, name: string): Promise<ServiceStatus> {
  const program = await world.runTardigrade(['status', name, '--json'], statusTimeoutMs);
  assert.equal(program.exit?.code, 0, `tardigrade status\n${program.describe()}`);
  return checkStatus(JSON.parse(program.text('stdout')));
}
