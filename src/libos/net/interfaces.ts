/**
 * The guest's network interfaces as ioctl tells them: the loopback, and nothing else. No state.
 */
import { E } from '../../abi/errno.ts';
import { AF, ARPHRD_LOOPBACK, IFCONF, IFREQ, IOCTL, LOOPBACK_FLAGS } from '../../abi/net.ts';
import { type GuestAddress, guestAddress } from '../../base/ids.ts';
import type { Task } from '../task.ts';
import { encodeInet, LOOPBACK_V4, parseIp } from './address.ts';

const NAME = 'lo';
const INDEX = 1;
const MTU_BYTES = 65_536;
const QUEUE_LENGTH = 1000;

function inet(text: string): Buffer {
  return encodeInet({ ip: parseIp(text) ?? LOOPBACK_V4, port: 0 }, AF.inet);
}

const u16 = (value: number): Buffer => Buffer.from([value & 0xff, value >> 8]);

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** What a SIOCGIF* request puts behind the name, or null for a request that is not known. */
function answerOf(request: number): Buffer | null {
  switch (request) {
    case IOCTL.siocgifflags:
      return u16(LOOPBACK_FLAGS);
    case IOCTL.siocgifaddr:
    case IOCTL.siocgifdstaddr:
      return inet('127.0.0.1');
    case IOCTL.siocgifbrdaddr:
      return inet('0.0.0.0');
    case IOCTL.siocgifnetmask:
      return inet('255.0.0.0');
    case IOCTL.siocgifmetric:
      return u32(0);
    case IOCTL.siocgifmtu:
      return u32(MTU_BYTES);
    case IOCTL.siocgiftxqlen:
      return u32(QUEUE_LENGTH);
    case IOCTL.siocgifindex:
      return u32(INDEX);
    case IOCTL.siocgifhwaddr:
      return Buffer.concat([u16(ARPHRD_LOOPBACK), Buffer.alloc(14)]);
    default:
      return null;
  }
}

function interfaceList(task: Task, address: GuestAddress): number {
  const room = task.memory.readI32(address);
  const buffer = task.memory.readPointer(guestAddress(address + IFCONF.buffer));
  const request = Buffer.alloc(IFREQ.sizeBytes);
  request.write(NAME, 'latin1');
  request.set(inet('127.0.0.1'), IFREQ.data);
  if (buffer !== 0 && room >= IFREQ.sizeBytes) task.memory.write(buffer, request);
  const used = buffer === 0 || room >= IFREQ.sizeBytes ? IFREQ.sizeBytes : 0;
  task.memory.writeU32(address, used);
  return 0;
}

/** SIOCGIF*; -ENOTTY for any other request. */
export function interfaceIoctl(task: Task, request: number, address: GuestAddress): number {
  if (request === IOCTL.siocgifconf) return interfaceList(task, address);
  if (request === IOCTL.siocgifname) {
    const index = task.memory.readU32(guestAddress(address + IFREQ.data));
    if (index !== INDEX) return E.ENODEV;
    task.memory.write(address, Buffer.from(`${NAME}\0`, 'latin1'));
    return 0;
  }
  const answer = answerOf(request);
  if (answer === null) return E.ENOTTY;
  const name = task.memory.read(address, IFREQ.nameBytes);
  const end = name.indexOf(0);
  if (name.toString('latin1', 0, end < 0 ? IFREQ.nameBytes : end) !== NAME) return E.ENODEV;
  task.memory.write(guestAddress(address + IFREQ.data), answer);
  return 0;
}
