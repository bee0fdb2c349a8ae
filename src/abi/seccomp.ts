/**
 * seccomp(2), seccomp_unotify(2) and classic BPF (linux/seccomp.h, linux/filter.h). Data only.
 */

export const SECCOMP_SET_MODE_FILTER = 1;
export const SECCOMP_FILTER_FLAG = { TSYNC: 1, NEW_LISTENER: 8, TSYNC_ESRCH: 16 } as const;

export const SECCOMP_RET = {
  USER_NOTIF: 0x7fc0_0000,
  ALLOW: 0x7fff_0000,
  ERRNO: 0x0005_0000,
} as const;

export const SECCOMP_IOCTL = {
  NOTIF_RECV: 0xc050_2100,
  NOTIF_SEND: 0xc018_2101,
  NOTIF_ADDFD: 0x4018_2103,
  NOTIF_SET_FLAGS: 0x4008_2104,
} as const;

export const SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1;
export const SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP = 1;
export const SECCOMP_ADDFD_FLAG_SETFD = 1;

/** struct seccomp_notif: id u64, pid u32, flags u32, then seccomp_data. */
export const NOTIF = { bytes: 80, id: 0, pid: 8, number: 16, args: 32 } as const;
/** struct seccomp_notif_resp. */
export const RESPONSE = { bytes: 24, id: 0, value: 8, error: 16, flags: 20 } as const;
/** struct seccomp_notif_addfd. */
export const ADDFD = { bytes: 24, id: 0, flags: 8, srcfd: 12, newfd: 16, newfdFlags: 20 } as const;

/** Offsets in struct seccomp_data, which the filter reads. */
export const SECCOMP_DATA = { number: 0, arch: 4, firstArgument: 16 } as const;
export const AUDIT_ARCH_X86_64 = 0xc000_003e;
/** Numbers of the x32 ABI have this bit. */
export const X32_SYSCALL_BIT = 0x4000_0000;

/** Classic BPF opcodes. */
export const BPF = {
  LD_W_ABS: 0x20,
  JEQ: 0x15,
  JGE: 0x35,
  RET: 0x06,
} as const;
export const BPF_INSTRUCTION_BYTES = 8;
