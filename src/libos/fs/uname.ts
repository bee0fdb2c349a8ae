/** What the guest is told of its kernel: by uname(2) and by /proc. Data only. */

export const KERNEL_RELEASE = '6.1.0-tardigrade';
export const KERNEL_VERSION = '#1 SMP PREEMPT_DYNAMIC';
