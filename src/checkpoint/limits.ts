/**
 * Every limit of checkpoints, each with its derivation. Used by all of src/checkpoint: a writer
 * that would pass one fails before anything is sent, a reader refuses what is beyond one before it
 * allocates for it. Holds numbers only.
 */
const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** The unit of guest memory on x86-64. */
export const PAGE_BYTES = 4096;

/** End of the user half of a 4-level x86-64 address space: no guest address reaches it. */
export const ADDRESS_END = 2 ** 47;

/**
 * A delta, whole or join-base frame. Checkpoint capping keeps deltas at some MiB; what is left is
 * the first frame of a guest and a library OS saved whole. Below 2^31, so that each size in a frame
 * fits a u32 and the frame fits one Buffer on every Node.
 */
export const FRAME_BYTES_MAX = 1 * GIB;

/** Page data in one chunk of a checkpoint file: what reading or writing one needs in memory. */
export const FILE_CHUNK_BYTES = 4 * MIB;

/**
 * Page data in one chunk of a transfer to a joiner: 14 us to read at 19 GB/s, so a delta behind it
 * waits less than a tenth of a pause.
 */
export const JOIN_CHUNK_BYTES = 256 * KIB;

/**
 * One record, handle or extra. Bulk data is saved in pages; the biggest single records are a
 * descriptor table (5 bytes a descriptor: 5 MiB at 2^20 of them) and a directory (64 bytes an
 * entry: 2^20 entries).
 */
export const RECORD_BYTES_MAX = 64 * MIB;

/**
 * A chunk frame: at most one full chunk (below) with the largest record at its end, and headers.
 */
export const CHUNK_BYTES_MAX = 16 * MIB + RECORD_BYTES_MAX + 64 * KIB;

/** Page data in a chunk frame. */
export const CHUNK_PAGE_BYTES_MAX = 16 * MIB;

/** Frames in a checkpoint file: 2^24 chunks of 4 MiB are 64 TiB, half the address space. */
export const FILE_FRAMES_MAX = 2 ** 24;

/** Threads of a guest: Linux's own default for one machine (PID_MAX_DEFAULT). */
export const THREADS_MAX = 32_768;

/**
 * Mappings: vm.max_map_count where distributions raise it (2^20); the kernel's default is 65,530.
 */
export const REGIONS_MAX = 2 ** 20;

/** Text of a region: PATH_MAX, each byte as up to two bytes of UTF-8, and a suffix. */
export const REGION_NAME_BYTES_MAX = 2 * 4096 + 64;

/** Text of a thread: TASK_COMM_LEN, likewise. */
export const THREAD_NAME_BYTES_MAX = 64;

/** struct user_regs_struct is 216 bytes, arm64's user_pt_regs 272. */
export const REGISTERS_BYTES_MAX = 1024;

/** XSAVE with AMX is 11 KiB; arm64 with SVE at its longest vectors 17 KiB. */
export const EXTENDED_STATE_BYTES_MAX = 64 * KIB;

/** siginfo_t. */
export const SIGINFO_BYTES = 128;

/** Queued signals of one target: Linux bounds a user's by RLIMIT_SIGPENDING, some ten thousands. */
export const PENDING_SIGNALS_MAX = 65_535;

/** Signal numbers are 1 to 64. */
export const SIGNALS_MAX = 64;

/** struct kernel_sigaction is 32 bytes, stack_t 24. */
export const SIGNAL_STRUCT_BYTES_MAX = 64;

/** Handles: as many as descriptors of one process (fs.nr_open). */
export const HANDLES_MAX = 2 ** 20;

/** A Map of V8 holds somewhat more than 2^24 entries: 64 GiB of 4 KiB parts an object. */
export const OBJECTS_MAX = 2 ** 23;
export const PARTS_PER_OBJECT_MAX = 2 ** 24 - 1;

/** Console output that is held: the primary waits with the guest long before. */
export const CONSOLE_BYTES_MAX = 64 * MIB;

/** Named extras: for facts about the whole service, not for data. */
export const EXTRAS_MAX = 256;
export const EXTRA_NAME_BYTES_MAX = 64;

/** Runs in one pages section: each has 16 bytes of table, so the table stays below 16 MiB. */
export const RUNS_PER_SECTION_MAX = 2 ** 20;

/** Deltas under way at once: a second of them at 64 a second, or 6 ms at the fastest cadence. */
export const SLABS_MAX = 64;
/** A slab's first size: an epoch of a lone request is some 100 KiB. */
export const SLAB_BYTES_FIRST = 1 * MIB;
/** Idle slabs that are kept, and the largest that is worth keeping. */
export const SLABS_SPARE = 8;
export const SLAB_BYTES_KEPT_MAX = 64 * MIB;
