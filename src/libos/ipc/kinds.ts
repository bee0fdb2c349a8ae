/** The kinds of kernel objects of this folder, for loading. */

import type { Kernel } from '../kernel.ts';
import type { KindList } from '../kinds.ts';
import { KIND } from '../kinds-ids.ts';
import { Epoll } from './epoll.ts';
import { EventFd } from './eventfd.ts';
import { Pipe, PipeEnd } from './pipe.ts';

export const ipcKinds = (_kernel: Kernel): KindList => [
  [KIND.pipe, (objects, id) => new Pipe(objects, id)],
  [KIND.pipeEnd, (objects, id) => new PipeEnd(objects, id)],
  [KIND.eventfd, (objects, id) => new EventFd(objects, id)],
  [KIND.epoll, (objects, id) => new Epoll(objects, id)],
];
