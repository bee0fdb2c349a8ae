/**
 * Pipes, event descriptors and epoll between threads: a stream of numbered bytes through a pipe
 * that is mostly full, a relay of messages that is driven by epoll (level and edge triggered, one
 * shot), semaphores made of event descriptors. Nothing is lost, doubled or out of order.
 */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

enum { BURST = 150000, RELAYS = 4, MESSAGES = 25 };

struct message {
  uint32_t relay;
  uint32_t number;
  uint64_t check;
};

static int stream[2];
static int permits, finished;
static int relay_in[RELAYS][2], relay_out[2];
static int wake;
static atomic_int stop;

static unsigned char byte_at(uint64_t position) {
  return (unsigned char)(position * 2654435761u >> 13);
}

static void write_all(int fd, const void *bytes, size_t size) {
  const char *at = bytes;
  while (size > 0) {
    ssize_t count = write(fd, at, size);
    CHECK(count > 0 || (count < 0 && errno == EINTR));
    if (count < 0) continue;
    at += count;
    size -= (size_t)count;
  }
}

/** Writes one burst for each permit. */
static void *produce(void *argument) {
  (void)argument;
  static unsigned char buffer[30000];
  uint64_t position = 0, permit;
  for (;;) {
    CHECK(read(permits, &permit, sizeof permit) == sizeof permit && permit == 1);
    if (atomic_load(&stop)) return NULL;
    for (int sent = 0; sent < BURST;) {
      size_t size = 1 + (position * 7919) % sizeof buffer;
      if ((int)size > BURST - sent) size = (size_t)(BURST - sent);
      for (size_t i = 0; i < size; i++) buffer[i] = byte_at(position + i);
      write_all(stream[1], buffer, size);
      position += size;
      sent += (int)size;
    }
    uint64_t one = 1;
    CHECK(write(finished, &one, sizeof one) == sizeof one);
  }
}

static void consume(uint64_t *position) {
  static unsigned char buffer[20000];
  uint64_t one = 1;
  CHECK(write(permits, &one, sizeof one) == sizeof one);
  for (int left = BURST; left > 0;) {
    ssize_t count = read(stream[0], buffer, sizeof buffer);
    CHECK(count > 0);
    for (ssize_t i = 0; i < count; i++) CHECK(buffer[i] == byte_at(*position + (uint64_t)i));
    *position += (uint64_t)count;
    left -= (int)count;
  }
  CHECK(read(finished, &one, sizeof one) == sizeof one && one == 1);
  int unread;
  CHECK_CALL(ioctl(stream[0], FIONREAD, &unread));
  CHECK(unread == 0);
}

static void watch(int epoll, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  CHECK_CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static void pass_on(int fd, int drain) {
  for (;;) {
    struct message message;
    ssize_t count = read(fd, &message, sizeof message);
    if (count < 0 && errno == EAGAIN) return;
    CHECK(count == sizeof message);
    message.check = hash_bytes(HASH_START, &message, 8);
    write_all(relay_out[1], &message, sizeof message);
    if (!drain) return;
  }
}

/** Level, edge, and edge with one shot: each relay in its own way. */
static void *relay(void *argument) {
  int epoll = *(int *)argument;
  const uint32_t modes[RELAYS] = {0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT};
  for (uint64_t i = 0; i < RELAYS; i++) watch(epoll, relay_in[i][0], EPOLLIN | modes[i], i);
  watch(epoll, wake, EPOLLIN, RELAYS);
  while (!atomic_load(&stop)) {
    struct epoll_event events[3];
    int count = epoll_wait(epoll, events, 3, -1);
    CHECK(count > 0 || (count < 0 && errno == EINTR));
    for (int i = 0; i < count; i++) {
      uint64_t at = events[i].data.u64;
      if (at == RELAYS) continue;
      CHECK(events[i].events == EPOLLIN);
      pass_on(relay_in[at][0], (modes[at] & EPOLLET) != 0);
      if ((modes[at] & EPOLLONESHOT) == 0) continue;
      struct epoll_event again = {.events = EPOLLIN | modes[at], .data.u64 = at};
      CHECK_CALL(epoll_ctl(epoll, EPOLL_CTL_MOD, relay_in[at][0], &again));
    }
  }
  return NULL;
}

static void use_relays(int round) {
  uint32_t expected[RELAYS];
  for (uint32_t i = 0; i < RELAYS; i++) expected[i] = (uint32_t)round * MESSAGES;
  for (uint32_t number = 0; number < MESSAGES; number++) {
    for (uint32_t i = 0; i < RELAYS; i++) {
      struct message message = {i, (uint32_t)round * MESSAGES + number, 0};
      write_all(relay_in[i][1], &message, sizeof message);
    }
  }
  for (int left = MESSAGES * RELAYS; left > 0; left--) {
    struct message message;
    struct pollfd poller = {.fd = relay_out[0], .events = POLLIN};
    CHECK(poll(&poller, 1, (int)(PATIENCE_NS / NS_PER_MS)) == 1 && poller.revents == POLLIN);
    CHECK(read(relay_out[0], &message, sizeof message) == sizeof message);
    CHECK(message.relay < RELAYS && message.check == hash_bytes(HASH_START, &message, 8));
    CHECK(message.number == expected[message.relay]);
    expected[message.relay] += 1;
  }
}

static void use_eventfds(void) {
  int counter = CHECK_CALL(eventfd(3, EFD_NONBLOCK));
  uint64_t value = 4;
  CHECK(write(counter, &value, 8) == 8);
  CHECK(read(counter, &value, 8) == 8 && value == 7);
  CHECK(read(counter, &value, 8) == -1 && errno == EAGAIN);
  value = UINT64_MAX - 1;
  CHECK(write(counter, &value, 8) == 8);
  value = 1;
  CHECK(write(counter, &value, 8) == -1 && errno == EAGAIN);
  CHECK(read(counter, &value, 4) == -1 && errno == EINVAL);
  CHECK_CALL(close(counter));
  CHECK(read(counter, &value, 8) == -1 && errno == EBADF);
}

static void use_ends(void) {
  int fds[2];
  CHECK_CALL(pipe2(fds, O_NONBLOCK | O_CLOEXEC));
  char byte;
  CHECK(read(fds[0], &byte, 1) == -1 && errno == EAGAIN);
  CHECK(write(fds[1], "ab", 2) == 2);
  int copy = CHECK_CALL(dup(fds[1]));
  CHECK_CALL(close(fds[1]));
  CHECK(read(fds[0], &byte, 1) == 1 && byte == 'a');
  CHECK_CALL(close(copy));
  struct pollfd poller = {.fd = fds[0], .events = POLLIN};
  CHECK(poll(&poller, 1, 0) == 1 && poller.revents == (POLLIN | POLLHUP));
  CHECK(read(fds[0], &byte, 1) == 1 && byte == 'b');
  CHECK(poll(&poller, 1, 0) == 1 && poller.revents == POLLHUP);
  CHECK(read(fds[0], &byte, 1) == 0);
  CHECK_CALL(close(fds[0]));
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("ipc", argc, argv);
  CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
  CHECK_CALL(pipe(stream));
  CHECK_CALL(pipe(relay_out));
  for (int i = 0; i < RELAYS; i++) {
    CHECK_CALL(pipe(relay_in[i]));
    CHECK_CALL(fcntl(relay_in[i][0], F_SETFL, O_NONBLOCK));
  }
  permits = CHECK_CALL(eventfd(0, EFD_SEMAPHORE));
  finished = CHECK_CALL(eventfd(0, 0));
  wake = CHECK_CALL(eventfd(0, 0));
  int epoll = CHECK_CALL(epoll_create1(0));
  pthread_t threads[2];
  CHECK_ZERO(pthread_create(&threads[0], NULL, produce, NULL));
  CHECK_ZERO(pthread_create(&threads[1], NULL, relay, &epoll));
  uint64_t position = 0;
  while (next_round(&plan)) {
    consume(&position);
    use_relays(plan.round);
    use_eventfds();
    use_ends();
    end_round(&plan);
  }
  atomic_store(&stop, 1);
  uint64_t one = 1;
  CHECK(write(permits, &one, sizeof one) == sizeof one);
  CHECK(write(wake, &one, sizeof one) == sizeof one);
  for (int i = 0; i < 2; i++) CHECK_ZERO(pthread_join(threads[i], NULL));
  return pass(&plan);
}
