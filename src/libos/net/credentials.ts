/** Who a process is to the receiver of what it sends. */
import type { Task } from '../task.ts';
import type { Credentials } from './socket.ts';

/** The guest is its own root. */
export function credentialsOf(task: Task): Credentials {
  return { pid: task.process.pid, uid: 0, gid: 0 };
}
