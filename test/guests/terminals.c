/**
 * Pseudo-terminals, both sides in one process: names and settings, line editing and its echo, raw
 * mode with VMIN and VTIME, output processing, flow control, signals by keys and by the window's
 * size, the controlling terminal, packet mode, poll, and what each side sees when the other goes.
 * One terminal lives through all rounds, with a half-typed line over what happens between them.
 */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

struct pair {
  int master;
  int slave;
};

static char *name_of(int master) {
  static char name[64];
  int number;
  CHECK_CALL(ioctl(master, TIOCGPTN, &number));
  snprintf(name, sizeof name, "/dev/pts/%d", number);
  return name;
}

static struct pair open_pair(void) {
  struct pair pair;
  pair.master = CHECK_CALL(posix_openpt(O_RDWR | O_NOCTTY));
  CHECK_CALL(grantpt(pair.master));
  CHECK_CALL(unlockpt(pair.master));
  pair.slave = CHECK_CALL(open(name_of(pair.master), O_RDWR | O_NOCTTY | O_CLOEXEC));
  return pair;
}

static void close_pair(struct pair pair) {
  CHECK_CALL(close(pair.slave));
  CHECK_CALL(close(pair.master));
}

static void put(int fd, const char *text) {
  CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/** Printable, for messages. */
static void show(const char *what, const char *bytes, ssize_t size) {
  printf("%s", what);
  for (ssize_t i = 0; i < size; i++) {
    if (bytes[i] >= 32 && bytes[i] < 127) printf("%c", bytes[i]);
    else printf("\\%03o", (unsigned char)bytes[i]);
  }
  printf("\n");
}

/** What can be read at once is this. Bytes come from one side to the other by and by, natively. */
static void expect_at(int line, int fd, const char *expected) {
  char bytes[512];
  ssize_t size = 0, wanted = (ssize_t)strlen(expected);
  while (size < wanted) {
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    int ready = poll(&polled, 1, 2000);
    if (ready < 0 && errno == EINTR) continue;
    if (ready != 1) break;
    ssize_t more = read(fd, bytes + size, sizeof bytes - (size_t)size);
    if (more <= 0) break;
    size += more;
  }
  if (size == wanted && memcmp(bytes, expected, (size_t)size) == 0) return;
  printf("FAIL terminals.c:%d\n", line);
  show("expected ", expected, wanted);
  show("found    ", bytes, size);
  fflush(stdout);
  _exit(1);
}
#define EXPECT(fd, text) expect_at(__LINE__, fd, text)

static int is_ready(int fd, short events) {
  struct pollfd polled = {.fd = fd, .events = events};
  CHECK(poll(&polled, 1, 0) >= 0);
  return polled.revents;
}

/** Typed bytes have arrived when what follows them is echoed; without echo, a moment later. */
static void settle(void) { sleep_ns(3 * NS_PER_MS); }

static void nothing_at(int line, int fd) {
  settle();
  if ((is_ready(fd, POLLIN) & POLLIN) == 0) return;
  char bytes[64];
  ssize_t size = read(fd, bytes, sizeof bytes);
  printf("FAIL terminals.c:%d: ", line);
  show("found ", bytes, size);
  fflush(stdout);
  _exit(1);
}
#define NOTHING(fd) nothing_at(__LINE__, fd)

static struct termios settings(int fd) {
  struct termios termios;
  CHECK_CALL(tcgetattr(fd, &termios));
  return termios;
}

static void names(void) {
  int master = CHECK_CALL(posix_openpt(O_RDWR | O_NOCTTY));
  int lock;
  CHECK_CALL(ioctl(master, TIOCGPTLCK, &lock));
  CHECK(lock == 1 && open(name_of(master), O_RDWR | O_NOCTTY) == -1 && errno == EIO);
  CHECK_CALL(unlockpt(master));
  CHECK(strcmp(ptsname(master), name_of(master)) == 0);
  int slave = CHECK_CALL(open(ptsname(master), O_RDWR | O_NOCTTY));
  struct stat one, other;
  CHECK_CALL(fstat(slave, &one));
  CHECK_CALL(stat(ptsname(master), &other));
  CHECK(S_ISCHR(one.st_mode) && one.st_rdev == other.st_rdev && one.st_ino == other.st_ino);
  CHECK(one.st_rdev >> 8 == 136);
  CHECK(isatty(slave) == 1 && isatty(master) == 1);
  CHECK(strcmp(ttyname(slave), name_of(master)) == 0);
  CHECK(lseek(slave, 0, SEEK_CUR) == -1 && errno == ESPIPE);
  int peer = CHECK_CALL(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  CHECK(fcntl(peer, F_GETFD) == FD_CLOEXEC);
  put(peer, "peer");
  EXPECT(master, "peer");
  int number;
  CHECK(ioctl(slave, TIOCGPTN, &number) == -1 && errno == ENOTTY);
  CHECK(ioctl(slave, 0x12345, &number) == -1 && errno == ENOTTY);
  CHECK(ioctl(slave, TCGETS, (void *)8) == -1 && errno == EFAULT);
  CHECK_CALL(close(peer));
  CHECK_CALL(close(slave));
  CHECK_CALL(close(master));
  CHECK(access("/dev/pts/ptmx", F_OK) == 0 || errno == ENOENT);
}

/** Until the slave has so many bytes to read. */
static void await_typed(int slave, int wanted) {
  int count = 0;
  for (int tries = 0; count != wanted; tries++) {
    CHECK(tries < 2000);
    CHECK_CALL(ioctl(slave, FIONREAD, &count));
    if (count != wanted) sleep_ns(NS_PER_MS);
  }
}

static void editing(void) {
  struct pair pair = open_pair();
  struct termios usual = settings(pair.slave);
  CHECK(usual.c_iflag == (ICRNL | IXON) && usual.c_oflag == (OPOST | ONLCR));
  CHECK((usual.c_cflag & (CSIZE | CREAD)) == (CS8 | CREAD));
  CHECK(usual.c_lflag == (ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN));
  CHECK(usual.c_cc[VINTR] == 3 && usual.c_cc[VEOF] == 4 && usual.c_cc[VERASE] == 127);
  CHECK(cfgetospeed(&usual) == B38400);

  put(pair.master, "abc");
  EXPECT(pair.master, "abc");
  CHECK(is_ready(pair.slave, POLLIN | POLLOUT) == POLLOUT);
  put(pair.master, "\177d\r");
  EXPECT(pair.master, "\b \bd\r\n");
  int count;
  CHECK_CALL(ioctl(pair.slave, FIONREAD, &count));
  CHECK(count == 4);
  EXPECT(pair.slave, "abd\n");
  put(pair.master, "one two \027\027x\003"
                   "ab\025c\n");
  // ^C throws away what was there; its signal goes to nobody.
  EXPECT(pair.master, "^Cab\b \b\b \bc\r\n");
  EXPECT(pair.slave, "c\n");
  put(pair.master, "one two\027x\n");
  EXPECT(pair.master, "one two\b \b\b \b\b \bx\r\n");
  EXPECT(pair.slave, "one x\n");
  put(pair.master, "a\026\003\001\177\026\n\n");
  EXPECT(pair.master, "a^\b^C^A\b \b\b \b^\b^J\r\n");
  EXPECT(pair.slave, "a\003\n\n");
  put(pair.master, "ab\t\177\022\n");
  EXPECT(pair.master, "ab\t\b\b\b\b\b\b^R\r\nab\r\n");
  EXPECT(pair.slave, "ab\n");

  // One line at a time, or less of it; an end of file is no byte.
  put(pair.master, "first\nsecond\nthird\004\004");
  EXPECT(pair.master, "first\r\nsecond\r\nthird");
  char bytes[16];
  CHECK(read(pair.slave, bytes, 3) == 3 && memcmp(bytes, "fir", 3) == 0);
  CHECK(read(pair.slave, bytes, 16) == 3 && memcmp(bytes, "st\n", 3) == 0);
  EXPECT(pair.slave, "second\n");
  EXPECT(pair.slave, "third");
  CHECK(read(pair.slave, bytes, 16) == 0);

  struct termios other = usual;
  other.c_lflag &= ~(tcflag_t)ECHO;
  CHECK_CALL(tcsetattr(pair.slave, TCSANOW, &other));
  put(pair.master, "hidden\n");
  EXPECT(pair.slave, "hidden\n");
  NOTHING(pair.master);
  other.c_lflag |= ECHONL;
  other.c_iflag |= INLCR | IGNCR;
  other.c_cc[VEOL] = ';';
  CHECK_CALL(tcsetattr(pair.master, TCSADRAIN, &other));
  put(pair.master, "a\r;");
  EXPECT(pair.slave, "a;");
  other.c_lflag |= ECHO;
  other.c_lflag &= ~(tcflag_t)(ECHOE | ECHOKE);
  other.c_iflag = ICRNL | IUTF8;
  CHECK_CALL(tcsetattr(pair.slave, TCSANOW, &other));
  put(pair.master, "x\303\244\177\025z\n");
  EXPECT(pair.master, "x\303\244^?^U\r\nz\r\n");
  EXPECT(pair.slave, "z\n");
  other.c_lflag |= ECHOE;
  CHECK_CALL(tcsetattr(pair.slave, TCSANOW, &other));
  put(pair.master, "x\303\244\177y\n");
  EXPECT(pair.master, "x\303\244\b \by\r\n");
  EXPECT(pair.slave, "xy\n");
  // TCSAFLUSH and tcflush throw away what was typed.
  put(pair.master, "lost\n");
  await_typed(pair.slave, 5);
  EXPECT(pair.master, "lost\r\n");
  CHECK_CALL(tcsetattr(pair.slave, TCSAFLUSH, &usual));
  NOTHING(pair.slave);
  put(pair.master, "lost\n");
  await_typed(pair.slave, 5);
  EXPECT(pair.master, "lost\r\n");
  CHECK_CALL(tcflush(pair.slave, TCIFLUSH));
  NOTHING(pair.slave);
  CHECK(ioctl(pair.slave, TCFLSH, 3) == -1 && errno == EINVAL);
  close_pair(pair);
}

static void raw(void) {
  struct pair pair = open_pair();
  struct termios usual = settings(pair.slave), other = usual;
  // What was typed of a line is there when lines are no more, and one line when they are again.
  put(pair.master, "half");
  EXPECT(pair.master, "half");
  cfmakeraw(&other);
  CHECK_CALL(tcsetattr(pair.slave, TCSANOW, &other));
  EXPECT(pair.slave, "half");
  put(pair.master, "\003\r\n\177\004");
  EXPECT(pair.slave, "\003\r\n\177\004");
  NOTHING(pair.master);
  put(pair.slave, "a\nb\r");
  EXPECT(pair.master, "a\nb\r");
  put(pair.master, "again");
  await_typed(pair.slave, 5);
  CHECK_CALL(tcsetattr(pair.slave, TCSANOW, &usual));
  EXPECT(pair.slave, "again");

  char bytes[16];
  other.c_cc[VMIN] = 0;
  CHECK_CALL(tcsetattr(pair.slave, TCSANOW, &other));
  CHECK(read(pair.slave, bytes, 16) == 0);
  other.c_cc[VTIME] = 1;
  CHECK_CALL(tcsetattr(pair.slave, TCSANOW, &other));
  int64_t start = monotonic_ns();
  CHECK(read(pair.slave, bytes, 16) == 0);
  CHECK(monotonic_ns() - start >= 90 * NS_PER_MS);
  put(pair.master, "x");
  CHECK(read(pair.slave, bytes, 16) == 1);
  other.c_cc[VMIN] = 5;
  CHECK_CALL(tcsetattr(pair.slave, TCSANOW, &other));
  put(pair.master, "abc");
  await_typed(pair.slave, 3);
  CHECK(read(pair.slave, bytes, 16) == 3);
  other.c_cc[VTIME] = 0;
  CHECK_CALL(tcsetattr(pair.slave, TCSANOW, &other));
  put(pair.master, "abc");
  settle();
  CHECK((is_ready(pair.slave, POLLIN) & POLLIN) == 0);
  put(pair.master, "de");
  EXPECT(pair.slave, "abcde");
  put(pair.master, "abc");
  CHECK(read(pair.slave, bytes, 3) == 3);
  CHECK_CALL(fcntl(pair.slave, F_SETFL, O_RDWR | O_NONBLOCK));
  CHECK(read(pair.slave, bytes, 3) == -1 && errno == EAGAIN);
  close_pair(pair);
}

static void output(void) {
  struct pair pair = open_pair();
  struct termios usual = settings(pair.slave), other = usual;
  put(pair.slave, "one\ntwo\tx\n");
  EXPECT(pair.master, "one\r\ntwo\tx\r\n");
  other.c_oflag = OPOST | ONLCR | TAB3 | OLCUC;
  CHECK_CALL(tcsetattr(pair.slave, TCSANOW, &other));
  put(pair.slave, "two\tx\n");
  EXPECT(pair.master, "TWO     X\r\n");
  other.c_oflag = OPOST | ONOCR | OCRNL;
  CHECK_CALL(tcsetattr(pair.slave, TCSANOW, &other));
  put(pair.slave, "\rx\ry\n");
  EXPECT(pair.master, "x\ny\n");
  CHECK_CALL(tcsetattr(pair.slave, TCSANOW, &usual));

  // A terminal that is full, and one that is stopped.
  static char block[65536];
  memset(block, 'x', sizeof block);
  CHECK_CALL(fcntl(pair.slave, F_SETFL, O_RDWR | O_NONBLOCK));
  ssize_t written = 0;
  // Natively some of it goes on to where the master reads, and makes room once more.
  for (int tries = 0; (is_ready(pair.slave, POLLOUT) & POLLOUT) != 0; tries++) {
    CHECK(tries < 1000);
    for (;;) {
      ssize_t size = write(pair.slave, block, sizeof block);
      if (size < 0) break;
      written += size;
    }
    CHECK(errno == EAGAIN && written > 0);
    settle();
  }
  while (written > 0) {
    ssize_t size = read(pair.master, block, sizeof block);
    CHECK(size > 0 && size <= written);
    written -= size;
  }
  for (int tries = 0; (is_ready(pair.slave, POLLOUT) & POLLOUT) == 0; tries++) {
    CHECK(tries < 1000);
    settle();
  }
  put(pair.master, "\023");
  for (int tries = 0; (is_ready(pair.slave, POLLOUT) & POLLOUT) != 0; tries++) {
    CHECK(tries < 1000);
    settle();
  }
  CHECK(write(pair.slave, "x", 1) == -1 && errno == EAGAIN);
  put(pair.master, "\021");
  for (int tries = 0; (is_ready(pair.slave, POLLOUT) & POLLOUT) == 0; tries++) {
    CHECK(tries < 1000);
    settle();
  }
  put(pair.slave, "x");
  EXPECT(pair.master, "x");
  CHECK_CALL(tcflow(pair.slave, TCOOFF));
  CHECK(write(pair.slave, "x", 1) == -1 && errno == EAGAIN);
  CHECK_CALL(tcflow(pair.slave, TCOON));
  put(pair.slave, "y");
  EXPECT(pair.master, "y");
  CHECK_CALL(tcdrain(pair.slave));
  close_pair(pair);
}

static volatile sig_atomic_t caught[65];
static void on_signal(int number) { caught[number] += 1; }

static int await(int number) {
  for (int tries = 0; tries < 1000 && caught[number] == 0; tries++) sleep_ns(NS_PER_MS);
  int count = caught[number];
  caught[number] = 0;
  return count;
}

static void sessions(void) {
  struct pair pair = open_pair();
  struct winsize size = {24, 80, 0, 0}, back;
  pid_t group;
  CHECK_CALL(ioctl(pair.slave, TIOCSWINSZ, &size));
  CHECK(ioctl(pair.slave, TIOCGPGRP, &group) == -1 && errno == ENOTTY);
  CHECK(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO);
  CHECK_CALL(close(pair.slave));
  // Without O_NOCTTY it becomes that of the session.
  pair.slave = CHECK_CALL(open(name_of(pair.master), O_RDWR));
  CHECK_CALL(ioctl(pair.slave, TIOCGPGRP, &group));
  CHECK(group == getpgrp() && tcgetsid(pair.slave) == getsid(0));
  CHECK(tcgetpgrp(pair.master) == getpgrp());
  CHECK_CALL(tcsetpgrp(pair.slave, group));
  CHECK(tcsetpgrp(pair.slave, 999999) == -1 && errno == ESRCH);
  int tty = CHECK_CALL(open("/dev/tty", O_RDWR | O_CLOEXEC));
  put(tty, "here");
  EXPECT(pair.master, "here");
  struct stat status;
  CHECK_CALL(fstat(tty, &status));
  CHECK(status.st_rdev == 0x500 && isatty(tty));
  CHECK_CALL(close(tty));

  put(pair.master, "ab");
  EXPECT(pair.master, "ab");
  put(pair.master, "\003");
  EXPECT(pair.master, "^C");
  CHECK(await(SIGINT) == 1);
  put(pair.master, "\034");
  EXPECT(pair.master, "^\\");
  CHECK(await(SIGQUIT) == 1);
  put(pair.master, "\032\n");
  EXPECT(pair.master, "^Z\r\n");
  CHECK(await(SIGTSTP) == 1);
  EXPECT(pair.slave, "\n");
  CHECK_CALL(ioctl(pair.slave, TIOCGWINSZ, &back));
  CHECK(back.ws_row == 24 && back.ws_col == 80);
  CHECK_CALL(ioctl(pair.slave, TIOCSWINSZ, &size));
  settle();
  CHECK(caught[SIGWINCH] == 0);
  size.ws_col = 132;
  CHECK_CALL(ioctl(pair.master, TIOCSWINSZ, &size));
  CHECK(await(SIGWINCH) == 1);
  CHECK_CALL(ioctl(pair.slave, TIOCGWINSZ, &back));
  CHECK(back.ws_col == 132);

  // The master goes: the session learns of it, and the terminal is dead.
  CHECK_CALL(close(pair.master));
  CHECK(await(SIGHUP) == 1 && await(SIGCONT) == 1);
  char byte;
  CHECK(read(pair.slave, &byte, 1) == 0);
  CHECK(write(pair.slave, "x", 1) == -1 && errno == EIO);
  CHECK(ioctl(pair.slave, TIOCGWINSZ, &back) == -1 && errno == EIO);
  short dead = POLLIN | POLLOUT | POLLERR | POLLHUP;
  CHECK(is_ready(pair.slave, POLLIN | POLLOUT) == dead);
  CHECK(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO);
  CHECK_CALL(close(pair.slave));
}

static void ends(void) {
  struct pair pair = open_pair();
  CHECK(is_ready(pair.master, POLLIN | POLLOUT) == POLLOUT);
  put(pair.slave, "last words");
  CHECK_CALL(close(pair.slave));
  EXPECT(pair.master, "last words");
  char byte;
  CHECK(read(pair.master, &byte, 1) == -1 && errno == EIO);
  CHECK(is_ready(pair.master, POLLIN) == POLLHUP);
  pair.slave = CHECK_CALL(open(name_of(pair.master), O_RDWR | O_NOCTTY));
  CHECK(is_ready(pair.master, POLLIN) == 0);

  int status = 1;
  CHECK_CALL(ioctl(pair.master, TIOCPKT, &status));
  put(pair.slave, "x");
  char bytes[16];
  CHECK(read(pair.master, bytes, 16) == 2 && bytes[0] == 0 && bytes[1] == 'x');
  CHECK_CALL(tcflow(pair.slave, TCOOFF));
  CHECK((is_ready(pair.master, POLLIN | POLLPRI) & POLLPRI) != 0);
  CHECK(read(pair.master, bytes, 16) == 1 && bytes[0] == TIOCPKT_STOP);
  CHECK_CALL(tcflow(pair.slave, TCOON));
  CHECK(read(pair.master, bytes, 16) == 1 && bytes[0] == TIOCPKT_START);
  struct termios raw = settings(pair.slave);
  cfmakeraw(&raw);
  CHECK_CALL(tcsetattr(pair.slave, TCSANOW, &raw));
  CHECK(read(pair.master, bytes, 16) == 1 && bytes[0] == TIOCPKT_NOSTOP);
  CHECK_CALL(ioctl(pair.master, TIOCGPKT, &status));
  CHECK(status == 1);
  close_pair(pair);
}

static void *answer(void *argument) {
  const struct pair *pair = argument;
  char bytes[32];
  // Waits for a line, and for the terminal to have room.
  CHECK(read(pair->slave, bytes, sizeof bytes) == 6 && memcmp(bytes, "hello\n", 6) == 0);
  static char block[60000];
  memset(block, 'y', sizeof block);
  CHECK(write(pair->slave, block, sizeof block) == sizeof block);
  return NULL;
}

static void waiting(void) {
  struct pair pair = open_pair();
  int set = CHECK_CALL(epoll_create1(0));
  struct epoll_event event = {.events = EPOLLIN | EPOLLET};
  CHECK_CALL(epoll_ctl(set, EPOLL_CTL_ADD, pair.master, &event));
  pthread_t thread;
  CHECK_ZERO(pthread_create(&thread, NULL, answer, &pair));
  sleep_ns(2 * NS_PER_MS);
  put(pair.master, "hello\n");
  CHECK(epoll_wait(set, &event, 1, -1) == 1 && event.events == EPOLLIN);
  char echo[7];
  for (int got = 0; got < 7;) got += (int)CHECK_CALL(read(pair.master, echo + got, (size_t)(7 - got)));
  CHECK(memcmp(echo, "hello\r\n", 7) == 0);
  static char block[4096];
  for (int left = 60000; left > 0;) {
    ssize_t size = read(pair.master, block, sizeof block);
    CHECK(size > 0 && block[0] == 'y' && block[size - 1] == 'y');
    left -= (int)size;
  }
  CHECK_ZERO(pthread_join(thread, NULL));
  CHECK_CALL(close(set));
  close_pair(pair);
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("terminals", argc, argv);
  // A terminal controls a session by its leader, which we are or can become.
  if (getsid(0) != getpid()) CHECK_CALL(setsid());
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  int signals[] = {SIGINT, SIGQUIT, SIGTSTP, SIGWINCH, SIGHUP, SIGCONT};
  for (int i = 0; i < 6; i++) CHECK_CALL(sigaction(signals[i], &action, NULL));
  struct pair kept = open_pair();
  struct winsize size = {1, 2, 3, 4}, back;

  while (next_round(&plan)) {
    names();
    editing();
    raw();
    output();
    sessions();
    ends();
    waiting();
    size.ws_row = (unsigned short)plan.round;
    CHECK_CALL(ioctl(kept.slave, TIOCSWINSZ, &size));
    put(kept.master, "done\nhalf a lime\177");
    EXPECT(kept.master, "done\r\nhalf a lime\b \b");
    put(kept.slave, "shown\n");
    end_round(&plan);
    put(kept.master, "\177ne\n");
    EXPECT(kept.master, "shown\r\n\b \bne\r\n");
    EXPECT(kept.slave, "done\n");
    EXPECT(kept.slave, "half a line\n");
    CHECK_CALL(ioctl(kept.slave, TIOCGWINSZ, &back));
    CHECK(memcmp(&size, &back, sizeof size) == 0);
  }
  close_pair(kept);
  return pass(&plan);
}
