/**
 * LineOutput: what a terminal shows: bytes on their way to the master side, after output
 * processing (OPOST), and where the cursor is. Used by Line for writes and for the echo.
 */
import { IFLAG, LFLAG, OFLAG } from '../../abi/tty.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { Termios } from './termios.ts';

/** A write takes no more than fits; a master that reads frees room. */
export const OUTPUT_BYTES_MAX = 8192;
/** The echo goes on beyond that, up to here, where it is lost. */
const ECHO_BYTES_MAX = 65_536;
const [BACKSPACE, TAB, NEWLINE, RETURN, SPACE, CARET] = [8, 9, 10, 13, 32, 0x5e];

export const isControl = (byte: number): boolean => byte < 32 || byte === 127;

export class LineOutput {
  termios: Termios;
  #bytes: number[] = [];
  column = 0;
  /** Where the line that is being typed began. */
  lineColumn = 0;

  constructor(termios: Termios) {
    this.termios = termios;
  }

  get length(): number {
    return this.#bytes.length;
  }

  get isFull(): boolean {
    return this.#bytes.length >= OUTPUT_BYTES_MAX;
  }

  /** For the master: up to `count` bytes. */
  take(count: number): Buffer {
    const taken = Buffer.from(this.#bytes.slice(0, count));
    this.#bytes = this.#bytes.slice(taken.length);
    return taken;
  }

  clear(): void {
    this.#bytes = [];
  }

  /** What a program writes: bytes taken. */
  write(data: Uint8Array): number {
    let taken = 0;
    for (const byte of data) {
      if (this.isFull) break;
      this.put(byte);
      taken += 1;
    }
    return taken;
  }

  /** A byte as it is. */
  raw(...bytes: number[]): void {
    if (this.#bytes.length < ECHO_BYTES_MAX) this.#bytes.push(...bytes);
  }

  /** A byte with output processing. */
  put(byte: number): void {
    const { oflag } = this.termios;
    if ((oflag & OFLAG.OPOST) === 0) this.raw(byte);
    else if (byte === NEWLINE) this.#newline(oflag);
    else if (byte === RETURN) this.#return(oflag);
    else if (byte === TAB) this.#tab(oflag);
    else if (byte === BACKSPACE) this.#back();
    else this.#ordinary(byte, oflag);
  }

  #newline(oflag: number): void {
    if (oflag & OFLAG.ONLRET) this.column = 0;
    if (oflag & OFLAG.ONLCR) {
      this.column = 0;
      this.raw(RETURN, NEWLINE);
    } else this.raw(NEWLINE);
    this.lineColumn = this.column;
  }

  #return(oflag: number): void {
    if (oflag & OFLAG.ONOCR && this.column === 0) return;
    if (oflag & OFLAG.OCRNL) {
      if (oflag & OFLAG.ONLRET) this.column = 0;
      this.raw(NEWLINE);
    } else {
      this.column = 0;
      this.raw(RETURN);
    }
    this.lineColumn = this.column;
  }

  #tab(oflag: number): void {
    const spaces = 8 - (this.column & 7);
    this.column += spaces;
    if ((oflag & OFLAG.XTABS) === OFLAG.XTABS) this.raw(...new Array(spaces).fill(SPACE));
    else this.raw(TAB);
  }

  #back(): void {
    if (this.column > 0) this.column -= 1;
    this.raw(BACKSPACE);
  }

  #ordinary(byte: number, oflag: number): void {
    if (isControl(byte)) {
      this.raw(byte);
      return;
    }
    const isLower = byte >= 0x61 && byte <= 0x7a;
    if (!this.isContinuation(byte)) this.column += 1;
    this.raw(oflag & OFLAG.OLCUC && isLower ? byte - 32 : byte);
  }

  /** A byte of a character in UTF-8 that is not its first. */
  isContinuation(byte: number): boolean {
    return (this.termios.iflag & IFLAG.IUTF8) !== 0 && (byte & 0xc0) === 0x80;
  }

  /** A typed character as it is shown: ^X for those that control. */
  echo(byte: number): void {
    if (this.termios.lflag & LFLAG.ECHOCTL && isControl(byte) && byte !== TAB) {
      this.raw(CARET, byte ^ 0o100);
      this.column += 2;
    } else this.put(byte);
  }

  /** Takes a shown character back. */
  eraseOne(): void {
    this.raw(BACKSPACE, SPACE, BACKSPACE);
    if (this.column > 0) this.column -= 1;
  }

  /** Takes a tab back, `before` characters after the one before it or the start of the line. */
  eraseTab(before: number, isAfterTab: boolean): void {
    const at = isAfterTab ? before : before + this.lineColumn;
    for (let left = 8 - (at & 7); left > 0; left -= 1) this.#back();
  }

  save(encoder: Encoder): void {
    encoder.u32(this.column).u32(this.lineColumn).bytes(Buffer.from(this.#bytes));
  }

  load(decoder: Decoder): void {
    this.column = decoder.u32();
    this.lineColumn = decoder.u32();
    this.#bytes = [...decoder.bytes()];
  }
}
