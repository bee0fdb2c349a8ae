/**
 * AddressSpace: what the Linux host knows of a guest's mappings: which ranges lost their content,
 * which appeared, and which pages were written. The guest's own mmap, munmap, madvise... run
 * natively after we have seen them, so this is told of each (`called`) and looks when it is
 * stopped.
 */
import { MADV, MAP, MREMAP, PAGE_BYTES, PROT, TASK_SIZE } from '../../abi/memory.ts';
import { SYS } from '../../abi/syscalls.ts';
import { byteString } from '../../base/byte-string.ts';
import { guestAddress } from '../../base/ids.ts';
import { readMaps } from '../../guest/maps.ts';
import type { WrittenPages } from '../../guest/written-pages.ts';
import type { MemoryRegion, PageVisitor } from '../../lvm/api.ts';
import { GATE_END } from '../../sandbox/skeleton-elf.ts';
import { roundUp } from './elf.ts';
import { IMAGE_NAME, type MemfdStore } from './memfd-store.ts';
import { fewRanges, type Range, subtractRanges, unionRanges } from './ranges.ts';

/** What stands behind the pages of a mapping that were never written. */
type Backing = 'zeros' | 'image' | 'file';

interface HostRegion extends MemoryRegion {
  readonly backing: Backing;
}

/** Scanned together although other mappings lie between. */
const NEAR_BYTES = 1 << 20;

/** A shared mapping of a file of the root can't be written, nor made writable. */
const isWatched = (region: HostRegion): boolean => !(region.shared && region.backing === 'file');

const isWritable = (region: HostRegion): boolean =>
  (region.protection & PROT.WRITE) !== 0 && isWatched(region);

/** How shared anonymous memory, which is a file to Linux, shows in /proc/PID/maps. */
const SHARED_ANONYMOUS = '/dev/zero (deleted)';

function backingOf({ name, backed }: MemoryRegion): Backing {
  if (name.startsWith(`/memfd:${IMAGE_NAME}`)) return 'image';
  return backed && name !== SHARED_ANONYMOUS ? 'file' : 'zeros';
}

/** Kept of each kind until somebody takes them, which may be never. */
const RANGES_MAX = 4096;

export interface AddressSpaceOptions {
  readonly hostPid: number;
  readonly written: WrittenPages;
  /** The image that the guest was brought up from; its pages stand behind those never written. */
  readonly image: MemfdStore;
  /** The mappings as they were in the image: their names are shown to the guest. */
  readonly imageRegions: readonly MemoryRegion[];
  /** What is there now is new to whoever follows, and so is what is not: of an earlier program. */
  readonly replaces: AddressSpace | null;
  /** Host path of the guest's root, which the guest must not see; '' for '/'. */
  readonly rootDirectory: string;
}

export class AddressSpace {
  readonly #hostPid: number;
  readonly #written: WrittenPages;
  readonly #image: MemfdStore;
  readonly #imageRegions: MemoryRegion[];
  readonly #rootDirectory: string;
  #regions: readonly HostRegion[] = [];
  #scanned: readonly Range[] = [];
  /** What could be written at some time since the last scan, whatever it is now. */
  #unscanned: Range[] = [];
  #isChanged = false;
  /** A mapping was moved: Linux no longer knows which of its pages were written. */
  #isMoved = false;
  #dropped: Range[] = [];
  /** Ranges whose content must be taken whole because a scan can't tell. */
  #appeared: Range[] = [];

  constructor(options: AddressSpaceOptions) {
    this.#hostPid = options.hostPid;
    this.#written = options.written;
    this.#image = options.image;
    this.#imageRegions = [...options.imageRegions];
    this.#rootDirectory = byteString(options.rootDirectory);
    this.#regions = this.#read();
    this.#watch();
    this.#chooseScanned();
    // What is there now came from the image.
    this.#written.take(GATE_END, TASK_SIZE, () => {});
    if (options.replaces !== null) this.#replace(options.replaces);
  }

  #replace(old: AddressSpace): void {
    this.#dropped = unionRanges([...old.#dropped, ...old.#regions, ...this.#regions]);
    this.#appeared = unionRanges(this.#regions);
    this.#isChanged = true;
  }

  /** More of the heap was mapped. */
  heapGrown(start: number, end: number): void {
    this.#imageRegions.push({
      start: guestAddress(start),
      end: guestAddress(end),
      protection: PROT.READ | PROT.WRITE,
      shared: false,
      name: '[heap]',
      fileOffset: 0,
      backed: false,
    });
    this.#isChanged = true;
  }

  get isChanged(): boolean {
    return this.#isChanged;
  }

  /** A call that changes mappings is about to run natively. */
  called(number: number, args: Buffer): void {
    const word = (index: number): number =>
      args.readUInt32LE(index * 8 + 4) * 0x1_0000_0000 + args.readUInt32LE(index * 8);
    switch (number) {
      case SYS.munmap:
        this.#drop(word(0), word(1));
        break;
      case SYS.mmap:
        if ((word(3) & (MAP.FIXED | MAP.FIXED_NOREPLACE)) !== 0) this.#drop(word(0), word(1));
        break;
      case SYS.mremap:
        this.#drop(word(0), word(1));
        if ((word(3) & MREMAP.FIXED) !== 0) this.#drop(word(4), word(2));
        this.#isMoved = true;
        break;
      case SYS.madvise:
        this.#advise(word(0), word(1), args.readUInt32LE(16));
        return;
      case SYS.mprotect:
      case SYS.pkey_mprotect:
        // It may have been writable until now, or be so from now on until the next such call.
        this.#note(word(0), word(1));
        break;
      default:
        return;
    }
    this.#isChanged = true;
  }

  /** Whether part of a range may be a mapping of the image; asked while the guest runs. */
  mayStandOnImage(range: Range): boolean {
    // What was mapped since the last look is never the image.
    return this.#regions.some(
      ({ backing, start, end }) => backing === 'image' && start < range.end && range.start < end,
    );
  }

  /** Stopped only: the parts of a range that are mappings of the image. */
  standingOnImage(range: Range): { readonly range: Range; readonly protection: number }[] {
    return this.#read()
      .filter(({ backing }) => backing === 'image')
      .map(({ start, end, protection }) => ({
        range: { start: Math.max(start, range.start), end: Math.min(end, range.end) },
        protection,
      }))
      .filter(({ range: { start, end } }) => start < end);
  }

  /** Part of the image was replaced by memory of the guest's own, with the same content. */
  leftImage(): void {
    this.#isChanged = true;
  }

  /** Memory was written from outside, perhaps where nothing is scanned. */
  wroteInto(start: number, end: number): void {
    const first = start - (start % PAGE_BYTES);
    this.#appeared.push({ start: first, end: roundUp(end) });
    if (this.#appeared.length > RANGES_MAX) {
      this.#appeared = fewRanges(this.#appeared, RANGES_MAX / 2);
    }
  }

  /** The content of a range is given up. */
  dropped(start: number, end: number): void {
    this.#drop(start, end - start);
    this.#image.zero(start, end);
  }

  #advise(start: number, length: number, advice: number): void {
    const isDropped =
      advice === MADV.DONTNEED || advice === MADV.DONTNEED_LOCKED || advice === MADV.REMOVE;
    if (!isDropped || start % PAGE_BYTES !== 0) return;
    this.#drop(start, length);
    // Behind the guest's anonymous memory may stand the image: its pages must not come back.
    const end = start + roundUp(length);
    if (length > 0 && end <= TASK_SIZE) this.#image.zero(start, end);
  }

  #note(start: number, length: number): void {
    const end = Math.min(TASK_SIZE, start + roundUp(length));
    if (start % PAGE_BYTES !== 0 || end <= start) return;
    this.#unscanned.push({ start, end });
    if (this.#unscanned.length > RANGES_MAX)
      this.#unscanned = fewRanges(this.#unscanned, RANGES_MAX / 2);
  }

  #drop(start: number, length: number): void {
    if (length <= 0 || start % PAGE_BYTES !== 0) return;
    const end = Math.min(TASK_SIZE, start + roundUp(length));
    if (end <= start) return;
    this.#dropped.push({ start, end });
    if (this.#dropped.length <= RANGES_MAX) return;
    const few = fewRanges(this.#dropped, RANGES_MAX / 2);
    // One that spans others: what lives between them is to be told anew.
    if (few.length === 1) this.#appeared = unionRanges([...this.#appeared, ...few]);
    this.#dropped = few;
  }

  #read(): HostRegion[] {
    return readMaps(this.#hostPid).map((region) => {
      const backing = backingOf(region);
      const backed = backing !== 'zeros';
      return { ...region, backing, backed, ...this.#shownAs(region, backing) };
    });
  }

  /** What the guest is shown: its own view of a file, and of the image what that stands for. */
  #shownAs(region: MemoryRegion, backing: Backing): { name: string; fileOffset: number } {
    const { start, end, name, fileOffset } = region;
    if (backing === 'file') {
      const root = this.#rootDirectory;
      return { name: name.startsWith(root) ? name.slice(root.length) : name, fileOffset };
    }
    const known = this.#imageRegions.find(
      (candidate) => candidate.start <= start && end <= candidate.end,
    );
    if (known === undefined) return { name: '', fileOffset: 0 };
    if (known.name.startsWith('[')) return { name: known.name, fileOffset: 0 };
    if (backing !== 'image' || known.name === '') return { name: '', fileOffset: 0 };
    return { name: known.name, fileOffset: known.fileOffset + start - known.start };
  }

  /** Stopped only. */
  regions(): readonly MemoryRegion[] {
    if (this.#isChanged) this.#update();
    return this.#regions;
  }

  /** As they are now, also while the guest runs: a change that is under way stays to be seen. */
  look(): readonly MemoryRegion[] {
    return this.#read();
  }

  #update(): void {
    const previous = this.#regions;
    const before = subtractRanges(unionRanges(previous), this.#dropped);
    this.#regions = this.#read();
    this.#isChanged = false;
    this.#watch();
    this.#unscanned.push(...previous.filter(isWritable));
    for (const region of this.#regions) {
      const fresh = subtractRanges([region], before);
      if (region.backing === 'file' || this.#isMoved) this.#appeared.push(...fresh);
      // Without any access it may be a reservation of terabytes; `called` knows if it was more.
      else if (region.protection !== 0) this.#unscanned.push(...fresh);
    }
    this.#chooseScanned();
    this.#isMoved = false;
  }

  /** Stopped only. */
  takeDropped(visit: PageVisitor): void {
    if (this.#isChanged) this.#update();
    for (const { start, end } of unionRanges(this.#dropped)) {
      visit(guestAddress(start), (end - start) / PAGE_BYTES);
    }
    this.#dropped = [];
  }

  /** Stopped only, after `takeDropped`. */
  takeWritten(visit: PageVisitor): void {
    if (this.#isChanged) this.#update();
    for (const { start, end } of unionRanges(this.#appeared)) this.populated(start, end, visit);
    this.#appeared = [];
    this.#takeWritten(visit);
    if (this.#unscanned.length === 0) return;
    this.#unscanned = [];
    this.#chooseScanned();
  }

  #takeWritten(visit: PageVisitor): void {
    for (const { start, end } of this.#scanned) this.#written.take(start, end, visit);
    for (const region of this.#regions) {
      if (isWatched(region) && region.shared) {
        this.#written.takeShared(region.start, region.end, visit);
      }
    }
  }

  /** Watches all that can be written, now or after mprotect. */
  #watch(): void {
    const unwatched = this.#regions.filter((region) => !isWatched(region));
    const watched = subtractRanges([{ start: GATE_END, end: TASK_SIZE }], unwatched);
    for (const { start, end } of watched) this.#written.watch(start, end);
  }

  /**
   * What is to be scanned: the mappings that are writable, or were since the last scan. A large
   * area that is only reserved costs nothing that way; what lies close together is scanned in one
   * go.
   */
  #chooseScanned(): void {
    const now = this.#regions.filter(isWritable);
    const unwatched = this.#regions.filter((region) => !isWatched(region));
    const near = unionRanges(
      [...this.#unscanned, ...now].map(({ start, end }) => ({
        start: Math.max(GATE_END, start - NEAR_BYTES),
        end: Math.min(TASK_SIZE, end + NEAR_BYTES),
      })),
    );
    this.#scanned = subtractRanges(near, unwatched);
  }

  /** Pages of a range that hold something; see Lvm.populatedPages. */
  populated(start: number, end: number, visit: PageVisitor): void {
    const ranges: Range[] = [];
    const add: PageVisitor = (first, count) => {
      ranges.push({ start: first, end: first + count * PAGE_BYTES });
    };
    for (const region of this.#regions) {
      const from = Math.max(start, region.start);
      const to = Math.min(end, region.end);
      if (from >= to) continue;
      if (region.backing === 'file') ranges.push({ start: from, end: to });
      else {
        this.#written.populated(from, to, region.shared, add);
        if (region.backing === 'image') this.#image.populated(from, to, add);
      }
    }
    for (const range of unionRanges(ranges)) {
      visit(guestAddress(range.start), (range.end - range.start) / PAGE_BYTES);
    }
  }
}
