/**
 * CheckpointFiles: the few file operations that writing and reading a checkpoint file needs, so
 * that a test can fake a full or failing disk; `nodeFiles` is the real thing. Failures are thrown
 * as node:fs throws them; checkpoint-file.ts makes errors for people of them.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

export interface CheckpointFiles {
  /** A name beside `path` that no other writer uses. */
  temporaryPath(path: string): string;
  /** Opens a new file for writing; fails when it exists. */
  create(path: string): number;
  openRead(path: string): number;
  /** Size of an open file; fails when it isn't a regular one. */
  size(fd: number): number;
  /** Bytes written at the end, possibly fewer than given. */
  write(fd: number, bytes: Uint8Array): number;
  /** Bytes read at `position`, possibly fewer than wanted; 0 at the end. */
  read(fd: number, target: Uint8Array, position: number): number;
  sync(fd: number): void;
  close(fd: number): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Makes a rename in the folder of `path` last. */
  syncFolder(path: string): void;
}

/** Files of the machine. `owner` tells writers of several processes apart, as a process id does. */
export function nodeFiles(owner: string): CheckpointFiles {
  let count = 0;
  return {
    temporaryPath(path) {
      count += 1;
      return `${path}.${owner}-${count}.partial`;
    },
    // Guest memory holds secrets: nobody else may read it.
    create: (path) => openSync(path, 'wx', 0o600),
    openRead: (path) => openSync(path, 'r'),
    size(fd) {
      const stat = fstatSync(fd);
      if (stat.isDirectory()) throw new Error('it is a directory');
      if (!stat.isFile()) throw new Error('not a regular file');
      return stat.size;
    },
    write: (fd, bytes) => writeSync(fd, bytes),
    read: (fd, target, position) => readSync(fd, target, 0, target.length, position),
    sync: fsyncSync,
    close: closeSync,
    rename: renameSync,
    remove: unlinkSync,
    syncFolder(path) {
      const fd = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    },
  };
}
