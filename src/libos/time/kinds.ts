/** The kinds of kernel objects of this folder, for loading. */
import type { Kernel } from '../kernel.ts';
import type { KindList } from '../kinds.ts';
import { KIND } from '../kinds-ids.ts';
import { ProcessTimers } from './process-timers.ts';
import { TimerFd } from './timerfd.ts';

export const timeKinds = (kernel: Kernel): KindList => [
  [KIND.timerfd, (objects, id) => new TimerFd(kernel, objects, id)],
  [KIND.processTimers, (objects, id) => new ProcessTimers(kernel, objects, id)],
];
