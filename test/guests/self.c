/**
 * What a program is told of itself in /proc and by uname(2): its mappings, where its stack and its
 * code are, how much memory it has, what kernel it runs on.
 */
#include "check.h"
#include <sys/mman.h>
#include <sys/utsname.h>

#define PAGES 1024
#define PAGE 4096

static char text[1 << 20];

static const char *read_file(const char *path) {
  FILE *file = fopen(path, "r");
  CHECK(file != NULL);
  size_t size = fread(text, 1, sizeof text - 1, file);
  CHECK(size > 0 && size < sizeof text - 1);
  text[size] = 0;
  fclose(file);
  return text;
}

/** The permissions of the mapping that holds `address`, and its name. */
static void mapping_of(const void *address, char *permissions, char *name) {
  const char *line = read_file("/proc/self/maps");
  uintptr_t before = 0;
  permissions[0] = 0;
  while (*line != 0) {
    unsigned long start, end, offset, inode;
    unsigned major, minor;
    char found[5], path[512] = "";
    const char *next = strchr(line, '\n');
    CHECK(next != NULL && next - line < 600);
    char copy[600];
    snprintf(copy, sizeof copy, "%.*s", (int)(next - line), line);
    int fields = sscanf(copy, "%lx-%lx %4s %lx %x:%x %lu %511[^\n]", &start, &end, found, &offset,
                        &major, &minor, &inode, path);
    CHECK(fields == 7 || fields == 8);
    CHECK(start >= before && end > start);
    before = end;
    if ((uintptr_t)address >= start && (uintptr_t)address < end) {
      strcpy(permissions, found);
      strcpy(name, path);
    }
    line = next + 1;
  }
}

static long resident_pages(void) {
  long size, resident;
  CHECK(sscanf(read_file("/proc/self/statm"), "%ld %ld", &size, &resident) == 2);
  CHECK(size >= resident && resident > 0);
  return resident;
}

static void check_maps(void) {
  char permissions[5], name[512], program[512];
  ssize_t size = CHECK_CALL(readlink("/proc/self/exe", program, sizeof program - 1));
  program[size] = 0;
  mapping_of((const void *)(uintptr_t)check_maps, permissions, name);
  CHECK(strcmp(permissions, "r-xp") == 0);
  CHECK(strcmp(name, program) == 0);
  mapping_of(permissions, permissions, name);
  CHECK(strcmp(permissions, "rw-p") == 0);
  CHECK(strcmp(name, "[stack]") == 0);
  char *shared = CHECK_CALL(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  mapping_of(shared, permissions, name);
  CHECK(strcmp(permissions, "r--s") == 0);
  CHECK_CALL(munmap(shared, PAGE));
  mapping_of(shared, permissions, name);
  CHECK(permissions[0] == 0);
}

/** glibc reads /proc/self/maps for it. */
static void check_stack(void) {
  pthread_attr_t attributes;
  void *lowest;
  size_t size;
  CHECK_ZERO(pthread_getattr_np(pthread_self(), &attributes));
  CHECK_ZERO(pthread_attr_getstack(&attributes, &lowest, &size));
  CHECK((char *)&size > (char *)lowest && (char *)&size < (char *)lowest + size);
  CHECK_ZERO(pthread_attr_destroy(&attributes));
}

static void check_use(void) {
  long before = resident_pages();
  char *pages = CHECK_CALL(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (int i = 0; i < PAGES; i++) pages[i * PAGE] = 1;
  // Linux counts in batches for each thread.
  CHECK(resident_pages() >= before + PAGES - 256);
  long kilobytes;
  const char *line = strstr(read_file("/proc/self/status"), "\nVmRSS:");
  CHECK(line != NULL && sscanf(line, "\nVmRSS: %ld kB", &kilobytes) == 1);
  CHECK(kilobytes >= (PAGES - 256) * 4);
  CHECK_CALL(munmap(pages, PAGES * PAGE));
}

static void check_kernel(void) {
  struct utsname name;
  CHECK_CALL(uname(&name));
  strcat(name.release, "\n");
  CHECK(strcmp(read_file("/proc/sys/kernel/osrelease"), name.release) == 0);
  strcat(name.version, "\n");
  CHECK(strcmp(read_file("/proc/sys/kernel/version"), name.version) == 0);
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("self", argc, argv);
  while (next_round(&plan)) {
    check_maps();
    check_stack();
    check_use();
    check_kernel();
    end_round(&plan);
  }
  return pass(&plan);
}
