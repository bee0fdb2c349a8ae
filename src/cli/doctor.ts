/**
 * `tardigrade doctor`: what this kernel, this processor and this user can do, and for each thing
 * that is missing the remedy. `run` and `exec` make the same checks before they start anything.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { arch, platform, release } from 'node:os';
import { TardigradeError } from '../base/errors.ts';
import type { KernelFeature, KernelFeatures } from '../lvm/features.ts';

const KERNEL_MIN = [6, 7] as const;
const NODE_MIN = [20, 19] as const;
/** Yama: 0 classic, 1 children only (enough), 2 administrators only, 3 nobody. */
const PTRACE_SCOPE_MAX = 1;

/** Where the facts come from; tests give others. */
export interface DoctorDeps {
  readonly platform: string;
  readonly arch: string;
  readonly release: string;
  readonly nodeVersion: string;
  /** The text of a file, or null when it can't be read. */
  readonly readText: (path: string) => string | null;
  readonly canOpen: (path: string) => boolean;
  /** Loads the native library and probes the kernel with it. */
  readonly probe: () => Promise<KernelFeatures>;
}

const realDeps: DoctorDeps = {
  platform: platform(),
  arch: arch(),
  release: release(),
  nodeVersion: process.versions.node,
  readText: (path) => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return null;
    }
  },
  canOpen: (path) => {
    try {
      closeSync(openSync(path, 'r'));
      return true;
    } catch {
      return false;
    }
  },
  probe: async () => {
    const { probeKernel } = await import('../host/linux/probe.ts');
    return probeKernel();
  },
};

/** Whether a dotted version is at least the other. */
export function isAtLeast(version: string, least: readonly [number, number]): boolean {
  const [major = 0, minor = 0] = version.split(/[.-]/).map(Number);
  return major > least[0] || (major === least[0] && minor >= least[1]);
}

/** Everything that can be told without calling into the kernel. */
function plainChecks(deps: DoctorDeps): KernelFeature[] {
  const machine = `${deps.platform} ${deps.arch}`;
  const scope = deps.readText('/proc/sys/kernel/yama/ptrace_scope')?.trim() ?? 'none';
  const namespaces = deps.readText('/proc/sys/user/max_user_namespaces')?.trim() ?? '0';
  return [
    {
      name: 'Linux on x86-64',
      ok: machine === 'linux x64',
      detail: machine,
      remedy: 'use a machine with Linux on an x86-64 processor',
      required: true,
    },
    {
      name: `kernel ${KERNEL_MIN.join('.')}`,
      ok: isAtLeast(deps.release, KERNEL_MIN),
      detail: deps.release,
      remedy: `boot Linux ${KERNEL_MIN.join('.')} or newer (PAGEMAP_SCAN came with it)`,
      required: true,
    },
    {
      name: `Node ${NODE_MIN.join('.')}`,
      ok: isAtLeast(deps.nodeVersion, NODE_MIN),
      detail: deps.nodeVersion,
      remedy: `install Node ${NODE_MIN.join('.')} or newer`,
      required: true,
    },
    {
      name: 'ptrace of own children',
      ok: scope === 'none' || Number(scope) <= PTRACE_SCOPE_MAX,
      detail: scope === 'none' ? 'no Yama' : `Yama ptrace_scope ${scope}`,
      remedy: 'as root: sysctl kernel.yama.ptrace_scope=1',
      required: true,
    },
    {
      name: 'pagemap readable',
      ok: deps.canOpen('/proc/self/pagemap'),
      detail: '/proc/self/pagemap',
      remedy: 'mount /proc with its defaults (no container masking of pagemap)',
      required: true,
    },
    {
      name: 'user namespaces',
      ok: Number(namespaces) > 0,
      detail: `max_user_namespaces ${namespaces}`,
      remedy: 'as root: sysctl user.max_user_namespaces=10000',
      required: false,
    },
  ];
}

/** All findings. The kernel is probed only if the native library loads. */
export async function examine(deps: DoctorDeps = realDeps): Promise<KernelFeatures> {
  const plain = plainChecks(deps);
  const native = (ok: boolean, detail: string): KernelFeature => ({
    name: 'koffi',
    ok,
    detail,
    remedy: 'install the packages again with npm ci, for this platform',
    required: true,
  });
  try {
    const probed = await deps.probe();
    const known = new Set(plain.map(({ name }) => name));
    return [...plain, native(true, 'loads'), ...probed.filter(({ name }) => !known.has(name))];
  } catch (error) {
    const detail = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    return [...plain, native(false, detail)];
  }
}

/** Throws a kernel error for the first thing that is needed and missing. */
export async function requireFeatures(deps: DoctorDeps = realDeps): Promise<void> {
  const missing = (await examine(deps)).filter(({ ok, required }) => required && !ok);
  const [first] = missing;
  if (first === undefined) return;
  const more = missing.length > 1 ? ` (and ${missing.length - 1} more)` : '';
  throw new TardigradeError(
    'kernel',
    `this machine can't run guests: ${first.name} is missing (${first.detail})${more}`,
    `${first.remedy}; tardigrade doctor shows everything`,
  );
}

/** The findings for a person. */
export function doctorText(features: KernelFeatures): string {
  const width = Math.max(...features.map(({ name }) => name.length));
  const lines = features.flatMap(({ name, ok, detail, remedy, required }) => {
    const state = ok ? 'ok     ' : required ? 'MISSING' : 'absent ';
    const line = `${state}  ${name.padEnd(width)}  ${detail}`.trimEnd();
    return ok ? [line] : [line, `${' '.repeat(9)}${' '.repeat(width)}  -> ${remedy}`];
  });
  const missing = features.filter(({ ok, required }) => required && !ok).length;
  const count = missing === 1 ? '1 thing is' : `${missing} things are`;
  const verdict =
    missing === 0
      ? 'This machine can run guests.'
      : `This machine can't run guests: ${count} missing.`;
  return `${[...lines, '', verdict].join('\n')}\n`;
}

/** The command; its exit status. */
export async function runDoctor(isJson: boolean): Promise<number> {
  const features = await examine();
  const isOk = features.every(({ ok, required }) => ok || !required);
  process.stdout.write(
    isJson ? `${JSON.stringify({ ok: isOk, features })}\n` : doctorText(features),
  );
  return isOk ? 0 : 1;
}
