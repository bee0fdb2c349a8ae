/** The kinds of kernel objects of this folder and of tty/, for loading. */
import type { Kernel } from '../kernel.ts';
import type { KindList } from '../kinds.ts';
import { KIND } from '../kinds-ids.ts';
import { ttyKinds } from '../tty/kinds.ts';
import { ConsoleFile } from './console.ts';
import { FsContext } from './context.ts';
import { DeviceFile } from './device-file.ts';
import { DirectoryFile } from './directory-file.ts';
import { FileSystem } from './file-system.ts';
import { GeneratedFile } from './generated-file.ts';
import { Inode } from './inode.ts';
import { Inotify } from './inotify.ts';
import { FileLocks } from './locks.ts';
import { PathFile } from './placed-file.ts';
import { RegularFile } from './regular-file.ts';

/** What is loaded together shares one context, made here: the order of loading is any. */
export function fsKinds(kernel: Kernel): KindList {
  const context = new FsContext(kernel);
  return [
    [KIND.overlay, (objects, id) => new FileSystem(kernel, objects, id, context)],
    [KIND.inode, (objects, id) => new Inode(context, objects, id)],
    [KIND.fileLocks, (objects, id) => new FileLocks(context, objects, id)],
    [KIND.regularFile, (objects, id) => new RegularFile(context, objects, id)],
    [KIND.directoryFile, (objects, id) => new DirectoryFile(context, objects, id)],
    [KIND.generatedFile, (objects, id) => new GeneratedFile(context, objects, id)],
    [KIND.deviceFile, (objects, id) => new DeviceFile(context, objects, id)],
    [KIND.pathFile, (objects, id) => new PathFile(context, objects, id)],
    [KIND.inotify, (objects, id) => new Inotify(context, objects, id)],
    [KIND.consoleFile, (objects, id) => new ConsoleFile(kernel, objects, id)],
    ...ttyKinds(context),
  ];
}
