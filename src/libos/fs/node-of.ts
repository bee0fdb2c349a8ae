/**
 * From an open file to the node that it is open on, for calls that take a descriptor for a path.
 */
import { PipeEnd } from '../ipc/pipe.ts';
import type { OpenFile } from '../open-file.ts';
import { Inode } from './inode.ts';
import type { FsNode } from './node.ts';
import { PlacedFile } from './placed-file.ts';

/** null: it has no place in the file system (a pipe, a socket, the console). */
export function nodeOf(file: OpenFile): FsNode | null {
  if (file instanceof PlacedFile) return file.place.node();
  return file instanceof PipeEnd && file.node instanceof Inode ? file.node : null;
}
