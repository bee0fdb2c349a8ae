/**
 * Signals: handlers with siginfo, masks of handlers and threads, pending ones that wait until they
 * are unblocked, alternate stacks, signals to one thread, system calls that are interrupted or
 * restarted, and faults of the processor that a handler recovers from.
 */
#include "check.h"

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { PAGE = 4096 };

static atomic_int handled[64];
/** volatile: the compiler takes it that calls such as sigqueue run no code of ours. */
static volatile struct {
  int signo;
  int code;
  int value;
  pid_t pid;
  uid_t uid;
} last;
static volatile sig_atomic_t nested, deepest;
static volatile sig_atomic_t on_alternate;
static char *alternate;
static __thread sigjmp_buf recovery;
static void *volatile fault_address;
static unsigned char *guarded;
static atomic_int fixed;

static void count(int signal, siginfo_t *info, void *context) {
  (void)context;
  last.signo = info->si_signo;
  last.code = info->si_code;
  last.value = info->si_value.sival_int;
  last.pid = info->si_pid;
  last.uid = info->si_uid;
  atomic_fetch_add(&handled[signal], 1);
}

/** SIGUSR1 is in its own mask and, by sa_mask, SIGUSR2 is: they must not interrupt each other. */
static void nest(int signal, siginfo_t *info, void *context) {
  (void)info;
  (void)context;
  nested += 1;
  if (nested > deepest) deepest = nested;
  atomic_fetch_add(&handled[signal], 1);
  if (atomic_load(&handled[signal]) % 2 == 1) CHECK_ZERO(raise(SIGUSR2));
  nested -= 1;
}

static void look_at_stack(int signal) {
  char local;
  (void)signal;
  on_alternate = &local >= alternate && &local < alternate + 16 * PAGE;
}

static void jump_out(int signal, siginfo_t *info, void *context) {
  (void)context;
  fault_address = info->si_addr;
  siglongjmp(recovery, signal);
}

/** Makes the page writable: the instruction that faulted is then made again. */
static void repair(int signal, siginfo_t *info, void *context) {
  ucontext_t *state = context;
  CHECK(signal == SIGSEGV && info->si_code == SEGV_ACCERR);
  CHECK(state->uc_mcontext.gregs[REG_RIP] != 0);
  void *page = (void *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));
  CHECK_CALL(mprotect(page, PAGE, PROT_READ | PROT_WRITE));
  atomic_fetch_add(&fixed, 1);
}

static void on(int signal, void (*handler)(int, siginfo_t *, void *), int flags, int also) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
  sigemptyset(&action.sa_mask);
  if (also != 0) sigaddset(&action.sa_mask, also);
  CHECK_CALL(sigaction(signal, &action, NULL));
}

static void blocked_stay_pending(void) {
  on(SIGUSR1, count, 0, 0);
  sigset_t set, previous, pending;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGRTMIN);
  on(SIGRTMIN, count, 0, 0);
  CHECK_ZERO(pthread_sigmask(SIG_BLOCK, &set, &previous));
  int usual = atomic_load(&handled[SIGUSR1]), queued = atomic_load(&handled[SIGRTMIN]);
  for (int i = 0; i < 3; i++) {
    CHECK_ZERO(raise(SIGUSR1));
    CHECK_CALL(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 100 + i}));
  }
  sleep_ns(NS_PER_MS);
  CHECK_CALL(sigpending(&pending));
  CHECK(sigismember(&pending, SIGUSR1) == 1 && sigismember(&pending, SIGRTMIN) == 1);
  CHECK(sigismember(&pending, SIGUSR2) == 0);
  CHECK(atomic_load(&handled[SIGUSR1]) == usual);
  CHECK_ZERO(pthread_sigmask(SIG_SETMASK, &previous, NULL));
  // A usual signal is merged, a real-time one is queued, each with its own value.
  CHECK(atomic_load(&handled[SIGUSR1]) == usual + 1);
  CHECK(atomic_load(&handled[SIGRTMIN]) == queued + 3);
  CHECK(last.code == SI_QUEUE || last.code == SI_TKILL);
  CHECK_CALL(sigpending(&pending));
  CHECK(sigismember(&pending, SIGUSR1) == 0 && sigismember(&pending, SIGRTMIN) == 0);
}

static void info_is_carried(void) {
  on(SIGRTMIN, count, 0, 0);
  CHECK_CALL(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 4711}));
  CHECK(last.signo == SIGRTMIN && last.code == SI_QUEUE);
  CHECK(last.value == 4711 && last.pid == getpid());
  CHECK_CALL(kill(getpid(), SIGRTMIN));
  CHECK(last.code == SI_USER && last.uid == getuid());
  CHECK_CALL(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGRTMIN));
  CHECK(last.code == SI_TKILL && last.pid == getpid());
}

static void handlers_mask(void) {
  on(SIGUSR1, nest, 0, SIGUSR2);
  on(SIGUSR2, nest, 0, SIGUSR1);
  atomic_store(&handled[SIGUSR1], 0);
  atomic_store(&handled[SIGUSR2], 0);
  deepest = 0;
  CHECK_ZERO(raise(SIGUSR1));
  CHECK(atomic_load(&handled[SIGUSR1]) == 1 && atomic_load(&handled[SIGUSR2]) >= 1);
  CHECK(deepest == 1 && nested == 0);
}

static void alternate_stack(void) {
  stack_t stack = {.ss_sp = alternate, .ss_size = 16 * PAGE}, old;
  CHECK_CALL(sigaltstack(&stack, NULL));
  struct sigaction action = {.sa_handler = look_at_stack, .sa_flags = SA_ONSTACK};
  CHECK_CALL(sigaction(SIGHUP, &action, NULL));
  on_alternate = 0;
  CHECK_ZERO(raise(SIGHUP));
  CHECK(on_alternate == 1);
  action.sa_flags = 0;
  CHECK_CALL(sigaction(SIGHUP, &action, NULL));
  CHECK_ZERO(raise(SIGHUP));
  CHECK(on_alternate == 0);
  CHECK_CALL(sigaltstack(NULL, &old));
  CHECK(old.ss_sp == alternate && old.ss_size == 16 * PAGE && old.ss_flags == 0);
}

static void faults(void) {
  on(SIGSEGV, jump_out, SA_ONSTACK, 0);
  on(SIGFPE, jump_out, 0, 0);
  on(SIGILL, jump_out, 0, 0);
  int signal = sigsetjmp(recovery, 1);
  if (signal == 0) {
    *(volatile char *)(guarded + PAGE + 8) = 1;
    CHECK(!"the write faults");
  }
  CHECK(signal == SIGSEGV && fault_address == guarded + PAGE + 8);

  signal = sigsetjmp(recovery, 1);
  if (signal == 0) {
    volatile int zero = 0;
    volatile int result = 7 / zero;
    (void)result;
    CHECK(!"the division faults");
  }
  CHECK(signal == SIGFPE);

  signal = sigsetjmp(recovery, 1);
  if (signal == 0) __asm__ volatile("ud2");
  CHECK(signal == SIGILL);

  on(SIGSEGV, repair, SA_ONSTACK, 0);
  int before = atomic_load(&fixed);
  *(volatile char *)(guarded + PAGE + 16) = 5;
  CHECK(atomic_load(&fixed) == before + 1 && guarded[PAGE + 16] == 5);
  CHECK_CALL(mprotect(guarded + PAGE, PAGE, PROT_READ));
}

struct reader {
  int fds[2];
  ssize_t result;
  int error;
  atomic_int reading;
};

static void *read_once(void *argument) {
  struct reader *reader = argument;
  char byte;
  atomic_store(&reader->reading, 1);
  reader->result = read(reader->fds[0], &byte, 1);
  reader->error = errno;
  return NULL;
}

/** A blocked read is interrupted by a handler without SA_RESTART and goes on with it. */
static void interrupted_calls(int flags) {
  struct reader reader = {.result = -2};
  CHECK_CALL(pipe(reader.fds));
  on(SIGUSR1, count, flags, 0);
  int before = atomic_load(&handled[SIGUSR1]);
  pthread_t thread;
  CHECK_ZERO(pthread_create(&thread, NULL, read_once, &reader));
  while (!atomic_load(&reader.reading)) sched_yield();
  sleep_ns(3 * NS_PER_MS);
  CHECK_ZERO(pthread_kill(thread, SIGUSR1));
  if (flags == SA_RESTART) {
    while (atomic_load(&handled[SIGUSR1]) == before) sleep_ns(NS_PER_MS);
    CHECK(write(reader.fds[1], "x", 1) == 1);
  }
  CHECK_ZERO(pthread_join(thread, NULL));
  CHECK(atomic_load(&handled[SIGUSR1]) == before + 1);
  if (flags == SA_RESTART) CHECK(reader.result == 1);
  else CHECK(reader.result == -1 && reader.error == EINTR);
  CHECK_CALL(close(reader.fds[0]));
  CHECK_CALL(close(reader.fds[1]));
}

/** A broken pipe: the error alone when the signal is ignored. */
static void broken_pipe(void) {
  int fds[2];
  CHECK_CALL(pipe(fds));
  CHECK_CALL(close(fds[0]));
  CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
  CHECK(write(fds[1], "x", 1) == -1 && errno == EPIPE);
  on(SIGPIPE, count, 0, 0);
  int before = atomic_load(&handled[SIGPIPE]);
  CHECK(write(fds[1], "x", 1) == -1 && errno == EPIPE);
  CHECK(atomic_load(&handled[SIGPIPE]) == before + 1);
  CHECK_CALL(close(fds[1]));
}

static void *wait_for_signals(void *argument) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  for (intptr_t count = 0;; count++) {
    siginfo_t info;
    int got = sigwaitinfo(&set, &info);
    if (got == -1 && errno == EINTR) continue;
    CHECK(got == SIGTERM && info.si_value.sival_int == (int)count);
    CHECK_CALL(write(*(int *)argument, "t", 1));
    if (info.si_code == SI_QUEUE && count + 1 == 1 << 30) return NULL;
  }
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("signals", argc, argv);
  // SIGTERM is for the waiter; it must not be the one to take what the process is sent otherwise.
  sigset_t usual, all, term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  CHECK_ZERO(pthread_sigmask(SIG_BLOCK, &term, &usual));
  sigfillset(&all);
  CHECK_ZERO(pthread_sigmask(SIG_SETMASK, &all, &usual));
  int taken[2];
  CHECK_CALL(pipe(taken));
  pthread_t waiter;
  CHECK_ZERO(pthread_create(&waiter, NULL, wait_for_signals, &taken[1]));
  CHECK_ZERO(pthread_sigmask(SIG_SETMASK, &usual, NULL));
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  alternate = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
  guarded = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
  CHECK(alternate != MAP_FAILED && guarded != MAP_FAILED);
  CHECK_CALL(mprotect(guarded + PAGE, PAGE, PROT_READ));

  while (next_round(&plan)) {
    sigset_t before, after;
    CHECK_ZERO(pthread_sigmask(SIG_SETMASK, NULL, &before));
    blocked_stay_pending();
    info_is_carried();
    handlers_mask();
    alternate_stack();
    faults();
    interrupted_calls(0);
    interrupted_calls(SA_RESTART);
    broken_pipe();
    CHECK_CALL(sigqueue(getpid(), SIGTERM, (union sigval){.sival_int = plan.round - 1}));
    char byte;
    CHECK(read(taken[0], &byte, 1) == 1);
    CHECK_ZERO(pthread_sigmask(SIG_SETMASK, NULL, &after));
    CHECK(memcmp(&before, &after, sizeof(unsigned long)) == 0);
    end_round(&plan);
  }
  return pass(&plan);
}
