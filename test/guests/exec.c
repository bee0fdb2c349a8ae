/**
 * Programs that replace themselves: every few rounds the guest starts its own program anew by
 * execve, from the first thread or from another one, with threads running, and looks at what must
 * go on (descriptors, ignored signals, blocked and pending ones, the interval timer, the working
 * directory) and what must not (memory, handlers, close-on-exec descriptors, threads).
 */
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>

extern char **environ;

enum { ROUNDS_EACH = 3, KEPT = 20, CLOSED = 21, PAGE = 4096, FILL = 64 };

static char *next_arguments[12];
static unsigned char *filled;

static void on_signal(int signal) { (void)signal; }

static void *idle(void *argument) {
  for (;;) sleep_ns(NS_PER_S);
  return argument;
}

static void *replace(void *argument) {
  (void)argument;
  execve("/proc/self/exe", next_arguments, environ);
  CHECK(!"execve comes back");
  return NULL;
}

/** What the program before this one has left. */
static void look_back(void) {
  char text[8] = "";
  CHECK(pread(KEPT, text, 4, 0) == 4 && strcmp(text, "kept") == 0);
  CHECK(fcntl(CLOSED, F_GETFD) == -1 && errno == EBADF);
  struct sigaction action;
  CHECK_CALL(sigaction(SIGUSR1, NULL, &action));
  CHECK(action.sa_handler == SIG_DFL);
  CHECK_CALL(sigaction(SIGHUP, NULL, &action));
  CHECK(action.sa_handler == SIG_IGN);
  sigset_t set;
  CHECK_CALL(sigpending(&set));
  CHECK(sigismember(&set, SIGUSR2) == 1);
  CHECK_ZERO(pthread_sigmask(SIG_SETMASK, NULL, &set));
  CHECK(sigismember(&set, SIGUSR2) == 1);
  struct itimerval timer;
  CHECK_CALL(getitimer(ITIMER_REAL, &timer));
  CHECK(timer.it_value.tv_sec > 0);
  char directory[64];
  CHECK(getcwd(directory, sizeof directory) != NULL && strcmp(directory, "/tmp") == 0);
  CHECK(getenv("KEPT") != NULL && strcmp(getenv("KEPT"), "yes") == 0);
  CHECK(getpid() == (pid_t)syscall(SYS_gettid));
}

static void leave_things(void) {
  CHECK_CALL(chdir("/tmp"));
  CHECK_CALL(setenv("KEPT", "yes", 1));
  int file = CHECK_CALL(open("kept", O_RDWR | O_CREAT | O_TRUNC, 0600));
  CHECK(write(file, "kept", 4) == 4);
  CHECK_CALL(dup3(file, CLOSED, O_CLOEXEC));
  CHECK_CALL(dup2(file, KEPT));
  CHECK_CALL(close(file));
  struct sigaction action = {.sa_handler = on_signal};
  CHECK_CALL(sigaction(SIGUSR1, &action, NULL));
  action.sa_handler = SIG_IGN;
  CHECK_CALL(sigaction(SIGHUP, &action, NULL));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  CHECK_ZERO(pthread_sigmask(SIG_BLOCK, &set, NULL));
  CHECK_CALL(kill(getpid(), SIGUSR2));
  struct itimerval timer = {.it_value.tv_sec = 3600};
  CHECK_CALL(setitimer(ITIMER_REAL, &timer, NULL));
}

static void fill(int round) {
  filled = mmap(NULL, FILL * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(filled != MAP_FAILED);
  for (int i = 0; i < FILL * PAGE; i++) CHECK(filled[i] == 0);
  memset(filled, round & 0x7f, FILL * PAGE);
}

static void check_filled(int round) {
  for (int i = 0; i < FILL * PAGE; i++) CHECK(filled[i] == (round & 0x7f));
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("exec", argc, argv);
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--from") == 0) plan.round = atoi(argv[i + 1]);
    if (strcmp(argv[i], "--until") == 0) plan.until_ns = atoll(argv[i + 1]);
  }
  int first = plan.round;
  if (first > 0) look_back();
  fill(first);
  while (next_round(&plan)) {
    check_filled(first);
    if (plan.round > first + ROUNDS_EACH) {
      leave_things();
      pthread_t threads[3];
      for (int i = 0; i < 2; i++) CHECK_ZERO(pthread_create(&threads[i], NULL, idle, NULL));
      char from[16], until[24], rounds[16];
      snprintf(from, sizeof from, "%d", plan.round - 1);
      snprintf(until, sizeof until, "%lld", (long long)plan.until_ns);
      snprintf(rounds, sizeof rounds, "%d", plan.rounds);
      char *arguments[] = {"exec", "--rounds", rounds, "--until", until, "--from", from, NULL};
      memcpy(next_arguments, arguments, sizeof arguments);
      if (plan.round % 2 == 0) replace(NULL);
      CHECK_ZERO(pthread_create(&threads[2], NULL, replace, NULL));
      for (;;) sleep_ns(NS_PER_S);
    }
    end_round(&plan);
  }
  char *missing[] = {"nothing", NULL};
  char **volatile bad = (char **)8;
  CHECK(execve("/nothing", missing, environ) == -1 && errno == ENOENT);
  CHECK(execve("/etc/passwd", missing, environ) == -1 && errno == EACCES);
  CHECK(execve("/etc", missing, environ) == -1 && errno == EACCES);
  CHECK(execve((char *)bad, missing, environ) == -1 && errno == EFAULT);
  CHECK(execve("/bin/true", bad, environ) == -1 && errno == EFAULT);
  return pass(&plan);
}
