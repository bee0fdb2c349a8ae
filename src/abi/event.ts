/**
 * Constants and struct layouts of epoll, poll, select, eventfd and pipes (sys/epoll.h, poll.h,
 * sys/eventfd.h, fcntl.h). Data only.
 */

/** Flags beside the poll bits in `epoll_event.events`. */
export const EPOLL = {
  exclusive: 0x1000_0000,
  wakeup: 0x2000_0000,
  oneshot: 0x4000_0000,
  edge: 0x8000_0000,
  cloexec: 0o2000000,
} as const;

export const EPOLL_CTL = { add: 1, delete: 2, modify: 3 } as const;

/** struct epoll_event, packed on x86-64: u32 events, u64 data. */
export const EPOLL_EVENT = { events: 0, data: 4, sizeBytes: 12 } as const;

/** struct pollfd. */
export const POLLFD = { fd: 0, events: 4, revents: 6, sizeBytes: 8 } as const;

export const EFD = { semaphore: 1, nonblock: 0o4000, cloexec: 0o2000000 } as const;

/** Status flags of open(2) that sockets, pipes and descriptors of events use. */
export const O = {
  accessMode: 3,
  rdonly: 0,
  wronly: 1,
  rdwr: 2,
  nonblock: 0o4000,
  async: 0o20000,
  direct: 0o40000,
  cloexec: 0o2000000,
} as const;

export const SIGNAL = { pipe: 13, alarm: 14 } as const;
