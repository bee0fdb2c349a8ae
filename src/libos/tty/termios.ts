/**
 * Termios: the settings of a terminal (struct termios2), as a value that is replaced whole. No
 * behaviour: line.ts goes by it, ioctl.ts sets it.
 */
import { CC, CFLAG, IFLAG, LFLAG, OFLAG, TERMIOS } from '../../abi/tty.ts';

const SPEED = 38_400;
/** INTR, QUIT, ERASE, KILL, EOF, TIME, MIN, SWTC, START, STOP, SUSP, EOL, ..., LNEXT. */
const CONTROL = [3, 0o34, 0o177, 0o25, 4, 0, 1, 0, 0o21, 0o23, 0o32, 0, 0o22, 0o17, 0o27, 0o26];

export interface Termios {
  readonly iflag: number;
  readonly oflag: number;
  readonly cflag: number;
  readonly lflag: number;
  /** The line discipline: a number that is kept, N_TTY. */
  readonly line: number;
  readonly cc: Uint8Array;
  readonly inputSpeed: number;
  readonly outputSpeed: number;
}

/** What a new pseudo-terminal has. */
export function initialTermios(): Termios {
  const cc = new Uint8Array(CC.count);
  cc.set(CONTROL);
  const { ISIG, ICANON, ECHO, ECHOE, ECHOK, ECHOCTL, ECHOKE, IEXTEN } = LFLAG;
  return {
    iflag: IFLAG.ICRNL | IFLAG.IXON,
    oflag: OFLAG.OPOST | OFLAG.ONLCR,
    cflag: CFLAG.B38400 | CFLAG.CS8 | CFLAG.CREAD,
    lflag: ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
    line: 0,
    cc,
    inputSpeed: SPEED,
    outputSpeed: SPEED,
  };
}

/** struct termios2, of which struct termios is the start. */
export function encodeTermios(termios: Termios): Buffer {
  const bytes = Buffer.alloc(TERMIOS.sizeBytes2);
  bytes.writeUInt32LE(termios.iflag, TERMIOS.iflag);
  bytes.writeUInt32LE(termios.oflag, TERMIOS.oflag);
  bytes.writeUInt32LE(termios.cflag, TERMIOS.cflag);
  bytes.writeUInt32LE(termios.lflag, TERMIOS.lflag);
  bytes[TERMIOS.line] = termios.line;
  bytes.set(termios.cc, TERMIOS.cc);
  bytes.writeUInt32LE(termios.inputSpeed, TERMIOS.inputSpeed);
  bytes.writeUInt32LE(termios.outputSpeed, TERMIOS.outputSpeed);
  return bytes;
}

/** Of either struct; the shorter leaves the speeds as `old` has them. */
export function decodeTermios(bytes: Buffer, old: Termios): Termios {
  const hasSpeeds = bytes.length >= TERMIOS.sizeBytes2;
  return {
    iflag: bytes.readUInt32LE(TERMIOS.iflag),
    oflag: bytes.readUInt32LE(TERMIOS.oflag),
    cflag: bytes.readUInt32LE(TERMIOS.cflag),
    lflag: bytes.readUInt32LE(TERMIOS.lflag),
    line: bytes[TERMIOS.line] as number,
    cc: Uint8Array.from(bytes.subarray(TERMIOS.cc, TERMIOS.cc + CC.count)),
    inputSpeed: hasSpeeds ? bytes.readUInt32LE(TERMIOS.inputSpeed) : old.inputSpeed,
    outputSpeed: hasSpeeds ? bytes.readUInt32LE(TERMIOS.outputSpeed) : old.outputSpeed,
  };
}

/** What a pseudo-terminal makes of settings that it is given: its characters always have 8 bits. */
export function forPty(termios: Termios): Termios {
  const cflag = (termios.cflag & ~(CFLAG.CSIZE | CFLAG.PARENB)) | CFLAG.CS8 | CFLAG.CREAD;
  return { ...termios, cflag: cflag >>> 0 };
}
