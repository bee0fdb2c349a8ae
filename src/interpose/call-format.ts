/**
 * Text of trapped calls and their answers for the tracer, in the manner of strace. Data and pure
 * functions.
 */
import { errnoName } from '../abi/errno.ts';
import { syscallName } from '../abi/syscalls.ts';

/**
 * Calls with no, one, ... five arguments, so that registers left over from before aren't shown. All
 * others are shown with six.
 */
const NAMES_BY_ARITY: readonly string[] = [
  `sched_yield pause getpid fork vfork getuid getgid geteuid getegid getppid getpgrp setsid
   munlockall vhangup gettid inotify_init sync rt_sigreturn restart_syscall`,
  `close brk alarm dup pipe exit exit_group uname chdir fchdir rmdir unlink umask times sysinfo
   getpgid getsid time epoll_create eventfd set_tid_address unshare syncfs mlockall chroot fsync
   fdatasync setuid setgid sched_get_priority_max sched_get_priority_min inotify_init1
   epoll_create1 sched_getscheduler timer_getoverrun timer_delete personality setfsuid setfsgid
   pkey_free shmdt userfaultfd`,
  `stat fstat lstat access munmap nanosleep getitimer dup2 pipe2 listen kill tkill rename mkdir
   creat link symlink chmod fchmod truncate ftruncate getrlimit setrlimit getrusage gettimeofday
   settimeofday setpgid getgroups setgroups rt_sigpending sigaltstack statfs fstatfs
   clock_gettime clock_getres clock_settime eventfd2 shutdown flock memfd_create set_robust_list
   getcwd utime utimes mlock munlock arch_prctl inotify_rm_watch timerfd_create timerfd_gettime
   sched_setparam sched_getparam setreuid setregid getpriority capget capset clone3 umount2
   rt_sigsuspend timer_gettime pidfd_open msgget io_uring_setup sethostname removexattr`,
  `read write open poll lseek mprotect ioctl readv writev msync mincore madvise socket connect
   accept bind getsockname getpeername sendmsg recvmsg execve fcntl readlink chown fchown lchown
   mknod getdents getdents64 getresuid getresgid setresuid setresgid sched_setaffinity
   sched_getaffinity sched_setscheduler tgkill mkdirat unlinkat faccessat fchmodat
   inotify_add_watch timer_create getrandom set_mempolicy get_robust_list getcpu mlock2
   membarrier close_range dup3 shmget shmat shmctl semget semop setpriority syslog futimesat
   symlinkat rt_sigqueueinfo setitimer msgctl seccomp bpf listxattr signalfd`,
  `rt_sigaction rt_sigprocmask pread64 pwrite64 socketpair wait4 openat openat2 newfstatat
   mknodat readlinkat prlimit64 sendfile accept4 epoll_ctl epoll_wait clock_nanosleep
   timerfd_settime timer_settime rt_sigtimedwait signalfd4 utimensat fallocate renameat
   faccessat2 fchmodat2 semctl semtimedop msgsnd fadvise64 rt_tgsigqueueinfo sendmmsg tee
   getxattr sync_file_range ptrace rseq pkey_mprotect`,
  `setsockopt getsockopt clone select mremap prctl waitid statx renameat2 recvmmsg ppoll preadv
   pwritev execveat mount perf_event_open msgrcv name_to_handle_at fchownat linkat setxattr
   keyctl futex_waitv`,
];

const arities = new Map(
  NAMES_BY_ARITY.flatMap((names, arity) =>
    names.split(/\s+/).map((name): [string, number] => [name, arity]),
  ),
);

const SMALL_MAX = 65_535n;
const TWO_32 = 0x1_0000_0000n;

/** Small numbers and small negative ones in decimal, all else in hex. */
function argument(value: bigint): string {
  const signed = BigInt.asIntN(64, value);
  if (signed >= -4096n && signed <= SMALL_MAX) return String(signed);
  // A negative int, as AT_FDCWD, whose upper half the compiler left zero.
  if (value < TWO_32 && value >= TWO_32 - 4096n) return String(value - TWO_32);
  return `0x${value.toString(16)}`;
}

/** `read(3, 0x7f0010, 4096)`; `args` are the 48 bytes. */
export function callText(number: number, args: Uint8Array): string {
  const name = syscallName(number);
  const view = new DataView(args.buffer, args.byteOffset, args.byteLength);
  const texts: string[] = [];
  for (let index = 0; index < (arities.get(name) ?? 6); index += 1) {
    texts.push(argument(view.getBigUint64(index * 8, true)));
  }
  return `${name}(${texts.join(', ')})`;
}

/** `12`, `-ENOENT`, or hex for what is probably an address. */
export function resultText(value: number): string {
  if (value < 0 && value >= -4095) return `-${errnoName(value)}`;
  return value > 0xffff_ffff ? `0x${value.toString(16)}` : String(value);
}
