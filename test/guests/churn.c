/**
 * Threads that come and go, with thread-local storage: joinable ones with results, detached ones,
 * destructors of thread-specific data. Some live across rounds and find their own data unchanged.
 */
#include "check.h"

#include <semaphore.h>
#include <stdatomic.h>

enum { BATCH = 6, KEEPERS = 3, WORDS = 64, JOINED = 12345, DETACHED = 54321 };

static __thread uint64_t initialised = 0x1122334455667788ULL;
static __thread uint64_t table[WORDS];
static __thread struct {
  char text[24];
  int number;
} mixed = {"before", 7};

static pthread_key_t key;
static atomic_int destroyed;
static sem_t detached_done, keeper_go, keeper_done;
static atomic_int keepers_stop;

/** The last thing that a thread does in code of ours: so a detached one reports here. */
static void destroy(void *value) {
  int kind = *(int *)value;
  CHECK(kind == JOINED || kind == DETACHED);
  free(value);
  atomic_fetch_add(&destroyed, 1);
  if (kind == DETACHED) CHECK_CALL(sem_post(&detached_done));
}

static void fill(uint64_t seed) {
  for (int i = 0; i < WORDS; i++) table[i] = seed * 1000003ULL + (uint64_t)i;
}

static void verify(uint64_t seed) {
  for (int i = 0; i < WORDS; i++) CHECK(table[i] == seed * 1000003ULL + (uint64_t)i);
}

static void use_locals(uint64_t seed, int kind) {
  CHECK(initialised == 0x1122334455667788ULL);
  CHECK(strcmp(mixed.text, "before") == 0 && mixed.number == 7);
  for (int i = 0; i < WORDS; i++) CHECK(table[i] == 0);
  initialised = seed;
  mixed.number = (int)seed;
  fill(seed);
  int *value = malloc(sizeof *value);
  CHECK(value != NULL);
  *value = kind;
  CHECK_ZERO(pthread_setspecific(key, value));
  sleep_ns(NS_PER_MS / 2);
  CHECK(pthread_getspecific(key) == value);
  CHECK(initialised == seed && mixed.number == (int)seed);
  verify(seed);
  errno = (int)(seed % 100) + 1;
  sched_yield();
  CHECK(errno == (int)(seed % 100) + 1);
}

static void *joined(void *argument) {
  uint64_t seed = (uintptr_t)argument;
  use_locals(seed, JOINED);
  if (seed % 2 == 0) pthread_exit((void *)(uintptr_t)(seed * 3));
  return (void *)(uintptr_t)(seed * 3);
}

static void *detached(void *argument) {
  use_locals((uintptr_t)argument, DETACHED);
  return NULL;
}

/** Keeps its thread-local data for the life of the guest. */
static void *keep(void *argument) {
  uint64_t seed = (uintptr_t)argument;
  pid_t id = (pid_t)syscall(SYS_gettid);
  fill(seed);
  for (uint64_t visit = 1;; visit++) {
    while (sem_wait(&keeper_go) != 0) CHECK(errno == EINTR);
    if (atomic_load(&keepers_stop)) return NULL;
    verify(seed);
    CHECK((pid_t)syscall(SYS_gettid) == id);
    seed += visit;
    fill(seed);
    CHECK_CALL(sem_post(&keeper_done));
  }
}

static void wait_for(sem_t *semaphore) {
  while (sem_wait(semaphore) != 0) CHECK(errno == EINTR);
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("churn", argc, argv);
  CHECK_ZERO(pthread_key_create(&key, destroy));
  CHECK_CALL(sem_init(&detached_done, 0, 0));
  CHECK_CALL(sem_init(&keeper_go, 0, 0));
  CHECK_CALL(sem_init(&keeper_done, 0, 0));
  fill(99);
  pthread_t keepers[KEEPERS];
  for (int i = 0; i < KEEPERS; i++) {
    CHECK_ZERO(pthread_create(&keepers[i], NULL, keep, (void *)(uintptr_t)(500 + i)));
  }
  pthread_attr_t attributes;
  CHECK_ZERO(pthread_attr_init(&attributes));
  CHECK_ZERO(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED));

  while (next_round(&plan)) {
    pthread_t threads[BATCH];
    for (int i = 0; i < BATCH; i++) {
      uint64_t seed = (uint64_t)(plan.round * 100 + i);
      CHECK_ZERO(pthread_create(&threads[i], NULL, joined, (void *)(uintptr_t)seed));
    }
    pthread_t loose;
    CHECK_ZERO(pthread_create(&loose, &attributes, detached, (void *)(uintptr_t)plan.round));
    for (int i = 0; i < BATCH; i++) {
      void *result;
      CHECK_ZERO(pthread_join(threads[i], &result));
      CHECK((uintptr_t)result == (uintptr_t)(plan.round * 100 + i) * 3);
    }
    wait_for(&detached_done);
    for (int i = 0; i < KEEPERS; i++) CHECK_CALL(sem_post(&keeper_go));
    for (int i = 0; i < KEEPERS; i++) wait_for(&keeper_done);
    verify(99);
    CHECK(atomic_load(&destroyed) == plan.round * (BATCH + 1));
    end_round(&plan);
  }

  atomic_store(&keepers_stop, 1);
  for (int i = 0; i < KEEPERS; i++) CHECK_CALL(sem_post(&keeper_go));
  for (int i = 0; i < KEEPERS; i++) CHECK_ZERO(pthread_join(keepers[i], NULL));
  return pass(&plan);
}
