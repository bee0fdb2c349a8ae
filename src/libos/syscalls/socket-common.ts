/**
 * What the handlers of sockets and of other new descriptors share: finding a socket, installing
 * files, socket addresses in guest memory. No handlers.
 */
import { E } from '../../abi/errno.ts';
import { O } from '../../abi/event.ts';
import { SOCKADDR } from '../../abi/net.ts';
import type { GuestAddress } from '../../base/ids.ts';
import { Socket } from '../net/socket.ts';
import type { OpenFile } from '../open-file.ts';
import type { Task } from '../task.ts';

/** The socket behind a descriptor: -EBADF, -ENOTSOCK. */
export function socketOf(task: Task, fd: number): Socket | number {
  const file = task.files.get(fd);
  if (file === null) return E.EBADF;
  return file instanceof Socket ? file : E.ENOTSOCK;
}

/** Puts a new file behind a descriptor; a file that gets none is closed. */
export function install(task: Task, file: OpenFile, closeOnExec: boolean): number {
  // Held while the table takes it, so that a full table ends its life.
  file.retain();
  const fd = task.files.add(file, closeOnExec);
  file.release();
  return fd;
}

export const isNonblocking = (file: OpenFile): boolean => (file.flags & O.nonblock) !== 0;

/** sockaddr bytes of the guest. */
export function readAddress(task: Task, address: GuestAddress, length: number): Buffer | number {
  if (length < 0 || length > SOCKADDR.storageBytes) return E.EINVAL;
  return task.memory.read(address, length);
}

/** Writes a sockaddr as far as it fits, and its whole length. */
export function writeAddress(
  task: Task,
  value: Buffer,
  address: GuestAddress,
  lengthAddress: GuestAddress,
): number {
  const room = task.memory.readI32(lengthAddress);
  if (room < 0) return E.EINVAL;
  task.memory.write(address, value.subarray(0, Math.min(room, value.length)));
  task.memory.writeU32(lengthAddress, value.length);
  return 0;
}

/** Two descriptors and their numbers in the guest's `int[2]`: both or none. */
export function installPair(
  task: Task,
  one: OpenFile,
  other: OpenFile,
  closeOnExec: boolean,
  address: GuestAddress,
): number {
  const first = install(task, one, closeOnExec);
  const second = install(task, other, closeOnExec);
  if (first < 0 || second < 0) {
    if (first >= 0) task.files.close(first);
    return E.EMFILE;
  }
  const numbers = Buffer.alloc(8);
  numbers.writeInt32LE(first, 0);
  numbers.writeInt32LE(second, 4);
  if (task.kernel.lvm.memoryWrite(address, numbers) === numbers.length) return 0;
  task.files.close(first);
  task.files.close(second);
  return E.EFAULT;
}
