/** /proc/sys and /sys: settings of a machine that programs read, with values that fit a guest. */
import type { FsContext } from './context.ts';
import { directory, type Generated, text } from './generated.ts';
import { INOTIFY_LIMITS } from './inotify.ts';
import { KERNEL_RELEASE, KERNEL_VERSION } from './uname.ts';

function uuid(bytes: Buffer): string {
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)];
  return `${parts.join('-')}-${hex.slice(20)}\n`;
}

export function sysctlDirectory(context: FsContext): Generated {
  const { lvm } = context.kernel;
  const set = (name: string, value: string): Generated => context.setting(`sys/${name}`, value);
  return directory({
    fs: directory({
      'aio-max-nr': set('aio-max-nr', '65536\n'),
      'file-max': set('file-max', '1048576\n'),
      'file-nr': text(() => `${context.kernel.state.process.files.size}\t0\t1048576\n`),
      inotify: directory({
        max_queued_events: text(`${INOTIFY_LIMITS.events}\n`),
        max_user_instances: text(`${INOTIFY_LIMITS.instances}\n`),
        max_user_watches: text(`${INOTIFY_LIMITS.watches}\n`),
      }),
      nr_open: set('nr_open', '1048576\n'),
      'pipe-max-size': text('1048576\n'),
    }),
    kernel: directory({
      cap_last_cap: text('40\n'),
      domainname: text('(none)\n'),
      hostname: text(() => `${lvm.machine().hostname}\n`),
      msgmax: text('8192\n'),
      msgmnb: text('16384\n'),
      ngroups_max: text('65536\n'),
      osrelease: text(`${KERNEL_RELEASE}\n`),
      ostype: text('Linux\n'),
      pid_max: text('4194304\n'),
      random: directory({
        boot_id: text(() => uuid(Buffer.from(context.bootId))),
        entropy_avail: text('256\n'),
        poolsize: text('256\n'),
        uuid: text(() => {
          const bytes = Buffer.alloc(16);
          lvm.random(bytes);
          return uuid(bytes);
        }),
      }),
      randomize_va_space: text('2\n'),
      sem: text('32000\t1024000000\t500\t32000\n'),
      shmall: text('18446744073692774399\n'),
      shmmax: text('18446744073692774399\n'),
      shmmni: text('4096\n'),
      'threads-max': text('65536\n'),
      version: text(`${KERNEL_VERSION}\n`),
    }),
    net: directory({
      core: directory({
        rmem_default: text('212992\n'),
        rmem_max: text('212992\n'),
        somaxconn: set('somaxconn', '4096\n'),
        wmem_default: text('212992\n'),
        wmem_max: text('212992\n'),
      }),
      ipv4: directory({
        ip_local_port_range: text('32768\t60999\n'),
        tcp_fin_timeout: set('tcp_fin_timeout', '60\n'),
        tcp_keepalive_intvl: set('tcp_keepalive_intvl', '75\n'),
        tcp_keepalive_probes: set('tcp_keepalive_probes', '9\n'),
        tcp_keepalive_time: set('tcp_keepalive_time', '7200\n'),
        tcp_max_syn_backlog: set('tcp_max_syn_backlog', '4096\n'),
        tcp_rmem: text('4096\t131072\t6291456\n'),
        tcp_wmem: text('4096\t16384\t4194304\n'),
      }),
    }),
    vm: directory({
      max_map_count: text('65530\n'),
      min_free_kbytes: text('65536\n'),
      overcommit_memory: set('overcommit_memory', '1\n'),
      overcommit_ratio: set('overcommit_ratio', '50\n'),
      swappiness: set('swappiness', '0\n'),
    }),
  });
}

/** The tree of /sys. */
export function sysTree(context: FsContext): Generated {
  const count = context.kernel.lvm.machine().cpuCount;
  const list = count > 1 ? `0-${count - 1}\n` : '0\n';
  const mask = `${((1n << BigInt(count)) - 1n).toString(16)}\n`;
  const cpus: Record<string, Generated> = {
    kernel_max: text('8191\n'),
    online: text(list),
    offline: text('\n'),
    possible: text(list),
    present: text(list),
  };
  for (let cpu = 0; cpu < count; cpu += 1) {
    cpus[`cpu${cpu}`] = directory({
      online: text('1\n'),
      topology: directory({
        core_id: text(`${cpu}\n`),
        physical_package_id: text('0\n'),
        thread_siblings: text(`${(1n << BigInt(cpu)).toString(16)}\n`),
        thread_siblings_list: text(`${cpu}\n`),
      }),
    });
  }
  const hugePages = directory({
    // No huge pages: dirty pages are tracked in small ones.
    defrag: text('always defer defer+madvise madvise [never]\n'),
    enabled: text('always madvise [never]\n'),
    hpage_pmd_size: text('2097152\n'),
    shmem_enabled: text('always within_size advise [never] deny force\n'),
  });
  const node0 = directory({ cpulist: text(list), cpumap: text(mask), distance: text('10\n') });
  return directory({
    block: directory({}),
    class: directory({ net: directory({}) }),
    devices: directory({
      system: directory({
        cpu: directory(cpus),
        node: directory({
          has_cpu: text('0\n'),
          node0,
          online: text('0\n'),
          possible: text('0\n'),
        }),
      }),
    }),
    fs: directory({}),
    kernel: directory({
      mm: directory({ hugepages: directory({}), transparent_hugepage: hugePages }),
    }),
    module: directory({}),
  });
}
