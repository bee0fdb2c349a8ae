/**
 * Byte strings: a guest's paths, arguments and environment are bytes, which may be no UTF-8. Inside
 * they are strings of one character a byte (latin1), as the library OS keeps them; people see them
 * decoded. A command line is text in which each byte that is no UTF-8 stands as a lone surrogate
 * (U+DC80 and up), so that nothing is lost on its way to the guest. Pure.
 */

const SURROGATE_OF_BYTE = 0xdc00;
const REPLACEMENT = '\ufffd';

/** The bytes of one argument of a command line, as text that `byteString` can undo. */
export function argumentText(bytes: Buffer): string {
  const plain = bytes.toString('utf8');
  if (!plain.includes(REPLACEMENT)) return plain;
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const size = sequenceBytes(bytes, at);
    text +=
      size === 0
        ? String.fromCharCode(SURROGATE_OF_BYTE + (bytes[at] as number))
        : bytes.toString('utf8', at, at + size);
    at += Math.max(1, size);
  }
  return text;
}

/** Bytes of the UTF-8 sequence at `at`; 0 if there is none. */
function sequenceBytes(bytes: Buffer, at: number): number {
  for (let size = 1; size <= 4 && at + size <= bytes.length; size += 1) {
    const part = bytes.subarray(at, at + size);
    if (Buffer.from(part.toString('utf8')).equals(part)) return size;
  }
  return 0;
}

/** Text as one character a byte. */
export function byteString(text: string): string {
  let bytes = '';
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    const isByte = code > SURROGATE_OF_BYTE + 0x7f && code <= SURROGATE_OF_BYTE + 0xff;
    bytes += isByte
      ? String.fromCharCode(code - SURROGATE_OF_BYTE)
      : Buffer.from(character).toString('latin1');
  }
  return bytes;
}

/** A byte string for people. */
export function shown(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
