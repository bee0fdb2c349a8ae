/*
 * Does the system calls that a script on standard input names, one a line, and prints what each gave:
 * the same script is served by the library OS on a simulated host (test/libos/script.ts), and the two
 * outputs must be equal. Descriptors stand in numbered slots, so that their numbers do not matter.
 * Nothing blocks: every descriptor is non-blocking.
 *
 * "new" closes all slots and begins the next script.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SLOTS 16
#define BUFFER 200000

static int slot[SLOTS];
static unsigned char buffer[BUFFER];
static unsigned counter;
static int script;

static int fd_of(int index) { return index >= 0 && index < SLOTS ? slot[index] : -1; }

static void put(int index, int fd) {
  if (slot[index] >= 0) close(slot[index]);
  slot[index] = fd;
}

static void result(const char *name, long value) {
  printf("%s %ld\n", name, value < 0 ? -(long)errno : value);
}

static uint32_t digest(const unsigned char *bytes, long count) {
  uint32_t hash = 2166136261u;
  for (long i = 0; i < count; i++) hash = (hash ^ bytes[i]) * 16777619u;
  return hash;
}

static void fill(long count) {
  for (long i = 0; i < count; i++) buffer[i] = (unsigned char)(counter++ * 7 >> 2);
}

static int domain_of(const char *name) {
  if (!strcmp(name, "i4")) return AF_INET;
  if (!strcmp(name, "i6")) return AF_INET6;
  return AF_UNIX;
}

static int type_of(const char *name) {
  if (!strcmp(name, "st")) return SOCK_STREAM;
  if (!strcmp(name, "dg")) return SOCK_DGRAM;
  return SOCK_SEQPACKET;
}

static int domain_of_fd(int fd) {
  int domain = AF_UNIX;
  socklen_t size = sizeof domain;
  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
  return domain;
}

/* An address of this kind: the loopback with any port, or an abstract name of this script's. */
static socklen_t own_address(int domain, int name, struct sockaddr_storage *address) {
  memset(address, 0, sizeof *address);
  if (domain == AF_INET) {
    struct sockaddr_in *in = (void *)address;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof *in;
  }
  if (domain == AF_INET6) {
    struct sockaddr_in6 *in = (void *)address;
    in->sin6_family = AF_INET6;
    in->sin6_addr = in6addr_loopback;
    return sizeof *in;
  }
  struct sockaddr_un *un = (void *)address;
  un->sun_family = AF_UNIX;
  int length = sprintf(un->sun_path + 1, "tg-%08d-%08d-%d", (int)getpid(), script, name);
  return offsetof(struct sockaddr_un, sun_path) + 1 + length;
}

static void do_connect(int from, int to) {
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  if (getsockname(fd_of(to), (struct sockaddr *)&address, &size) < 0) {
    result("connect", -1);
    return;
  }
  result("connect", connect(fd_of(from), (struct sockaddr *)&address, size));
}

static void do_sendto(int from, int to, long count) {
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  if (getsockname(fd_of(to), (struct sockaddr *)&address, &size) < 0) {
    result("sendto", -1);
    return;
  }
  fill(count);
  long sent = sendto(fd_of(from), buffer, count, MSG_NOSIGNAL, (struct sockaddr *)&address, size);
  result("sendto", sent);
}

static void do_read(const char *name, int index, long count, int flags, int is_socket) {
  memset(buffer, 0, count);
  long got = is_socket ? recv(fd_of(index), buffer, count, flags) : read(fd_of(index), buffer, count);
  if (got > 0) printf("%s %ld %u\n", name, got, digest(buffer, got < count ? got : count));
  else result(name, got);
}

static void do_sendfd(int through, int sent, long count) {
  char control[CMSG_SPACE(sizeof(int))];
  struct iovec vector = {buffer, count};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = sizeof control};
  memset(control, 0, sizeof control);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  int fd = fd_of(sent);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  fill(count);
  result("sendfd", sendmsg(fd_of(through), &message, MSG_NOSIGNAL));
}

static void do_recvfd(int into, int through, long count) {
  char control[CMSG_SPACE(sizeof(int))];
  struct iovec vector = {buffer, count};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = sizeof control};
  long got = recvmsg(fd_of(through), &message, 0);
  if (got < 0) {
    result("recvfd", got);
    return;
  }
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  int fd = -1;
  if (header != NULL && header->cmsg_type == SCM_RIGHTS) {
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    put(into, fd);
  }
  printf("recvfd %ld %u %s %d\n", got, digest(buffer, got), fd >= 0 ? "fd" : "none",
         message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
}

static void do_ctl(int set, int index, int operation, unsigned events) {
  struct epoll_event event = {.events = events, .data.u32 = index};
  result("ctl", epoll_ctl(fd_of(set), operation, fd_of(index), &event));
}

/* In the order of their slots: which of several comes first is not told here. */
static int by_slot(const void *one, const void *other) {
  const struct epoll_event *a = one, *b = other;
  if (a->data.u32 != b->data.u32) return a->data.u32 < b->data.u32 ? -1 : 1;
  return a->events < b->events ? -1 : a->events > b->events;
}

static void do_wait(int set, int count) {
  struct epoll_event events[SLOTS];
  int ready = epoll_wait(fd_of(set), events, count, 0);
  if (ready < 0) {
    result("wait", ready);
    return;
  }
  printf("wait %d", ready);
  qsort(events, ready > 0 ? ready : 0, sizeof *events, by_slot);
  for (int i = 0; i < ready; i++) printf(" %u:%x", events[i].data.u32, events[i].events);
  printf("\n");
}

static void do_poll(int index) {
  struct pollfd file = {fd_of(index), 0x7fff & ~POLLNVAL, 0};
  int ready = poll(&file, 1, 0);
  if (ready < 0) result("poll", ready);
  else printf("poll %d %x\n", ready, file.revents);
}

/* Bytes are to be there when a send is over: without Nagle's algorithm. */
static int prompt(int fd) {
  int on = 1;
  if (fd < 0) return fd;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

static void do_socket(int index, const char *domain, const char *type) {
  put(index, prompt(socket(domain_of(domain), type_of(type) | SOCK_NONBLOCK, 0)));
  result("sock", slot[index] >= 0 ? 0 : -1);
}

static void two(int one, int other, const int *fds, const char *name, int failed) {
  put(one, failed ? -1 : fds[0]);
  put(other, failed ? -1 : fds[1]);
  result(name, failed);
}

static void do_error(int index) {
  int error = 0;
  socklen_t size = sizeof error;
  int failed = getsockopt(fd_of(index), SOL_SOCKET, SO_ERROR, &error, &size);
  if (failed < 0) result("error", failed);
  else printf("error %d\n", error);
}

static void do_available(int index) {
  int count = 0;
  int failed = ioctl(fd_of(index), FIONREAD, &count);
  if (failed < 0) result("nread", failed);
  else printf("nread %d\n", count);
}

static void do_eventfd(int index, uint64_t value) {
  result("evwrite", write(fd_of(index), &value, sizeof value));
}

static void do_bind(int index, int name) {
  struct sockaddr_storage address;
  socklen_t size = own_address(domain_of_fd(fd_of(index)), name, &address);
  result("bind", bind(fd_of(index), (struct sockaddr *)&address, size));
}

static void run(const char *line) {
  int a, b, c, failed, fds[2];
  long n;
  unsigned events;
  unsigned long long big;
  char x[8], y[8];
  if (sscanf(line, "sock %d %7s %7s", &a, x, y) == 3) do_socket(a, x, y);
  else if (sscanf(line, "pair %d %d %7s", &a, &b, x) == 3) {
    failed = socketpair(AF_UNIX, type_of(x) | SOCK_NONBLOCK, 0, fds);
    two(a, b, fds, "pair", failed);
  } else if (sscanf(line, "pipe %d %d", &a, &b) == 2) {
    failed = pipe2(fds, O_NONBLOCK);
    two(a, b, fds, "pipe", failed);
  } else if (sscanf(line, "eventfd %d %d %d", &a, &b, &c) == 3) {
    put(a, eventfd(b, EFD_NONBLOCK | (c ? EFD_SEMAPHORE : 0)));
    result("eventfd", slot[a] >= 0 ? 0 : -1);
  } else if (sscanf(line, "epoll %d", &a) == 1) {
    put(a, epoll_create1(0));
    result("epoll", slot[a] >= 0 ? 0 : -1);
  } else if (sscanf(line, "bind %d %d", &a, &b) == 2) do_bind(a, b);
  else if (sscanf(line, "listen %d %d", &a, &b) == 2) result("listen", listen(fd_of(a), b));
  else if (sscanf(line, "connect %d %d", &a, &b) == 2) do_connect(a, b);
  else if (sscanf(line, "accept %d %d", &a, &b) == 2) {
    int fd = accept4(fd_of(b), NULL, NULL, SOCK_NONBLOCK);
    result("accept", fd < 0 ? -1 : 0);
    if (fd >= 0) put(a, prompt(fd));
  } else if (sscanf(line, "send %d %ld %d", &a, &n, &b) == 3) {
    fill(n);
    result("send", send(fd_of(a), buffer, n, b | MSG_NOSIGNAL));
  } else if (sscanf(line, "recv %d %ld %d", &a, &n, &b) == 3) do_read("recv", a, n, b, 1);
  else if (sscanf(line, "write %d %ld", &a, &n) == 2) {
    fill(n);
    result("write", write(fd_of(a), buffer, n));
  } else if (sscanf(line, "read %d %ld", &a, &n) == 2) do_read("read", a, n, 0, 0);
  else if (sscanf(line, "sendto %d %d %ld", &a, &b, &n) == 3) do_sendto(a, b, n);
  else if (sscanf(line, "sendfd %d %d %ld", &a, &b, &n) == 3) do_sendfd(a, b, n);
  else if (sscanf(line, "recvfd %d %d %ld", &a, &b, &n) == 3) do_recvfd(a, b, n);
  else if (sscanf(line, "evwrite %d %llu", &a, &big) == 2) do_eventfd(a, big);
  else if (sscanf(line, "shutdown %d %d", &a, &b) == 2) result("shutdown", shutdown(fd_of(a), b));
  else if (sscanf(line, "dup %d %d", &a, &b) == 2) {
    int fd = dup(fd_of(b));
    result("dup", fd < 0 ? -1 : 0);
    if (fd >= 0) put(a, fd);
  } else if (sscanf(line, "close %d", &a) == 1) {
    result("close", fd_of(a) < 0 ? close(-1) : close(fd_of(a)));
    slot[a] = -1;
  } else if (sscanf(line, "ctl %d %d %d %x", &a, &b, &c, &events) == 4) do_ctl(a, b, c, events);
  else if (sscanf(line, "wait %d %d", &a, &b) == 2) do_wait(a, b);
  else if (sscanf(line, "poll %d", &a) == 1) do_poll(a);
  else if (sscanf(line, "error %d", &a) == 1) do_error(a);
  else if (sscanf(line, "nread %d", &a) == 1) do_available(a);
  else if (sscanf(line, "resize %d %ld", &a, &n) == 2) {
    result("resize", fcntl(fd_of(a), F_SETPIPE_SZ, n));
  } else printf("? %s", line);
}

int main(void) {
  char line[256];
  signal(SIGPIPE, SIG_IGN);
  for (int i = 0; i < SLOTS; i++) slot[i] = -1;
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strncmp(line, "new", 3) != 0) {
      run(line);
      continue;
    }
    for (int i = 0; i < SLOTS; i++) put(i, -1);
    counter = 0;
    script += 1;
    printf("new\n");
  }
  return 0;
}
