/**
 * Mutexes, condition variables, semaphores and barriers: pairs of threads hand a turn to and fro,
 * others add to a counter under a mutex. Each round asks for a fixed number of steps and finds
 * exactly those: no wakeup lost, none twice. Timed waits end at their absolute deadline, not before.
 */
#include "check.h"

#include <semaphore.h>

enum { PAIRS = 3, STEPS = 60, ADDERS = 3, ADDITIONS = 500 };

struct pair {
  pthread_mutex_t mutex;
  pthread_cond_t turn_changed;
  pthread_cond_t limit_reached;
  int turn;
  long count;
  long limit;
  int stop;
};

struct player {
  struct pair *pair;
  int turn;
};

static struct pair pairs[PAIRS];
static pthread_barrier_t round_start, round_end;
static pthread_mutex_t sum_mutex = PTHREAD_MUTEX_INITIALIZER;
static long sum;
static int adders_stop;
static sem_t requests, replies;

static void *play(void *argument) {
  struct player *player = argument;
  struct pair *pair = player->pair;
  CHECK_ZERO(pthread_mutex_lock(&pair->mutex));
  for (;;) {
    while (!pair->stop && (pair->turn != player->turn || pair->count == pair->limit)) {
      CHECK_ZERO(pthread_cond_wait(&pair->turn_changed, &pair->mutex));
    }
    if (pair->stop) break;
    pair->count += 1;
    pair->turn = 1 - pair->turn;
    if (pair->count == pair->limit) CHECK_ZERO(pthread_cond_signal(&pair->limit_reached));
    CHECK_ZERO(pthread_cond_broadcast(&pair->turn_changed));
  }
  CHECK_ZERO(pthread_mutex_unlock(&pair->mutex));
  return (void *)(intptr_t)player->turn;
}

static void wait_at(pthread_barrier_t *barrier) {
  int result = pthread_barrier_wait(barrier);
  CHECK(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD);
}

static void *add(void *argument) {
  (void)argument;
  for (;;) {
    wait_at(&round_start);
    if (adders_stop) return NULL;
    for (int i = 0; i < ADDITIONS; i++) {
      CHECK_ZERO(pthread_mutex_lock(&sum_mutex));
      sum += 1;
      CHECK_ZERO(pthread_mutex_unlock(&sum_mutex));
    }
    wait_at(&round_end);
  }
}

static void *serve(void *argument) {
  (void)argument;
  for (;;) {
    while (sem_wait(&requests) != 0) CHECK(errno == EINTR);
    if (adders_stop) return NULL;
    CHECK_CALL(sem_post(&replies));
  }
}

static void monotonic_cond(pthread_cond_t *cond) {
  pthread_condattr_t attributes;
  CHECK_ZERO(pthread_condattr_init(&attributes));
  CHECK_ZERO(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
  CHECK_ZERO(pthread_cond_init(cond, &attributes));
}

static void run_pairs(void) {
  for (int i = 0; i < PAIRS; i++) {
    struct pair *pair = &pairs[i];
    CHECK_ZERO(pthread_mutex_lock(&pair->mutex));
    pair->limit += STEPS;
    CHECK_ZERO(pthread_cond_broadcast(&pair->turn_changed));
    CHECK_ZERO(pthread_mutex_unlock(&pair->mutex));
  }
  struct timespec deadline = to_timespec(monotonic_ns() + PATIENCE_NS);
  for (int i = 0; i < PAIRS; i++) {
    struct pair *pair = &pairs[i];
    CHECK_ZERO(pthread_mutex_lock(&pair->mutex));
    while (pair->count != pair->limit) {
      CHECK_ZERO(pthread_cond_timedwait(&pair->limit_reached, &pair->mutex, &deadline));
    }
    CHECK_ZERO(pthread_mutex_unlock(&pair->mutex));
  }
}

static void run_timed_waits(int round) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t never;
  monotonic_cond(&never);
  CHECK_ZERO(pthread_mutex_lock(&mutex));
  int64_t deadline_ns = monotonic_ns() + (1 + round % 5) * NS_PER_MS;
  struct timespec deadline = to_timespec(deadline_ns);
  int result;
  do result = pthread_cond_timedwait(&never, &mutex, &deadline);
  while (result == 0);
  CHECK(result == ETIMEDOUT);
  CHECK(monotonic_ns() >= deadline_ns);
  CHECK_ZERO(pthread_mutex_unlock(&mutex));

  sem_t empty;
  CHECK_CALL(sem_init(&empty, 0, 0));
  deadline_ns = now_ns(CLOCK_REALTIME) + NS_PER_MS;
  deadline = to_timespec(deadline_ns);
  while (sem_timedwait(&empty, &deadline) != 0 && errno == EINTR) continue;
  CHECK(errno == ETIMEDOUT);
  CHECK(now_ns(CLOCK_REALTIME) >= deadline_ns);
}

static void run_semaphores(void) {
  for (int i = 0; i < 20; i++) {
    CHECK_CALL(sem_post(&requests));
    while (sem_wait(&replies) != 0) CHECK(errno == EINTR);
  }
  int value;
  CHECK_CALL(sem_getvalue(&requests, &value));
  CHECK(value == 0);
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("threads", argc, argv);
  pthread_t threads[2 * PAIRS], adders[ADDERS], server;
  struct player players[2 * PAIRS];
  CHECK_ZERO(pthread_barrier_init(&round_start, NULL, ADDERS + 1));
  CHECK_ZERO(pthread_barrier_init(&round_end, NULL, ADDERS + 1));
  CHECK_CALL(sem_init(&requests, 0, 0));
  CHECK_CALL(sem_init(&replies, 0, 0));
  for (int i = 0; i < PAIRS; i++) {
    CHECK_ZERO(pthread_mutex_init(&pairs[i].mutex, NULL));
    monotonic_cond(&pairs[i].turn_changed);
    monotonic_cond(&pairs[i].limit_reached);
    for (int turn = 0; turn < 2; turn++) {
      int at = 2 * i + turn;
      players[at] = (struct player){.pair = &pairs[i], .turn = turn};
      CHECK_ZERO(pthread_create(&threads[at], NULL, play, &players[at]));
    }
  }
  for (int i = 0; i < ADDERS; i++) CHECK_ZERO(pthread_create(&adders[i], NULL, add, NULL));
  CHECK_ZERO(pthread_create(&server, NULL, serve, NULL));

  while (next_round(&plan)) {
    wait_at(&round_start);
    run_pairs();
    wait_at(&round_end);
    CHECK(sum == (long)plan.round * ADDERS * ADDITIONS);
    run_semaphores();
    run_timed_waits(plan.round);
    end_round(&plan);
  }

  adders_stop = 1;
  CHECK_CALL(sem_post(&requests));
  wait_at(&round_start);
  for (int i = 0; i < ADDERS; i++) CHECK_ZERO(pthread_join(adders[i], NULL));
  CHECK_ZERO(pthread_join(server, NULL));
  for (int i = 0; i < 2 * PAIRS; i++) {
    struct pair *pair = players[i].pair;
    CHECK_ZERO(pthread_mutex_lock(&pair->mutex));
    pair->stop = 1;
    CHECK_ZERO(pthread_cond_broadcast(&pair->turn_changed));
    CHECK_ZERO(pthread_mutex_unlock(&pair->mutex));
    void *result;
    CHECK_ZERO(pthread_join(threads[i], &result));
    CHECK((intptr_t)result == players[i].turn);
  }
  return pass(&plan);
}
