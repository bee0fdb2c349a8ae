/**
 * ioctl(2) on both sides of a pseudo-terminal: settings, window size, flow, the session that it
 * controls, and what only a master has. Settings are the slave's, whichever side is asked.
 */
import { E } from '../../abi/errno.ts';
import {
  CC,
  FLOW,
  FLUSH,
  IFLAG,
  PACKET,
  TERMIOS,
  TTY_IOCTL,
  TTY_SIGNAL,
  WINSIZE_BYTES,
} from '../../abi/tty.ts';
import type { Args } from '../args.ts';
import type { Outcome } from '../outcome.ts';
import type { Task } from '../task.ts';
import { control, controlling, type Pty } from './pty.ts';
import { decodeTermios, encodeTermios, forPty, type Termios } from './termios.ts';

/** The file that is asked: one of either side. */
interface Side {
  readonly pty: Pty;
  readonly isMaster: boolean;
}

/** What one request does on a file. */
type Request = (file: Side, task: Task, args: Args) => Outcome;

/* --- settings --- */

const getTermios =
  (sizeBytes: number): Request =>
  ({ pty }, task, args) => {
    task.memory.write(args.pointer(2), encodeTermios(pty.line.termios).subarray(0, sizeBytes));
    return 0;
  };

/** Output is on its way at once, so that there is none to wait for. */
const setTermios =
  (sizeBytes: number, isFlushing = false): Request =>
  ({ pty }, task, args) => {
    const { line } = pty;
    const bytes = task.memory.read(args.pointer(2), sizeBytes);
    if (isFlushing) line.flushInput();
    const old = line.termios;
    line.termios = forPty(decodeTermios(bytes, old));
    tellFlowKeys(pty, old, line.termios);
    pty.wakeAll();
    return 0;
  };

/** Packet mode: whether ^S and ^Q are what stops and starts. */
function tellFlowKeys(pty: Pty, old: Termios, now: Termios): void {
  const isUsual = ({ iflag, cc }: Termios): boolean =>
    (iflag & IFLAG.IXON) !== 0 && cc[CC.STOP] === 0o23 && cc[CC.START] === 0o21;
  if (isUsual(old) === isUsual(now)) return;
  if (isUsual(now)) pty.tellPacket(PACKET.doStop, PACKET.noStop);
  else pty.tellPacket(PACKET.noStop, PACKET.doStop);
}

const getWindowSize: Request = ({ pty }, task, args) => {
  task.memory.write(args.pointer(2), pty.windowSize);
  return 0;
};

const setWindowSize: Request = ({ pty }, task, args) => {
  const size = task.memory.read(args.pointer(2), WINSIZE_BYTES);
  if (size.equals(pty.windowSize)) return 0;
  pty.windowSize = size;
  pty.touch();
  pty.signal(TTY_SIGNAL.winch);
  return 0;
};

/* --- bytes on their way --- */

const countReadable: Request = (file, task, args) => {
  const { line } = file.pty;
  const count = file.isMaster ? line.output.length : line.readableBytes;
  task.memory.writeU32(args.pointer(2), count);
  return 0;
};

const flush: Request = (file, _task, args) => {
  const which = args.size(2);
  if (which > FLUSH.both) return E.EINVAL;
  const { line } = file.pty;
  const [isInput, isOutput] = [which !== FLUSH.output, which !== FLUSH.input];
  // What a master would read is what slaves have written; what it wrote has arrived.
  if (file.isMaster ? isInput : isOutput) line.flushOutput();
  if (isInput && !file.isMaster) line.flushInput();
  file.pty.touch();
  return 0;
};

const setFlow: Request = ({ pty }, _task, args) => {
  const { line } = pty;
  const sendKey = (index: number): void => {
    const key = line.termios.cc[index] as number;
    if (key !== 0) line.output.raw(key);
  };
  switch (args.size(2)) {
    case FLOW.outputOff:
      line.stop(true);
      break;
    case FLOW.outputOn:
      line.start(true);
      break;
    case FLOW.inputOff:
      sendKey(CC.STOP);
      break;
    case FLOW.inputOn:
      sendKey(CC.START);
      break;
    default:
      return E.EINVAL;
  }
  pty.wakeAll();
  return 0;
};

/* --- sessions --- */

/** A slave answers its own session only; a master answers for its slave. */
const isOurs = (file: Side, task: Task): boolean =>
  file.isMaster || (file.pty.session !== 0 && file.pty.session === task.process.session);

const setControlling: Request = (file, task) => {
  const { process } = task;
  const { pty } = file;
  const isOwn = pty.session !== 0 && pty.session === process.session;
  if (file.isMaster) return E.EINVAL;
  if (isOwn && process.session === process.pid) return 0;
  const isTaken = pty.session !== 0 || controlling(file.pty.context, task) !== null;
  if (process.session !== process.pid || isTaken) return E.EPERM;
  control(pty, process);
  return 0;
};

const leaveControlling: Request = (file, task) => {
  const { pty } = file;
  if (file.isMaster || !isOurs(file, task)) return E.ENOTTY;
  if (task.process.session !== task.process.pid) return 0;
  pty.signal(TTY_SIGNAL.hup);
  pty.signal(TTY_SIGNAL.cont);
  pty.session = 0;
  pty.foreground = 0;
  pty.touch();
  return 0;
};

const getForeground: Request = (file, task, args) => {
  if (!isOurs(file, task)) return E.ENOTTY;
  task.memory.writeU32(args.pointer(2), file.pty.foreground);
  return 0;
};

const setForeground: Request = (file, task, args) => {
  if (!isOurs(file, task) || file.pty.session !== task.process.session) return E.ENOTTY;
  const group = task.memory.readI32(args.pointer(2));
  if (group < 0) return E.EINVAL;
  const tasks = [...task.kernel.tasks.values()];
  const member = tasks.find(({ process }) => process.processGroup === group);
  if (member === undefined) return E.ESRCH;
  if (member.process.session !== task.process.session) return E.EPERM;
  file.pty.foreground = group;
  file.pty.touch();
  return 0;
};

const getSession: Request = (file, task, args) => {
  if (!isOurs(file, task) || file.pty.session === 0) return E.ENOTTY;
  task.memory.writeU32(args.pointer(2), file.pty.session);
  return 0;
};

/* --- what a master has --- */

const ofMaster =
  (request: (pty: Pty, task: Task, args: Args) => Outcome): Request =>
  (file, task, args) =>
    file.isMaster ? request(file.pty, task, args) : E.ENOTTY;

const put = (value: (pty: Pty) => number): Request =>
  ofMaster((pty, task, args) => {
    task.memory.writeU32(args.pointer(2), value(pty));
    return 0;
  });

const setLock = ofMaster((pty, task, args) => {
  pty.isLocked = task.memory.readU32(args.pointer(2)) !== 0;
  pty.touch();
  return 0;
});

const setPacket = ofMaster((pty, task, args) => {
  const isOn = task.memory.readU32(args.pointer(2)) !== 0;
  if (isOn && !pty.isPacket) pty.packetStatus = 0;
  pty.isPacket = isOn;
  pty.touch();
  return 0;
});

const signalSlave = ofMaster((pty, _task, args) => {
  const number = args.size(2);
  const isKnown: boolean =
    number === TTY_SIGNAL.int || number === TTY_SIGNAL.quit || number === TTY_SIGNAL.tstp;
  if (!isKnown) return E.EINVAL;
  pty.signal(number);
  return 0;
});

/* --- the rest --- */

const setExclusive =
  (isExclusive: boolean): Request =>
  ({ pty }) => {
    pty.isExclusive = isExclusive;
    pty.touch();
    return 0;
  };

/** N_TTY is the only discipline. */
const setDiscipline: Request = (_file, task, args) =>
  task.memory.readU32(args.pointer(2)) === 0 ? 0 : E.EINVAL;

const putZero: Request = (_file, task, args) => {
  task.memory.writeU32(args.pointer(2), 0);
  return 0;
};

/** Breaks and waiting for output to drain: a pseudo-terminal has no wire. */
const nothing: Request = () => 0;

const { sizeBytes, sizeBytes2 } = TERMIOS;

const REQUESTS: ReadonlyMap<number, Request> = new Map<number, Request>([
  [TTY_IOCTL.TCGETS, getTermios(sizeBytes)],
  [TTY_IOCTL.TCSETS, setTermios(sizeBytes)],
  [TTY_IOCTL.TCSETSW, setTermios(sizeBytes)],
  [TTY_IOCTL.TCSETSF, setTermios(sizeBytes, true)],
  [TTY_IOCTL.TCGETS2, getTermios(sizeBytes2)],
  [TTY_IOCTL.TCSETS2, setTermios(sizeBytes2)],
  [TTY_IOCTL.TCSETSW2, setTermios(sizeBytes2)],
  [TTY_IOCTL.TCSETSF2, setTermios(sizeBytes2, true)],
  [TTY_IOCTL.TCSBRK, nothing],
  [TTY_IOCTL.TCSBRKP, nothing],
  [TTY_IOCTL.TCXONC, setFlow],
  [TTY_IOCTL.TCFLSH, flush],
  [TTY_IOCTL.TIOCEXCL, setExclusive(true)],
  [TTY_IOCTL.TIOCNXCL, setExclusive(false)],
  [
    TTY_IOCTL.TIOCGEXCL,
    ({ pty }, task, args) => {
      task.memory.writeU32(args.pointer(2), pty.isExclusive ? 1 : 0);
      return 0;
    },
  ],
  [TTY_IOCTL.TIOCSCTTY, setControlling],
  [TTY_IOCTL.TIOCNOTTY, leaveControlling],
  [TTY_IOCTL.TIOCGPGRP, getForeground],
  [TTY_IOCTL.TIOCSPGRP, setForeground],
  [TTY_IOCTL.TIOCGSID, getSession],
  [TTY_IOCTL.TIOCOUTQ, putZero],
  [TTY_IOCTL.TIOCSTI, () => E.EIO],
  [TTY_IOCTL.TIOCGWINSZ, getWindowSize],
  [TTY_IOCTL.TIOCSWINSZ, setWindowSize],
  [TTY_IOCTL.FIONREAD, countReadable],
  [TTY_IOCTL.TIOCSETD, setDiscipline],
  [TTY_IOCTL.TIOCGETD, putZero],
  [TTY_IOCTL.TIOCGPTN, put(({ index }) => index)],
  [TTY_IOCTL.TIOCSPTLCK, setLock],
  [TTY_IOCTL.TIOCGPTLCK, put(({ isLocked }) => (isLocked ? 1 : 0))],
  [TTY_IOCTL.TIOCPKT, setPacket],
  [TTY_IOCTL.TIOCGPKT, put(({ isPacket }) => (isPacket ? 1 : 0))],
  [TTY_IOCTL.TIOCSIG, signalSlave],
]);

export function ttyIoctl(file: Side, task: Task, args: Args): Outcome {
  if (!file.isMaster && file.pty.isHungUp) {
    return args.uint(1) === TTY_IOCTL.TIOCSPGRP ? E.ENOTTY : E.EIO;
  }
  return REQUESTS.get(args.uint(1))?.(file, task, args) ?? E.ENOTTY;
}
