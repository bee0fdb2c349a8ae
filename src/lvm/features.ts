/**
 * What a host needs of the kernel, the processor and the user's rights, as found by a probe. Filled
 * by src/host/linux/probe.ts, shown by `tardigrade doctor` and checked before a start. Types only.
 */

export interface KernelFeature {
  /** Short and stable, for programs and people: `PAGEMAP_SCAN`, `user namespaces`. */
  readonly name: string;
  readonly ok: boolean;
  /** What was found, or the error. */
  readonly detail: string;
  /** One sentence: what to do about it when it is missing. */
  readonly remedy: string;
  /** Without it nothing can be run; otherwise something is slower or not available. */
  readonly required: boolean;
}

export type KernelFeatures = readonly KernelFeature[];
