/**
 * Files in memory and what is done with descriptors beside reading and writing: memfd_create and
 * seals, copies from file to file, ranges of descriptors, preallocation, the flags of preadv2 and
 * pwritev2, statx, inherited positions. A file in memory lives through all rounds and is checked
 * whole at the end.
 */
#include "check.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static char path[64];

static int memory(const char *text, unsigned flags) {
  int fd = CHECK_CALL(memfd_create("memory", flags | MFD_CLOEXEC));
  CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  return fd;
}

static void is(int fd, const char *text) {
  char back[256];
  struct stat status;
  CHECK_CALL(fstat(fd, &status));
  CHECK(status.st_size == (off_t)strlen(text));
  CHECK(pread(fd, back, sizeof back, 0) == (ssize_t)strlen(text));
  CHECK(memcmp(back, text, strlen(text)) == 0);
}

static void seals(void) {
  char name[64], target[64];
  int fd = memory("12345", MFD_ALLOW_SEALING);
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(name, target, sizeof target);
  CHECK(size == 23 && memcmp(target, "/memfd:memory (deleted)", 23) == 0);
  struct stat status;
  CHECK_CALL(fstat(fd, &status));
  CHECK(S_ISREG(status.st_mode) && status.st_nlink == 0);
  CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR && fcntl(fd, F_GETFD) == FD_CLOEXEC);
  int reader = CHECK_CALL(open(name, O_RDONLY | O_CLOEXEC));
  is(reader, "12345");
  CHECK(fcntl(reader, F_ADD_SEALS, F_SEAL_GROW) == -1 && errno == EPERM);
  CHECK(fcntl(fd, F_GET_SEALS) == 0);
  CHECK_CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
  CHECK(ftruncate(fd, 6) == -1 && errno == EPERM);
  CHECK(pwrite(fd, "x", 1, 5) == -1 && errno == EPERM);
  CHECK(fallocate(fd, 0, 0, 6) == -1 && errno == EPERM);
  CHECK(pwrite(fd, "abc", 3, 2) == 3);
  CHECK_CALL(ftruncate(fd, 4));
  CHECK_CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
  CHECK(ftruncate(fd, 3) == -1 && errno == EPERM);
  CHECK_CALL(ftruncate(fd, 4));
  int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  CHECK_CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
  CHECK(pwrite(fd, "x", 1, 0) == -1 && errno == EPERM);
  CHECK(fallocate(fd, hole, 0, 1) == -1 && errno == EPERM);
  CHECK_CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL));
  CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EPERM);
  CHECK(fcntl(fd, F_ADD_SEALS, 0x1000) == -1 && errno == EINVAL);
  int all = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE | F_SEAL_WRITE | F_SEAL_SEAL;
  CHECK(fcntl(reader, F_GET_SEALS) == all);
  is(reader, "12ab");
  CHECK_CALL(close(reader));
  CHECK_CALL(close(fd));

  fd = memory("", 0);
  CHECK(fcntl(fd, F_GET_SEALS) == F_SEAL_SEAL);
  CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == -1 && errno == EPERM);
  CHECK_CALL(close(fd));
  CHECK(memfd_create("x", 0x1000) == -1 && errno == EINVAL);
  CHECK(memfd_create((char *)8, 0) == -1 && errno == EFAULT);
  fd = CHECK_CALL(memfd_create("x", MFD_NOEXEC_SEAL));
  CHECK(fcntl(fd, F_GET_SEALS) == F_SEAL_EXEC);
  CHECK_CALL(fstat(fd, &status));
  CHECK((status.st_mode & 0777) == 0666);
  CHECK(fchmod(fd, 0777) == -1 && errno == EPERM);
  CHECK_CALL(fchmod(fd, 0600));
  CHECK_CALL(close(fd));
}

static void copies(void) {
  int from = memory("0123456789", 0), to = memory("", 0);
  off_t at = 2, target = 5;
  CHECK(copy_file_range(from, &at, to, &target, 4, 0) == 4 && at == 6 && target == 9);
  CHECK(lseek(from, 0, SEEK_CUR) == 10 && lseek(to, 0, SEEK_CUR) == 0);
  char back[16];
  CHECK(pread(to, back, 16, 0) == 9 && memcmp(back, "\0\0\0\0\0" "2345", 9) == 0);
  CHECK(lseek(from, 8, SEEK_SET) == 8);
  CHECK(copy_file_range(from, NULL, to, NULL, 100, 0) == 2);
  CHECK(lseek(from, 0, SEEK_CUR) == 10 && lseek(to, 0, SEEK_CUR) == 2);
  CHECK(copy_file_range(from, NULL, to, NULL, 100, 0) == 0);
  CHECK(copy_file_range(from, NULL, to, NULL, 1, 1) == -1 && errno == EINVAL);
  at = 0, target = 3;
  CHECK(copy_file_range(from, &at, from, &target, 5, 0) == -1 && errno == EINVAL);
  CHECK(copy_file_range(from, &at, from, &target, 3, 0) == 3);
  is(from, "0120126789");
  CHECK_CALL(ftruncate(to, 0));
  at = 6;
  CHECK(lseek(to, 0, SEEK_SET) == 0 && sendfile(to, from, &at, 100) == 4 && at == 10);
  is(to, "6789");
  CHECK(lseek(from, 1, SEEK_SET) == 1 && sendfile(to, from, NULL, 2) == 2);
  is(to, "678912");
  int ends[2];
  CHECK_CALL(pipe2(ends, O_CLOEXEC));
  CHECK(sendfile(ends[1], from, NULL, 3) == 3 && read(ends[0], back, 16) == 3);
  CHECK(memcmp(back, "012", 3) == 0);
  CHECK_CALL(close(ends[0]));
  CHECK_CALL(close(ends[1]));
  CHECK(sendfile(to, -1, NULL, 1) == -1 && errno == EBADF);
  CHECK_CALL(close(from));
  CHECK_CALL(close(to));
}

static void ranges(void) {
  int base = 300;
  for (int i = 0; i < 8; i++) CHECK(dup2(1, base + i) == base + i);
  CHECK(syscall(SYS_close_range, base + 2, base + 4, 0) == 0);
  CHECK(syscall(SYS_close_range, base + 5, ~0u, 4) == 0);
  for (int i = 0; i < 8; i++) {
    int flags = fcntl(base + i, F_GETFD);
    if (i < 2) CHECK(flags == 0);
    else if (i < 5) CHECK(flags == -1 && errno == EBADF);
    else CHECK(flags == FD_CLOEXEC);
  }
  CHECK(syscall(SYS_close_range, 5, 4, 0) == -1 && errno == EINVAL);
  CHECK(syscall(SYS_close_range, base, base, 64) == -1 && errno == EINVAL);
  CHECK(syscall(SYS_close_range, base, ~0u, 0) == 0);
  CHECK(fcntl(base, F_GETFD) == -1 && errno == EBADF);
}

static void blocks(void) {
  int fd = memory("", 0);
  struct stat status;
  CHECK_CALL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100000));
  CHECK_CALL(fstat(fd, &status));
  CHECK(status.st_size == 0);
  CHECK_CALL(fallocate(fd, 0, 8192, 8192));
  CHECK_CALL(fstat(fd, &status));
  CHECK(status.st_size == 16384);
  static char bytes[16384];
  memset(bytes, 'x', sizeof bytes);
  CHECK(pwrite(fd, bytes, sizeof bytes, 0) == sizeof bytes);
  CHECK_CALL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4097));
  CHECK(lseek(fd, 0, SEEK_HOLE) == 4096 && lseek(fd, 4096, SEEK_DATA) == 8192);
  CHECK(pread(fd, bytes, sizeof bytes, 0) == sizeof bytes);
  CHECK(bytes[4095] == 'x' && bytes[4096] == 0 && bytes[8192] == 0 && bytes[8193] == 'x');
  CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1) == -1 && errno == EOPNOTSUPP);
  CHECK(fallocate(fd, 0, -1, 1) == -1 && errno == EINVAL);
  CHECK(fallocate(fd, 0, 0, 0) == -1 && errno == EINVAL);
  CHECK_CALL(sync_file_range(fd, 0, 4096, SYNC_FILE_RANGE_WRITE));
  CHECK_CALL(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
  CHECK_CALL(close(fd));
}

static void flags(void) {
  int fd = CHECK_CALL(open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  char back[16];
  struct iovec out[2] = {{"abc", 3}, {"def", 3}}, in[2] = {{back, 2}, {back + 2, 10}};
  CHECK(pwritev2(fd, out, 2, 0, RWF_DSYNC) == 6);
  CHECK(pwritev2(fd, out, 1, 0, RWF_APPEND | RWF_SYNC) == 3);
  is(fd, "abcdefabc");
  CHECK(lseek(fd, 0, SEEK_CUR) == 0);
  CHECK(pwritev2(fd, out + 1, 1, -1, 0) == 3 && lseek(fd, 0, SEEK_CUR) == 3);
  CHECK(preadv2(fd, in, 2, 1, 0) == 8 && memcmp(back, "efdefabc", 8) == 0);
  CHECK(preadv2(fd, in, 2, -1, RWF_HIPRI) == 6 && lseek(fd, 0, SEEK_CUR) == 9);
  CHECK(preadv2(fd, in, 2, -2, 0) == -1 && errno == EINVAL);
  CHECK(preadv2(fd, in, 2, 0, 0x40000000) == -1 && errno == EOPNOTSUPP);

  struct statx all;
  CHECK_CALL(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &all));
  CHECK((all.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS && all.stx_size == 9);
  CHECK(all.stx_mode == (S_IFREG | 0640) && all.stx_nlink == 1 && all.stx_mtime.tv_sec > 0);
  CHECK(statx(fd, "", 0, STATX_SIZE, &all) == -1 && errno == ENOENT);
  CHECK(statx(fd, "", AT_EMPTY_PATH, 0x80000000u, &all) == -1 && errno == EINVAL);
  CHECK(syncfs(fd) == 0 && fdatasync(fd) == 0);
  CHECK_CALL(close(fd));
  CHECK_CALL(unlink(path));
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("descriptors", argc, argv);
  umask(022);
  snprintf(path, sizeof path, "/tmp/tardigrade-descriptors-%d", (int)getpid());
  int kept = CHECK_CALL(memfd_create("kept", MFD_ALLOW_SEALING));
  while (next_round(&plan)) {
    int64_t value = plan.round;
    CHECK(write(kept, &value, sizeof value) == sizeof value);
    seals();
    copies();
    ranges();
    blocks();
    flags();
    end_round(&plan);
  }
  CHECK_CALL(fcntl(kept, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL));
  for (int64_t round = 1; round < plan.round; round++) {
    int64_t value;
    CHECK(pread(kept, &value, sizeof value, (round - 1) * 8) == sizeof value && value == round);
  }
  return pass(&plan);
}
