/** timer_create: timers that send a signal to the process or to one thread, with their value. */
#include "check.h"

#include <signal.h>

static timer_t make_timer(int notify, int signal, int value, pid_t thread) {
  struct sigevent event = {.sigev_notify = notify, .sigev_signo = signal};
  event.sigev_value.sival_int = value;
  event._sigev_un._tid = thread;
  timer_t timer;
  CHECK_CALL(timer_create(CLOCK_MONOTONIC, &event, &timer));
  return timer;
}

/** Waits for the signal of a timer that is set to `deadline`, and looks at what it carries. */
static void expect(timer_t timer, int signal, int value) {
  int64_t deadline = monotonic_ns() + 2 * NS_PER_MS;
  struct itimerspec spec = {.it_value = to_timespec(deadline)};
  CHECK_CALL(timer_settime(timer, TIMER_ABSTIME, &spec, NULL));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  struct timespec patience = to_timespec(PATIENCE_NS);
  siginfo_t info;
  int got;
  do got = sigtimedwait(&set, &info, &patience);
  while (got == -1 && errno == EINTR);
  CHECK(got == signal);
  CHECK(monotonic_ns() >= deadline);
  CHECK(info.si_code == SI_TIMER && info.si_value.sival_int == value);
  CHECK(timer_getoverrun(timer) == 0);
}

static void *in_thread(void *argument) {
  struct plan *plan = argument;
  timer_t timer = make_timer(SIGEV_THREAD_ID, SIGRTMIN + 2, 77, (pid_t)syscall(SYS_gettid));
  expect(timer, SIGRTMIN + 2, 77);
  CHECK_CALL(timer_delete(timer));
  return plan;
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("posix-timers", argc, argv);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 1);
  sigaddset(&set, SIGRTMIN + 2);
  CHECK_ZERO(pthread_sigmask(SIG_BLOCK, &set, NULL));
  timer_t kept = make_timer(SIGEV_SIGNAL, SIGRTMIN + 1, 41, 0);
  while (next_round(&plan)) {
    expect(kept, SIGRTMIN + 1, 41);
    pthread_t thread;
    CHECK_ZERO(pthread_create(&thread, NULL, in_thread, &plan));
    CHECK_ZERO(pthread_join(thread, NULL));
    end_round(&plan);
  }
  CHECK_CALL(timer_delete(kept));
  return pass(&plan);
}
