/**
 * Epoll: an epoll(7) set. Each item stands in the queue of its file and, when that wakes it, on the
 * list of those that may be ready; waiting looks at that list alone, so its cost does not grow with
 * the number of descriptors watched. Items are saved in pages of 64, so that a change is small.
 */
import { E } from '../../abi/errno.ts';
import { EPOLL, EPOLL_EVENT } from '../../abi/event.ts';
import { assert } from '../../base/assert.ts';
import { Decoder, Encoder } from '../../base/codec.ts';
import type { RecordSink } from '../../lvm/api.ts';
import { anonymousStat, type FileStat } from '../fs/stat.ts';
import { KIND } from '../kinds-ids.ts';
import { OpenFile, POLL } from '../open-file.ts';
import type { Waiter } from '../wait-queue.ts';

const ALWAYS = POLL.error | POLL.hup;
/** What of `epoll_event.events` is not a condition. */
const FLAGS = EPOLL.edge | EPOLL.oneshot | EPOLL.wakeup | EPOLL.exclusive;
/** With EPOLLEXCLUSIVE, only these go. */
const EXCLUSIVE_OK =
  (POLL.in | POLL.out | POLL.error | POLL.hup | EPOLL.wakeup | EPOLL.edge | EPOLL.exclusive) >>> 0;
/** Sets within sets: how deep (EP_MAX_NESTS and the set itself). */
const DEPTH_MAX = 5;
const ITEMS_PER_PAGE = 64;

class Item implements Waiter {
  readonly owner: Epoll;
  readonly slot: number;
  readonly fd: number;
  readonly file: OpenFile;
  events = 0;
  /** `epoll_data`, 8 bytes in two halves. */
  dataLow = 0;
  dataHigh = 0;
  /** EPOLLONESHOT has fired. */
  isDisabled = false;
  isListed = false;
  /** No longer in the set; may still be listed, where it is passed over. */
  isGone = false;

  constructor(owner: Epoll, slot: number, fd: number, file: OpenFile) {
    this.owner = owner;
    this.slot = slot;
    this.fd = fd;
    this.file = file;
  }

  get wanted(): number {
    return this.isDisabled ? 0 : (this.events & ~FLAGS) | ALWAYS;
  }

  /** What the file is ready for, of what is wanted. */
  get ready(): number {
    if (this.isDisabled || this.isGone || this.file.references <= 0) return 0;
    return this.file.poll() & this.wanted;
  }

  wake(events: number): void {
    this.owner.itemWoken(this, events);
  }
}

export class Epoll extends OpenFile {
  readonly kind = KIND.epoll;
  /** By file, then by descriptor: the same file may be there under several. */
  readonly #byFile = new Map<OpenFile, Map<number, Item>>();
  readonly #slots: (Item | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  /** Sets that watch this one; derived. */
  readonly parents = new Set<Epoll>();
  readonly #dirtyPages = new Set<number>();
  readonly #savedPages = new Set<number>();
  /** May be ready; in the order in which they became so. */
  #listed: Item[] = [];
  /** Of the last `collect`, until `commit` or `cancel`. */
  readonly #taken: Item[] = [];

  override describe(): string {
    return 'anon_inode:[eventpoll]';
  }

  override stat(): FileStat {
    return anonymousStat(this.id, 0o600);
  }

  #find(fd: number, file: OpenFile): Item | undefined {
    return this.#byFile.get(file)?.get(fd);
  }

  /** EPOLL_CTL_ADD; the descriptor's file has been looked up. */
  add(fd: number, file: OpenFile, events: number, dataLow: number, dataHigh: number): number {
    if (!file.isPollable) return E.EPERM;
    if (file === this) return E.EINVAL;
    if ((events & EPOLL.exclusive) !== 0) {
      if (file instanceof Epoll || (events & ~EXCLUSIVE_OK) !== 0) return E.EINVAL;
    }
    if (this.#find(fd, file) !== undefined) return E.EEXIST;
    if (file instanceof Epoll) {
      if (file.reaches(this) || file.depth() + this.#heightAbove() > DEPTH_MAX) return E.ELOOP;
      file.parents.add(this);
    }
    const item = new Item(this, this.#freeSlots.pop() ?? this.#slots.length, fd, file);
    item.events = events;
    item.dataLow = dataLow;
    item.dataHigh = dataHigh;
    this.#insert(item);
    this.#changed(item);
    this.#offer(item);
    return 0;
  }

  /** EPOLL_CTL_MOD. */
  modify(fd: number, file: OpenFile, events: number, dataLow: number, dataHigh: number): number {
    const item = this.#find(fd, file);
    if (item === undefined) return E.ENOENT;
    if (((events | item.events) & EPOLL.exclusive) !== 0) return E.EINVAL;
    item.events = events;
    item.dataLow = dataLow;
    item.dataHigh = dataHigh;
    item.isDisabled = false;
    this.#changed(item);
    this.#offer(item);
    return 0;
  }

  /** EPOLL_CTL_DEL. */
  remove(fd: number, file: OpenFile): number {
    const item = this.#find(fd, file);
    if (item === undefined) return E.ENOENT;
    this.#forget(item);
    return 0;
  }

  /** For items: their file's queue was woken. */
  itemWoken(item: Item, events: number): void {
    if (item.file.references <= 0) {
      this.#forget(item);
      return;
    }
    if (item.isDisabled || (events & item.wanted) === 0) return;
    this.#list(item);
    this.queue.wake(POLL.in | POLL.rdnorm);
  }

  /**
   * Fills `target` with up to `countMax` struct epoll_event; returns how many. `commit` with what
   * it returned must follow when the guest has them, `cancel` when it can't be given them.
   */
  collect(target: Buffer, countMax: number): number {
    const listed = this.#listed;
    this.#taken.length = 0;
    let seen = 0;
    while (seen < listed.length && this.#taken.length < countMax) {
      const item = listed[seen] as Item;
      seen += 1;
      item.isListed = false;
      const events = item.ready;
      if (events === 0) continue;
      const at = this.#taken.length * EPOLL_EVENT.sizeBytes;
      target.writeUInt32LE(events >>> 0, at + EPOLL_EVENT.events);
      target.writeUInt32LE(item.dataLow, at + EPOLL_EVENT.data);
      target.writeUInt32LE(item.dataHigh, at + EPOLL_EVENT.data + 4);
      this.#taken.push(item);
    }
    if (seen > 0) this.#listed = seen === listed.length ? [] : listed.slice(seen);
    return this.#taken.length;
  }

  /** The guest has the events of the last `collect`. */
  commit(): void {
    for (const item of this.#taken) {
      if ((item.events & EPOLL.oneshot) !== 0) {
        item.isDisabled = true;
        this.#changed(item);
      } else if ((item.events & EPOLL.edge) === 0) this.#list(item);
    }
    this.#taken.length = 0;
  }

  /** The guest could not be given the events of the last `collect`: they stay. */
  cancel(): void {
    const later = this.#listed;
    this.#listed = [];
    for (const item of this.#taken) this.#list(item);
    this.#listed.push(...later);
    this.#taken.length = 0;
  }

  /** Readable when an item is ready. Drops from the list those that are not. */
  override poll(): number {
    let stale = 0;
    for (const item of this.#listed) {
      if (item.ready !== 0) break;
      item.isListed = false;
      stale += 1;
    }
    if (stale > 0) this.#listed.splice(0, stale);
    return this.#listed.length > 0 ? POLL.in | POLL.rdnorm : 0;
  }

  /** Whether `other` is this set or watched by it, through any number of sets. */
  reaches(other: Epoll): boolean {
    if (other === this) return true;
    for (const file of this.#byFile.keys()) {
      if (file instanceof Epoll && file.reaches(other)) return true;
    }
    return false;
  }

  /** Sets on the longest way down, itself included. */
  depth(): number {
    let deepest = 0;
    for (const file of this.#byFile.keys()) {
      if (file instanceof Epoll) deepest = Math.max(deepest, file.depth());
    }
    return deepest + 1;
  }

  #heightAbove(): number {
    let highest = 0;
    for (const parent of this.parents) highest = Math.max(highest, parent.#heightAbove());
    return highest + 1;
  }

  #offer(item: Item): void {
    if (item.ready === 0) return;
    this.#list(item);
    this.queue.wake(POLL.in | POLL.rdnorm);
  }

  #list(item: Item): void {
    if (item.isListed) return;
    item.isListed = true;
    this.#listed.push(item);
  }

  #insert(item: Item): void {
    let sameFile = this.#byFile.get(item.file);
    if (sameFile === undefined) {
      sameFile = new Map();
      this.#byFile.set(item.file, sameFile);
    }
    sameFile.set(item.fd, item);
    this.#slots[item.slot] = item;
    item.file.queue.add(item);
  }

  #forget(item: Item): void {
    item.isGone = true;
    item.file.queue.remove(item);
    const sameFile = this.#byFile.get(item.file);
    sameFile?.delete(item.fd);
    if (sameFile?.size === 0) {
      this.#byFile.delete(item.file);
      if (item.file instanceof Epoll) item.file.parents.delete(this);
    }
    this.#slots[item.slot] = undefined;
    this.#freeSlots.push(item.slot);
    this.#changed(item);
  }

  #changed(item: Item): void {
    this.#dirtyPages.add(Math.floor(item.slot / ITEMS_PER_PAGE));
    this.touch();
  }

  protected override close(): void {
    for (const item of this.#slots) if (item !== undefined) this.#forget(item);
  }

  override savePages(sink: RecordSink, scope: 'all' | 'changes'): void {
    const encoder = new Encoder();
    const pageCount = Math.ceil(this.#slots.length / ITEMS_PER_PAGE);
    const pages = scope === 'all' ? Array(pageCount).keys() : this.#dirtyPages;
    for (const page of pages) {
      encoder.reset();
      if (this.#encodePage(page, encoder) > 0) {
        sink.put(this.id, page + 1, encoder.view());
        this.#savedPages.add(page);
      } else if (this.#savedPages.delete(page) && scope === 'changes') {
        sink.remove(this.id, page + 1);
      }
    }
    this.#dirtyPages.clear();
  }

  #encodePage(page: number, encoder: Encoder): number {
    const start = page * ITEMS_PER_PAGE;
    let count = 0;
    for (const item of this.#slots.slice(start, start + ITEMS_PER_PAGE)) {
      if (item === undefined) continue;
      count += 1;
      encoder.u32(item.slot).u32(item.fd).u32(item.file.id).u32(item.events);
      encoder.u32(item.dataLow).u32(item.dataHigh).bool(item.isDisabled);
    }
    return count;
  }

  override loadPage(part: number, bytes: Uint8Array): void {
    this.#savedPages.add(part - 1);
    const decoder = new Decoder(bytes);
    while (decoder.remaining > 0) {
      const slot = decoder.u32();
      const fd = decoder.u32();
      const item = new Item(this, slot, fd, this.objects.get(decoder.u32(), OpenFile));
      item.events = decoder.u32();
      item.dataLow = decoder.u32();
      item.dataHigh = decoder.u32();
      item.isDisabled = decoder.bool();
      assert(this.#slots[slot] === undefined, 'epoll slot is free');
      this.#insert(item);
    }
  }

  /** Which edges were seen is not saved: each item may be ready until it is looked at. */
  override loaded(): void {
    for (let slot = 0; slot < this.#slots.length; slot += 1) {
      const item = this.#slots[slot];
      if (item === undefined) {
        this.#freeSlots.push(slot);
        continue;
      }
      if (item.file instanceof Epoll) item.file.parents.add(this);
      if (!item.isDisabled) this.#list(item);
    }
  }
}
