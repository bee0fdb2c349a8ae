/**
 * Stacks: the first thread's grows on demand, to another depth in each round; rounds end at the
 * deepest point, so that checkpoints are made there. Other threads have stacks of several sizes and
 * keep data in frames that live for the whole run.
 */
#include "check.h"

#include <alloca.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/resource.h>

enum { FRAME = 4000, KEEPERS = 5, MEGABYTE = 1 << 20 };

static struct plan plan;
static pthread_barrier_t round_start, round_end;
static atomic_int stop;

/** Every frame holds its own bytes, and finds them when the deeper ones have returned. */
__attribute__((noinline)) static uint64_t descend(int depth, uint64_t seed) {
  volatile unsigned char frame[FRAME];
  for (int i = 0; i < FRAME; i += 8) frame[i] = (unsigned char)(seed + (uint64_t)i + 1);
  uint64_t below = 0;
  if (depth > 0) below = descend(depth - 1, seed * 31 + 7);
  else end_round(&plan);
  for (int i = 0; i < FRAME; i += 8) CHECK(frame[i] == (unsigned char)(seed + (uint64_t)i + 1));
  return below + seed;
}

static uint64_t expected_sum(int depth, uint64_t seed) {
  uint64_t sum = 0;
  for (; depth >= 0; depth--) {
    sum += seed;
    seed = seed * 31 + 7;
  }
  return sum;
}

static void wait_at(pthread_barrier_t *barrier) {
  int result = pthread_barrier_wait(barrier);
  CHECK(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD);
}

static void *keep(void *argument) {
  size_t size = (size_t)(uintptr_t)argument;
  size_t count = size / 2 / sizeof(uint32_t);
  uint32_t *kept = alloca(count * sizeof *kept);
  for (size_t i = 0; i < count; i++) kept[i] = (uint32_t)(i * 2654435761u);
  for (uint32_t round = 0;; round++) {
    wait_at(&round_start);
    if (atomic_load(&stop)) return NULL;
    size_t step = 1 + count / 500;
    for (size_t i = round % step; i < count; i += step) {
      CHECK(kept[i] == (uint32_t)(i * 2654435761u));
    }
    wait_at(&round_end);
  }
}

int main(int argc, char **argv) {
  plan = start_plan("stacks", argc, argv);
  struct rlimit limit;
  CHECK_CALL(getrlimit(RLIMIT_STACK, &limit));
  CHECK(limit.rlim_cur >= 4 * MEGABYTE);
  CHECK_ZERO(pthread_barrier_init(&round_start, NULL, KEEPERS + 1));
  CHECK_ZERO(pthread_barrier_init(&round_end, NULL, KEEPERS + 1));
  const size_t sizes[KEEPERS] = {64 << 10, 256 << 10, MEGABYTE, 8 * MEGABYTE, 24 * MEGABYTE};
  pthread_t threads[KEEPERS];
  for (int i = 0; i < KEEPERS; i++) {
    pthread_attr_t attributes;
    CHECK_ZERO(pthread_attr_init(&attributes));
    CHECK_ZERO(pthread_attr_setstacksize(&attributes, sizes[i]));
    void *size = (void *)(uintptr_t)sizes[i];
    CHECK_ZERO(pthread_create(&threads[i], &attributes, keep, size));
    CHECK_ZERO(pthread_attr_destroy(&attributes));
  }
  while (next_round(&plan)) {
    wait_at(&round_start);
    // Up to 3 MB deep.
    int depth = plan.round * 37 % 750;
    uint64_t seed = (uint64_t)plan.round;
    CHECK(descend(depth, seed) == expected_sum(depth, seed));
    wait_at(&round_end);
  }
  atomic_store(&stop, 1);
  wait_at(&round_start);
  for (int i = 0; i < KEEPERS; i++) CHECK_ZERO(pthread_join(threads[i], NULL));
  return pass(&plan);
}
