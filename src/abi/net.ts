/**
 * Constants and struct layouts of Linux's socket calls (sys/socket.h, netinet/*.h, sys/un.h). Data
 * only.
 */

export const AF = { unspec: 0, unix: 1, inet: 2, inet6: 10, netlink: 16, packet: 17 } as const;

export const SOCK = {
  stream: 1,
  dgram: 2,
  raw: 3,
  seqpacket: 5,
  typeMask: 0xf,
  nonblock: 0o4000,
  cloexec: 0o2000000,
} as const;

export const IPPROTO = { ip: 0, icmp: 1, tcp: 6, udp: 17, ipv6: 41, udplite: 136 } as const;

export const SHUT = { rd: 0, wr: 1, rdwr: 2 } as const;

export const MSG = {
  oob: 0x1,
  peek: 0x2,
  dontroute: 0x4,
  ctrunc: 0x8,
  trunc: 0x20,
  dontwait: 0x40,
  eor: 0x80,
  waitall: 0x100,
  confirm: 0x800,
  errqueue: 0x2000,
  nosignal: 0x4000,
  more: 0x8000,
  waitforone: 0x10000,
  zerocopy: 0x4000000,
  fastopen: 0x20000000,
  cmsgCloexec: 0x40000000,
} as const;

export const SOL_SOCKET = 1;

/** Options of level SOL_SOCKET. */
export const SO = {
  debug: 1,
  reuseaddr: 2,
  type: 3,
  error: 4,
  dontroute: 5,
  broadcast: 6,
  sndbuf: 7,
  rcvbuf: 8,
  keepalive: 9,
  oobinline: 10,
  noCheck: 11,
  priority: 12,
  linger: 13,
  reuseport: 15,
  passcred: 16,
  peercred: 17,
  rcvlowat: 18,
  sndlowat: 19,
  rcvtimeo: 20,
  sndtimeo: 21,
  attachFilter: 26,
  detachFilter: 27,
  timestamp: 29,
  acceptconn: 30,
  peersec: 31,
  sndbufforce: 32,
  rcvbufforce: 33,
  passsec: 34,
  mark: 36,
  protocol: 38,
  domain: 39,
  rxqOvfl: 40,
  busyPoll: 46,
  incomingCpu: 49,
  cookie: 57,
  zerocopy: 60,
} as const;

/** Options of level IPPROTO_TCP. */
export const TCP = {
  nodelay: 1,
  maxseg: 2,
  cork: 3,
  keepidle: 4,
  keepintvl: 5,
  keepcnt: 6,
  syncnt: 7,
  linger2: 8,
  deferAccept: 9,
  windowClamp: 10,
  info: 11,
  quickack: 12,
  congestion: 13,
  userTimeout: 18,
  fastopen: 23,
  notsentLowat: 25,
} as const;

/** Options of level IPPROTO_IP. */
export const IP = {
  tos: 1,
  ttl: 2,
  recverr: 11,
  mtuDiscover: 10,
  pktinfo: 8,
  recvtos: 13,
  freebind: 15,
  multicastIf: 32,
  multicastTtl: 33,
  multicastLoop: 34,
  bindAddressNoPort: 24,
} as const;

/** Options of level IPPROTO_IPV6. */
export const IPV6 = {
  unicastHops: 16,
  multicastHops: 18,
  multicastLoop: 19,
  mtuDiscover: 23,
  recverr: 25,
  v6only: 26,
  recvpktinfo: 49,
  tclass: 67,
} as const;

/** Types of control messages of level SOL_SOCKET. */
export const SCM = { rights: 1, credentials: 2 } as const;

/** struct msghdr: offsets of its fields. */
export const MSGHDR = {
  name: 0,
  nameLength: 8,
  vectors: 16,
  vectorCount: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  sizeBytes: 56,
} as const;

/** struct mmsghdr: a msghdr and the bytes moved. */
export const MMSGHDR = { length: 56, sizeBytes: 64 } as const;

/** struct cmsghdr: offsets of its fields; data follows, the whole aligned to 8. */
export const CMSGHDR = { length: 0, level: 8, type: 12, sizeBytes: 16 } as const;

/** struct iovec. */
export const IOVEC = { base: 0, length: 8, sizeBytes: 16, countMax: 1024 } as const;

/** struct ucred. */
export const UCRED = { pid: 0, uid: 4, gid: 8, sizeBytes: 12 } as const;

/** Sizes of socket addresses. */
export const SOCKADDR = {
  family: 0,
  port: 2,
  inetAddress: 4,
  inet6Flow: 4,
  inet6Address: 8,
  inet6Scope: 24,
  unixPath: 2,
  inetBytes: 16,
  inet6Bytes: 28,
  /** Older programs leave out the scope. */
  inet6BytesMin: 24,
  unixBytes: 110,
  storageBytes: 128,
} as const;

/** ioctl requests that sockets, pipes and the like answer. */
export const IOCTL = {
  fionread: 0x541b,
  fionbio: 0x5421,
  siocoutq: 0x5411,
  siocatmark: 0x8905,
  siocgifname: 0x8910,
  siocgifconf: 0x8912,
  siocgifflags: 0x8913,
  siocgifaddr: 0x8915,
  siocgifdstaddr: 0x8917,
  siocgifbrdaddr: 0x8919,
  siocgifnetmask: 0x891b,
  siocgifmetric: 0x891d,
  siocgifmtu: 0x8921,
  siocgifhwaddr: 0x8927,
  siocgifindex: 0x8933,
  siocgiftxqlen: 0x8942,
} as const;

/** struct ifreq and ifconf. */
export const IFREQ = { nameBytes: 16, data: 16, sizeBytes: 40 } as const;
export const IFCONF = { length: 0, buffer: 8, sizeBytes: 16 } as const;

/** IFF_UP | IFF_LOOPBACK | IFF_RUNNING. */
export const LOOPBACK_FLAGS = 0x49;
export const ARPHRD_LOOPBACK = 772;
