/**
 * Runs a command as if the kernel were older: `without FEATURE COMMAND [ARG...]`. A filter makes
 * the feature's system call answer as a kernel that lacks it. Not a guest: it wraps `tardigrade`.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGEMAP_SCAN_REQUEST 0xc0606610u

static const struct feature {
  const char *name;
  unsigned call;
  /** 0, or the request that ioctl refuses. */
  unsigned request;
  unsigned error;
} features[] = {
    {"userfaultfd", SYS_userfaultfd, 0, ENOSYS},
    {"pidfd_getfd", SYS_pidfd_getfd, 0, ENOSYS},
    {"pagemap_scan", SYS_ioctl, PAGEMAP_SCAN_REQUEST, ENOTTY},
};

static int forbid(const struct feature *feature) {
  const unsigned any = feature->request == 0;
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, feature->call, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, feature->request, 0, any ? 0 : 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | feature->error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

int main(int argc, char **argv) {
  for (size_t i = 0; argc > 2 && i < sizeof features / sizeof features[0]; i++) {
    if (strcmp(features[i].name, argv[1]) != 0) continue;
    if (forbid(&features[i]) != 0) {
      perror("without");
      return 125;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 126;
  }
  fprintf(stderr, "usage: without FEATURE COMMAND [ARG...]\n");
  return 125;
}
