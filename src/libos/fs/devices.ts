/**
 * Fills /dev: devices that a guest has, and directories that programs expect. Used once, at the
 * start.
 */
import { S } from '../../abi/fs.ts';
import { assert } from '../../base/assert.ts';
import type { FileType } from '../../lvm/api.ts';
import type { FsContext } from './context.ts';
import { RDEV } from './device-file.ts';
import type { Inode } from './inode.ts';
import { create } from './mutate.ts';

const LINKS: Readonly<Record<string, string>> = {
  fd: '/proc/self/fd',
  stdin: '/proc/self/fd/0',
  stdout: '/proc/self/fd/1',
  stderr: '/proc/self/fd/2',
};

export function makeDevices(context: FsContext, dev: Inode): void {
  const make = (name: string, type: FileType, mode: number): Inode => {
    const inode = create(context, { parent: dev, name, node: null, hasSlash: false }, type, mode);
    assert(typeof inode !== 'number', 'a new overlay has room');
    return inode;
  };
  for (const [name, rdev] of Object.entries(RDEV)) make(name, 'char', 0o666).rdev = rdev;
  for (const [name, target] of Object.entries(LINKS)) make(name, 'symlink', 0o777).target = target;
  make('shm', 'directory', 0o777 | S.ISVTX);
  make('pts', 'directory', 0o755);
}
