/**
 * mmap(2), userfaultfd(2) and PAGEMAP_SCAN (linux/mman.h, linux/userfaultfd.h, linux/fs.h). Data
 * only.
 */

export const PAGE_BYTES = 4096;
/** End of user space with four-level page tables. */
export const TASK_SIZE = 0x7fff_ffff_f000;

export const PROT = { READ: 1, WRITE: 2, EXEC: 4 } as const;
export const MAP = {
  SHARED: 1,
  PRIVATE: 2,
  SHARED_VALIDATE: 3,
  TYPE: 0xf,
  FIXED: 0x10,
  ANONYMOUS: 0x20,
  GROWSDOWN: 0x100,
  NORESERVE: 0x4000,
  HUGETLB: 0x4_0000,
  FIXED_NOREPLACE: 0x10_0000,
} as const;
export const MADV = { DONTNEED: 4, FREE: 8, REMOVE: 9, DONTNEED_LOCKED: 24 } as const;
export const MREMAP = { FIXED: 2 } as const;

export const FALLOC_FL = { KEEP_SIZE: 1, PUNCH_HOLE: 2 } as const;
export const SEEK = { DATA: 3, HOLE: 4 } as const;

/** O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY. */
export const UFFD_OPEN_FLAGS = 0o2000000 | 0o4000 | 1;
export const UFFDIO = { API: 0xc018_aa3f, REGISTER: 0xc020_aa00 } as const;
export const UFFD_API = 0xaan;
/** UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_ASYNC. */
export const UFFD_FEATURES = (1n << 13n) | (1n << 15n);
export const UFFDIO_REGISTER_MODE_WP = 2n;

export const PAGEMAP_SCAN = 0xc060_6610;
export const PM_SCAN = { WP_MATCHING: 1n, CHECK_WPASYNC: 2n } as const;
export const PAGE_IS = {
  WRITTEN: 1n << 1n,
  FILE: 1n << 2n,
  PRESENT: 1n << 3n,
  SWAPPED: 1n << 4n,
  PFNZERO: 1n << 5n,
} as const;
/** struct pm_scan_arg. */
export const PM_SCAN_ARG = {
  bytes: 96,
  size: 0,
  flags: 8,
  start: 16,
  end: 24,
  walkEnd: 32,
  vec: 40,
  vecLength: 48,
  maxPages: 56,
  categoryInverted: 64,
  categoryMask: 72,
  categoryAnyOfMask: 80,
  returnMask: 88,
} as const;
/** struct page_region: start, end, categories. */
export const PAGE_REGION_BYTES = 24;
