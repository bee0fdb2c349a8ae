/** The kinds of kernel objects of this folder, for loading. */
import type { FsContext } from '../fs/context.ts';
import type { KindList } from '../kinds.ts';
import { KIND } from '../kinds-ids.ts';
import { Pty } from './pty.ts';
import { PtyMaster, PtySlave } from './pty-file.ts';

export const ttyKinds = (context: FsContext): KindList => [
  [KIND.pty, (objects, id) => new Pty(context, objects, id)],
  [KIND.ptyMaster, (objects, id) => new PtyMaster(context, objects, id)],
  [KIND.ptySlave, (objects, id) => new PtySlave(context, objects, id)],
];
