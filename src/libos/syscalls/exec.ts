/**
 * execve(2) and execveat(2): finds the program, through the interpreters of scripts, and takes its
 * arguments out of the guest's memory. The kernel and the host do the rest (Outcome `exec`).
 */
import { E } from '../../abi/errno.ts';
import { O, S } from '../../abi/fs.ts';
import { type GuestAddress, guestAddress } from '../../base/ids.ts';
import type { Args } from '../args.ts';
import type { OpenFile } from '../open-file.ts';
import type { Outcome } from '../outcome.ts';
import { partial, type Row, refused } from '../table-row.ts';
import type { Task } from '../task.ts';
import { readPath } from './path-argument.ts';

/** What Linux takes of arguments and environment together, and of each. */
const STRINGS_BYTES_MAX = 2 << 20;
const STRING_BYTES_MAX = 128 << 10;
const POINTER_BYTES = 8;
/** BINPRM_BUF_SIZE: how much of a script is looked at. */
const HEAD_BYTES = 256;
/** Scripts whose interpreter is a script. */
const SCRIPTS_MAX = 4;

/** A list of strings, ended by a null pointer; -E2BIG. `room` is what may be taken still. */
function readStrings(task: Task, list: GuestAddress, room: { bytes: number }): string[] | number {
  const strings: string[] = [];
  if (list === 0) return strings;
  for (let at: number = list; ; at += POINTER_BYTES) {
    const pointer = Number(task.memory.read(guestAddress(at), POINTER_BYTES).readBigUInt64LE());
    if (pointer === 0) return strings;
    const text = task.memory.readCString(guestAddress(pointer), STRING_BYTES_MAX);
    if (text === null) return E.E2BIG;
    room.bytes -= text.length + 1 + POINTER_BYTES;
    if (room.bytes < 0) return E.E2BIG;
    strings.push(text);
  }
}

/** Opens what is to be run, with a reference; -errno. */
function openProgram(task: Task, path: string): OpenFile | number {
  const file = task.kernel.fs.open(task, path, O.RDONLY | O.CLOEXEC | O.NONBLOCK);
  if (typeof file === 'number') return file;
  if ('kind' in file && file.kind === 'blocked') return E.EACCES;
  const program = file as OpenFile;
  program.retain();
  const { mode } = program.stat();
  if ((mode & S.IFMT) === S.IFREG && (mode & 0o111) !== 0) return program;
  program.release();
  return E.EACCES;
}

/** Interpreter and its argument, if the file is a script; null if it isn't; -errno. */
function scriptLine(
  file: OpenFile,
): { interpreter: string; argument: string | null } | number | null {
  const head = file.readAt(0, HEAD_BYTES);
  if (typeof head === 'number') return head;
  const text = Buffer.from(head).toString('latin1');
  if (!text.startsWith('#!')) return null;
  const [line = ''] = text.slice(2).split('\n');
  const match = /^[ \t]*([^ \t]+)[ \t]*(.*?)[ \t]*$/.exec(line);
  if (match === null || (line.length === text.length - 2 && text.length === HEAD_BYTES)) {
    return E.ENOEXEC;
  }
  const [, interpreter = '', argument = ''] = match;
  return { interpreter, argument: argument === '' ? null : argument };
}

function exec(task: Task, path: string, argv: readonly string[], env: readonly string[]): Outcome {
  let program = path;
  let list = argv;
  for (let scripts = 0; scripts <= SCRIPTS_MAX; scripts += 1) {
    const file = openProgram(task, program);
    if (typeof file === 'number') return file;
    const script = scriptLine(file);
    if (script === null) return { kind: 'exec', spec: { program, argv: list, env }, file };
    file.release();
    if (typeof script === 'number') return script;
    const { interpreter, argument } = script;
    const rest = list.slice(1);
    list = [interpreter, ...(argument === null ? [] : [argument]), program, ...rest];
    program = interpreter;
  }
  return E.ELOOP;
}

function sysExecve(task: Task, args: Args): Outcome {
  const path = readPath(task, args.pointer(0));
  if (typeof path === 'number') return path;
  const room = { bytes: STRINGS_BYTES_MAX };
  const argv = readStrings(task, args.pointer(1), room);
  if (typeof argv === 'number') return argv;
  const env = readStrings(task, args.pointer(2), room);
  if (typeof env === 'number') return env;
  // Linux gives an empty list an empty name.
  return exec(task, path, argv.length === 0 ? [''] : argv, env);
}

export const execRows: readonly Row[] = [
  partial(
    'execve',
    sysExecve,
    'what a program names as its ELF interpreter is taken from the root',
  ),
  refused('execveat', E.ENOSYS, 'programs fall back to execve'),
];
