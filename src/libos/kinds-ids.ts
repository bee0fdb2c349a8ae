/**
 * Persistent numbers of the kinds of kernel objects, as they stand in checkpoints. A number once
 * used is never given to another kind. The classes behind them are in kinds.ts.
 */
export const KIND = {
  kernel: 1,
  process: 2,
  task: 3,
  fdTable: 4,

  // fs/
  overlay: 20,
  inode: 21,
  regularFile: 22,
  directoryFile: 23,
  generatedFile: 25,
  deviceFile: 26,
  consoleFile: 27,
  fileLocks: 28,
  pathFile: 29,
  inotify: 45,

  // ipc/
  pipe: 40,
  pipeEnd: 41,
  eventfd: 42,
  epoll: 43,
  signalfd: 44,

  // tty/
  pty: 50,
  ptyMaster: 51,
  ptySlave: 52,

  // net/
  tcpSocket: 60,
  unixSocket: 63,
  udpSocket: 64,
  netStack: 65,
  socketBuffer: 66,
  messageQueue: 67,
  unixDatagram: 68,

  // time/
  timerfd: 80,
  processTimers: 83,
} as const;
