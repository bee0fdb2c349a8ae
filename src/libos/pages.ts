/** Whole pages, as mmap(2) counts. */
import { PAGE_BYTES } from '../abi/memory.ts';

/** Rounded up to whole pages. */
export const pagesUp = (bytes: number): number => Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
