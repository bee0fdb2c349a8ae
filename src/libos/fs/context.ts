/**
 * FsContext: what all parts of one guest's file system share: the root, the budget, the clock, the
 * generated trees. Not saved itself; FileSystem and the inodes are.
 */
import { E } from '../../abi/errno.ts';
import { present } from '../../base/assert.ts';
import type { Kernel } from '../kernel.ts';
import type { Pty } from '../tty/pty.ts';
import { Budget } from './content.ts';
import { type Generated, GeneratedNode } from './generated.ts';
import type { Inode, Mount } from './inode.ts';
import { IoVector } from './iov.ts';
import type { FileLocks } from './locks.ts';
import type { FsNode } from './node.ts';
import { Notifier } from './notifier.ts';
import type { Place } from './place.ts';
import { RootCache } from './root.ts';
import { DEVICE, type FileTime, fileTime } from './stat.ts';

/** Contents of the whole overlay; they live in the memory of every replica. */
const OVERLAY_BYTES_MAX = 2 * 1024 ** 3;
/** Each takes some 500 bytes here and 150 in a checkpoint. */
const INODES_MAX = 1_048_576;

/** A write to what is no regular file moves this much at a time. */
const SCRATCH_BYTES = 1_048_576;

/** A setting's text. */
const SETTING_BYTES_MAX = 4096;

export class FsContext {
  readonly kernel: Kernel;
  readonly budget = new Budget(OVERLAY_BYTES_MAX);
  readonly root: RootCache;
  inodeLimit = INODES_MAX;
  inodeCount = 0;
  locks!: FileLocks;
  readonly notifier = new Notifier();
  /** Bytes of the running call on their way from the guest to a file. */
  readonly scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /** The guest's buffers of the running call. */
  readonly vector = new IoVector();
  /** The guest's `/`. */
  top!: Inode;
  /** Places in the root that open files are at, by their path in it. */
  readonly rootPlaces = new Map<string, Set<Place>>();
  /** FIFOs without a name that are open; not saved. */
  readonly nameless = new Set<Inode>();
  /** Pseudo-terminals that have a name, by their number. */
  readonly ptys = new Map<number, Pty>();
  /** What stands behind the mounts. */
  readonly trees = new Map<Mount, Generated>();

  /** Of /proc/sys/kernel/random/boot_id. */
  bootId: Uint8Array = new Uint8Array(16);
  /** Settings of /proc that the guest has written; the names are few. */
  readonly settings = new Map<string, string>();
  /** The settings have changed. */
  settingsChanged: () => void = () => {};

  /** A file of the overlay has other bytes in a range. */
  contentChanged: (inode: Inode, from: number, to: number) => void = () => {};
  /** A file of the overlay is gone. */
  contentGone: (inode: Inode) => void = () => {};

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.root = new RootCache(kernel.lvm);
  }

  /** A file of /proc that keeps what is written to it. */
  setting(name: string, initial: string): Generated {
    return {
      kind: 'text',
      read: () => this.settings.get(name) ?? initial,
      write: (value) => {
        if (value.length > SETTING_BYTES_MAX) return E.EINVAL;
        this.settings.set(name, value.endsWith('\n') ? value : `${value}\n`);
        this.settingsChanged();
        return 0;
      },
    };
  }

  now(): FileTime {
    return fileTime(this.kernel.lvm.clock('realtime'));
  }

  /** Frees what nobody has open any more. */
  sweepFifos(): void {
    for (const inode of this.nameless) inode.reapFifo();
  }

  get hasRoomForInode(): boolean {
    return this.inodeCount < this.inodeLimit;
  }

  /** The generated directory that hides `inode`. */
  mounted(inode: Inode): GeneratedNode {
    const tree = present(this.trees.get(inode.mount), 'tree of a mount');
    const device = inode.mount === 'proc' ? DEVICE.proc : DEVICE.sys;
    return new GeneratedNode(tree, inode.parent, inode.name, device);
  }

  /**
   * The node at a path in a generated tree; null when it is there no more (a process that ended).
   */
  generatedAt(path: string): GeneratedNode | null {
    let node: FsNode | number = this.top;
    for (const name of path.split('/')) {
      if (name === '') continue;
      node = node.lookup(name);
      if (typeof node === 'number') return null;
    }
    return node instanceof GeneratedNode ? node : null;
  }
}
