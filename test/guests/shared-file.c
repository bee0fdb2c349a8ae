/**
 * Files that are mapped shared to be read and written by write(2), as databases do it: what is
 * written shows in every mapping at once, in new parts of the file too, through holes and cuts, for
 * mappings of a part, and after the file has lost its name.
 */
#include "check.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum { PAGE = 4096, PAGES = 64, BYTES = PAGES * PAGE };

static unsigned char expected[BYTES];
static uint64_t chance = 0x9e3779b97f4a7c15ULL;

static size_t below(size_t limit) { return next_random(&chance) % limit; }

static const unsigned char *map(int file, size_t offset, size_t size) {
  void *start = mmap(NULL, size, PROT_READ, MAP_SHARED, file, (off_t)offset);
  CHECK(start != MAP_FAILED);
  return start;
}

static void compare(const unsigned char *shown, size_t offset, size_t size) {
  CHECK(memcmp(shown, expected + offset, size) == 0);
}

static void write_some(int file) {
  size_t offset = below(BYTES - 3 * PAGE), size = 1 + below(3 * PAGE - 1);
  unsigned char bytes[3 * PAGE];
  memset(bytes, (int)(1 + below(255)), size);
  if (below(2) == 0) {
    CHECK(pwrite(file, bytes, size, (off_t)offset) == (ssize_t)size);
  } else {
    size_t half = size / 2;
    struct iovec parts[2] = {{bytes, half}, {bytes + half, size - half}};
    CHECK(pwritev(file, parts, 2, (off_t)offset) == (ssize_t)size);
  }
  memcpy(expected + offset, bytes, size);
}

static void punch(int file) {
  size_t offset = below(BYTES - 4 * PAGE), size = 1 + below(4 * PAGE - 1);
  int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  CHECK_CALL(fallocate(file, mode, (off_t)offset, (off_t)size));
  memset(expected + offset, 0, size);
}

/** Cut and grown again: what was cut off reads as zeros. */
static void cut(int file) {
  size_t keep = below(BYTES);
  CHECK_CALL(ftruncate(file, (off_t)keep));
  CHECK_CALL(ftruncate(file, BYTES));
  memset(expected + keep, 0, BYTES - keep);
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("shared-file", argc, argv);
  char path[] = "/tmp/shared-file-XXXXXX";
  int file = CHECK_CALL(mkstemp(path));
  CHECK_CALL(ftruncate(file, BYTES));
  int reader = CHECK_CALL(open(path, O_RDONLY));
  const unsigned char *whole = map(reader, 0, BYTES);
  const unsigned char *part = map(file, 8 * PAGE, 16 * PAGE);
  CHECK(mprotect((void *)part, PAGE, PROT_READ | PROT_WRITE) == 0 || errno == EACCES);
  CHECK_CALL(mprotect((void *)part, PAGE, PROT_READ));
  CHECK_CALL(madvise((void *)whole, BYTES, MADV_RANDOM));
  while (next_round(&plan)) {
    compare(whole, 0, BYTES);
    for (int i = 0; i < 6; i++) {
      write_some(file);
      compare(part, 8 * PAGE, 16 * PAGE);
    }
    punch(file);
    if (plan.round % 4 == 0) cut(file);
    compare(whole, 0, BYTES);
    if (plan.round == 3) CHECK_CALL(unlink(path));
    if (plan.round % 5 == 0) {
      // A hole in the middle of one, and other memory there, which stays as it is.
      CHECK_CALL(munmap((void *)(part + 4 * PAGE), 2 * PAGE));
      int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
      void *want = (void *)(part + 5 * PAGE);
      unsigned char *other = mmap(want, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
      CHECK(other == want);
      other[0] = 42;
      for (int i = 0; i < 6; i++) write_some(file);
      CHECK(other[0] == 42 && other[1] == 0);
      compare(part, 8 * PAGE, 4 * PAGE);
      compare(part + 6 * PAGE, 14 * PAGE, 10 * PAGE);
      CHECK_CALL(munmap((void *)part, 16 * PAGE));
      part = map(file, 8 * PAGE, 16 * PAGE);
    }
    end_round(&plan);
  }
  CHECK(munmap((void *)whole, BYTES) == 0);
  if (plan.round <= 3) CHECK_CALL(unlink(path));
  return pass(&plan);
}
