/**
 * The one line that shows how a service is: who is primary, how many replicas hold the state, how
 * fast epochs go and what they cost. Pure: a status to a text of a given width.
 */
import type { ServiceStatus } from './admin-protocol.ts';

const SEPARATOR = ' · ';

/** `312 us`, `1.4 ms`, `2.5 s`. */
export function formatDuration(us: number): string {
  if (us < 1_000) return `${Math.round(us)} us`;
  if (us < 1_000_000) return `${(us / 1_000).toFixed(us < 10_000 ? 1 : 0)} ms`;
  return `${(us / 1_000_000).toFixed(1)} s`;
}

/** `512 B`, `48 KiB`, `1.2 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(unit > 0 && value < 10 ? 1 : 0)} ${units[unit]}`;
}

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;

/** What there is to say, the most important first. */
function segments(status: ServiceStatus): readonly string[] {
  const { service, configuration, statistics, wantedReplicas, takeovers } = status;
  if (configuration === null) return [service, 'starting'];
  const up = configuration.members.length;
  const isExposed = up === 1 && wantedReplicas > 1;
  const parts = [
    service,
    `primary ${configuration.primary}`,
    `${up}/${wantedReplicas} replicas${isExposed ? ' (not protected)' : ''}`,
  ];
  if (statistics !== null) {
    const { pauseP50Us, pauseP99Us, deltaBytesP50, releaseP50Us } = statistics;
    parts.push(
      `epoch ${statistics.epoch}`,
      `${statistics.epochsPerSecond.toFixed(0)}/s`,
      `pause ${formatDuration(pauseP50Us)} (99%: ${formatDuration(pauseP99Us)})`,
      `delta ${formatBytes(deltaBytesP50)}`,
      `output +${formatDuration(releaseP50Us)}`,
    );
  }
  parts.push(plural(takeovers, 'takeover'), `ballot ${configuration.ballot}`);
  return parts;
}

/** The whole line. */
export function summaryLine(status: ServiceStatus): string {
  return segments(status).join(SEPARATOR);
}

/**
 * As much of it as fits `width` columns: whole parts, and of the first one as much as there is
 * room.
 */
export function liveLine(status: ServiceStatus, width: number): string {
  const parts = segments(status);
  let line = '';
  for (const part of parts) {
    const longer = line === '' ? part : line + SEPARATOR + part;
    if (longer.length > width) break;
    line = longer;
  }
  if (line !== '' || width < 1) return line;
  return `${(parts[0] ?? '').slice(0, width - 1)}…`;
}
