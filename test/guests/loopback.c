/**
 * TCP over the guest's own loopback: an echo server and its clients are threads of one guest, so
 * their connections are state of the guest and live on in a backup. Long-lived connections, new
 * ones each round, half-closes, a large transfer, refused ports, addresses.
 */
#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { LONG_LIVED = 3, LARGE = 700000, CONNECTIONS_MAX = 64 };

static struct sockaddr_in server_address;

static struct sockaddr_in loopback(in_port_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = port};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static void write_all(int fd, const void *bytes, size_t size) {
  const char *at = bytes;
  while (size > 0) {
    ssize_t count = send(fd, at, size, MSG_NOSIGNAL);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
      struct pollfd poller = {.fd = fd, .events = POLLOUT};
      CHECK_CALL(poll(&poller, 1, 1000));
      continue;
    }
    CHECK(count > 0);
    at += count;
    size -= (size_t)count;
  }
}

static void read_all(int fd, void *bytes, size_t size) {
  char *at = bytes;
  while (size > 0) {
    ssize_t count = read(fd, at, size);
    CHECK(count > 0 || (count < 0 && errno == EINTR));
    if (count < 0) continue;
    at += count;
    size -= (size_t)count;
  }
}

static int accept_one(int listener, int epoll) {
  struct sockaddr_in peer;
  socklen_t size = sizeof peer;
  int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0 && errno == EAGAIN) return -1;
  CHECK(fd >= 0 && size == sizeof peer && peer.sin_family == AF_INET);
  CHECK(peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && peer.sin_port != 0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  CHECK_CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
  return fd;
}

/** One thread for all connections, as event-driven servers are. */
static void *echo(void *argument) {
  int listener = *(int *)argument;
  static char buffer[65536];
  int epoll = CHECK_CALL(epoll_create1(0));
  struct epoll_event events[8], event = {.events = EPOLLIN, .data.fd = listener};
  CHECK_CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event));
  for (;;) {
    int count = epoll_wait(epoll, events, 8, -1);
    CHECK(count > 0 || errno == EINTR);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        while (accept_one(listener, epoll) >= 0) continue;
        continue;
      }
      ssize_t size = read(fd, buffer, sizeof buffer);
      if (size > 0) write_all(fd, buffer, (size_t)size);
      if (size < 0) CHECK(errno == EAGAIN);
      if (size == 0) CHECK_CALL(close(fd));
    }
  }
}

static int connect_one(void) {
  int fd = CHECK_CALL(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK_CALL(connect(fd, (struct sockaddr *)&server_address, sizeof server_address));
  struct sockaddr_in peer, own;
  socklen_t size = sizeof peer;
  CHECK_CALL(getpeername(fd, (struct sockaddr *)&peer, &size));
  CHECK(peer.sin_port == server_address.sin_port);
  size = sizeof own;
  CHECK_CALL(getsockname(fd, (struct sockaddr *)&own, &size));
  CHECK(own.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && own.sin_port != peer.sin_port);
  int on = 1;
  CHECK_CALL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  return fd;
}

static void exchange(int fd, int round, int at) {
  char text[48], answer[48];
  int size = snprintf(text, sizeof text, "round %d message %d", round, at);
  write_all(fd, text, (size_t)size);
  read_all(fd, answer, (size_t)size);
  CHECK(memcmp(text, answer, (size_t)size) == 0);
}

struct transfer {
  int fd;
  uint32_t seed;
};

static void *send_large(void *argument) {
  struct transfer *transfer = argument;
  static unsigned char bytes[LARGE];
  for (uint32_t i = 0; i < LARGE; i++) bytes[i] = (unsigned char)((i + transfer->seed) * 31 >> 3);
  write_all(transfer->fd, bytes, LARGE);
  CHECK_CALL(shutdown(transfer->fd, SHUT_WR));
  return NULL;
}

/** More than the buffers hold: sender and receiver block in turn. The end comes after the data. */
static void large_transfer(uint32_t seed) {
  static unsigned char bytes[LARGE];
  struct transfer transfer = {connect_one(), seed};
  pthread_t sender;
  CHECK_ZERO(pthread_create(&sender, NULL, send_large, &transfer));
  read_all(transfer.fd, bytes, LARGE);
  for (uint32_t i = 0; i < LARGE; i++) CHECK(bytes[i] == (unsigned char)((i + seed) * 31 >> 3));
  CHECK(read(transfer.fd, bytes, 1) == 0);
  CHECK_ZERO(pthread_join(sender, NULL));
  CHECK_CALL(close(transfer.fd));
}

static void refused_port(void) {
  int probe = CHECK_CALL(socket(AF_INET, SOCK_STREAM, 0));
  struct sockaddr_in address = loopback(0);
  CHECK_CALL(bind(probe, (struct sockaddr *)&address, sizeof address));
  socklen_t size = sizeof address;
  CHECK_CALL(getsockname(probe, (struct sockaddr *)&address, &size));
  CHECK(address.sin_port != 0);
  // Bound but not listening.
  int fd = CHECK_CALL(socket(AF_INET, SOCK_STREAM, 0));
  CHECK(connect(fd, (struct sockaddr *)&address, size) == -1 && errno == ECONNREFUSED);
  CHECK_CALL(close(fd));
  CHECK_CALL(close(probe));

  fd = CHECK_CALL(socket(AF_INET, SOCK_STREAM, 0));
  CHECK(bind(fd, (struct sockaddr *)&server_address, size) == -1 && errno == EADDRINUSE);
  CHECK_CALL(close(fd));
}

static void non_blocking_connect(int round) {
  int fd = CHECK_CALL(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  int result = connect(fd, (struct sockaddr *)&server_address, sizeof server_address);
  CHECK(result == 0 || errno == EINPROGRESS);
  struct pollfd poller = {.fd = fd, .events = POLLOUT};
  CHECK(poll(&poller, 1, (int)(PATIENCE_NS / NS_PER_MS)) == 1 && poller.revents == POLLOUT);
  int error = -1;
  socklen_t size = sizeof error;
  CHECK_CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
  CHECK(error == 0);
  char byte;
  CHECK(read(fd, &byte, 1) == -1 && errno == EAGAIN);
  CHECK_CALL(fcntl(fd, F_SETFL, 0));
  exchange(fd, round, 1000);
  CHECK_CALL(close(fd));
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("loopback", argc, argv);
  CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
  int listener = CHECK_CALL(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  server_address = loopback(0);
  CHECK_CALL(bind(listener, (struct sockaddr *)&server_address, sizeof server_address));
  CHECK_CALL(listen(listener, CONNECTIONS_MAX));
  socklen_t size = sizeof server_address;
  CHECK_CALL(getsockname(listener, (struct sockaddr *)&server_address, &size));
  pthread_t server;
  CHECK_ZERO(pthread_create(&server, NULL, echo, &listener));
  int kept[LONG_LIVED];
  for (int i = 0; i < LONG_LIVED; i++) kept[i] = connect_one();

  while (next_round(&plan)) {
    for (int i = 0; i < LONG_LIVED; i++) exchange(kept[i], plan.round, i);
    int fd = connect_one();
    exchange(fd, plan.round, 99);
    CHECK_CALL(shutdown(fd, SHUT_WR));
    char byte;
    CHECK(read(fd, &byte, 1) == 0);
    CHECK_CALL(close(fd));
    refused_port();
    non_blocking_connect(plan.round);
    if (plan.round % 10 == 1) large_transfer((uint32_t)plan.round);
    end_round(&plan);
  }
  for (int i = 0; i < LONG_LIVED; i++) CHECK_CALL(close(kept[i]));
  return pass(&plan);
}
