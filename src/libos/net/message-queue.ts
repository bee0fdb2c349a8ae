/**
 * MessageQueue: datagrams that wait to be received, with who sent them and what came along: for
 * UDP and for Unix datagram and seqpacket sockets. Each message is a page of the saved state, so
 * that one more or less saves no others.
 */
import { present } from '../../base/assert.ts';
import { Decoder, Encoder } from '../../base/codec.ts';
import type { RecordSink } from '../../lvm/api.ts';
import { KIND } from '../kinds-ids.ts';
import { KernelObject } from '../object.ts';
import type { OpenFile } from '../open-file.ts';
import type { Credentials } from './socket.ts';
import { loadCredentials, loadFiles, saveCredentials, saveFiles } from './socket-buffer.ts';

/** What a message costs beside its bytes, so that empty ones are bounded too (Linux: sk_buff). */
const OVERHEAD_BYTES = 768;

export interface Message {
  readonly bytes: Buffer;
  /** sockaddr of the sender, or null if it has no name. */
  readonly address: Buffer | null;
  readonly files: readonly OpenFile[];
  readonly credentials: Credentials | null;
}

export class MessageQueue extends KernelObject {
  readonly kind = KIND.messageQueue;
  /** By sequence number, oldest first. */
  readonly #messages = new Map<number, Message>();
  #nextSequence = 1;
  #usedBytes = 0;
  /** Changes since the last save. */
  readonly #added = new Set<number>();
  readonly #removed = new Set<number>();

  get count(): number {
    return this.#messages.size;
  }

  /** Bytes with what each message costs beside. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** The oldest message, or null. */
  get first(): Message | null {
    for (const message of this.#messages.values()) return message;
    return null;
  }

  static costBytes(sizeBytes: number): number {
    return sizeBytes + OVERHEAD_BYTES;
  }

  /** Takes a message; references to its files are taken by this. The bytes are the queue's now. */
  push(message: Message): void {
    for (const file of message.files) file.retain();
    const sequence = this.#nextSequence;
    this.#nextSequence += 1;
    this.#messages.set(sequence, message);
    this.#added.add(sequence);
    this.#usedBytes += MessageQueue.costBytes(message.bytes.length);
    this.touch();
  }

  /** The oldest message, removed; the references to its files are the caller's. */
  shift(): Message {
    const sequence = present(this.#messages.keys().next().value, 'first message');
    const message = present(this.#messages.get(sequence), 'first message');
    this.#messages.delete(sequence);
    if (!this.#added.delete(sequence)) this.#removed.add(sequence);
    this.#usedBytes -= MessageQueue.costBytes(message.bytes.length);
    this.touch();
    return message;
  }

  override destroy(): void {
    for (const message of this.#messages.values()) for (const file of message.files) file.release();
    this.#messages.clear();
    super.destroy();
  }

  override save(encoder: Encoder): void {
    encoder.u53(this.#nextSequence);
  }

  override load(decoder: Decoder): void {
    this.#nextSequence = decoder.u53();
  }

  override savePages(sink: RecordSink, scope: 'all' | 'changes'): void {
    const encoder = new Encoder(4096);
    if (scope === 'changes') for (const sequence of this.#removed) sink.remove(this.id, sequence);
    const chosen = scope === 'all' ? this.#messages.keys() : this.#added;
    for (const sequence of chosen) {
      const message = present(this.#messages.get(sequence), 'message to save');
      encoder.reset();
      encoder.bytes(message.bytes).bool(message.address !== null);
      if (message.address !== null) encoder.bytes(message.address);
      saveFiles(encoder, message.files);
      encoder.bool(message.credentials !== null);
      if (message.credentials !== null) saveCredentials(encoder, message.credentials);
      sink.put(this.id, sequence, encoder.view());
    }
    this.#added.clear();
    this.#removed.clear();
  }

  override loadPage(part: number, record: Uint8Array): void {
    const decoder = new Decoder(record);
    const bytes = Buffer.from(decoder.bytes());
    const address = decoder.bool() ? Buffer.from(decoder.bytes()) : null;
    const files = loadFiles(decoder, this);
    const credentials = decoder.bool() ? loadCredentials(decoder) : null;
    this.#messages.set(part, { bytes, address, files, credentials });
    this.#usedBytes += MessageQueue.costBytes(bytes.length);
  }

  /** Pages come in any order. */
  override loaded(): void {
    const sorted = [...this.#messages].sort(([one], [other]) => one - other);
    this.#messages.clear();
    for (const [sequence, message] of sorted) this.#messages.set(sequence, message);
  }
}
