/**
 * Constants and struct layouts of Linux's file interfaces on x86-64 (fcntl.h, sys/stat.h, dirent.h,
 * sys/statfs.h and their kernel originals). Data only; used by libos/fs and libos/syscalls.
 */

/** open(2). */
export const O = {
  RDONLY: 0o0,
  WRONLY: 0o1,
  RDWR: 0o2,
  ACCMODE: 0o3,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DSYNC: 0o10000,
  ASYNC: 0o20000,
  DIRECT: 0o40000,
  LARGEFILE: 0o100000,
  DIRECTORY: 0o200000,
  NOFOLLOW: 0o400000,
  NOATIME: 0o1000000,
  CLOEXEC: 0o2000000,
  SYNC: 0o4010000,
  PATH: 0o10000000,
  /** The bit of O_TMPFILE alone; O_TMPFILE is it with O_DIRECTORY. */
  TMPFILE_BIT: 0o20000000,
  TMPFILE: 0o20200000,
} as const;

/** File type and permission bits of st_mode. */
export const S = {
  IFMT: 0o170000,
  IFSOCK: 0o140000,
  IFLNK: 0o120000,
  IFREG: 0o100000,
  IFBLK: 0o060000,
  IFDIR: 0o040000,
  IFCHR: 0o020000,
  IFIFO: 0o010000,
  ISUID: 0o4000,
  ISGID: 0o2000,
  ISVTX: 0o1000,
} as const;

/** Flags and the special descriptor of the *at calls. */
export const AT = {
  FDCWD: -100,
  SYMLINK_NOFOLLOW: 0x100,
  EACCESS: 0x200,
  REMOVEDIR: 0x200,
  SYMLINK_FOLLOW: 0x400,
  NO_AUTOMOUNT: 0x800,
  EMPTY_PATH: 0x1000,
  STATX_SYNC_TYPE: 0x6000,
} as const;

/** fcntl(2). */
export const F = {
  DUPFD: 0,
  GETFD: 1,
  SETFD: 2,
  GETFL: 3,
  SETFL: 4,
  GETLK: 5,
  SETLK: 6,
  SETLKW: 7,
  SETOWN: 8,
  GETOWN: 9,
  SETSIG: 10,
  GETSIG: 11,
  SETOWN_EX: 15,
  GETOWN_EX: 16,
  OFD_GETLK: 36,
  OFD_SETLK: 37,
  OFD_SETLKW: 38,
  SETLEASE: 1024,
  GETLEASE: 1025,
  NOTIFY: 1026,
  DUPFD_CLOEXEC: 1030,
  SETPIPE_SZ: 1031,
  GETPIPE_SZ: 1032,
  ADD_SEALS: 1033,
  GET_SEALS: 1034,
  GET_RW_HINT: 1035,
  SET_RW_HINT: 1036,
} as const;

export const FD_CLOEXEC = 1;

/** l_type of struct flock. */
export const LOCK_TYPE = { read: 0, write: 1, unlock: 2 } as const;

/** flock(2). */
export const LOCK = { SH: 1, EX: 2, NB: 4, UN: 8 } as const;

/** F_ADD_SEALS. */
export const SEAL = {
  seal: 1,
  shrink: 2,
  grow: 4,
  write: 8,
  futureWrite: 16,
  exec: 32,
} as const;

/** memfd_create(2). */
export const MFD = { CLOEXEC: 1, ALLOW_SEALING: 2, HUGETLB: 4, NOEXEC_SEAL: 8, EXEC: 16 } as const;

/** lseek(2). */
export const SEEK = { SET: 0, CUR: 1, END: 2, DATA: 3, HOLE: 4 } as const;

/** fallocate(2). */
export const FALLOC = {
  KEEP_SIZE: 1,
  PUNCH_HOLE: 2,
  COLLAPSE_RANGE: 8,
  ZERO_RANGE: 16,
  INSERT_RANGE: 32,
  UNSHARE_RANGE: 64,
} as const;

/** renameat2(2). */
export const RENAME = { NOREPLACE: 1, EXCHANGE: 2, WHITEOUT: 4 } as const;

/** openat2(2), struct open_how: three u64. */
export const RESOLVE = {
  NO_XDEV: 1,
  NO_MAGICLINKS: 2,
  NO_SYMLINKS: 4,
  BENEATH: 8,
  IN_ROOT: 16,
  CACHED: 32,
} as const;
export const OPEN_HOW = { flags: 0, mode: 8, resolve: 16, sizeBytes: 24 } as const;

/** access(2). */
export const ACCESS = { X: 1, W: 2, R: 4 } as const;

/** preadv2(2), pwritev2(2). */
export const RWF = { HIPRI: 1, DSYNC: 2, SYNC: 4, NOWAIT: 8, APPEND: 16 } as const;

/** Special tv_nsec of utimensat(2). */
export const UTIME = { NOW: 0x3fffffff, OMIT: 0x3ffffffe } as const;

/** posix_fadvise(2): the highest advice. */
export const FADV_MAX = 5;

/** ioctl(2) requests that all files have, and those of a terminal that programs probe. */
export const IOCTL = {
  TCGETS: 0x5401,
  FIONREAD: 0x541b,
  FIONBIO: 0x5421,
  FIONCLEX: 0x5450,
  FIOCLEX: 0x5451,
  FIOASYNC: 0x5452,
} as const;

/** d_type of a directory entry. */
export const DT = {
  unknown: 0,
  fifo: 1,
  char: 2,
  directory: 4,
  block: 6,
  file: 8,
  symlink: 10,
  socket: 12,
} as const;

export const NAME_MAX = 255;
/** With the NUL. */
export const PATH_MAX = 4096;
export const SYMLINKS_MAX = 40;
export const IOV_MAX = 1024;
/** The most bytes that one read or write moves. */
export const MAX_RW_COUNT = 0x7fff_f000;

/** struct stat. */
export const STAT = {
  st_dev: 0,
  st_ino: 8,
  st_nlink: 16,
  st_mode: 24,
  st_uid: 28,
  st_gid: 32,
  st_rdev: 40,
  st_size: 48,
  st_blksize: 56,
  st_blocks: 64,
  st_atim: 72,
  st_mtim: 88,
  st_ctim: 104,
  sizeBytes: 144,
} as const;

/** struct statx. */
export const STATX = {
  stx_mask: 0,
  stx_blksize: 4,
  stx_attributes: 8,
  stx_nlink: 16,
  stx_uid: 20,
  stx_gid: 24,
  stx_mode: 28,
  stx_ino: 32,
  stx_size: 40,
  stx_blocks: 48,
  stx_attributes_mask: 56,
  stx_atime: 64,
  stx_btime: 80,
  stx_ctime: 96,
  stx_mtime: 112,
  stx_rdev_major: 128,
  stx_rdev_minor: 132,
  stx_dev_major: 136,
  stx_dev_minor: 140,
  stx_mnt_id: 144,
  sizeBytes: 256,
} as const;
export const STATX_BASIC_STATS = 0x7ff;
export const STATX_BTIME = 0x800;
export const STATX_MNT_ID = 0x1000;
export const STATX_RESERVED = 0x8000_0000;

/** struct linux_dirent64; the name follows. */
export const DIRENT64 = { d_ino: 0, d_off: 8, d_reclen: 16, d_type: 18, d_name: 19 } as const;

/** struct linux_dirent; the name follows, and d_type is the last byte of the record. */
export const DIRENT = { d_ino: 0, d_off: 8, d_reclen: 16, d_name: 18 } as const;

/** struct statfs. */
export const STATFS = {
  f_type: 0,
  f_bsize: 8,
  f_blocks: 16,
  f_bfree: 24,
  f_bavail: 32,
  f_files: 40,
  f_ffree: 48,
  f_fsid: 56,
  f_namelen: 64,
  f_frsize: 72,
  f_flags: 80,
  sizeBytes: 120,
} as const;

/** f_type. */
export const FS_MAGIC = {
  tmpfs: 0x01021994,
  proc: 0x9fa0,
  sysfs: 0x62656572,
  overlay: 0x794c7630,
  pipe: 0x50495045,
  socket: 0x534f434b,
  anonymous: 0x09041934,
} as const;

/** struct flock. */
export const FLOCK = {
  l_type: 0,
  l_whence: 2,
  l_start: 8,
  l_len: 16,
  l_pid: 24,
  sizeBytes: 32,
} as const;

/** struct iovec. */
export const IOVEC = { iov_base: 0, iov_len: 8, sizeBytes: 16 } as const;
