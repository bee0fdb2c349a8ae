/** Says in a line for a person what happened to a service. Pure; used by the reporters. */
import { unreachable } from '../base/assert.ts';
import { oneLine } from './exit-codes.ts';
import { formatEndpoint } from './publish.ts';
import type { ServiceEvent } from './service-events.ts';

/** The line, or null for what a person need not read. */
export function eventText(event: ServiceEvent): string | null {
  const text = textOf(event);
  // Some of it comes from the guest, which must not play with the terminal.
  return text === null ? null : oneLine(text);
}

function textOf(event: ServiceEvent): string | null {
  switch (event.event) {
    case 'started':
      return startedText(event);
    case 'replica-started':
      return `replica ${event.replica} started (pid ${event.pid})`;
    case 'replica-ended': {
      const reason = event.reason === null ? '' : `: ${event.reason}`;
      return `replica ${event.replica} ended (${event.how})${reason}`;
    }
    case 'role':
      return event.role === 'deposed' ? `replica ${event.replica} was deposed` : null;
    case 'configuration': {
      const { ballot, primary, members } = event;
      return `ballot ${ballot}: primary ${primary}, members ${members.join(', ')}`;
    }
    case 'takeover': {
      const { replica, epoch, restoreMs, reason } = event;
      const how = `restored in ${restoreMs.toFixed(1)} ms`;
      const why = reason === '' ? '' : `: ${reason}`;
      return `replica ${replica} took over at epoch ${epoch} (${how})${why}`;
    }
    case 'joined':
      return `replica ${event.replica} holds the state as of epoch ${event.epoch}`;
    case 'lost':
      return `replica ${event.replica} is lost: ${event.reason}`;
    case 'report':
      return reportText(event.what, event.detail);
    case 'statistics':
      return null;
    case 'warning':
      return `warning: ${event.line}`;
    case 'ended':
      return event.reason;
    default:
      return unreachable(event);
  }
}

function startedText(event: Extract<ServiceEvent, { event: 'started' }>): string {
  const { service, program, replicas, published } = event;
  const ports = published.map(({ address, port, guestPort }) => {
    return `${formatEndpoint(address, port)} leads to its port ${guestPort}`;
  });
  const count = replicas === 1 ? '1 replica (not protected)' : `${replicas} replicas`;
  return [`service ${service} (${program}) with ${count}`, ...ports].join('; ');
}

function reportText(what: string, detail: string): string {
  if (what === 'unsupported-call') {
    return `unsupported system call ${detail}: the program got ENOSYS`;
  }
  if (what === 'unsupported-total') {
    const [name, count] = detail.split(' ');
    return `unsupported system call ${name} was made ${count} times`;
  }
  return `${what}: ${detail}`;
}
