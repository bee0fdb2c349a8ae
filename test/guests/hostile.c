/**
 * A guest that tries what a sandbox must refuse: `hostile WHAT [ARG]`. Prints "REFUSED what: ..."
 * and ends with 0, or "BREACH what: ..." and ends with 3; being killed is a refusal too. Whether
 * something outside was really touched is for the test that starts it to see. Never run natively.
 */
#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>

static const char *what;

static int refused(const char *how) {
  printf("REFUSED %s: %s\n", what, how);
  return fflush(stdout) == 0 ? 0 : 1;
}

static int breach(const char *how) {
  printf("BREACH %s: %s\n", what, how);
  fflush(stdout);
  return 3;
}

/** A call that must fail. */
static int must_fail(long result, const char *name) {
  char text[80];
  snprintf(text, sizeof text, "%s gives errno %d", name, result < 0 ? errno : 0);
  return result < 0 ? refused(text) : breach(name);
}

static int read_file(const char *path) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) return must_fail(fd, "open");
  char text[64] = {0};
  return read(fd, text, sizeof text - 1) < 0 ? refused("read") : breach(text);
}

/** In the overlay this is allowed: the guest then sees what it wrote, and the host nothing. */
static int write_file(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0) return must_fail(fd, "open");
  if (write(fd, "written by the guest", 20) != 20) return refused("write");
  close(fd);
  return refused("written to the overlay");
}

static int delete_file(const char *path) {
  int result = unlink(path);
  return result < 0 ? must_fail(result, "unlink") : refused("unlinked in the overlay");
}

static int touch_process(pid_t process) {
  char path[64], byte = 0;
  if (ptrace(PTRACE_SEIZE, process, 0, 0) == 0) return breach("PTRACE_SEIZE");
  if (ptrace(PTRACE_ATTACH, process, 0, 0) == 0) return breach("PTRACE_ATTACH");
  if (kill(process, SIGKILL) == 0) return breach("kill");
  if (syscall(SYS_tgkill, process, process, SIGKILL) == 0) return breach("tgkill");
  if (syscall(SYS_tkill, process, SIGKILL) == 0) return breach("tkill");
  if (sigqueue(process, SIGKILL, (union sigval){0}) == 0) return breach("sigqueue");
  if (syscall(SYS_pidfd_open, process, 0) >= 0) return breach("pidfd_open");
  struct iovec local = {&byte, 1}, remote = {(void *)0x400000, 1};
  if (process_vm_readv(process, &local, 1, &remote, 1, 0) >= 0) return breach("readv");
  if (process_vm_writev(process, &local, 1, &remote, 1, 0) >= 0) return breach("writev");
  const char *names[] = {"mem", "environ", "maps", "cmdline", "root/etc/passwd"};
  for (int i = 0; i < 5; i++) {
    snprintf(path, sizeof path, "/proc/%d/%s", (int)process, names[i]);
    if (open(path, O_RDONLY) >= 0) return breach(path);
  }
  return refused("ptrace, signals, memory and /proc");
}

static int open_sockets(void) {
  if (socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0) return breach("AF_INET SOCK_RAW");
  if (socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6) >= 0) return breach("AF_INET6 SOCK_RAW");
  if (socket(AF_PACKET, SOCK_RAW, htons(3)) >= 0) return breach("AF_PACKET");
  if (socket(AF_VSOCK, SOCK_STREAM, 0) >= 0) return breach("AF_VSOCK");
  return refused("raw and packet sockets");
}

static int connect_to(const char *host, int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return must_fail(fd, "socket");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, host, &address.sin_addr);
  int result = connect(fd, (struct sockaddr *)&address, sizeof address);
  if (result == 0 && write(fd, "PING\r\n", 6) < 0) result = -1;
  return must_fail(result, "connect");
}

/** The 32-bit entry has numbers of its own: a filter for 64 bits alone would let them by. */
static int enter_32_bit(void) {
#ifdef __x86_64__
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
  return result > 0 ? breach("getpid by int 0x80") : refused("int 0x80 gives an error");
#else
  return refused("no such entry");
#endif
}

static int enter_x32(void) {
  return must_fail(syscall(0x40000000 | SYS_getpid), "getpid by x32");
}

/** Each is ENOSYS, and the program goes on. */
static int unknown_calls(void) {
  const long numbers[] = {600, 600, 600, 999, 0x7fffffff, -7};
  for (int i = 0; i < 6; i++) {
    errno = 0;
    if (syscall(numbers[i], 1, 2, 3, 4, 5, 6) != -1 || errno != ENOSYS) {
      return breach("an unknown call is not ENOSYS");
    }
  }
  return refused("ENOSYS");
}

/** Arguments are such that even Linux without a sandbox would do no harm. */
static int privileged_calls(void) {
  char attributes[128] = {0};
  if (mount("none", "/nonexistent/folder", "tmpfs", 0, "") == 0) return breach("mount");
  if (syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -3, 1) >= 0) return breach("keyctl");
  if (syscall(SYS_add_key, "user", "x", "y", 1, -3) >= 0) return breach("add_key");
  if (syscall(SYS_bpf, 0, attributes, sizeof attributes) >= 0) return breach("bpf");
  if (syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0) >= 0) return breach("perf");
  if (syscall(SYS_userfaultfd, O_CLOEXEC | 1) >= 0) return breach("userfaultfd");
  if (syscall(SYS_io_uring_setup, 4, attributes) >= 0) return breach("io_uring_setup");
  if (syscall(SYS_unshare, 0x10000000) == 0) return breach("unshare");
  if (syscall(SYS_setns, 0, 0) == 0) return breach("setns");
  if (syscall(SYS_open_by_handle_at, -100, attributes, 0) >= 0) return breach("open_by_handle");
  if (syscall(SYS_pidfd_getfd, 3, 0, 0) >= 0) return breach("pidfd_getfd");
  if (syscall(SYS_memfd_secret, 0) >= 0) return breach("memfd_secret");
  if (syscall(SYS_process_madvise, 0, 0, 0, 0, 0) >= 0) return breach("process_madvise");
  if (syscall(SYS_init_module, attributes, 0, "") == 0) return breach("init_module");
  if (syscall(SYS_kcmp, 1, 1, 0, 0, 0) >= 0) return breach("kcmp");
  if (ptrace(PTRACE_TRACEME, 0, 0, 0) == 0) return breach("PTRACE_TRACEME");
  return refused("all");
}

/** Descriptors that the guest never opened. Raw calls, so that nothing of libc's is in between. */
static int stray_descriptors(void) {
  for (long fd = 3; fd < 4096; fd++) {
    char byte;
    if (syscall(SYS_fcntl, fd, F_GETFD) >= 0) return breach("a descriptor is open");
    if (syscall(SYS_read, fd, &byte, 1) >= 0) return breach("a descriptor can be read");
    if (mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, (int)fd, 0) != MAP_FAILED) {
      return breach("a descriptor can be mapped");
    }
  }
  return refused("no stray descriptor");
}

/** A path whose text another thread changes while it is used: it must be read once. */
static char racing_path[64];
static volatile int race_over;

static void *race(void *other) {
  while (!race_over) {
    memcpy(racing_path, "/tmp/own", 9);
    memcpy(racing_path, other, strlen(other) + 1);
  }
  return NULL;
}

static int race_paths(char *target) {
  pthread_t thread;
  close(open("/tmp/own", O_WRONLY | O_CREAT, 0600));
  CHECK_ZERO(pthread_create(&thread, NULL, race, target));
  for (int i = 0; i < 2000; i++) {
    int fd = open(racing_path, O_RDONLY);
    char byte;
    if (fd >= 0 && read(fd, &byte, 1) > 0) return breach("the other file was read");
    if (fd >= 0) close(fd);
  }
  race_over = 1;
  CHECK_ZERO(pthread_join(thread, NULL));
  return refused("2000 races");
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  what = argv[1];
  char *argument = argc > 2 ? argv[2] : "";
  if (strcmp(what, "read") == 0) return read_file(argument);
  if (strcmp(what, "write") == 0) return write_file(argument);
  if (strcmp(what, "delete") == 0) return delete_file(argument);
  if (strcmp(what, "process") == 0) return touch_process((pid_t)atoi(argument));
  if (strcmp(what, "sockets") == 0) return open_sockets();
  if (strcmp(what, "connect") == 0) return connect_to("127.0.0.1", atoi(argument));
  if (strcmp(what, "connect-out") == 0) return connect_to(argument, 80);
  if (strcmp(what, "int80") == 0) return enter_32_bit();
  if (strcmp(what, "x32") == 0) return enter_x32();
  if (strcmp(what, "unknown") == 0) return unknown_calls();
  if (strcmp(what, "unknown-and-stay") == 0) {
    int status = unknown_calls();
    fflush(stdout);
    return status == 0 ? pause() : status;
  }
  if (strcmp(what, "privileged") == 0) return privileged_calls();
  if (strcmp(what, "descriptors") == 0) return stray_descriptors();
  if (strcmp(what, "race") == 0) return race_paths(argument);
  return 2;
}
