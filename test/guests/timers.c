/**
 * Deadlines: timer descriptors, sleeps, poll timeouts and the interval timer. None fires early,
 * none is lost; a periodic one counts exactly the periods that have passed on the guest's clock,
 * whatever happened to the guest meanwhile.
 */
#include "check.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/timerfd.h>

enum { PERIOD_NS = 3 * 1000 * 1000 };

static atomic_int alarms;
static atomic_long slept;
static atomic_int sleeper_stop;

static void on_alarm(int signal) {
  CHECK(signal == SIGALRM);
  atomic_fetch_add(&alarms, 1);
}

static void one_shot(int timer, int64_t delay_ns) {
  int64_t deadline = monotonic_ns() + delay_ns;
  struct itimerspec spec = {.it_value = to_timespec(deadline)};
  CHECK_CALL(timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL));
  uint64_t count = 0;
  CHECK(read(timer, &count, sizeof count) == sizeof count);
  CHECK(monotonic_ns() >= deadline);
  CHECK(count == 1);
  struct itimerspec left;
  CHECK_CALL(timerfd_gettime(timer, &left));
  CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);
}

/** Reads a periodic timer: what it has counted must be what the clock says. */
static void periodic(int timer, int64_t start, uint64_t *total) {
  uint64_t count = 0;
  CHECK(read(timer, &count, sizeof count) == sizeof count);
  CHECK(count >= 1);
  *total += count;
  CHECK(*total <= (uint64_t)((monotonic_ns() - start) / PERIOD_NS));
  int64_t before = monotonic_ns();
  struct pollfd poller = {.fd = timer, .events = POLLIN};
  int ready = CHECK_CALL(poll(&poller, 1, 0));
  // Not readable: so nothing expired after the last read and before the clock was read.
  if (ready == 0) CHECK(*total >= (uint64_t)((before - start) / PERIOD_NS));
}

static void sleeps(int round) {
  int64_t start = monotonic_ns();
  int64_t delay = (1 + round % 4) * NS_PER_MS;
  sleep_ns(delay);
  CHECK(monotonic_ns() - start >= delay);

  struct timespec deadline = to_timespec(monotonic_ns() + delay);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL) != 0) continue;
  CHECK(monotonic_ns() >= deadline.tv_sec * NS_PER_S + deadline.tv_nsec);
  // A deadline that has passed is no wait at all.
  CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL) == 0);
}

static void poll_timeouts(int epoll) {
  int64_t start = monotonic_ns();
  CHECK(poll(NULL, 0, 2) == 0);
  CHECK(monotonic_ns() - start >= 2 * NS_PER_MS);

  start = monotonic_ns();
  struct epoll_event event;
  CHECK(epoll_wait(epoll, &event, 1, 2) == 0);
  CHECK(monotonic_ns() - start >= 2 * NS_PER_MS);

  start = monotonic_ns();
  struct timeval wait = {.tv_usec = 1500};
  CHECK(select(0, NULL, NULL, NULL, &wait) == 0);
  CHECK(monotonic_ns() - start >= 1500 * 1000);
}

static void interval_timer(int round) {
  atomic_store(&alarms, 0);
  sigset_t blocked, previous;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGALRM);
  CHECK_ZERO(pthread_sigmask(SIG_BLOCK, &blocked, &previous));
  int shots = 1 + round % 3;
  int64_t start = monotonic_ns();
  struct itimerval timer = {.it_value.tv_usec = 2000, .it_interval.tv_usec = 2000};
  CHECK_CALL(setitimer(ITIMER_REAL, &timer, NULL));
  sigset_t waiting = previous;
  sigdelset(&waiting, SIGALRM);
  while (atomic_load(&alarms) < shots) CHECK(sigsuspend(&waiting) == -1 && errno == EINTR);
  CHECK(monotonic_ns() - start >= shots * 2 * NS_PER_MS);
  timer = (struct itimerval){0};
  struct itimerval old;
  CHECK_CALL(setitimer(ITIMER_REAL, &timer, &old));
  CHECK(old.it_interval.tv_usec == 2000);
  CHECK_ZERO(pthread_sigmask(SIG_SETMASK, &previous, NULL));
}

static void *sleeper(void *argument) {
  sigset_t all;
  sigfillset(&all);
  CHECK_ZERO(pthread_sigmask(SIG_BLOCK, &all, NULL));
  int64_t delay = *(int64_t *)argument;
  int64_t deadline = monotonic_ns();
  while (!atomic_load(&sleeper_stop)) {
    deadline += delay;
    struct timespec until = to_timespec(deadline);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0);
    CHECK(monotonic_ns() >= deadline);
    atomic_fetch_add(&slept, 1);
  }
  return NULL;
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("timers", argc, argv);
  struct sigaction action = {.sa_handler = on_alarm};
  CHECK_CALL(sigaction(SIGALRM, &action, NULL));
  int epoll = CHECK_CALL(epoll_create1(EPOLL_CLOEXEC));
  int timer = CHECK_CALL(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  int ticking = CHECK_CALL(timerfd_create(CLOCK_MONOTONIC, 0));

  int64_t start = monotonic_ns();
  uint64_t total = 0;
  struct itimerspec spec = {
      .it_value = to_timespec(start + PERIOD_NS),
      .it_interval = to_timespec(PERIOD_NS),
  };
  CHECK_CALL(timerfd_settime(ticking, TFD_TIMER_ABSTIME, &spec, NULL));

  pthread_t threads[2];
  int64_t delays[2] = {2 * NS_PER_MS, 7 * NS_PER_MS};
  for (int i = 0; i < 2; i++) CHECK_ZERO(pthread_create(&threads[i], NULL, sleeper, &delays[i]));

  while (next_round(&plan)) {
    one_shot(timer, (1 + plan.round % 3) * NS_PER_MS);
    periodic(ticking, start, &total);
    sleeps(plan.round);
    poll_timeouts(epoll);
    interval_timer(plan.round);
    end_round(&plan);
  }

  atomic_store(&sleeper_stop, 1);
  for (int i = 0; i < 2; i++) CHECK_ZERO(pthread_join(threads[i], NULL));
  CHECK(atomic_load(&slept) > 0);
  CHECK_CALL(close(ticking));
  return pass(&plan);
}
