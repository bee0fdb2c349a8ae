/**
 * Fault points: named places on the way of an epoch, a takeover and a join, at which a test can
 * kill, freeze or fail a replica. Production code passes them by `plan.at(point)`; what to do there
 * comes from the command line. Must cost next to nothing when no fault is planned.
 */
import { TardigradeError } from './errors.ts';

export const FAULT_POINTS = [
  // The primary, in the order of an epoch.
  'before-quiesce',
  'during-quiesce',
  'during-capture',
  'after-capture',
  'before-ship',
  'delta-half-sent',
  'delta-sent',
  'acknowledged-not-released',
  'half-released',
  'after-release',
  // A backup.
  'backup-delta-received',
  'backup-before-ack',
  'during-apply',
  // A backup that takes over.
  'before-takeover',
  'ballot-granted',
  'during-restore',
  'during-activation',
  'after-activation',
  // A replica that joins.
  'during-join',
  'join-complete',
  // A checkpoint into a file.
  'during-checkpoint-file',
] as const;

export type FaultPoint = (typeof FAULT_POINTS)[number];

const FAULT_ACTIONS = ['kill', 'freeze', 'fail'] as const;

/** `kill`: SIGKILL to the process itself; `freeze`: SIGSTOP; `fail`: an InjectedFault is thrown. */
type FaultAction = (typeof FAULT_ACTIONS)[number];

/** What `fail` throws. Caught where any failure of that step is, never by name. */
export class InjectedFault extends Error {
  override readonly name = 'InjectedFault';
  readonly point: FaultPoint;

  constructor(point: FaultPoint) {
    super(`injected fault at ${point}`);
    this.point = point;
  }
}

interface PlannedFault {
  readonly point: FaultPoint;
  readonly action: FaultAction;
  /** Passes of the point until it acts; 0: it has acted. */
  left: number;
}

/** Far more passes than any test makes. */
const COUNT_MAX = 1_000_000_000;

const isOneOf = <T extends string>(list: readonly T[], text: string | undefined): text is T =>
  (list as readonly (string | undefined)[]).includes(text);

function parse(spec: string): PlannedFault {
  const [, point, count, action] = /^([^:=]*)(?::([^=]*))?=(.*)$/.exec(spec) ?? [];
  const refuse = (why: string, remedy: string): never => {
    throw new TardigradeError('usage', `bad fault '${spec}': ${why}`, remedy);
  };
  if (action === undefined) return refuse('no action', 'write POINT[:COUNT]=ACTION');
  if (!isOneOf(FAULT_POINTS, point)) {
    return refuse(`no point '${point}'`, `use one of ${FAULT_POINTS.join(', ')}`);
  }
  if (!isOneOf(FAULT_ACTIONS, action)) {
    return refuse(`no action '${action}'`, `use one of ${FAULT_ACTIONS.join(', ')}`);
  }
  const left = count === undefined ? 1 : Number(count);
  if (!/^\d+$/.test(count ?? '1') || left < 1 || left > COUNT_MAX) {
    return refuse(`no count '${count}'`, `use a whole number from 1 to ${COUNT_MAX}`);
  }
  return { point, action, left };
}

export class FaultPlan {
  readonly #faults: PlannedFault[];
  readonly #act: (point: FaultPoint, action: 'kill' | 'freeze') => void;
  #isEmpty: boolean;

  /** Specs are `POINT[:COUNT]=ACTION`: acts when the point is passed for the COUNT-th time. */
  constructor(
    specs: readonly string[],
    act: (point: FaultPoint, action: 'kill' | 'freeze') => void,
  ) {
    this.#faults = specs.map(parse);
    this.#act = act;
    this.#isEmpty = this.#faults.length === 0;
  }

  /** The point is passed. */
  at(point: FaultPoint): void {
    if (this.#isEmpty) return;
    this.#pass(point);
  }

  /** Whether the next pass of the point acts; for places that must prepare for it. */
  isPlanned(point: FaultPoint): boolean {
    return (
      !this.#isEmpty && this.#faults.some((fault) => fault.point === point && fault.left === 1)
    );
  }

  #pass(point: FaultPoint): void {
    const due: FaultAction[] = [];
    for (const fault of this.#faults) {
      if (fault.point !== point || fault.left === 0) continue;
      fault.left -= 1;
      if (fault.left === 0) due.push(fault.action);
    }
    this.#isEmpty = this.#faults.every((fault) => fault.left === 0);
    for (const action of due) if (action !== 'fail') this.#act(point, action);
    if (due.includes('fail')) throw new InjectedFault(point);
  }
}

/** For code that is used without faults. */
export const noFaults = new FaultPlan([], () => {});
