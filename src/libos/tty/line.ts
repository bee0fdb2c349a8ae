/**
 * Line: the line discipline of a terminal (termios(3), N_TTY): what is typed becomes what a program
 * reads, with editing, echo and signals; what a program writes goes through LineOutput. Owned by a
 * Pty, which moves the bytes and sends the signals.
 */
import { CC, IFLAG, LFLAG, TTY_SIGNAL } from '../../abi/tty.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import { isControl, LineOutput } from './line-output.ts';
import { decodeTermios, encodeTermios, initialTermios, type Termios } from './termios.ts';

/** What was typed and not read; a line can be one byte shorter, so that its end always fits. */
const INPUT_MAX = 4096;
const [BELL, BACKSPACE, TAB, NEWLINE, RETURN, BACKSLASH, SLASH] = [7, 8, 9, 10, 13, 0x5c, 0x2f];
const CARET = 0x5e;
/** Beside a byte of the input: a line ends with it; it is no byte but the end of file. */
const END = 0x100;
const END_OF_FILE = 0x200 | END;

/** What the discipline asks of the terminal. */
export interface LineOwner {
  /** To the foreground group. */
  signal(number: number): void;
  /** Input or output was thrown away; output was stopped or goes on. */
  flushed(which: 'input' | 'output'): void;
  flow(isStopped: boolean): void;
}

export class Line {
  readonly #owner: LineOwner;
  #termios = initialTermios();
  readonly output = new LineOutput(this.#termios);
  #input: number[] = [];
  /** How many of `#input` are in lines that have ended; always 0 without ICANON. */
  #ended = 0;
  #isLiteral = false;
  /** Between the slashes of ECHOPRT. */
  #isErasing = false;
  /** Output is stopped, by STOP or by tcflow. */
  isStopped = false;
  #isStoppedByCall = false;

  constructor(owner: LineOwner) {
    this.#owner = owner;
  }

  get termios(): Termios {
    return this.#termios;
  }

  #has(flag: number): boolean {
    return (this.#termios.lflag & flag) !== 0;
  }

  get isCanonical(): boolean {
    return this.#has(LFLAG.ICANON);
  }

  /** Whether `byte` is this control character; 0 is none. */
  #is(byte: number, index: number): boolean {
    return byte !== 0 && this.#termios.cc[index] === byte;
  }

  set termios(termios: Termios) {
    const old = this.#termios;
    this.#termios = termios;
    this.output.termios = termios;
    if ((old.lflag ^ termios.lflag) & (LFLAG.ICANON | LFLAG.EXTPROC)) {
      // What is there becomes one line, or loses its ends.
      this.#input = this.#input.map((code) => code & 0xff);
      this.#ended = 0;
      const last = this.#input.length - 1;
      if (this.isCanonical && last >= 0) {
        this.#input[last] = (this.#input[last] as number) | END;
        this.#ended = this.#input.length;
      }
      this.#isErasing = false;
      this.#isLiteral = false;
    }
    const lostFlow = old.iflag & IFLAG.IXON && (termios.iflag & IFLAG.IXON) === 0;
    if (lostFlow && !this.#isStoppedByCall) this.start();
  }

  /* --- flow --- */

  stop(isByCall = false): void {
    if (isByCall) this.#isStoppedByCall = true;
    if (this.isStopped) return;
    this.isStopped = true;
    this.#owner.flow(true);
  }

  start(isByCall = false): void {
    if (isByCall) this.#isStoppedByCall = false;
    if (!this.isStopped || this.#isStoppedByCall) return;
    this.isStopped = false;
    this.#owner.flow(false);
  }

  /* --- reading --- */

  /** Bytes that FIONREAD tells of. */
  get readableBytes(): number {
    if (!this.isCanonical) return this.#input.length;
    return this.#input.slice(0, this.#ended).filter((code) => code !== END_OF_FILE).length;
  }

  /** Whether a read has something to give: with ICANON a line, else `least` bytes. */
  isReadable(least: number): boolean {
    return this.isCanonical ? this.#ended > 0 : this.#input.length >= least;
  }

  /** Up to `count` bytes: of one line, with ICANON. Empty at an end of file. */
  read(count: number): Buffer {
    let end = Math.min(count, this.isCanonical ? this.#ended : this.#input.length);
    let used = end;
    if (this.isCanonical) {
      const ending = this.#input.findIndex((code) => (code & END) !== 0);
      const isEndOfFile = this.#input[ending] === END_OF_FILE;
      if (ending < end) {
        used = ending + 1;
        end = isEndOfFile ? ending : used;
      } else if (isEndOfFile && ending === end) used = end + 1;
      this.#ended -= used;
    }
    const taken = Buffer.from(this.#input.slice(0, end).map((code) => code & 0xff));
    this.#input = this.#input.slice(used);
    return taken;
  }

  flushInput(): void {
    this.#input = [];
    this.#ended = 0;
    this.#isLiteral = false;
    this.#isErasing = false;
    this.#owner.flushed('input');
  }

  flushOutput(): void {
    this.output.clear();
    this.#owner.flushed('output');
  }

  /* --- typing --- */

  /** Whether more can be typed. A line that is too long is no reason against: its rest is lost. */
  get hasRoom(): boolean {
    if (this.isCanonical && this.#ended === 0) return true;
    return this.#input.length < INPUT_MAX - (this.isCanonical ? 1 : 0);
  }

  /** Takes what is typed; bytes taken. */
  type(data: Uint8Array): number {
    let taken = 0;
    for (const byte of data) {
      if (!this.hasRoom) break;
      this.#type(byte);
      taken += 1;
    }
    return taken;
  }

  #type(typed: number): void {
    const { iflag } = this.#termios;
    let byte = iflag & IFLAG.ISTRIP ? typed & 0x7f : typed;
    const isUpper = byte >= 0x41 && byte <= 0x5a;
    if (iflag & IFLAG.IUCLC && this.#has(LFLAG.IEXTEN) && isUpper) byte += 32;
    if (this.#isLiteral) {
      this.#isLiteral = false;
      this.#ordinary(byte, true);
      return;
    }
    if (this.#has(LFLAG.EXTPROC)) {
      this.#store(byte);
      return;
    }
    if (iflag & IFLAG.IXON && this.#flowByte(byte)) return;
    if (this.#has(LFLAG.ISIG) && this.#signalByte(byte)) return;
    if (iflag & IFLAG.IXON && iflag & IFLAG.IXANY) this.start();
    if (byte === RETURN) {
      if (iflag & IFLAG.IGNCR) return;
      if (iflag & IFLAG.ICRNL) byte = NEWLINE;
    } else if (byte === NEWLINE && iflag & IFLAG.INLCR) byte = RETURN;
    if (this.isCanonical && this.#edit(byte)) return;
    this.#ordinary(byte);
  }

  #flowByte(byte: number): boolean {
    if (this.#is(byte, CC.START)) this.start();
    else if (this.#is(byte, CC.STOP)) this.stop();
    else return false;
    return true;
  }

  #signalByte(byte: number): boolean {
    let signal: number;
    if (this.#is(byte, CC.INTR)) signal = TTY_SIGNAL.int;
    else if (this.#is(byte, CC.QUIT)) signal = TTY_SIGNAL.quit;
    else if (this.#is(byte, CC.SUSP)) signal = TTY_SIGNAL.tstp;
    else return false;
    this.interrupt(signal);
    if (this.#termios.iflag & IFLAG.IXON) this.start();
    if (this.#has(LFLAG.ECHO)) this.output.echo(byte);
    return true;
  }

  /** A signal, which throws away what is on its way unless NOFLSH is set. */
  interrupt(signal: number): void {
    this.#owner.signal(signal);
    if (this.#has(LFLAG.NOFLSH)) return;
    this.flushOutput();
    this.flushInput();
  }

  /** What has a meaning in a line that is being typed; false for all else. */
  #edit(byte: number): boolean {
    const isExtended = this.#has(LFLAG.IEXTEN);
    if (this.#is(byte, CC.ERASE)) this.#erase('character');
    else if (this.#is(byte, CC.KILL)) this.#kill(byte);
    else if (isExtended && this.#is(byte, CC.WERASE)) this.#erase('word');
    else if (isExtended && this.#is(byte, CC.LNEXT)) this.#literalNext();
    else if (isExtended && this.#is(byte, CC.REPRINT) && this.#has(LFLAG.ECHO)) this.#reprint(byte);
    else if (byte === NEWLINE) {
      if (this.#has(LFLAG.ECHO | LFLAG.ECHONL)) this.output.put(NEWLINE);
      this.#end(NEWLINE | END);
    } else if (this.#is(byte, CC.EOF)) this.#end(END_OF_FILE);
    else if (this.#is(byte, CC.EOL) || (isExtended && this.#is(byte, CC.EOL2))) {
      if (this.#has(LFLAG.ECHO)) this.#echo(byte);
      this.#end(byte | END);
    } else return false;
    return true;
  }

  #literalNext(): void {
    this.#isLiteral = true;
    if (!this.#has(LFLAG.ECHO)) return;
    this.#finishErasing();
    if (this.#has(LFLAG.ECHOCTL)) this.output.raw(CARET, BACKSPACE);
  }

  #reprint(byte: number): void {
    this.#finishErasing();
    this.output.echo(byte);
    this.output.put(NEWLINE);
    for (const code of this.#input.slice(this.#ended)) this.output.echo(code & 0xff);
  }

  #end(code: number): void {
    this.#input.push(code);
    this.#ended = this.#input.length;
  }

  #ordinary(byte: number, isLiteral = false): void {
    if (this.#isTooLong) {
      if (this.#termios.iflag & IFLAG.IMAXBEL) this.output.raw(BELL);
      return;
    }
    if (this.#has(LFLAG.ECHO)) {
      this.#finishErasing();
      if (byte === NEWLINE && !isLiteral) this.output.put(NEWLINE);
      else this.#echo(byte);
    }
    this.#store(byte);
  }

  get #isTooLong(): boolean {
    return this.isCanonical && this.#input.length >= INPUT_MAX - 1;
  }

  #store(byte: number): void {
    if (!this.#isTooLong) this.#input.push(byte);
  }

  #echo(byte: number): void {
    if (this.#ended === this.#input.length) this.output.lineColumn = this.output.column;
    this.output.echo(byte);
  }

  /* --- editing --- */

  #finishErasing(): void {
    if (this.#isErasing) this.output.put(SLASH);
    this.#isErasing = false;
  }

  #kill(byte: number): void {
    const isShown = this.#has(LFLAG.ECHO);
    const isEmpty = this.#input.length === this.#ended;
    if (isEmpty) return;
    const isErased = this.#has(LFLAG.ECHOK) && this.#has(LFLAG.ECHOKE) && this.#has(LFLAG.ECHOE);
    if (isShown && isErased) {
      this.#erase('line');
      return;
    }
    this.#input.length = this.#ended;
    if (!isShown) return;
    this.#finishErasing();
    this.output.echo(byte);
    if (this.#has(LFLAG.ECHOK)) this.output.put(NEWLINE);
  }

  /** Takes back what was typed last of the line that has not ended. */
  #erase(what: 'character' | 'word' | 'line'): void {
    let isInWord = false;
    while (this.#input.length > this.#ended) {
      let start = this.#input.length - 1;
      while (start > this.#ended && this.output.isContinuation(this.#input[start] as number)) {
        start -= 1;
      }
      const byte = this.#input[start] as number;
      if (this.output.isContinuation(byte)) break;
      const isWord = /\w/.test(String.fromCharCode(byte));
      if (what === 'word' && isInWord && !isWord) break;
      isInWord ||= isWord;
      const rest = this.#input.slice(start + 1);
      this.#input.length = start;
      if (this.#has(LFLAG.ECHO)) this.#showErased(byte, rest, what);
      if (what === 'character') break;
    }
    if (this.#input.length === this.#ended && this.#has(LFLAG.ECHO)) this.#finishErasing();
  }

  #showErased(byte: number, rest: readonly number[], what: string): void {
    const { output } = this;
    if (this.#has(LFLAG.ECHOPRT)) {
      if (!this.#isErasing) output.put(BACKSLASH);
      this.#isErasing = true;
      output.echo(byte);
      for (const continuation of rest) output.put(continuation);
    } else if (what === 'character' && !this.#has(LFLAG.ECHOE)) {
      output.echo(this.#termios.cc[CC.ERASE] as number);
    } else if (byte === TAB) this.#eraseTab();
    else {
      const isShownWithCaret = isControl(byte) && this.#has(LFLAG.ECHOCTL);
      if (isShownWithCaret) output.eraseOne();
      if (!isControl(byte) || isShownWithCaret) output.eraseOne();
    }
  }

  #eraseTab(): void {
    let before = 0;
    for (let at = this.#input.length - 1; at >= this.#ended; at -= 1) {
      const byte = this.#input[at] as number;
      if (byte === TAB) {
        this.output.eraseTab(before, true);
        return;
      }
      if (isControl(byte)) before += this.#has(LFLAG.ECHOCTL) ? 2 : 0;
      else if (!this.output.isContinuation(byte)) before += 1;
    }
    this.output.eraseTab(before, false);
  }

  /* --- saving --- */

  save(encoder: Encoder): void {
    encoder.raw(encodeTermios(this.#termios));
    this.output.save(encoder);
    const codes = Buffer.from(Uint16Array.from(this.#input).buffer);
    encoder.bytes(codes).u32(this.#ended).bool(this.#isLiteral).bool(this.#isErasing);
    encoder.bool(this.isStopped).bool(this.#isStoppedByCall);
  }

  load(decoder: Decoder): void {
    const bytes = Buffer.from(decoder.raw(encodeTermios(this.#termios).length));
    this.#termios = decodeTermios(bytes, this.#termios);
    this.output.termios = this.#termios;
    this.output.load(decoder);
    const codes = Buffer.from(decoder.bytes());
    for (let at = 0; at < codes.length; at += 2) this.#input.push(codes.readUInt16LE(at));
    this.#ended = decoder.u32();
    this.#isLiteral = decoder.bool();
    this.#isErasing = decoder.bool();
    this.isStopped = decoder.bool();
    this.#isStoppedByCall = decoder.bool();
  }
}
