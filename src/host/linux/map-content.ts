/** What a file that the library OS names has in it: as a descriptor, or as bytes. For LinuxHost. */
import { E } from '../../abi/errno.ts';
import * as native from '../../ffi/native.ts';
import type { MapSource } from '../../lvm/api.ts';

/** Of a program's file. */
const PROGRAM_BYTES_MAX = 1 << 30;

/** The whole of a file; -errno. */
export function readWhole(fd: number): Buffer | number {
  const SEEK_END = 2;
  const size = native.lseek(fd, 0, SEEK_END);
  if (size < 0) return size;
  if (size > PROGRAM_BYTES_MAX) return E.ENOMEM;
  const content = Buffer.allocUnsafe(size);
  const got = native.pread(fd, content, size, 0);
  return got < 0 ? got : content.subarray(0, got);
}

/** A file in memory with the content of an overlay file, for one mapping of it. */
export function contentFile(source: Extract<MapSource, { kind: 'bytes' }>): number {
  const MFD_CLOEXEC = 1;
  const fd = native.memfdCreate(source.name, MFD_CLOEXEC);
  if (fd >= 0) native.pwrite(fd, source.content, source.content.length, 0);
  return fd;
}
