/**
 * Constants and struct layouts of Linux's terminals on x86-64 (asm-generic/termbits.h, ioctls.h,
 * linux/tty.h). Data only; used by libos/tty.
 */

/** c_iflag. */
export const IFLAG = {
  ISTRIP: 0o40,
  INLCR: 0o100,
  IGNCR: 0o200,
  ICRNL: 0o400,
  IUCLC: 0o1000,
  IXON: 0o2000,
  IXANY: 0o4000,
  IMAXBEL: 0o20000,
  IUTF8: 0o40000,
} as const;

/** c_oflag. */
export const OFLAG = {
  OPOST: 0o1,
  OLCUC: 0o2,
  ONLCR: 0o4,
  OCRNL: 0o10,
  ONOCR: 0o20,
  ONLRET: 0o40,
  /** TABDLY and its value XTABS are the same bits. */
  XTABS: 0o14000,
} as const;

/** c_cflag. */
export const CFLAG = {
  B38400: 0o17,
  CSIZE: 0o60,
  CS8: 0o60,
  CREAD: 0o200,
  PARENB: 0o400,
} as const;

/** c_lflag. */
export const LFLAG = {
  ISIG: 0o1,
  ICANON: 0o2,
  ECHO: 0o10,
  ECHOE: 0o20,
  ECHOK: 0o40,
  ECHONL: 0o100,
  NOFLSH: 0o200,
  ECHOCTL: 0o1000,
  ECHOPRT: 0o2000,
  ECHOKE: 0o4000,
  IEXTEN: 0o100000,
  EXTPROC: 0o200000,
} as const;

/** Indices of c_cc. */
export const CC = {
  INTR: 0,
  QUIT: 1,
  ERASE: 2,
  KILL: 3,
  EOF: 4,
  TIME: 5,
  MIN: 6,
  START: 8,
  STOP: 9,
  SUSP: 10,
  EOL: 11,
  REPRINT: 12,
  WERASE: 14,
  LNEXT: 15,
  EOL2: 16,
  count: 19,
} as const;

/** struct termios, and struct termios2, which goes on with the speeds. */
export const TERMIOS = {
  iflag: 0,
  oflag: 4,
  cflag: 8,
  lflag: 12,
  line: 16,
  cc: 17,
  sizeBytes: 36,
  inputSpeed: 36,
  outputSpeed: 40,
  sizeBytes2: 44,
} as const;

/** struct winsize: rows, columns and their pixels, four u16. */
export const WINSIZE_BYTES = 8;

/** ioctl(2) requests of terminals. */
export const TTY_IOCTL = {
  TCGETS: 0x5401,
  TCSETS: 0x5402,
  TCSETSW: 0x5403,
  TCSETSF: 0x5404,
  TCSBRK: 0x5409,
  TCXONC: 0x540a,
  TCFLSH: 0x540b,
  TIOCEXCL: 0x540c,
  TIOCNXCL: 0x540d,
  TIOCSCTTY: 0x540e,
  TIOCGPGRP: 0x540f,
  TIOCSPGRP: 0x5410,
  TIOCOUTQ: 0x5411,
  TIOCSTI: 0x5412,
  TIOCGWINSZ: 0x5413,
  TIOCSWINSZ: 0x5414,
  FIONREAD: 0x541b,
  TIOCPKT: 0x5420,
  TIOCNOTTY: 0x5422,
  TIOCSETD: 0x5423,
  TIOCGETD: 0x5424,
  TCSBRKP: 0x5425,
  TIOCGSID: 0x5429,
  TCGETS2: 0x802c_542a,
  TCSETS2: 0x402c_542b,
  TCSETSW2: 0x402c_542c,
  TCSETSF2: 0x402c_542d,
  TIOCGPTN: 0x8004_5430,
  TIOCSPTLCK: 0x4004_5431,
  TIOCSIG: 0x4004_5436,
  TIOCGPKT: 0x8004_5438,
  TIOCGPTLCK: 0x8004_5439,
  TIOCGEXCL: 0x8004_5440,
  TIOCGPTPEER: 0x5441,
} as const;

/** Arguments of TCXONC and TCFLSH. */
export const FLOW = { outputOff: 0, outputOn: 1, inputOff: 2, inputOn: 3 } as const;
export const FLUSH = { input: 0, output: 1, both: 2 } as const;

/** What a master in packet mode is told, in a byte before the data. */
export const PACKET = {
  flushRead: 1,
  flushWrite: 2,
  stop: 4,
  start: 8,
  noStop: 16,
  doStop: 32,
} as const;

/** Major device number of /dev/pts/N; the minor is N, of which bits 8 and up stand apart. */
export const PTS_MAJOR = 136;

/** Signals that terminals send. */
export const TTY_SIGNAL = { hup: 1, int: 2, quit: 3, cont: 18, tstp: 20, winch: 28 } as const;
