/**
 * Every native function that the project calls, declared once, with the names and the argument
 * order of the man pages. The only importer of koffi. Called by loop/, sandbox/, guest/, host/ and
 * replication/, never by the library OS. Each returns what Linux returns, with -errno instead of
 * -1.
 *
 * All calls are synchronous on the calling thread: ptrace and waitpid must come from the thread
 * that seized the guest, so koffi's asynchronous calls are never used.
 */
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');

type Bytes = Uint8Array | null;

/** Turns -1 into -errno at once, before anything else can change errno. */
const errnoOf = (result: number): number => (result === -1 ? -koffi.errno() : result);

const c = {
  close: libc.func('int close(int fd)'),
  read: libc.func('int64_t read(int fd, void *buf, size_t count)'),
  write: libc.func('int64_t write(int fd, const void *buf, size_t count)'),
  pread: libc.func('int64_t pread(int fd, void *buf, size_t count, int64_t offset)'),
  pwrite: libc.func('int64_t pwrite(int fd, const void *buf, size_t count, int64_t offset)'),
  open: libc.func('int open(const char *path, int flags, int mode)'),
  fallocate: libc.func('int fallocate(int fd, int mode, int64_t offset, int64_t len)'),
  ftruncate: libc.func('int ftruncate(int fd, int64_t length)'),
  lseek: libc.func('int64_t lseek(int fd, int64_t offset, int whence)'),
  memfdCreate: libc.func('int memfd_create(const char *name, unsigned int flags)'),
  eventfd: libc.func('int eventfd(unsigned int initval, int flags)'),
  fcntl: libc.func('int fcntl(int fd, int cmd, long arg)'),
  ioctl: libc.func('int ioctl(int fd, unsigned long request, void *argp)'),
  ioctlValue: libc.func('ioctl', 'int', ['int', 'unsigned long', 'unsigned long']),
  poll: libc.func('int poll(void *fds, unsigned long nfds, int timeout)'),
  epollCreate1: libc.func('int epoll_create1(int flags)'),
  epollCtl: libc.func('int epoll_ctl(int epfd, int op, int fd, void *event)'),
  epollWait: libc.func('int epoll_wait(int epfd, void *events, int maxevents, int timeout)'),
  timerfdCreate: libc.func('int timerfd_create(int clockid, int flags)'),
  timerfdSettime: libc.func('int timerfd_settime(int fd, int flags, const void *new, void *old)'),
  clockGettime: libc.func('int clock_gettime(int clockid, void *tp)'),
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  bind: libc.func('int bind(int fd, const void *addr, uint32_t addrlen)'),
  listen: libc.func('int listen(int fd, int backlog)'),
  accept4: libc.func('int accept4(int fd, void *addr, void *addrlen, int flags)'),
  connect: libc.func('int connect(int fd, const void *addr, uint32_t addrlen)'),
  getsockname: libc.func('int getsockname(int fd, void *addr, void *addrlen)'),
  setsockopt: libc.func(
    'int setsockopt(int fd, int level, int optname, const void *optval, uint32_t optlen)',
  ),
  send: libc.func('int64_t send(int fd, const void *buf, size_t len, int flags)'),
  recv: libc.func('int64_t recv(int fd, void *buf, size_t len, int flags)'),
  shutdown: libc.func('int shutdown(int fd, int how)'),
  posixSpawn: libc.func(
    'int posix_spawn(int *pid, const char *path, void *actions, void *attr, ' +
      'const char **argv, const char **envp)',
  ),
  waitpid: libc.func('int waitpid(int pid, int *wstatus, int options)'),
  kill: libc.func('int kill(int pid, int sig)'),
  getpid: libc.func('int getpid()'),
  ptrace: libc.func('ptrace', 'long', ['long', 'long', 'uintptr_t', 'uintptr_t']),
  ptraceBytes: libc.func('ptrace', 'long', ['long', 'long', 'uintptr_t', 'void *']),
  processVmReadv: libc.func(
    'int64_t process_vm_readv(int pid, uintptr_t local_iov, unsigned long liovcnt, ' +
      'uintptr_t remote_iov, unsigned long riovcnt, unsigned long flags)',
  ),
  processVmWritev: libc.func(
    'int64_t process_vm_writev(int pid, uintptr_t local_iov, unsigned long liovcnt, ' +
      'uintptr_t remote_iov, unsigned long riovcnt, unsigned long flags)',
  ),
  mmap: libc.func('mmap', koffi.pointer('Mapping', koffi.opaque()), [
    'uintptr_t',
    'size_t',
    'int',
    'int',
    'int',
    'int64_t',
  ]),
  syscall: libc.func('syscall', 'long', ['long', 'long', 'long', 'long', 'long', 'long', 'long']),
};

export const close = (fd: number): number => errnoOf(c.close(fd));
export const read = (fd: number, target: Uint8Array, count: number): number =>
  errnoOf(c.read(fd, target, count));
export const write = (fd: number, source: Uint8Array, count: number): number =>
  errnoOf(c.write(fd, source, count));
export const pread = (fd: number, target: Uint8Array, count: number, offset: number): number =>
  errnoOf(c.pread(fd, target, count, offset));
export const pwrite = (fd: number, source: Uint8Array, count: number, offset: number): number =>
  errnoOf(c.pwrite(fd, source, count, offset));
export const open = (path: string, flags: number, mode = 0): number =>
  errnoOf(c.open(path, flags, mode));
export const fallocate = (fd: number, mode: number, offset: number, length: number): number =>
  errnoOf(c.fallocate(fd, mode, offset, length));
export const ftruncate = (fd: number, length: number): number => errnoOf(c.ftruncate(fd, length));
export const lseek = (fd: number, offset: number, whence: number): number =>
  errnoOf(c.lseek(fd, offset, whence));
export const memfdCreate = (name: string, flags: number): number =>
  errnoOf(c.memfdCreate(name, flags));
export const eventfd = (initial: number, flags: number): number =>
  errnoOf(c.eventfd(initial, flags));
export const fcntl = (fd: number, command: number, argument: number): number =>
  errnoOf(c.fcntl(fd, command, argument));
export const ioctl = (fd: number, request: number, argument: Bytes): number =>
  errnoOf(c.ioctl(fd, request, argument));
export const ioctlValue = (fd: number, request: number, argument: number): number =>
  errnoOf(c.ioctlValue(fd, request, argument));
export const poll = (fds: Uint8Array, count: number, timeoutMs: number): number =>
  errnoOf(c.poll(fds, count, timeoutMs));
export const epollCreate1 = (flags: number): number => errnoOf(c.epollCreate1(flags));
export const epollCtl = (epollFd: number, op: number, fd: number, event: Bytes): number =>
  errnoOf(c.epollCtl(epollFd, op, fd, event));
export const epollWait = (
  epollFd: number,
  events: Uint8Array,
  maxEvents: number,
  timeoutMs: number,
): number => errnoOf(c.epollWait(epollFd, events, maxEvents, timeoutMs));
export const timerfdCreate = (clock: number, flags: number): number =>
  errnoOf(c.timerfdCreate(clock, flags));
export const timerfdSettime = (fd: number, flags: number, value: Uint8Array): number =>
  errnoOf(c.timerfdSettime(fd, flags, value, null));
export const clockGettime = (clock: number, timespec: Uint8Array): number =>
  errnoOf(c.clockGettime(clock, timespec));

export const socket = (domain: number, type: number, protocol: number): number =>
  errnoOf(c.socket(domain, type, protocol));
export const bind = (fd: number, address: Uint8Array): number =>
  errnoOf(c.bind(fd, address, address.length));
export const listen = (fd: number, backlog: number): number => errnoOf(c.listen(fd, backlog));
export const accept4 = (fd: number, address: Bytes, size: Bytes, flags: number): number =>
  errnoOf(c.accept4(fd, address, size, flags));
export const connect = (fd: number, address: Uint8Array): number =>
  errnoOf(c.connect(fd, address, address.length));
export const getsockname = (fd: number, address: Uint8Array, size: Uint8Array): number =>
  errnoOf(c.getsockname(fd, address, size));
export const setsockopt = (fd: number, level: number, option: number, value: Uint8Array): number =>
  errnoOf(c.setsockopt(fd, level, option, value, value.length));
export const send = (fd: number, source: Uint8Array, count: number, flags: number): number =>
  errnoOf(c.send(fd, source, count, flags));
export const recv = (fd: number, target: Uint8Array, count: number, flags: number): number =>
  errnoOf(c.recv(fd, target, count, flags));
export const shutdown = (fd: number, how: number): number => errnoOf(c.shutdown(fd, how));

/**
 * posix_spawn(3): the child's pid, or -errno. No descriptor is inherited unless it lacks CLOEXEC.
 */
export function posixSpawn(
  path: string,
  argv: readonly string[],
  environment: readonly string[],
): number {
  const child = new Int32Array(1);
  const failed: number = c.posixSpawn(
    child,
    path,
    null,
    null,
    [...argv, null],
    [...environment, null],
  );
  return failed === 0 ? (child[0] as number) : -failed;
}

/** `status` is an Int32Array of one. */
export const waitpid = (pid: number, status: Int32Array, options: number): number =>
  errnoOf(c.waitpid(pid, status, options));
export const kill = (pid: number, signal: number): number => errnoOf(c.kill(pid, signal));
export const getpid = (): number => c.getpid();

/** ptrace(2) with numbers for `addr` and `data`. */
export const ptrace = (request: number, pid: number, address: number, data: number): number =>
  errnoOf(c.ptrace(request, pid, address, data));
/** ptrace(2) with memory for `data`. */
export const ptraceBytes = (
  request: number,
  pid: number,
  address: number,
  data: Uint8Array,
): number => errnoOf(c.ptraceBytes(request, pid, address, data));

/** Addresses of iovec arrays, in memory of an Arena. */
export const processVmReadv = (
  pid: number,
  local: number,
  localCount: number,
  remote: number,
  remoteCount: number,
): number => errnoOf(c.processVmReadv(pid, local, localCount, remote, remoteCount, 0));
export const processVmWritev = (
  pid: number,
  local: number,
  localCount: number,
  remote: number,
  remoteCount: number,
): number => errnoOf(c.processVmWritev(pid, local, localCount, remote, remoteCount, 0));

/** Any call by number, with numbers for arguments. */
export const syscall = (number: number, a = 0, b = 0, c1 = 0, d = 0, e = 0, f = 0): number =>
  errnoOf(c.syscall(number, a, b, c1, d, e, f));
/** A call whose third argument is memory: rt_tgsigqueueinfo takes it fourth, see below. */
export const rtTgsigqueueinfo = (
  tgid: number,
  tid: number,
  signal: number,
  info: Uint8Array,
): number => errnoOf(rtTgsigqueueinfoRaw(297, tgid, tid, signal, info));
export const rtSigqueueinfo = (tgid: number, signal: number, info: Uint8Array): number =>
  errnoOf(rtSigqueueinfoRaw(129, tgid, signal, info));
const rtSigqueueinfoRaw = libc.func('syscall', 'long', ['long', 'long', 'long', 'void *']);
const rtTgsigqueueinfoRaw = libc.func('syscall', 'long', [
  'long',
  'long',
  'long',
  'long',
  'void *',
]);

/** Memory of this process with a known address: what process_vm_readv and PAGEMAP_SCAN need. */
export interface Arena {
  readonly address: number;
  readonly bytes: Buffer;
}

/** Maps anonymous memory, never freed: arenas live as long as the thread that uses them. */
export function allocateArena(sizeBytes: number): Arena {
  const PROT_READ_WRITE = 3;
  const MAP_PRIVATE_ANONYMOUS = 0x22;
  const pointer = c.mmap(0, sizeBytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
  const address = Number(koffi.address(pointer));
  if (address <= 0) throw new RangeError(`no memory for ${sizeBytes} bytes`);
  return { address, bytes: Buffer.from(koffi.view(pointer, sizeBytes)) };
}
