/**
 * What the self-checking guests share. A guest does rounds of work; each ends with the line
 * "round N", which under replication is held output and so makes an epoch. What it prints depends
 * on the number of rounds alone: never on time, addresses or ids, so that runs can be compared.
 *
 *   GUEST [--rounds N | --seconds S]      prints the rounds, then "PASS name", and ends with 0
 *
 * The first check that fails prints a line "FAIL file:line: ..." and ends the process with 1.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL
#define NS_PER_MS 1000000LL
/** A wait that takes longer has lost its wakeup. Takeovers take a fraction of it. */
#define PATIENCE_NS (60 * NS_PER_S)

#define CHECK(condition)                                                                    \
  do {                                                                                      \
    if (!(condition)) check_failed(__FILE__, __LINE__, #condition, errno);                  \
  } while (0)

/** For calls that give -1 and errno. */
#define CHECK_CALL(call)                                                                    \
  ({                                                                                        \
    __typeof__(call) result_ = (call);                                                      \
    if (result_ == (__typeof__(call))-1) check_failed(__FILE__, __LINE__, #call, errno);    \
    result_;                                                                                \
  })

/** For pthread functions, which give the error. */
#define CHECK_ZERO(call)                                                                    \
  do {                                                                                      \
    int error_ = (call);                                                                    \
    if (error_ != 0) check_failed(__FILE__, __LINE__, #call, error_);                       \
  } while (0)

/** With write(2) alone: safe in signal handlers and in any thread. */
__attribute__((noreturn, cold, unused)) static void check_failed(const char *file, int line,
                                                                const char *what, int error) {
  char text[512];
  const char *base = strrchr(file, '/');
  int size = snprintf(text, sizeof text, "FAIL %s:%d: %s (errno %d)\n", base ? base + 1 : file,
                      line, what, error);
  if (write(1, text, (size_t)size) < 0) _exit(2);
  _exit(1);
}

__attribute__((unused)) static int64_t now_ns(clockid_t clock) {
  struct timespec time;
  CHECK_CALL(clock_gettime(clock, &time));
  return time.tv_sec * NS_PER_S + time.tv_nsec;
}

__attribute__((unused)) static int64_t monotonic_ns(void) { return now_ns(CLOCK_MONOTONIC); }

__attribute__((unused)) static struct timespec to_timespec(int64_t ns) {
  return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

__attribute__((unused)) static void sleep_ns(int64_t ns) {
  struct timespec left = to_timespec(ns);
  while (nanosleep(&left, &left) != 0) CHECK(errno == EINTR);
}

/** A xorshift generator: the same numbers in every run. */
__attribute__((unused)) static uint64_t next_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}

/** FNV-1a. */
__attribute__((unused)) static uint64_t hash_bytes(uint64_t hash, const void *bytes,
                                                   size_t size) {
  const unsigned char *at = bytes;
  for (size_t i = 0; i < size; i++) hash = (hash ^ at[i]) * 0x100000001b3ULL;
  return hash;
}
#define HASH_START 0xcbf29ce484222325ULL

struct plan {
  const char *name;
  int round;
  int rounds;
  int64_t until_ns;
};

__attribute__((unused)) static struct plan start_plan(const char *name, int argc, char **argv) {
  struct plan plan = {.name = name, .rounds = 40};
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--rounds") == 0) {
      plan.rounds = atoi(argv[i + 1]);
    } else if (strcmp(argv[i], "--seconds") == 0) {
      plan.until_ns = monotonic_ns() + (int64_t)(atof(argv[i + 1]) * NS_PER_S);
    }
  }
  return plan;
}

/** Whether there is another round to do. */
__attribute__((unused)) static int next_round(struct plan *plan) {
  plan->round += 1;
  if (plan->until_ns != 0) return monotonic_ns() < plan->until_ns;
  return plan->round <= plan->rounds;
}

/** Tells the world; the sleep lets the line's epoch pass while the guest is in a system call. */
__attribute__((unused)) static void end_round(const struct plan *plan) {
  char text[64];
  int size = snprintf(text, sizeof text, "round %d\n", plan->round);
  for (int done = 0; done < size;) {
    ssize_t count = write(1, text + done, (size_t)(size - done));
    CHECK(count > 0 || errno == EINTR);
    if (count > 0) done += (int)count;
  }
  sleep_ns(2 * NS_PER_MS);
}

__attribute__((unused)) static int pass(const struct plan *plan) {
  printf("PASS %s\n", plan->name);
  return fflush(stdout) == 0 ? 0 : 1;
}

#endif
