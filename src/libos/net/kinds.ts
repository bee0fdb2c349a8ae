/** The kinds of kernel objects of this folder, for loading. */
import type { Kernel } from '../kernel.ts';
import type { KindList } from '../kinds.ts';
import { KIND } from '../kinds-ids.ts';
import { MessageQueue } from './message-queue.ts';
import { NetStack } from './net-stack.ts';
import { SocketBuffer } from './socket-buffer.ts';
import { TcpSocket } from './tcp-socket.ts';
import { UdpSocket } from './udp-socket.ts';
import { UnixDatagramSocket } from './unix-datagram.ts';
import { UnixStreamSocket } from './unix-stream.ts';

export const netKinds = (kernel: Kernel): KindList => [
  [KIND.netStack, (objects, id) => new NetStack(kernel, objects, id)],
  [KIND.tcpSocket, (objects, id) => new TcpSocket(kernel, objects, id)],
  [KIND.udpSocket, (objects, id) => new UdpSocket(kernel, objects, id)],
  [KIND.unixSocket, (objects, id) => new UnixStreamSocket(kernel, objects, id)],
  [KIND.unixDatagram, (objects, id) => new UnixDatagramSocket(kernel, objects, id)],
  [KIND.socketBuffer, (objects, id) => new SocketBuffer(objects, id)],
  [KIND.messageQueue, (objects, id) => new MessageQueue(objects, id)],
];
