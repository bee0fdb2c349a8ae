/** Rows of the calls that tell and change who a process is (credentials(7)). */
import { E } from '../../abi/errno.ts';
import { guestAddress } from '../../base/ids.ts';
import type { Args } from '../args.ts';
import type { IdSet } from '../credentials.ts';
import type { Outcome } from '../outcome.ts';
import { full, partial, type Row } from '../table-row.ts';
import type { Task } from '../task.ts';

const GROUPS_MAX = 65_536;
/** (uid_t) -1: leave it as it is. */
const UNCHANGED = 0xffff_ffff;

type Kind = 'user' | 'group';

const idsOf = (task: Task, kind: Kind): IdSet => task.process.credentials[kind];

/** An argument that may say "unchanged"; null then. */
const idOrNull = (args: Args, index: number): number | null => {
  const id = args.uint(index);
  return id === UNCHANGED ? null : id;
};

/** setuid(2), setgid(2). */
const setId =
  (kind: Kind) =>
  (task: Task, args: Args): Outcome => {
    const id = idOrNull(args, 0);
    if (id === null) return E.EINVAL;
    const ids = idsOf(task, kind);
    if (task.process.credentials.isPrivileged) ids.set(id, id, id);
    else if (id === ids.real || id === ids.saved) ids.set(null, id, null);
    else return E.EPERM;
    task.process.touch();
    return 0;
  };

/** setreuid(2), setregid(2). */
const setRealEffective =
  (kind: Kind) =>
  (task: Task, args: Args): Outcome => {
    const real = idOrNull(args, 0);
    const effective = idOrNull(args, 1);
    const ids = idsOf(task, kind);
    if (!task.process.credentials.isPrivileged) {
      if (real !== null && real !== ids.real && real !== ids.effective) return E.EPERM;
      if (effective !== null && !ids.has(effective)) return E.EPERM;
    }
    const wasReal = ids.real;
    ids.set(real, effective, null);
    if (real !== null || (effective !== null && effective !== wasReal)) {
      ids.set(null, null, ids.effective);
    }
    task.process.touch();
    return 0;
  };

/** setresuid(2), setresgid(2). */
const setAll =
  (kind: Kind) =>
  (task: Task, args: Args): Outcome => {
    const [real = null, effective = null, saved = null] = [0, 1, 2].map((at) => idOrNull(args, at));
    const ids = idsOf(task, kind);
    const wanted = [real, effective, saved].filter((id) => id !== null);
    const isAllowed = task.process.credentials.isPrivileged || wanted.every((id) => ids.has(id));
    if (!isAllowed) return E.EPERM;
    ids.set(real, effective, saved);
    task.process.touch();
    return 0;
  };

/** setfsuid(2), setfsgid(2): the earlier id, whether it was changed or not. */
const setFs =
  (kind: Kind) =>
  (task: Task, args: Args): Outcome => {
    const ids = idsOf(task, kind);
    const before = ids.fs;
    const id = idOrNull(args, 0);
    const { isPrivileged } = task.process.credentials;
    if (id !== null && (isPrivileged || ids.has(id) || id === ids.fs)) {
      ids.fs = id;
      task.process.touch();
    }
    return before;
  };

/** getresuid(2), getresgid(2). */
const getAll =
  (kind: Kind) =>
  (task: Task, args: Args): Outcome => {
    const { real, effective, saved } = idsOf(task, kind);
    for (const [index, id] of [real, effective, saved].entries()) {
      task.memory.writeU32(args.pointer(index), id);
    }
    return 0;
  };

function sysGetgroups(task: Task, args: Args): Outcome {
  const { groups } = task.process.credentials;
  const size = args.int(0);
  if (size < 0 || (size > 0 && size < groups.length)) return E.EINVAL;
  if (size > 0) {
    const list = args.pointer(1);
    for (const [index, group] of groups.entries()) {
      task.memory.writeU32(guestAddress(list + index * 4), group);
    }
  }
  return groups.length;
}

function sysSetgroups(task: Task, args: Args): Outcome {
  const { process } = task;
  if (!process.credentials.isPrivileged) return E.EPERM;
  const count = args.uint(0);
  if (count > GROUPS_MAX) return E.EINVAL;
  const bytes = count === 0 ? Buffer.alloc(0) : task.memory.read(args.pointer(1), count * 4);
  process.credentials.groups = Array.from({ length: count }, (_, at) => bytes.readUInt32LE(at * 4));
  process.touch();
  return 0;
}

const FILES = 'all threads of a process share them; files are made and reached as by root';

export const credentialRows: readonly Row[] = [
  full('getuid', (task) => idsOf(task, 'user').real),
  full('geteuid', (task) => idsOf(task, 'user').effective),
  full('getgid', (task) => idsOf(task, 'group').real),
  full('getegid', (task) => idsOf(task, 'group').effective),
  full('getresuid', getAll('user')),
  full('getresgid', getAll('group')),
  full('getgroups', sysGetgroups),
  partial('setgroups', sysSetgroups, FILES),
  partial('setuid', setId('user'), FILES),
  partial('setgid', setId('group'), FILES),
  partial('setreuid', setRealEffective('user'), FILES),
  partial('setregid', setRealEffective('group'), FILES),
  partial('setresuid', setAll('user'), FILES),
  partial('setresgid', setAll('group'), FILES),
  partial('setfsuid', setFs('user'), FILES),
  partial('setfsgid', setFs('group'), FILES),
];
