/**
 * Files that the guest writes: contents, holes, appending, truncation, names that move, files that
 * have lost their name but are open, links, directories, attributes. A log that is appended to in
 * every round and an open nameless file are checked whole at the end. Works in a directory of its
 * own below /tmp (in the sandbox that is the overlay) and removes it.
 */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum { LINE = 32, BLOCK = 10000 };

static char folder[64];

static char *path_of(const char *name) {
  static char paths[4][128];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, 128, "%s/%s", folder, name);
  return path;
}

static int open_at(const char *name, int flags) {
  return CHECK_CALL(open(path_of(name), flags | O_CLOEXEC, 0644));
}

static int64_t size_of(const char *name) {
  struct stat status;
  CHECK_CALL(stat(path_of(name), &status));
  CHECK(S_ISREG(status.st_mode));
  return status.st_size;
}

static void fill(unsigned char *bytes, size_t size, unsigned seed) {
  for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)((i * 17 + seed) >> 2);
}

static void contents(int round) {
  unsigned char bytes[BLOCK], back[BLOCK];
  fill(bytes, BLOCK, (unsigned)round);
  int fd = open_at("data", O_RDWR | O_CREAT | O_TRUNC);
  CHECK(write(fd, bytes, BLOCK) == BLOCK);
  CHECK(lseek(fd, 0, SEEK_CUR) == BLOCK);
  CHECK(pread(fd, back, BLOCK, 0) == BLOCK && memcmp(bytes, back, BLOCK) == 0);
  CHECK(pwrite(fd, "middle", 6, 5000) == 6);
  CHECK(lseek(fd, 4998, SEEK_SET) == 4998 && read(fd, back, 10) == 10);
  CHECK(memcmp(back + 2, "middle", 6) == 0 && back[0] == bytes[4998] && back[8] == bytes[5006]);
  CHECK(pread(fd, back, BLOCK, BLOCK) == 0);

  // A hole reads as zeros.
  CHECK(pwrite(fd, "far", 3, 1000000) == 3);
  CHECK(size_of("data") == 1000003);
  CHECK(pread(fd, back, BLOCK, 500000) == BLOCK);
  for (int i = 0; i < BLOCK; i++) CHECK(back[i] == 0);
  CHECK_CALL(ftruncate(fd, 100));
  CHECK_CALL(ftruncate(fd, 200));
  CHECK(pread(fd, back, BLOCK, 0) == 200 && memcmp(bytes, back, 100) == 0);
  for (int i = 100; i < 200; i++) CHECK(back[i] == 0);
  CHECK_CALL(fsync(fd));
  CHECK_CALL(fdatasync(fd));

  struct iovec parts[2] = {{"one", 3}, {"three", 5}};
  CHECK(lseek(fd, 0, SEEK_END) == 200 && writev(fd, parts, 2) == 8);
  CHECK(pread(fd, back, 8, 200) == 8 && memcmp(back, "onethree", 8) == 0);
  int copy = CHECK_CALL(dup(fd));
  CHECK(lseek(copy, 3, SEEK_SET) == 3 && lseek(fd, 0, SEEK_CUR) == 3);
  CHECK_CALL(close(copy));
  CHECK_CALL(close(fd));
  CHECK(write(fd, "x", 1) == -1 && errno == EBADF);
}

static void names(void) {
  int fd = open_at("first", O_WRONLY | O_CREAT | O_EXCL);
  CHECK(open(path_of("first"), O_WRONLY | O_CREAT | O_EXCL, 0644) == -1 && errno == EEXIST);
  CHECK(write(fd, "first", 5) == 5);
  CHECK_CALL(close(fd));
  fd = open_at("second", O_WRONLY | O_CREAT | O_TRUNC);
  CHECK(write(fd, "second!", 7) == 7);
  int held = open_at("second", O_RDONLY);
  CHECK_CALL(rename(path_of("first"), path_of("second")));
  CHECK(access(path_of("first"), F_OK) == -1 && errno == ENOENT);
  CHECK(size_of("second") == 5);
  // What was replaced lives as long as it is open.
  char back[16];
  CHECK(read(held, back, sizeof back) == 7 && memcmp(back, "second!", 7) == 0);
  CHECK_CALL(close(held));
  CHECK_CALL(close(fd));

  CHECK_CALL(link(path_of("second"), path_of("third")));
  struct stat status;
  CHECK_CALL(stat(path_of("third"), &status));
  CHECK(status.st_nlink == 2);
  CHECK_CALL(symlink("third", path_of("arrow")));
  ssize_t size = readlink(path_of("arrow"), back, sizeof back);
  CHECK(size == 5 && memcmp(back, "third", 5) == 0);
  CHECK_CALL(lstat(path_of("arrow"), &status));
  CHECK(S_ISLNK(status.st_mode) && size_of("arrow") == 5);
  CHECK_CALL(unlink(path_of("arrow")));
  CHECK_CALL(unlink(path_of("second")));
  CHECK_CALL(unlink(path_of("third")));
  CHECK(unlink(path_of("third")) == -1 && errno == ENOENT);
}

static void folders(int round) {
  CHECK_CALL(mkdir(path_of("sub"), 0755));
  CHECK(mkdir(path_of("sub"), 0755) == -1 && errno == EEXIST);
  char name[32];
  int count = 5 + round % 3;
  for (int i = 0; i < count; i++) {
    snprintf(name, sizeof name, "sub/file-%d", i);
    CHECK_CALL(close(open_at(name, O_WRONLY | O_CREAT)));
  }
  CHECK(rmdir(path_of("sub")) == -1 && errno == ENOTEMPTY);
  DIR *dir = opendir(path_of("sub"));
  CHECK(dir != NULL);
  int seen = 0, dots = 0;
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    int number;
    if (entry->d_name[0] == '.') dots += 1;
    else if (sscanf(entry->d_name, "file-%d", &number) == 1) seen |= 1 << number;
    else CHECK(!"a name that was never made");
  }
  CHECK(seen == (1 << count) - 1 && dots == 2);
  CHECK_CALL(closedir(dir));
  CHECK_CALL(rename(path_of("sub"), path_of("moved")));
  for (int i = 0; i < count; i++) {
    snprintf(name, sizeof name, "moved/file-%d", i);
    CHECK_CALL(unlink(path_of(name)));
  }
  CHECK_CALL(rmdir(path_of("moved")));
  CHECK(open(path_of("moved/file"), O_RDONLY) == -1 && errno == ENOENT);
  CHECK(open(folder, O_WRONLY) == -1 && errno == EISDIR);
}

static void attributes(void) {
  int fd = open_at("attributes", O_RDWR | O_CREAT);
  struct stat status;
  CHECK_CALL(fchmod(fd, 0600));
  CHECK_CALL(fstat(fd, &status));
  CHECK((status.st_mode & 07777) == 0600 && status.st_size == 0);
  struct timespec times[2] = {{1000, 5}, {2000, 7}};
  CHECK_CALL(futimens(fd, times));
  CHECK_CALL(fstat(fd, &status));
  CHECK(status.st_atim.tv_sec == 1000 && status.st_mtim.tv_sec == 2000);
  CHECK(status.st_mtim.tv_nsec == 7);
  int flags = CHECK_CALL(fcntl(fd, F_GETFL));
  CHECK((flags & O_ACCMODE) == O_RDWR && (flags & O_APPEND) == 0);
  CHECK((CHECK_CALL(fcntl(fd, F_GETFD)) & FD_CLOEXEC) != 0);
  CHECK_CALL(close(fd));
  CHECK_CALL(unlink(path_of("attributes")));
}

static void append_to_log(int log, int round) {
  char line[LINE + 1];
  snprintf(line, sizeof line, "%-31d\n", round);
  CHECK(lseek(log, 0, SEEK_SET) == 0);
  CHECK(write(log, line, LINE) == LINE);
  CHECK(size_of("log") == (int64_t)round * LINE);
}

static void check_log(int rounds) {
  int fd = open_at("log", O_RDONLY);
  for (int round = 1; round <= rounds; round++) {
    char line[LINE + 1], expected[LINE + 1];
    snprintf(expected, sizeof expected, "%-31d\n", round);
    CHECK(read(fd, line, LINE) == LINE && memcmp(line, expected, LINE) == 0);
  }
  CHECK_CALL(close(fd));
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("files", argc, argv);
  // Not mkdtemp: its random name would change what the guest does from run to run.
  snprintf(folder, sizeof folder, "/tmp/tardigrade-guest-%d", (int)getpid());
  CHECK_CALL(mkdir(folder, 0755));
  int log = open_at("log", O_WRONLY | O_CREAT | O_APPEND);
  int nameless = open_at("nameless", O_RDWR | O_CREAT);
  CHECK_CALL(unlink(path_of("nameless")));
  struct stat status;
  CHECK_CALL(fstat(nameless, &status));
  CHECK(status.st_nlink == 0);
  unsigned char bytes[BLOCK], back[BLOCK];

  while (next_round(&plan)) {
    append_to_log(log, plan.round);
    fill(bytes, BLOCK, (unsigned)plan.round);
    int64_t at = (plan.round - 1) % 200 * (int64_t)BLOCK;
    CHECK(pwrite(nameless, bytes, BLOCK, at) == BLOCK);
    contents(plan.round);
    names();
    folders(plan.round);
    attributes();
    if (plan.round > 1) {
      fill(bytes, BLOCK, (unsigned)plan.round - 1);
      CHECK(pread(nameless, back, BLOCK, (plan.round - 2) % 200 * (int64_t)BLOCK) == BLOCK);
      CHECK(memcmp(bytes, back, BLOCK) == 0);
    }
    end_round(&plan);
  }
  check_log(plan.round - 1);
  CHECK_CALL(close(nameless));
  CHECK_CALL(unlink(path_of("log")));
  CHECK_CALL(unlink(path_of("data")));
  CHECK_CALL(rmdir(folder));
  return pass(&plan);
}
