/**
 * Probes what this kernel and user can do, by doing it: builds a guest process that never runs and
 * takes it through everything that a real one needs. Called by `tardigrade doctor`, and before a
 * start.
 */
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { errnoName } from '../../abi/errno.ts';
import { SECCOMP_IOCTL, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP } from '../../abi/seccomp.ts';
import { guestAddress } from '../../base/ids.ts';
import { ioctlValue } from '../../ffi/native.ts';
import { Skeleton } from '../../guest/skeleton.ts';
import { WrittenPages } from '../../guest/written-pages.ts';
import type { KernelFeature, KernelFeatures } from '../../lvm/features.ts';
import { filterProgram } from '../../sandbox/filter.ts';
import { GATE, GATE_END } from '../../sandbox/skeleton-elf.ts';
import { MemfdStore } from './memfd-store.ts';

const KERNEL_REMEDY = 'use Linux 6.7 or newer';

function feature(
  name: string,
  required: boolean,
  remedy: string,
  probe: () => string,
): KernelFeature {
  try {
    return { name, ok: true, detail: probe(), remedy, required };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { name, ok: false, detail: detail.split('\n', 1)[0] ?? '', remedy, required };
  }
}

/** Each thing that is needed or useful, in the order in which a start needs it. */
export function probeKernel(): KernelFeatures {
  const features: KernelFeature[] = [];
  const add = (...args: Parameters<typeof feature>): boolean => {
    const found = feature(...args);
    features.push(found);
    return found.ok;
  };
  add('Linux on x86-64', true, 'run on an x86-64 machine', () => {
    if (process.platform !== 'linux' || process.arch !== 'x64') {
      throw new Error(`this is ${process.platform} on ${process.arch}`);
    }
    return release();
  });
  add('ptrace of own children', true, 'set sysctl kernel.yama.ptrace_scope to 0 or 1', () => {
    const path = '/proc/sys/kernel/yama/ptrace_scope';
    const scope = existsSync(path) ? readFileSync(path, 'utf8').trim() : '0';
    if (Number(scope) > 1) throw new Error(`kernel.yama.ptrace_scope is ${scope}`);
    return `ptrace_scope ${scope}`;
  });
  let store: MemfdStore | null = null;
  add('memfd_create', true, KERNEL_REMEDY, () => {
    store = new MemfdStore();
    return 'sparse memory files';
  });
  let skeleton: Skeleton | null = null;
  const remedy = 'allow executable memory files (sysctl vm.memfd_noexec=0) and ptrace';
  if (store !== null) {
    const { fd } = store as MemfdStore;
    add('guest process', true, remedy, () => {
      skeleton = new Skeleton(['tardigrade: probe'], fd);
      return 'started, seized and emptied';
    });
  }
  if (skeleton !== null) probeGuest(skeleton, add);
  (store as MemfdStore | null)?.close();
  add('user namespaces', false, 'only clocks of guests moved between machines need them', () => {
    const max = Number(readFileSync('/proc/sys/user/max_user_namespaces', 'utf8'));
    if (!(max > 0)) throw new Error('user.max_user_namespaces is 0');
    return `up to ${max}`;
  });
  return features;
}

function probeGuest(
  skeleton: Skeleton,
  add: (...args: Parameters<typeof feature>) => boolean,
): void {
  try {
    add('process_vm_readv', true, 'allow ptrace of own children', () => {
      const bytes = Buffer.alloc(4);
      const got = skeleton.memory.read(guestAddress(GATE), bytes);
      if (got !== 4) throw new Error(errnoName(got));
      return 'reads guest memory';
    });
    let written: WrittenPages | null = null;
    add('userfaultfd (asynchronous write protection)', true, KERNEL_REMEDY, () => {
      written = new WrittenPages(skeleton.hostPid, skeleton.openUserfault());
      return 'as an ordinary user';
    });
    if (written !== null) {
      const pages = written as WrittenPages;
      add('PAGEMAP_SCAN', true, KERNEL_REMEDY, () => {
        const PROT_READ_WRITE = 3;
        skeleton.map(GATE_END, GATE_END + 0x4000, PROT_READ_WRITE, -1, 0);
        pages.watch(GATE_END, GATE_END + 0x4000);
        pages.take(GATE_END, GATE_END + 0x4000, () => {});
        skeleton.memory.writeForced(GATE_END + 0x1000, Buffer.from([1]));
        let count = 0;
        pages.take(GATE_END, GATE_END + 0x4000, (_start, pageCount) => {
          count += pageCount;
        });
        if (count !== 1) throw new Error(`${count} pages reported, 1 was written`);
        return 'reports the page that was written';
      });
      pages.close();
    }
    add('seccomp user notification', true, KERNEL_REMEDY, () => {
      const listener = skeleton.installFilter(filterProgram([]));
      const flag = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;
      const result = ioctlValue(listener.fd, SECCOMP_IOCTL.NOTIF_SET_FLAGS, flag);
      return result === 0 ? 'with synchronous wake-up' : 'without synchronous wake-up: slow';
    });
  } finally {
    skeleton.abandon();
  }
}
