/**
 * inotify(7): what watches of a directory and of files tell of everything that is done to them, in
 * which order; queues that coalesce and overflow; poll and epoll; watches that go with their file.
 * One instance lives through all rounds, and events that are queued in a round are read in the
 * next. Works in a directory of its own below /tmp and removes it.
 */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { WATCHES = 32, TEXT = 4096 };

static char folder[64];
static int queue;
/** Watch descriptors of this round and what the checks call them. */
static struct {
  int wd;
  char name;
} known[WATCHES];

static char *path_of(const char *name) {
  static char paths[4][128];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, 128, "%s/%s", folder, name);
  return path;
}

static void know(int wd, char name) {
  for (int i = 0; i < WATCHES; i++) {
    if (known[i].wd != 0 && known[i].wd != wd) continue;
    known[i].wd = wd;
    known[i].name = name;
    return;
  }
  CHECK(!"too many watches");
}

static int watch(char name, const char *path, uint32_t mask) {
  int wd = CHECK_CALL(inotify_add_watch(queue, path, mask));
  know(wd, name);
  return wd;
}

static void unwatch(int wd) { CHECK_CALL(inotify_rm_watch(queue, wd)); }

static const struct {
  uint32_t bit;
  const char *name;
} bits[] = {
    {IN_ACCESS, "access"},           {IN_MODIFY, "modify"},
    {IN_ATTRIB, "attrib"},           {IN_CLOSE_WRITE, "close-write"},
    {IN_CLOSE_NOWRITE, "close"},     {IN_OPEN, "open"},
    {IN_MOVED_FROM, "from"},         {IN_MOVED_TO, "to"},
    {IN_CREATE, "create"},           {IN_DELETE, "delete"},
    {IN_DELETE_SELF, "delete-self"}, {IN_MOVE_SELF, "move-self"},
    {IN_Q_OVERFLOW, "overflow"},     {IN_IGNORED, "ignored"},
    {IN_ISDIR, "dir"},
};

static uint32_t last_cookie;

static size_t describe(const struct inotify_event *event, char *text, size_t room) {
  char name = '?';
  for (int i = 0; i < WATCHES; i++) {
    if (known[i].wd == event->wd) name = known[i].name;
  }
  size_t used = (size_t)snprintf(text, room, "%c", name);
  uint32_t left = event->mask;
  for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
    if ((left & bits[i].bit) == 0) continue;
    left &= ~bits[i].bit;
    used += (size_t)snprintf(text + used, room - used, " %s", bits[i].name);
  }
  CHECK(left == 0);
  if (event->len > 0) {
    CHECK(event->len % sizeof *event == 0 && strlen(event->name) < event->len);
    used += (size_t)snprintf(text + used, room - used, " %s", event->name);
  }
  if (event->mask & IN_MOVED_TO) CHECK(event->cookie != 0 && event->cookie == last_cookie);
  else if (event->mask & IN_MOVED_FROM) CHECK(event->cookie != 0 && event->cookie != last_cookie);
  else CHECK(event->cookie == 0);
  if (event->cookie != 0) last_cookie = event->cookie;
  return used + (size_t)snprintf(text + used, room - used, ";");
}

/** Reads all that is queued: it must be this, and poll and FIONREAD must agree. */
static void expect_at(int line, const char *expected) {
  char bytes[TEXT] __attribute__((aligned(8))), text[TEXT] = "";
  struct pollfd polled = {.fd = queue, .events = POLLIN};
  int pending;
  CHECK_CALL(ioctl(queue, FIONREAD, &pending));
  CHECK(poll(&polled, 1, 0) == (pending > 0));
  CHECK((pending > 0) == (expected[0] != 0));
  size_t used = 0;
  for (;;) {
    ssize_t size = read(queue, bytes, sizeof bytes);
    if (size < 0) {
      CHECK(errno == EAGAIN);
      break;
    }
    pending -= (int)size;
    for (ssize_t at = 0; at < size;) {
      const struct inotify_event *event = (const void *)(bytes + at);
      used += describe(event, text + used, sizeof text - used);
      at += (ssize_t)(sizeof *event + event->len);
    }
  }
  CHECK(pending == 0);
  if (strcmp(text, expected) != 0) {
    printf("FAIL %s:%d: expected %s\nfound %s\n", __FILE__, line, expected, text);
    fflush(stdout);
    _exit(1);
  }
}
#define EXPECT(text) expect_at(__LINE__, text)

static int make(const char *name) {
  return CHECK_CALL(open(path_of(name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
}

static void contents(void) {
  int d = watch('d', folder, IN_ALL_EVENTS);
  int fd = make("a");
  EXPECT("d create a;d open a;");
  int f = watch('f', path_of("a"), IN_ALL_EVENTS);
  CHECK(write(fd, "12345", 5) == 5);
  EXPECT("d modify a;f modify;");
  // Equal events one after the other are one; of both watches none is.
  char back[8];
  CHECK(pread(fd, back, 5, 0) == 5 && pread(fd, back, 5, 5) == 0);
  CHECK_CALL(ftruncate(fd, 3));
  CHECK_CALL(fallocate(fd, 0, 0, 10));
  EXPECT("d access a;f access;d modify a;f modify;d modify a;f modify;");
  CHECK_CALL(inotify_rm_watch(queue, f));
  EXPECT("f ignored;");
  CHECK(write(fd, "1", 1) == 1 && write(fd, "2", 1) == 1 && write(fd, "", 0) == 0);
  EXPECT("d modify a;");
  CHECK_CALL(fchmod(fd, 0600));
  CHECK_CALL(fchown(fd, getuid(), getgid()));
  struct timespec times[2] = {{5, 0}, {6, 0}};
  CHECK_CALL(futimens(fd, times));
  EXPECT("d attrib a;");
  times[0].tv_nsec = UTIME_OMIT;
  CHECK_CALL(futimens(fd, times));
  times[0].tv_nsec = 0;
  times[1].tv_nsec = UTIME_OMIT;
  CHECK_CALL(futimens(fd, times));
  EXPECT("d modify a;d access a;");
  CHECK_CALL(close(CHECK_CALL(dup(fd))));
  CHECK_CALL(close(fd));
  CHECK_CALL(close(CHECK_CALL(open(path_of("a"), O_RDONLY))));
  CHECK_CALL(close(CHECK_CALL(open(path_of("a"), O_PATH))));
  EXPECT("d close-write a;d open a;d close a;");
  CHECK_CALL(truncate(path_of("a"), 1));
  CHECK_CALL(close(CHECK_CALL(open(path_of("a"), O_WRONLY | O_TRUNC))));
  EXPECT("d modify a;d open a;d modify a;d close-write a;");
  CHECK_CALL(unlink(path_of("a")));
  EXPECT("d delete a;");
  unwatch(d);
  EXPECT("d ignored;");
}

static void names(void) {
  int d = watch('d', folder, IN_ALL_EVENTS & ~(IN_OPEN | IN_CLOSE));
  CHECK_CALL(mkdir(path_of("sub"), 0755));
  EXPECT("d create dir sub;");
  watch('s', path_of("sub"), IN_ALL_EVENTS);
  CHECK_CALL(close(make("a")));
  watch('f', path_of("a"), IN_ALL_EVENTS & ~IN_CLOSE);
  EXPECT("d create a;");
  CHECK_CALL(rename(path_of("a"), path_of("b")));
  EXPECT("d from a;d to b;f move-self;");
  CHECK_CALL(rename(path_of("b"), path_of("sub/c")));
  EXPECT("d from b;s to c;f move-self;");
  CHECK_CALL(link(path_of("sub/c"), path_of("e")));
  EXPECT("f attrib;d create e;");
  CHECK_CALL(unlink(path_of("e")));
  EXPECT("f attrib;d delete e;");
  CHECK_CALL(symlink("nowhere", path_of("l")));
  CHECK_CALL(mknod(path_of("p"), S_IFIFO | 0644, 0));
  EXPECT("d create l;d create p;");
  // What is replaced goes after all else is told.
  CHECK_CALL(close(make("g")));
  CHECK_CALL(rename(path_of("g"), path_of("sub/c")));
  EXPECT("d create g;d from g;s to c;f attrib;f delete-self;f ignored;");
  CHECK_CALL(renameat2(AT_FDCWD, path_of("l"), AT_FDCWD, path_of("sub/c"), RENAME_EXCHANGE));
  EXPECT("d from l;s to c;s from c;d to l;");
  CHECK_CALL(rename(path_of("sub"), path_of("sub2")));
  EXPECT("d from dir sub;d to dir sub2;s move-self;");
  CHECK_CALL(unlink(path_of("sub2/c")));
  EXPECT("s delete c;");
  CHECK_CALL(rmdir(path_of("sub2")));
  EXPECT("s delete-self;s ignored;d delete dir sub2;");
  CHECK_CALL(unlink(path_of("l")));
  CHECK_CALL(unlink(path_of("p")));
  EXPECT("d delete l;d delete p;");
  unwatch(d);
  EXPECT("d ignored;");
}

/** Files that are open when they lose their name. */
static void deleted(void) {
  int d = watch('d', folder, IN_ALL_EVENTS);
  int fd = make("a");
  watch('f', path_of("a"), IN_ALL_EVENTS);
  CHECK_CALL(unlink(path_of("a")));
  EXPECT("d create a;d open a;f attrib;d delete a;");
  CHECK(write(fd, "1", 1) == 1);
  EXPECT("d modify a;f modify;");
  CHECK_CALL(close(fd));
  EXPECT("d close-write a;f close-write;f delete-self;f ignored;");
  unwatch(d);
  d = watch('e', folder, IN_ALL_EVENTS | IN_EXCL_UNLINK);
  fd = make("a");
  CHECK_CALL(unlink(path_of("a")));
  CHECK(write(fd, "1", 1) == 1);
  CHECK_CALL(close(fd));
  EXPECT("d ignored;e create a;e open a;e delete a;");
  unwatch(d);
  EXPECT("e ignored;");
}

static void masks(void) {
  int d = watch('d', folder, IN_CREATE | IN_ONESHOT);
  CHECK_CALL(close(make("a")));
  CHECK_CALL(close(make("b")));
  EXPECT("d create a;d ignored;");
  CHECK(inotify_rm_watch(queue, d) == -1 && errno == EINVAL);
  int e = watch('e', folder, IN_CREATE);
  CHECK(e > d);
  CHECK(inotify_add_watch(queue, folder, IN_DELETE | IN_MASK_ADD) == e);
  CHECK(inotify_add_watch(queue, folder, IN_DELETE | IN_MASK_CREATE) == -1 && errno == EEXIST);
  CHECK_CALL(unlink(path_of("a")));
  CHECK_CALL(close(make("a")));
  EXPECT("e delete a;e create a;");
  CHECK(inotify_add_watch(queue, folder, IN_DELETE) == e);
  CHECK_CALL(unlink(path_of("a")));
  CHECK_CALL(close(make("a")));
  EXPECT("e delete a;");
  unwatch(e);
  EXPECT("e ignored;");

  CHECK(inotify_add_watch(queue, folder, 0) == -1 && errno == EINVAL);
  CHECK(inotify_add_watch(queue, folder, 1u << 27) == -1 && errno == EINVAL);
  uint32_t both = IN_CREATE | IN_MASK_ADD | IN_MASK_CREATE;
  CHECK(inotify_add_watch(queue, folder, both) == -1 && errno == EINVAL);
  CHECK(inotify_add_watch(queue, path_of("none"), IN_CREATE) == -1 && errno == ENOENT);
  CHECK(inotify_add_watch(queue, path_of("a"), IN_OPEN | IN_ONLYDIR) == -1 && errno == ENOTDIR);
  CHECK(inotify_add_watch(1000, folder, IN_CREATE) == -1 && errno == EBADF);
  CHECK(inotify_add_watch(1, folder, IN_CREATE) == -1 && errno == EINVAL);
  CHECK(inotify_add_watch(queue, (char *)8, IN_CREATE) == -1 && errno == EFAULT);
  CHECK(inotify_rm_watch(1, 1) == -1 && errno == EINVAL);
  CHECK(inotify_rm_watch(1000, 1) == -1 && errno == EBADF);
  CHECK(inotify_init1(1) == -1 && errno == EINVAL);

  CHECK_CALL(symlink("a", path_of("l")));
  int l = watch('l', path_of("l"), IN_ATTRIB | IN_DELETE_SELF | IN_DONT_FOLLOW);
  int f = watch('f', path_of("l"), IN_ATTRIB);
  CHECK(l != f);
  CHECK_CALL(unlink(path_of("l")));
  CHECK_CALL(chmod(path_of("a"), 0600));
  EXPECT("l attrib;l delete-self;l ignored;f attrib;");
  CHECK_CALL(unlink(path_of("a")));
  CHECK_CALL(unlink(path_of("b")));
  EXPECT("f attrib;f ignored;");
}

/** A small buffer takes the events that fit, and none is an error. */
static void reading(void) {
  int d = watch('d', folder, IN_CREATE | IN_DELETE);
  CHECK_CALL(close(make("a-name-of-twenty-one")));
  CHECK_CALL(unlink(path_of("a-name-of-twenty-one")));
  char bytes[128] __attribute__((aligned(8)));
  CHECK(read(queue, bytes, 16) == -1 && errno == EINVAL);
  CHECK(read(queue, bytes, 47) == -1 && errno == EINVAL);
  CHECK(read(queue, bytes, 90) == 48);
  const struct inotify_event *event = (const void *)bytes;
  CHECK(event->wd == d && event->mask == IN_CREATE && event->len == 32);
  EXPECT("d delete a-name-of-twenty-one;");
  CHECK(read(queue, bytes, 1) == -1 && errno == EAGAIN);
  CHECK(write(queue, bytes, 16) == -1 && errno == EBADF);
  unwatch(d);
  EXPECT("d ignored;");
}

/** Other types of files, and calls on directories. */
static void others(void) {
  int d = watch('d', folder, IN_ALL_EVENTS);
  int fd = CHECK_CALL(open(folder, O_RDONLY | O_DIRECTORY));
  char bytes[1024];
  CHECK(syscall(SYS_getdents64, fd, bytes, sizeof bytes) > 0);
  CHECK_CALL(close(fd));
  EXPECT("d open dir;d access dir;d close dir;");
  CHECK_CALL(mkfifo(path_of("p"), 0600));
  fd = CHECK_CALL(open(path_of("p"), O_RDWR));
  CHECK_CALL(close(fd));
  CHECK_CALL(unlink(path_of("p")));
  EXPECT("d create p;d open p;d close-write p;d delete p;");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, path_of("s"));
  fd = CHECK_CALL(socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK_CALL(bind(fd, (struct sockaddr *)&address, sizeof address));
  CHECK_CALL(unlink(path_of("s")));
  CHECK_CALL(close(fd));
  EXPECT("d create s;d delete s;");
  unwatch(d);
  EXPECT("d ignored;");
}

static void *touch_later(void *name) {
  sleep_ns(5 * NS_PER_MS);
  CHECK_CALL(close(make(name)));
  return NULL;
}

/** A reader that waits, and epoll. */
static void waiting(void) {
  int own = CHECK_CALL(inotify_init());
  int wd = CHECK_CALL(inotify_add_watch(own, folder, IN_CREATE));
  CHECK(wd == 1);
  int set = CHECK_CALL(epoll_create1(EPOLL_CLOEXEC));
  struct epoll_event event = {.events = EPOLLIN | EPOLLET};
  CHECK_CALL(epoll_ctl(set, EPOLL_CTL_ADD, own, &event));
  CHECK(epoll_wait(set, &event, 1, 0) == 0);
  pthread_t thread;
  CHECK_ZERO(pthread_create(&thread, NULL, touch_later, "w"));
  char bytes[64] __attribute__((aligned(8)));
  CHECK(read(own, bytes, sizeof bytes) == 32);
  const struct inotify_event *told = (const void *)bytes;
  CHECK(told->wd == 1 && told->mask == IN_CREATE && strcmp(told->name, "w") == 0);
  CHECK_ZERO(pthread_join(thread, NULL));
  CHECK_CALL(unlink(path_of("w")));
  CHECK(epoll_wait(set, &event, 1, 0) == 0);
  CHECK_ZERO(pthread_create(&thread, NULL, touch_later, "w"));
  CHECK(epoll_wait(set, &event, 1, -1) == 1 && event.events == EPOLLIN);
  CHECK_ZERO(pthread_join(thread, NULL));
  CHECK_CALL(unlink(path_of("w")));
  CHECK_CALL(close(set));
  CHECK_CALL(close(own));
}

/** The queue has a limit, which is told once. */
static void overflow(void) {
  int own = CHECK_CALL(inotify_init1(IN_NONBLOCK));
  CHECK_CALL(close(make("a")));
  CHECK_CALL(inotify_add_watch(own, path_of("a"), IN_OPEN | IN_CLOSE_NOWRITE));
  FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
  int limit;
  CHECK(file != NULL && fscanf(file, "%d", &limit) == 1);
  fclose(file);
  for (int i = 0; i < limit / 2 + 5; i++) {
    CHECK_CALL(close(CHECK_CALL(open(path_of("a"), O_RDONLY))));
  }
  static struct inotify_event events[64];
  int count = 0, overflows = 0;
  for (;;) {
    ssize_t size = read(own, events, sizeof events);
    if (size < 0) break;
    for (ssize_t i = 0; i < size / (ssize_t)sizeof *events; i++) {
      count += 1;
      if (events[i].mask != IN_Q_OVERFLOW) continue;
      CHECK(events[i].wd == -1 && events[i].len == 0);
      overflows += 1;
    }
  }
  CHECK(errno == EAGAIN && overflows == 1 && count == limit + 1);
  CHECK_CALL(close(own));
  CHECK_CALL(unlink(path_of("a")));
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("watches", argc, argv);
  snprintf(folder, sizeof folder, "/tmp/tardigrade-watches-%d", (int)getpid());
  CHECK_CALL(mkdir(folder, 0755));
  CHECK_CALL(mkdir(path_of("kept"), 0755));
  queue = CHECK_CALL(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  char name[32], expected[64];
  int kept = watch('k', path_of("kept"), IN_CREATE | IN_DELETE);
  overflow();

  while (next_round(&plan)) {
    contents();
    names();
    deleted();
    masks();
    reading();
    others();
    waiting();
    // Left in the queue over what happens between rounds.
    snprintf(name, sizeof name, "kept/%d", plan.round);
    CHECK_CALL(close(make(name)));
    end_round(&plan);
    CHECK_CALL(unlink(path_of(name)));
    snprintf(expected, sizeof expected, "k create %d;k delete %d;", plan.round, plan.round);
    EXPECT(expected);
    memset(known, 0, sizeof known);
    know(kept, 'k');
  }
  CHECK_CALL(rmdir(path_of("kept")));
  EXPECT("k ignored;");
  CHECK_CALL(close(queue));
  CHECK_CALL(rmdir(folder));
  return pass(&plan);
}
