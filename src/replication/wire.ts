/**
 * The wire between replicas: packets over one TCP connection a pair, in order.
 *
 *   +------------+---------+------------------------------------------+
 *   | size u32   | kind u8 | body: size bytes                           |
 *   +------------+---------+------------------------------------------+
 *
 *   hello    version u16, token 16 bytes, sender u53, receiver u53        first, both ways
 *   control  a message of the reconfiguration machine (reconfig/codec.ts)
 *   delta    ballot u53, chosen u53, then a checkpoint frame: 2a
 *   ack      ballot u53, epoch u53: 2b
 *   state    ballot u53, then a checkpoint frame: base or chunk of a transfer
 *
 * Used by connection.ts and peers.ts. Whatever arrives is checked; anything else costs the
 * connection.
 */
import { FRAME_BYTES_MAX } from '../checkpoint/limits.ts';
import { MESSAGE_BYTES_MAX } from '../reconfig/limits.ts';

export const WIRE_VERSION = 1;
export const PACKET_HEADER_BYTES = 5;
export const TOKEN_BYTES = 16;

export const PACKET = { hello: 1, control: 2, delta: 3, ack: 4, state: 5 } as const;
export type PacketKind = (typeof PACKET)[keyof typeof PACKET];

const HELLO_BYTES = 2 + TOKEN_BYTES + 16;
export const DELTA_PREFIX_BYTES = 16;
export const STATE_PREFIX_BYTES = 8;

/** Largest body of each kind; 0 for a kind that does not exist. */
export function bodyBytesMax(kind: number): number {
  switch (kind) {
    case PACKET.hello:
      return HELLO_BYTES;
    case PACKET.control:
      return MESSAGE_BYTES_MAX;
    case PACKET.ack:
      return 16;
    case PACKET.delta:
      return DELTA_PREFIX_BYTES + FRAME_BYTES_MAX;
    case PACKET.state:
      return STATE_PREFIX_BYTES + FRAME_BYTES_MAX;
    default:
      return 0;
  }
}

export interface Hello {
  readonly version: number;
  readonly token: Buffer;
  readonly sender: number;
  readonly receiver: number;
}

export function packetHeader(kind: PacketKind, bodyBytes: number, extraBytes = 0): Buffer {
  const header = Buffer.allocUnsafe(PACKET_HEADER_BYTES + extraBytes);
  header.writeUInt32LE(bodyBytes, 0);
  header[4] = kind;
  return header;
}

export function encodeHello(hello: Hello): Buffer {
  const packet = packetHeader(PACKET.hello, HELLO_BYTES, HELLO_BYTES);
  packet.writeUInt16LE(hello.version, PACKET_HEADER_BYTES);
  hello.token.copy(packet, PACKET_HEADER_BYTES + 2, 0, TOKEN_BYTES);
  writeWord(packet, PACKET_HEADER_BYTES + 2 + TOKEN_BYTES, hello.sender);
  writeWord(packet, PACKET_HEADER_BYTES + 10 + TOKEN_BYTES, hello.receiver);
  return packet;
}

/** Null: not a hello of ours. */
export function decodeHello(body: Buffer): Hello | null {
  if (body.length !== HELLO_BYTES) return null;
  return {
    version: body.readUInt16LE(0),
    token: body.subarray(2, 2 + TOKEN_BYTES),
    sender: readWord(body, 2 + TOKEN_BYTES),
    receiver: readWord(body, 10 + TOKEN_BYTES),
  };
}

export function encodeAck(ballot: number, epoch: number): Buffer {
  const packet = packetHeader(PACKET.ack, 16, 16);
  writeWord(packet, PACKET_HEADER_BYTES, ballot);
  writeWord(packet, PACKET_HEADER_BYTES + 8, epoch);
  return packet;
}

/** Head of a delta packet; the frame follows as it is. */
export function deltaHead(ballot: number, chosen: number, frameBytes: number): Buffer {
  const size = DELTA_PREFIX_BYTES + frameBytes;
  const head = packetHeader(PACKET.delta, size, DELTA_PREFIX_BYTES);
  writeWord(head, PACKET_HEADER_BYTES, ballot);
  writeWord(head, PACKET_HEADER_BYTES + 8, chosen);
  return head;
}

/** Head of a state packet; the frame follows as it is. */
export function stateHead(ballot: number, frameBytes: number): Buffer {
  const head = packetHeader(PACKET.state, STATE_PREFIX_BYTES + frameBytes, STATE_PREFIX_BYTES);
  writeWord(head, PACKET_HEADER_BYTES, ballot);
  return head;
}

/** A non-negative integer below 2^53. */
export function readWord(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 4) * 0x1_0000_0000 + bytes.readUInt32LE(at);
}

function writeWord(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32LE(value >>> 0, at);
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}
