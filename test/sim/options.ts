/**
 * What a simulation is like, drawn from its seed: how many replicas, how fast, and which faults.
 * Each seed gets a subset of the faults, so that some run long enough without the others to bite.
 */

import { defaultTiming, type Timing } from '../../src/reconfig/limits.ts';
import type { Prng } from './prng.ts';

const faultKinds = [
  'crash',
  'machineCrash',
  'freeze',
  'break',
  'partition',
  'oneWay',
  'masterDown',
  'masterUnreachable',
  'slowNetwork',
] as const;

export type FaultKind = (typeof faultKinds)[number];

export interface SimOptions {
  /** The supervisor keeps this many replicas. */
  readonly replicas: number;
  readonly minReplicas: number;
  readonly windowEpochs: number;
  readonly timing: Timing;
  readonly captureMsMin: number;
  readonly captureMsMax: number;
  /** Parts of a delta on the network: more than one, or it can't be partial. */
  readonly deltaParts: number;
  readonly pages: number;
  /** Longest that a backup verifies a delta. */
  readonly verifyMsMax: number;
  readonly faults: readonly FaultKind[];
  readonly faultGapMs: number;
  /** Faults begin here, and end there. */
  readonly warmUpMs: number;
  readonly faultsMs: number;
  /** From the end of the faults to N members that release. */
  readonly recoverMs: number;
  /** Of a request to the master: lost before it takes effect, the reply lost, or both late. */
  readonly masterLoss: number;
}

export function drawOptions(prng: Prng): SimOptions {
  const replicas = prng.pick([2, 2, 3, 3, 3, 4]) ?? 3;
  const faults = faultKinds.filter(() => prng.chance(0.5));
  const retryMsMax = prng.pick([100, 300]) ?? 100;
  return {
    replicas,
    minReplicas: prng.chance(0.15) ? 2 : 1,
    windowEpochs: prng.pick([1, 2, 8, 32]) ?? 8,
    timing: {
      ...defaultTiming,
      heartbeatMs: 20,
      failureTimeoutMs: prng.pick([80, 150]) ?? 100,
      takeoverTimeoutMs: 300,
      synchroniseTimeoutMs: 800,
      staggerMs: prng.pick([5, 40]) ?? 40,
      retryMsMax,
    },
    captureMsMin: 1,
    captureMsMax: prng.pick([4, 12, 30]) ?? 10,
    deltaParts: prng.integer(2, 3),
    pages: prng.integer(1, 6),
    verifyMsMax: prng.pick([0, 0.5, 4]) ?? 0,
    faults: faults.length === 0 ? ['crash'] : faults,
    faultGapMs: prng.pick([60, 150, 400]) ?? 150,
    warmUpMs: prng.between(0, 150),
    faultsMs: prng.between(500, 2000),
    recoverMs: 15_000,
    masterLoss: prng.pick([0, 0.05, 0.3]) ?? 0,
  };
}
