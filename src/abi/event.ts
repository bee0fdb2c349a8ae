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

/** inotify(7): events, flags of inotify_add_watch and what only the library OS sets. */
export const IN = {
  access: 0x1,
  modify: 0x2,
  attrib: 0x4,
  closeWrite: 0x8,
  closeNowrite: 0x10,
  open: 0x20,
  movedFrom: 0x40,
  movedTo: 0x80,
  create: 0x100,
  delete: 0x200,
  deleteSelf: 0x400,
  moveSelf: 0x800,
  /** All of the above. */
  events: 0xfff,
  unmount: 0x2000,
  overflow: 0x4000,
  ignored: 0x8000,
  onlyDirectory: 0x0100_0000,
  dontFollow: 0x0200_0000,
  exclUnlink: 0x0400_0000,
  maskCreate: 0x1000_0000,
  maskAdd: 0x2000_0000,
  isDirectory: 0x4000_0000,
  oneshot: 0x8000_0000,
  nonblock: 0o4000,
  cloexec: 0o2000000,
} as const;

/** struct inotify_event; the name follows, padded with NULs to a multiple of `sizeBytes`. */
export const INOTIFY_EVENT = { wd: 0, mask: 4, cookie: 8, nameBytes: 12, sizeBytes: 16 } as const;

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
