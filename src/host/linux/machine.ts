/**
 * What a guest is told of the machine: the same on every replica of a service, so only what a
 * takeover can't change. Processor and memory sizes are this host's until limits are set by the
 * user.
 */
import { cpus, totalmem } from 'node:os';
import type { MachineInfo } from '../../lvm/api.ts';

/** `hostname` is the service's name. */
export function describeMachine(hostname: string): MachineInfo {
  const processors = cpus();
  const entries = processors.map((processor, index) =>
    [
      `processor\t: ${index}`,
      'vendor_id\t: tardigrade',
      `model name\t: ${processor.model.trim()}`,
      'cpu MHz\t\t: 1000.000',
      '',
      '',
    ].join('\n'),
  );
  return {
    cpuCount: processors.length,
    memoryBytes: totalmem(),
    hostname,
    cpuinfo: entries.join(''),
  };
}
