/**
 * The seccomp filter: default deny by trapping. Every system call becomes a notification, save
 * those that the table lists as native, and of these some all the same by their argument. Calls of
 * another architecture (int 0x80, x32) get ENOSYS. Made once a guest; installed by
 * src/guest/skeleton.ts.
 */
import { E } from '../abi/errno.ts';
import {
  AUDIT_ARCH_X86_64,
  BPF,
  BPF_INSTRUCTION_BYTES,
  SECCOMP_DATA,
  SECCOMP_RET,
  X32_SYSCALL_BIT,
} from '../abi/seccomp.ts';
import { SYS } from '../abi/syscalls.ts';
import { CLOCK } from '../abi/time.ts';
import { assert } from '../base/assert.ts';

/** Jump offsets are 8 bits in classic BPF. */
const NATIVE_MAX = 200;
/** Clocks that Linux counts anew for a guest that was brought back; those below 0 are too. */
const TRAPPED_CLOCKS = [CLOCK.processCpu, CLOCK.threadCpu];
const SIGN_BIT = 0x8000_0000;

/** The program as an array of struct sock_filter. */
export function filterProgram(nativeNumbers: readonly number[]): Buffer {
  assert(nativeNumbers.length <= NATIVE_MAX, 'too many native calls for one jump');
  const enosys = SECCOMP_RET.ERRNO | -E.ENOSYS;
  const program: Buffer[] = [];
  const add = (code: number, jt: number, jf: number, k: number): void => {
    const instruction = Buffer.alloc(BPF_INSTRUCTION_BYTES);
    instruction.writeUInt16LE(code, 0);
    instruction.writeUInt8(jt, 2);
    instruction.writeUInt8(jf, 3);
    instruction.writeUInt32LE(k >>> 0, 4);
    program.push(instruction);
  };
  add(BPF.LD_W_ABS, 0, 0, SECCOMP_DATA.arch);
  add(BPF.JEQ, 1, 0, AUDIT_ARCH_X86_64);
  add(BPF.RET, 0, 0, enosys);
  add(BPF.LD_W_ABS, 0, 0, SECCOMP_DATA.number);
  add(BPF.JGE, 0, 1, X32_SYSCALL_BIT);
  add(BPF.RET, 0, 0, enosys);
  const plain = nativeNumbers.filter((number) => number !== SYS.clock_gettime);
  if (plain.length < nativeNumbers.length) {
    const after = TRAPPED_CLOCKS.length + 4;
    add(BPF.JEQ, 0, after, SYS.clock_gettime);
    add(BPF.LD_W_ABS, 0, 0, SECCOMP_DATA.firstArgument);
    TRAPPED_CLOCKS.forEach((clock, index) => {
      add(BPF.JEQ, TRAPPED_CLOCKS.length - index + 1, 0, clock);
    });
    add(BPF.JGE, 1, 0, SIGN_BIT);
    add(BPF.RET, 0, 0, SECCOMP_RET.ALLOW);
    add(BPF.RET, 0, 0, SECCOMP_RET.USER_NOTIF);
  }
  plain.forEach((number, index) => {
    // A match jumps over the rest of the list and the trapping return.
    add(BPF.JEQ, plain.length - index, 0, number);
  });
  add(BPF.RET, 0, 0, SECCOMP_RET.USER_NOTIF);
  add(BPF.RET, 0, 0, SECCOMP_RET.ALLOW);
  return Buffer.concat(program);
}
