/**
 * GeneratedFile: an open file of /proc or /sys. What it says is made at the first read from the
 * start and stays until it is read from the start again, as Linux's seq_file does; that text is
 * saved.
 */
import { E } from '../../abi/errno.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import { KIND } from '../kinds-ids.ts';
import { GeneratedNode } from './generated.ts';
import { SeekableFile } from './placed-file.ts';

export class GeneratedFile extends SeekableFile {
  readonly kind = KIND.generatedFile;
  #text = Buffer.alloc(0);

  override get sizeBytes(): number {
    return 0;
  }

  override readAt(offset: number, count: number): Uint8Array | number {
    if (offset === 0) {
      const node = this.place.node();
      if (!(node instanceof GeneratedNode) || node.generated.kind !== 'text') return E.ESRCH;
      this.#text = Buffer.from(node.generated.read(), 'latin1');
      this.touch();
    }
    return this.#text.subarray(offset, offset + count);
  }

  override writeAt(_offset: number, data: Uint8Array): number {
    const node = this.place.node();
    if (!(node instanceof GeneratedNode) || node.generated.kind !== 'text') return E.ESRCH;
    if (node.generated.write === undefined) return E.EIO;
    const failed = node.generated.write(Buffer.from(data).toString('latin1'));
    return failed < 0 ? failed : data.length;
  }

  override save(encoder: Encoder): void {
    super.save(encoder);
    encoder.bytes(this.#text);
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.#text = Buffer.from(decoder.bytes());
  }
}
