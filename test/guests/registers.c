/**
 * Registers: threads load known values into every general, SSE, AVX and AVX-512 register that the
 * processor has, keep them there without touching memory, both while they compute and while they
 * wait inside a system call, and find them unchanged. Floating point gives the same bits as at the
 * start, in every rounding mode, which are themselves part of a thread's state.
 */
#include "check.h"

#include <fenv.h>
#include <stdatomic.h>

enum { VECTOR_BYTES = 32 * 64, SPINS = 200000 };

/** What a thread does while its registers are full: counts down, or makes this system call. */
struct hold {
  uint64_t spins;
  uint64_t call;
  struct timespec *sleep;
};

/* Loads, holds, stores. rdi: values in, rsi: values out, rdx: struct hold. */
#define HOLD(name, load_all, store_all)                                                   \
  __asm__(".text\n.type " name ", @function\n" name ":\n"                                 \
          "  push %rbx\n  push %r12\n  push %r13\n"                                       \
          "  mov %rsi, %r12\n  mov %rdx, %r13\n" load_all                                 \
          "  mov 0(%r13), %rbx\n"                                                         \
          "1: dec %rbx\n  jnz 1b\n"                                                       \
          "  mov 8(%r13), %rax\n  mov 16(%r13), %rdi\n  xor %esi, %esi\n"                 \
          "  syscall\n"                                                                   \
          "  mov %r12, %rsi\n" store_all                                                  \
          "  pop %r13\n  pop %r12\n  pop %rbx\n  ret\n")

#define EACH_8(m, at) m(at##0) m(at##1) m(at##2) m(at##3) m(at##4) m(at##5) m(at##6) m(at##7)
#define EACH_16(m) EACH_8(m, ) m(8) m(9) m(10) m(11) m(12) m(13) m(14) m(15)
#define EACH_32(m)                                                                        \
  EACH_16(m) m(16) m(17) m(18) m(19) m(20) m(21) m(22) m(23) m(24) m(25) m(26) m(27)      \
  m(28) m(29) m(30) m(31)

#define LOAD_SSE(n) "  movdqu 16*" #n "(%rdi), %xmm" #n "\n"
#define STORE_SSE(n) "  movdqu %xmm" #n ", 16*" #n "(%rsi)\n"
#define LOAD_AVX(n) "  vmovdqu 32*" #n "(%rdi), %ymm" #n "\n"
#define STORE_AVX(n) "  vmovdqu %ymm" #n ", 32*" #n "(%rsi)\n"
#define LOAD_512(n) "  vmovdqu64 64*" #n "(%rdi), %zmm" #n "\n"
#define STORE_512(n) "  vmovdqu64 %zmm" #n ", 64*" #n "(%rsi)\n"

void hold_sse(const void *in, void *out, const struct hold *hold);
void hold_avx(const void *in, void *out, const struct hold *hold);
void hold_avx512(const void *in, void *out, const struct hold *hold);
HOLD("hold_sse", EACH_16(LOAD_SSE), EACH_16(STORE_SSE));
HOLD("hold_avx", EACH_16(LOAD_AVX), EACH_16(STORE_AVX) "  vzeroupper\n");
HOLD("hold_avx512",
     EACH_32(LOAD_512) "  kmovw 0(%rdi), %k1\n  kmovw 2(%rdi), %k2\n  kmovw 4(%rdi), %k7\n",
     EACH_32(STORE_512) "  kmovw %k1, 2048(%rsi)\n  kmovw %k2, 2050(%rsi)\n"
                        "  kmovw %k7, 2052(%rsi)\n  vzeroupper\n");

/*
 * The general registers. rdi: 12 values in, rsi: 12 values out, rdx: struct hold. The counter is
 * in memory, so that all of them are full; rcx, r11 and rax belong to the system call.
 */
void hold_general(const uint64_t *in, uint64_t *out, const struct hold *hold);
__asm__(
    ".text\n.type hold_general, @function\nhold_general:\n"
    "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
    "  push %rsi\n  push 16(%rdx)\n  push 8(%rdx)\n  push 0(%rdx)\n"
    "  mov 0(%rdi), %rbx\n  mov 8(%rdi), %rbp\n  mov 16(%rdi), %r8\n  mov 24(%rdi), %r9\n"
    "  mov 32(%rdi), %r10\n  mov 40(%rdi), %r12\n  mov 48(%rdi), %r13\n  mov 56(%rdi), %r14\n"
    "  mov 64(%rdi), %r15\n  mov 72(%rdi), %rdx\n  xor %esi, %esi\n"
    "1: decq 0(%rsp)\n  jnz 1b\n"
    "  mov 8(%rsp), %rax\n  mov 16(%rsp), %rdi\n  std\n  cld\n  syscall\n"
    "  mov 24(%rsp), %rax\n"
    "  mov %rbx, 0(%rax)\n  mov %rbp, 8(%rax)\n  mov %r8, 16(%rax)\n  mov %r9, 24(%rax)\n"
    "  mov %r10, 32(%rax)\n  mov %r12, 40(%rax)\n  mov %r13, 48(%rax)\n  mov %r14, 56(%rax)\n"
    "  mov %r15, 64(%rax)\n  mov %rdx, 72(%rax)\n  mov %rsi, 80(%rax)\n  mov %rdi, 88(%rax)\n"
    "  add $32, %rsp\n"
    "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n  ret\n");

static atomic_int stop;
static atomic_long holds;

static void hold_all(uint64_t *seed) {
  static __thread unsigned char in[VECTOR_BYTES], out[VECTOR_BYTES + 8];
  struct timespec nap = {.tv_nsec = 700000};
  struct hold spinning = {.spins = SPINS, .call = SYS_getpid, .sleep = &nap};
  struct hold waiting = {.spins = 1, .call = SYS_nanosleep, .sleep = &nap};
  const struct hold *how[] = {&spinning, &waiting};
  for (int i = 0; i < 2; i++) {
    for (size_t at = 0; at < VECTOR_BYTES; at += 8) {
      uint64_t value = next_random(seed);
      memcpy(in + at, &value, 8);
    }
    uint64_t general[12] = {0};
    hold_general((const uint64_t *)in, general, how[i]);
    CHECK(memcmp(in, general, 10 * 8) == 0);
    CHECK(general[10] == 0 && general[11] == (uintptr_t)how[i]->sleep);

    memset(out, 0, sizeof out);
    hold_sse(in, out, how[i]);
    CHECK(memcmp(in, out, 16 * 16) == 0);
    if (__builtin_cpu_supports("avx")) {
      memset(out, 0, sizeof out);
      hold_avx(in, out, how[i]);
      CHECK(memcmp(in, out, 16 * 32) == 0);
    }
    if (__builtin_cpu_supports("avx512f")) {
      memset(out, 0, sizeof out);
      hold_avx512(in, out, how[i]);
      CHECK(memcmp(in, out, 32 * 64) == 0);
      CHECK(memcmp(in, out + 2048, 6) == 0);
    }
  }
}

/** Depends on every rounding along the way. */
static uint64_t compute(void) {
  volatile double x = 0.3;
  volatile long double y = 0.7L;
  volatile float z = 0.1f;
  for (int i = 0; i < 20000; i++) {
    x = 3.9 * x * (1.0 - x);
    y = y / 1.0000001L + 0.00000003L;
    z = z * 1.001f + 0.0001f;
    if (z > 100.0f) z = z / 137.0f;
  }
  double doubles[3] = {x, (double)y, z};
  return hash_bytes(HASH_START, doubles, sizeof doubles);
}

struct worker {
  int rounding;
  uint64_t seed;
};

static void *work(void *argument) {
  struct worker *worker = argument;
  CHECK_ZERO(fesetround(worker->rounding));
  uint64_t expected = compute();
  while (!atomic_load(&stop)) {
    hold_all(&worker->seed);
    CHECK(compute() == expected);
    CHECK(fegetround() == worker->rounding);
    atomic_fetch_add(&holds, 1);
  }
  return (void *)(uintptr_t)expected;
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("registers", argc, argv);
  struct worker workers[2] = {{FE_UPWARD, 0x1234567}, {FE_TOWARDZERO, 0x89abcdef}};
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) CHECK_ZERO(pthread_create(&threads[i], NULL, work, &workers[i]));
  uint64_t expected = compute(), seed = 42;
  while (next_round(&plan)) {
    hold_all(&seed);
    CHECK(compute() == expected);
    end_round(&plan);
  }
  atomic_store(&stop, 1);
  void *results[2];
  for (int i = 0; i < 2; i++) CHECK_ZERO(pthread_join(threads[i], &results[i]));
  CHECK(atomic_load(&holds) > 0);
  // The modes do make a difference: otherwise the check above would show nothing.
  CHECK(results[0] != results[1] && (uintptr_t)results[0] != expected);
  return pass(&plan);
}
