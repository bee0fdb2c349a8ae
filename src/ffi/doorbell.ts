/**
 * The doorbell: an eventfd by which another thread of this process wakes a loop that waits in
 * epoll_wait. Made by src/loop; rung by the main thread after it posted a message.
 */
import { write } from './native.ts';

const one = Buffer.alloc(8);
one.writeBigUInt64LE(1n);

/** Wakes the loop whose doorbell is the eventfd `fd`. */
export function ringDoorbell(fd: number): void {
  write(fd, one, 8);
}
