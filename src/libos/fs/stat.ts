/**
 * FileStat: what the stat family tells of a file, whatever its kind, and its encoding for the
 * guest. Made by nodes and open files; encoded by syscalls/stat.ts. Holds no state.
 */
import { S, STAT, STATX, STATX_BASIC_STATS, STATX_BTIME, STATX_MNT_ID } from '../../abi/fs.ts';
import type { FileType } from '../../lvm/api.ts';

/** A point in time since 1970, exact to the nanosecond (a number of nanoseconds would not be). */
export interface FileTime {
  readonly seconds: number;
  /** 0 to 999,999,999. */
  readonly nanoseconds: number;
}

export const EPOCH_TIME: FileTime = Object.freeze({ seconds: 0, nanoseconds: 0 });

export function fileTime(ns: number): FileTime {
  const seconds = Math.floor(ns / 1e9);
  // Above 2^53 both products are rounded: the rest can come out a little below 0.
  return { seconds, nanoseconds: Math.min(999_999_999, Math.max(0, ns - seconds * 1e9)) };
}

export interface FileStat {
  /** dev_t as Linux encodes it for minors below 256: major << 8 | minor. */
  readonly device: number;
  readonly inode: number;
  /** Type (S_IFMT) and permission bits. */
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly sizeBytes: number;
  readonly blockSizeBytes: number;
  /** Of 512 bytes. */
  readonly blocks: number;
  readonly atime: FileTime;
  readonly mtime: FileTime;
  readonly ctime: FileTime;
  readonly btime: FileTime;
}

/** st_dev of the file systems that the guest sees; none is a device of the host. */
export const DEVICE = {
  root: 0x20,
  proc: 0x21,
  sys: 0x22,
  /** Pipes, sockets, epoll sets, event descriptors. */
  anonymous: 0x0f,
} as const;

export const TYPE_BITS: Readonly<Record<FileType, number>> = {
  file: S.IFREG,
  directory: S.IFDIR,
  symlink: S.IFLNK,
  fifo: S.IFIFO,
  socket: S.IFSOCK,
  char: S.IFCHR,
  block: S.IFBLK,
};

/** For files without a name: pipes, sockets, eventfd... `mode` has type and permissions. */
export function anonymousStat(inode: number, mode: number): FileStat {
  return {
    device: DEVICE.anonymous,
    inode,
    mode,
    links: 1,
    uid: 0,
    gid: 0,
    rdev: 0,
    sizeBytes: 0,
    blockSizeBytes: 4096,
    blocks: 0,
    atime: EPOCH_TIME,
    mtime: EPOCH_TIME,
    ctime: EPOCH_TIME,
    btime: EPOCH_TIME,
  };
}

function putU64(bytes: Buffer, at: number, value: number): void {
  bytes.writeBigInt64LE(BigInt(value), at);
}

function putTime(bytes: Buffer, at: number, time: FileTime): void {
  putU64(bytes, at, time.seconds);
  bytes.writeUInt32LE(time.nanoseconds, at + 8);
}

/** Fills `bytes` (144 of them) with struct stat. */
export function encodeStat(stat: FileStat, bytes: Buffer): void {
  bytes.fill(0);
  putU64(bytes, STAT.st_dev, stat.device);
  putU64(bytes, STAT.st_ino, stat.inode);
  putU64(bytes, STAT.st_nlink, stat.links);
  bytes.writeUInt32LE(stat.mode, STAT.st_mode);
  bytes.writeUInt32LE(stat.uid, STAT.st_uid);
  bytes.writeUInt32LE(stat.gid, STAT.st_gid);
  putU64(bytes, STAT.st_rdev, stat.rdev);
  putU64(bytes, STAT.st_size, stat.sizeBytes);
  putU64(bytes, STAT.st_blksize, stat.blockSizeBytes);
  putU64(bytes, STAT.st_blocks, stat.blocks);
  putTime(bytes, STAT.st_atim, stat.atime);
  putTime(bytes, STAT.st_mtim, stat.mtime);
  putTime(bytes, STAT.st_ctim, stat.ctime);
}

/** Fills `bytes` (256 of them) with struct statx. */
export function encodeStatx(stat: FileStat, bytes: Buffer): void {
  bytes.fill(0);
  const hasBirth = stat.btime !== EPOCH_TIME;
  const mask = STATX_BASIC_STATS | STATX_MNT_ID | (hasBirth ? STATX_BTIME : 0);
  bytes.writeUInt32LE(mask, STATX.stx_mask);
  bytes.writeUInt32LE(stat.blockSizeBytes, STATX.stx_blksize);
  bytes.writeUInt32LE(stat.links, STATX.stx_nlink);
  bytes.writeUInt32LE(stat.uid, STATX.stx_uid);
  bytes.writeUInt32LE(stat.gid, STATX.stx_gid);
  bytes.writeUInt16LE(stat.mode, STATX.stx_mode);
  putU64(bytes, STATX.stx_ino, stat.inode);
  putU64(bytes, STATX.stx_size, stat.sizeBytes);
  putU64(bytes, STATX.stx_blocks, stat.blocks);
  putTime(bytes, STATX.stx_atime, stat.atime);
  putTime(bytes, STATX.stx_btime, stat.btime);
  putTime(bytes, STATX.stx_ctime, stat.ctime);
  putTime(bytes, STATX.stx_mtime, stat.mtime);
  bytes.writeUInt32LE(stat.rdev >>> 8, STATX.stx_rdev_major);
  bytes.writeUInt32LE(stat.rdev & 0xff, STATX.stx_rdev_minor);
  bytes.writeUInt32LE(stat.device >>> 8, STATX.stx_dev_major);
  bytes.writeUInt32LE(stat.device & 0xff, STATX.stx_dev_minor);
  putU64(bytes, STATX.stx_mnt_id, stat.device);
}
