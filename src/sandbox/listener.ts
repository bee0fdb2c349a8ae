/**
 * Listener: the sentry's end of the seccomp filter: receives trapped calls and answers them
 * (seccomp_unotify(2)). Used by host/linux on the thread that owns the guest. A notification that
 * was withdrawn (its thread stopped or got a signal) can no longer be answered: ENOENT, which is
 * normal.
 */
import { E, errnoName } from '../abi/errno.ts';
import {
  ADDFD,
  NOTIF,
  RESPONSE,
  SECCOMP_ADDFD_FLAG_SETFD,
  SECCOMP_IOCTL,
  SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP,
  SECCOMP_USER_NOTIF_FLAG_CONTINUE,
} from '../abi/seccomp.ts';
import { assert } from '../base/assert.ts';
import * as os from '../ffi/native.ts';

const POLLIN = 1;

export class Listener {
  readonly fd: number;
  /** The notification that `receive` filled in. */
  readonly notification = Buffer.alloc(NOTIF.bytes);
  /** The six arguments in it. */
  readonly args = this.notification.subarray(NOTIF.args, NOTIF.args + 48);
  readonly #response = Buffer.alloc(RESPONSE.bytes);
  readonly #addfd = Buffer.alloc(ADDFD.bytes);
  readonly #pollfd = Buffer.alloc(8);

  constructor(fd: number) {
    this.fd = fd;
    // Wakes the answered thread on this core instead of an idle one: 2.5 us a call instead of 47.
    // Kernels before 6.6 lack it, which costs only speed.
    os.ioctlValue(fd, SECCOMP_IOCTL.NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
  }

  /** Whether a notification is there to be received, after waiting at most `timeoutMs`. */
  isReady(timeoutMs: number): boolean {
    this.#pollfd.writeInt32LE(this.fd, 0);
    this.#pollfd.writeInt16LE(POLLIN, 4);
    this.#pollfd.writeInt16LE(0, 6);
    return os.poll(this.#pollfd, 1, timeoutMs) > 0 && (this.#pollfd.readInt16LE(6) & POLLIN) !== 0;
  }

  /**
   * Takes the next notification; false when the one announced was withdrawn at this moment. Waits
   * for one when there is none: ask only when it was announced and nothing was withdrawn since.
   */
  receive(): boolean {
    this.notification.fill(0);
    const result = os.ioctl(this.fd, SECCOMP_IOCTL.NOTIF_RECV, this.notification);
    if (result === 0) return true;
    assert(
      result === E.ENOENT || result === E.EINTR || result === E.EAGAIN,
      `SECCOMP_IOCTL_NOTIF_RECV: ${errnoName(result)}`,
    );
    return false;
  }

  get id(): bigint {
    return this.notification.readBigUInt64LE(NOTIF.id);
  }

  /** The host's id of the thread. */
  get hostTid(): number {
    return this.notification.readUInt32LE(NOTIF.pid);
  }

  get number(): number {
    return this.notification.readInt32LE(NOTIF.number);
  }

  /** The call ends with `value`, or with an error for -4095..-1. False: withdrawn. */
  answer(id: bigint, value: number): boolean {
    const response = this.#response;
    response.writeBigUInt64LE(id, RESPONSE.id);
    const isError = value < 0 && value >= -4095;
    writeValue(response, isError ? 0 : value);
    response.writeInt32LE(isError ? value : 0, RESPONSE.error);
    response.writeUInt32LE(0, RESPONSE.flags);
    return this.#send();
  }

  /** Linux runs the call as it stands. */
  continue(id: bigint): boolean {
    const response = this.#response;
    response.writeBigUInt64LE(id, RESPONSE.id);
    writeValue(response, 0);
    response.writeInt32LE(0, RESPONSE.error);
    response.writeUInt32LE(SECCOMP_USER_NOTIF_FLAG_CONTINUE, RESPONSE.flags);
    return this.#send();
  }

  #send(): boolean {
    const result = os.ioctl(this.fd, SECCOMP_IOCTL.NOTIF_SEND, this.#response);
    if (result === 0) return true;
    assert(result === E.ENOENT, `SECCOMP_IOCTL_NOTIF_SEND: ${errnoName(result)}`);
    return false;
  }

  /** Puts our descriptor `source` at number `target` in the guest, close-on-exec; -errno. */
  addDescriptor(id: bigint, source: number, target: number): number {
    const addfd = this.#addfd;
    addfd.writeBigUInt64LE(id, ADDFD.id);
    addfd.writeUInt32LE(SECCOMP_ADDFD_FLAG_SETFD, ADDFD.flags);
    addfd.writeUInt32LE(source, ADDFD.srcfd);
    addfd.writeUInt32LE(target, ADDFD.newfd);
    addfd.writeUInt32LE(0o2000000, ADDFD.newfdFlags);
    const result = os.ioctl(this.fd, SECCOMP_IOCTL.NOTIF_ADDFD, addfd);
    return Math.min(result, 0);
  }
}

function writeValue(response: Buffer, value: number): void {
  const TWO_32 = 0x1_0000_0000;
  response.writeInt32LE(Math.floor(value / TWO_32), RESPONSE.value + 4);
  response.writeUInt32LE(value >>> 0, RESPONSE.value);
}
