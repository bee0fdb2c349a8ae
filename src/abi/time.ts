/**
 * Constants and struct layouts of Linux's time calls (time.h, sys/time.h, sys/timerfd.h, signal.h).
 * Data only.
 */

export const CLOCK = {
  realtime: 0,
  monotonic: 1,
  processCpu: 2,
  threadCpu: 3,
  monotonicRaw: 4,
  realtimeCoarse: 5,
  monotonicCoarse: 6,
  boottime: 7,
  realtimeAlarm: 8,
  boottimeAlarm: 9,
  tai: 11,
} as const;

/** Clock ids below 0: the inverted id of a process or thread, shifted, with these bits. */
export const CPU_CLOCK = { which: 3, descriptor: 3, thread: 4, idShift: 3 } as const;
/** The low bits of an id: all processor time, user and system. */
export const CPU_CLOCK_ALL = 2;

export const TIMER_ABSTIME = 1;

export const TFD = {
  abstime: 1,
  cancelOnSet: 2,
  nonblock: 0o4000,
  cloexec: 0o2000000,
} as const;

export const ITIMER = { real: 0, virtual: 1, profile: 2 } as const;

/**
 * struct timespec {i64 seconds, i64 nanoseconds}; struct timeval {i64 seconds, i64 microseconds}.
 */
export const TIMESPEC = { seconds: 0, fraction: 8, sizeBytes: 16 } as const;

/** struct itimerspec and itimerval: the interval, then the value. */
export const ITIMERSPEC = { interval: 0, value: 16, sizeBytes: 32 } as const;

/** struct sigevent. */
export const SIGEVENT = { value: 0, signal: 8, notify: 12, thread: 16, sizeBytes: 64 } as const;

export const SIGEV = { signal: 0, none: 1, thread: 2, threadId: 4 } as const;

/** siginfo_t of a POSIX timer's signal (SI_TIMER) and of any. */
export const SIGINFO = {
  signal: 0,
  errno: 4,
  code: 8,
  timerId: 16,
  overrun: 20,
  value: 24,
  sizeBytes: 128,
} as const;

export const SI_TIMER = -2;
/** Highest signal number. */
export const SIGNAL_MAX = 64;

/** struct rusage: two timevals and fourteen longs. */
export const RUSAGE = { user: 0, system: 16, maxResident: 32, sizeBytes: 144 } as const;
export const RUSAGE_WHO = { self: 0, children: -1, thread: 1 } as const;

/** struct tms: four clock_t. times(2) counts in hundredths of a second. */
export const TMS = { user: 0, system: 8, childUser: 16, childSystem: 24, sizeBytes: 32 } as const;
export const CLOCK_TICKS = 100;
