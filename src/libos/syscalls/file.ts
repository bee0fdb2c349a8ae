/** Table rows of the calls on descriptors. */
import { E } from '../../abi/errno.ts';
import { full, partial, type Row, refused } from '../table-row.ts';
import * as descriptor from './descriptor.ts';
import { flock } from './lock.ts';
import * as io from './read-write.ts';
import { getdents, getdents64 } from './stat.ts';

const NO_SPLICE = 'programs fall back to read and write';

export const fileRows: readonly Row[] = [
  full('read', io.read),
  full('write', io.write),
  full('readv', io.readv),
  full('writev', io.writev),
  full('pread64', io.pread64),
  full('pwrite64', io.pwrite64),
  full('preadv', io.preadv),
  full('pwritev', io.pwritev),
  full('preadv2', io.preadv2),
  full('pwritev2', io.pwritev2),
  partial('sendfile', io.sendfile, 'from files only'),
  full('copy_file_range', io.copyFileRange),
  full('close', descriptor.close),
  full('close_range', descriptor.closeRange),
  full('dup', descriptor.dup),
  full('dup2', descriptor.dup2),
  full('dup3', descriptor.dup3),
  full('lseek', descriptor.lseek),
  partial('fcntl', descriptor.fcntl, 'no leases, no SIGIO, no detection of deadlocks by locks'),
  partial(
    'ioctl',
    descriptor.ioctl,
    'what the kind of file knows; terminals without modem lines, termio, SIGTTIN and SIGTTOU',
  ),
  full('flock', flock),
  full('fsync', descriptor.fsync),
  full('fdatasync', descriptor.fsync),
  full('sync', descriptor.sync),
  full('syncfs', descriptor.syncfs),
  full('sync_file_range', descriptor.syncFileRange),
  full('ftruncate', descriptor.ftruncate),
  partial('fallocate', descriptor.fallocate, 'no collapse, insert or unshare'),
  full('fadvise64', descriptor.fadvise64),
  full('readahead', descriptor.readahead),
  full('getdents', getdents),
  full('getdents64', getdents64),
  partial('memfd_create', descriptor.memfdCreate, 'no huge pages'),
  refused('splice', E.EINVAL, NO_SPLICE),
  refused('tee', E.EINVAL, NO_SPLICE),
  refused('vmsplice', E.EINVAL, NO_SPLICE),
];
