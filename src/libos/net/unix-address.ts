/**
 * Names of Unix sockets: between struct sockaddr_un and what the sockets keep, and finding a
 * name's key. A pathname's key is its inode, so that a renamed socket is still found; an abstract
 * name is its own key.
 */
import { E } from '../../abi/errno.ts';
import { AF, SOCKADDR } from '../../abi/net.ts';
import type { Decoder, Encoder } from '../../base/codec.ts';
import type { Task } from '../task.ts';

/** `name` as in sun_path, one character a byte; a first NUL makes it abstract. */
export interface UnixAddress {
  readonly name: string;
  /** In NetStack.unixNames. */
  readonly key: string;
}

/** sun_path: '' for none; -errno. */
export function decodeUnix(bytes: Buffer): string | number {
  if (bytes.length < 2 || bytes.length > SOCKADDR.unixBytes) return E.EINVAL;
  if (bytes.readUInt16LE(SOCKADDR.family) !== AF.unix) return E.EINVAL;
  const path = bytes.toString('latin1', SOCKADDR.unixPath);
  if (path === '' || path.startsWith('\0')) return path;
  const end = path.indexOf('\0');
  return end < 0 ? path : path.slice(0, end);
}

export function encodeUnix(address: UnixAddress | null): Buffer {
  const name = address?.name ?? '';
  const isPath = name !== '' && !name.startsWith('\0');
  const bytes = Buffer.alloc(SOCKADDR.unixPath + name.length + (isPath ? 1 : 0));
  bytes.writeUInt16LE(AF.unix, SOCKADDR.family);
  bytes.write(name, SOCKADDR.unixPath, 'latin1');
  return bytes;
}

/** Abstract names of different types of sockets don't meet. */
const abstractKey = (name: string, type: number): string => `${name}/${type}`;
const inodeKey = (id: number): string => `/${id}`;

/** Makes a name for a socket that is being bound; -errno. */
export function claimUnixName(task: Task, name: string, type: number): UnixAddress | number {
  const { net, fs } = task.kernel;
  if (name === '' || name.startsWith('\0')) {
    let chosen = name;
    while (chosen === '' || net.unixNames.has(abstractKey(chosen, type))) {
      if (name !== '') return E.EADDRINUSE;
      chosen = net.takeAbstractName();
    }
    return { name: chosen, key: abstractKey(chosen, type) };
  }
  const inode = fs.bindSocket(task, name);
  return typeof inode === 'number' ? inode : { name, key: inodeKey(inode.id) };
}

/** The key that `name` has now; -errno. */
export function findUnixName(task: Task, name: string, type: number): string | number {
  if (name === '') return E.EINVAL;
  if (name.startsWith('\0')) return abstractKey(name, type);
  const inode = task.kernel.fs.findSocket(task, name);
  return typeof inode === 'number' ? inode : inodeKey(inode.id);
}

export function saveUnixAddress(encoder: Encoder, address: UnixAddress | null): void {
  encoder.bool(address !== null);
  if (address !== null) encoder.string(address.name).string(address.key);
}

export function loadUnixAddress(decoder: Decoder): UnixAddress | null {
  return decoder.bool() ? { name: decoder.string(), key: decoder.string() } : null;
}
