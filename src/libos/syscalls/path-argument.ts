/** How handlers take a path argument: bytes as latin1, at most PATH_MAX. */
import { E } from '../../abi/errno.ts';
import { PATH_MAX } from '../../abi/fs.ts';
import type { GuestAddress } from '../../base/ids.ts';
import type { Task } from '../task.ts';

/** The path at `address`, or -ENAMETOOLONG; a bad address faults. */
export function readPath(task: Task, address: GuestAddress): string | number {
  return task.memory.readCString(address, PATH_MAX) ?? E.ENAMETOOLONG;
}
