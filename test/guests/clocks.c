/**
 * Clocks: several threads read the monotonic ones as fast as they can and compare with the latest
 * that any of them has seen: time never goes back, not between threads and not across a takeover.
 */
#include "check.h"

#include <stdatomic.h>
#include <sys/time.h>
#include <sys/times.h>

enum { READERS = 2, READS = 60 };

static const clockid_t monotonic_clocks[] = {
    CLOCK_MONOTONIC,
    CLOCK_MONOTONIC_RAW,
    CLOCK_MONOTONIC_COARSE,
    CLOCK_BOOTTIME,
    CLOCK_PROCESS_CPUTIME_ID,
};
enum { CLOCKS = sizeof monotonic_clocks / sizeof monotonic_clocks[0] };

static _Atomic int64_t latest[CLOCKS];
static atomic_int stop;

static void read_clocks(void) {
  for (int i = 0; i < CLOCKS; i++) {
    int64_t seen = atomic_load(&latest[i]);
    int64_t now = now_ns(monotonic_clocks[i]);
    CHECK(now >= seen);
    while (seen < now && !atomic_compare_exchange_weak(&latest[i], &seen, now)) continue;
  }
}

static void *reader(void *argument) {
  (void)argument;
  int64_t own = 0;
  while (!atomic_load(&stop)) {
    for (int i = 0; i < 20; i++) read_clocks();
    int64_t now = now_ns(CLOCK_THREAD_CPUTIME_ID);
    CHECK(now >= own);
    own = now;
    sleep_ns(NS_PER_MS);
  }
  return NULL;
}

static void other_clocks(void) {
  int64_t realtime = now_ns(CLOCK_REALTIME);
  struct timeval time_of_day;
  CHECK_CALL(gettimeofday(&time_of_day, NULL));
  int64_t of_day = time_of_day.tv_sec * NS_PER_S + time_of_day.tv_usec * 1000;
  // The two are one clock; a minute is more than any takeover may take between the two reads.
  CHECK(of_day - realtime > -NS_PER_S && of_day - realtime < 60 * NS_PER_S);
  time_t seconds = time(NULL);
  CHECK(seconds >= time_of_day.tv_sec - 1 && seconds < time_of_day.tv_sec + 60);
  CHECK(realtime > 1600000000LL * NS_PER_S);
  struct timespec resolution;
  CHECK_CALL(clock_getres(CLOCK_MONOTONIC, &resolution));
  CHECK(resolution.tv_sec == 0 && resolution.tv_nsec > 0);
  CHECK(clock_gettime((clockid_t)99, &resolution) == -1 && errno == EINVAL);
  struct tms spent;
  CHECK(times(&spent) != (clock_t)-1);
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("clocks", argc, argv);
  pthread_t threads[READERS];
  for (int i = 0; i < READERS; i++) CHECK_ZERO(pthread_create(&threads[i], NULL, reader, NULL));
  while (next_round(&plan)) {
    for (int i = 0; i < READS; i++) read_clocks();
    other_clocks();
    end_round(&plan);
  }
  atomic_store(&stop, 1);
  for (int i = 0; i < READERS; i++) CHECK_ZERO(pthread_join(threads[i], NULL));
  return pass(&plan);
}
