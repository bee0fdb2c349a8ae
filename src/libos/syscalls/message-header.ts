/**
 * struct msghdr and its control messages, between guest memory and what sockets take. Used by
 * sendmsg, recvmsg and their plural forms.
 */
import { E } from '../../abi/errno.ts';
import { CMSGHDR, MSGHDR, SCM, SOCKADDR, SOL_SOCKET, UCRED } from '../../abi/net.ts';
import { type GuestAddress, guestAddress } from '../../base/ids.ts';
import { ADDRESS_LIMIT } from '../args.ts';
import type { Credentials } from '../net/socket.ts';
import type { OpenFile } from '../open-file.ts';
import type { Task } from '../task.ts';
import { Vectors } from './vectors.ts';

/** SCM_MAX_FD. */
const FILES_MAX = 253;
/** More control data than this is of no use to any message here. */
const CONTROL_BYTES_MAX = 65_536;

export interface MessageHeader {
  readonly address: GuestAddress;
  /** msg_name; 0 for none. */
  readonly name: GuestAddress;
  readonly nameLength: number;
  readonly vectors: Vectors;
  readonly control: GuestAddress;
  readonly controlLength: number;
}

const align = (length: number): number => Math.ceil(length / 8) * 8;

/** -errno when it can't be. */
export function readHeader(task: Task, address: GuestAddress): MessageHeader | number {
  const bytes = task.memory.read(address, MSGHDR.sizeBytes);
  const word = (at: number): number => Number(bytes.readBigUInt64LE(at));
  const pointer = (at: number): GuestAddress => guestAddress(Math.min(word(at), ADDRESS_LIMIT));
  const nameLength = bytes.readInt32LE(MSGHDR.nameLength);
  const name = pointer(MSGHDR.name);
  if (name !== 0 && nameLength < 0) return E.EINVAL;
  const count = word(MSGHDR.vectorCount);
  const vectors = Vectors.read(task.memory, pointer(MSGHDR.vectors), count);
  if (typeof vectors === 'number') return vectors;
  const control = pointer(MSGHDR.control);
  const controlLength = control === 0 ? 0 : word(MSGHDR.controlLength);
  return { address, name, nameLength, vectors, control, controlLength };
}

/** The address that a message goes to; null for none. */
export function readName(task: Task, header: MessageHeader): Buffer | null {
  if (header.name === 0 || header.nameLength === 0) return null;
  return task.memory.read(header.name, Math.min(header.nameLength, SOCKADDR.storageBytes));
}

export interface Control {
  readonly files: readonly OpenFile[];
  readonly credentials: Credentials | null;
}

export const NO_CONTROL: Control = Object.freeze({ files: [], credentials: null });

/** The control messages of something to send; -errno. */
export function readControl(task: Task, header: MessageHeader): Control | number {
  const { controlLength } = header;
  if (controlLength < CMSGHDR.sizeBytes) return NO_CONTROL;
  if (controlLength > CONTROL_BYTES_MAX) return E.ENOBUFS;
  const bytes = task.memory.read(header.control, controlLength);
  const files: OpenFile[] = [];
  let credentials: Credentials | null = null;
  for (let at = 0; at + CMSGHDR.sizeBytes <= bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at + CMSGHDR.length));
    if (length < CMSGHDR.sizeBytes || length > bytes.length - at) return E.EINVAL;
    const data = bytes.subarray(at + CMSGHDR.sizeBytes, at + length);
    at += align(length);
    if (bytes.readInt32LE(at - align(length) + CMSGHDR.level) !== SOL_SOCKET) continue;
    const type = bytes.readInt32LE(at - align(length) + CMSGHDR.type);
    if (type === SCM.rights) {
      const failed = addFiles(task, data, files);
      if (failed < 0) return failed;
    } else if (type === SCM.credentials) {
      if (data.length !== UCRED.sizeBytes) return E.EINVAL;
      credentials = {
        pid: data.readUInt32LE(UCRED.pid),
        uid: data.readUInt32LE(UCRED.uid),
        gid: data.readUInt32LE(UCRED.gid),
      };
    } else return E.EINVAL;
  }
  return { files, credentials };
}

function addFiles(task: Task, data: Buffer, files: OpenFile[]): number {
  if (files.length + data.length / 4 > FILES_MAX) return E.EINVAL;
  for (let at = 0; at + 4 <= data.length; at += 4) {
    const file = task.files.get(data.readInt32LE(at));
    if (file === null) return E.EBADF;
    files.push(file);
  }
  return 0;
}

/** Control messages for the guest, in the room that it gives. */
export class ControlWriter {
  readonly #room: number;
  #bytes: Buffer = Buffer.alloc(0);
  /** Something did not fit (MSG_CTRUNC). */
  isTruncated = false;

  constructor(header: MessageHeader) {
    this.#room = Math.min(header.controlLength, CONTROL_BYTES_MAX);
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  /** How many bytes of data another message could have. */
  get dataRoom(): number {
    return Math.max(0, this.#room - this.#bytes.length - CMSGHDR.sizeBytes);
  }

  /** Adds one of level SOL_SOCKET. What is longer than the room is cut off. */
  add(type: number, data: Buffer): void {
    if (this.#room - this.#bytes.length < CMSGHDR.sizeBytes) {
      this.isTruncated = true;
      return;
    }
    const kept = Math.min(data.length, this.dataRoom);
    if (kept < data.length) this.isTruncated = true;
    const length = CMSGHDR.sizeBytes + kept;
    const message = Buffer.alloc(Math.min(align(length), this.#room - this.#bytes.length));
    message.writeBigUInt64LE(BigInt(length), CMSGHDR.length);
    message.writeInt32LE(SOL_SOCKET, CMSGHDR.level);
    message.writeInt32LE(type, CMSGHDR.type);
    data.copy(message, CMSGHDR.sizeBytes, 0, kept);
    this.#bytes = Buffer.concat([this.#bytes, message]);
  }
}

/** What recvmsg tells beside the bytes. */
export function writeHeader(
  task: Task,
  header: MessageHeader,
  name: Buffer | null,
  control: Buffer,
  flags: number,
): void {
  const at = (offset: number): GuestAddress => guestAddress(header.address + offset);
  if (header.name !== 0) {
    const value = name ?? Buffer.alloc(0);
    task.memory.write(header.name, value.subarray(0, header.nameLength));
    task.memory.writeU32(at(MSGHDR.nameLength), value.length);
  }
  if (control.length > 0) task.memory.write(header.control, control);
  task.memory.writeU64(at(MSGHDR.controlLength), BigInt(control.length));
  task.memory.writeU32(at(MSGHDR.flags), flags);
}
