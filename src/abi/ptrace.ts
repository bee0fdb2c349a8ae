/**
 * ptrace(2), wait(2) and struct user_regs_struct of x86-64 (linux/ptrace.h, sys/user.h). Data only.
 */

export const PTRACE = {
  CONT: 7,
  GETREGS: 12,
  SETREGS: 13,
  DETACH: 17,
  SYSCALL: 24,
  GETEVENTMSG: 0x4201,
  GETSIGINFO: 0x4202,
  GETREGSET: 0x4204,
  SETREGSET: 0x4205,
  SEIZE: 0x4206,
  INTERRUPT: 0x4207,
  PEEKSIGINFO: 0x4209,
  GETSIGMASK: 0x420a,
  SETSIGMASK: 0x420b,
} as const;

export const PTRACE_O = {
  TRACESYSGOOD: 1,
  TRACECLONE: 1 << 3,
  EXITKILL: 1 << 20,
} as const;

export const PTRACE_EVENT = { CLONE: 3, STOP: 128 } as const;

/** waitpid(2): all children, also threads made by clone. */
export const WALL = 0x4000_0000;
export const WNOHANG = 1;

/** PTRACE_PEEKSIGINFO: the signals pending for the whole process. */
export const PTRACE_PEEKSIGINFO_SHARED = 1;
export const SIGINFO_BYTES = 128;

/** GETREGSET's name for the XSAVE area. */
export const NT_X86_XSTATE = 0x202;

/** Byte offsets in struct user_regs_struct. */
export const REG = {
  r15: 0,
  r14: 8,
  r13: 16,
  r12: 24,
  rbp: 32,
  rbx: 40,
  r11: 48,
  r10: 56,
  r9: 64,
  r8: 72,
  rax: 80,
  rcx: 88,
  rdx: 96,
  rsi: 104,
  rdi: 112,
  orig_rax: 120,
  rip: 128,
  cs: 136,
  eflags: 144,
  rsp: 152,
  ss: 160,
  fs_base: 168,
  gs_base: 176,
  ds: 184,
  es: 192,
  fs: 200,
  gs: 208,
} as const;
export const REGISTERS_BYTES = 216;

/** Registers of a fresh process: user code and stack segments, interrupts on. */
export const USER_CS = 0x33n;
export const USER_SS = 0x2bn;
export const FLAGS_START = 0x202n;

/** What `rax` holds in a call that a stop interrupted: the kernel will restart it. */
export const ERESTART: readonly bigint[] = [-512n, -513n, -514n, -516n];
