/**
 * Inotify: an inotify(7) instance: its watches and the queue of events that were not read yet. What
 * is watched is in the overlay (a file of the root is taken over when a watch is set on it), so a
 * watch is an inode; files of generated trees can be watched too, but nothing ever happens to them.
 * Watches and events are saved in pages of 64, so that a change is small.
 */
import { E } from '../../abi/errno.ts';
import { IN, INOTIFY_EVENT } from '../../abi/event.ts';
import { IOCTL } from '../../abi/fs.ts';
import { present } from '../../base/assert.ts';
import { Decoder, Encoder } from '../../base/codec.ts';
import type { ObjectId } from '../../base/ids.ts';
import type { RecordSink } from '../../lvm/api.ts';
import type { Args } from '../args.ts';
import { KIND } from '../kinds-ids.ts';
import type { Objects } from '../object.ts';
import { OpenFile, POLL } from '../open-file.ts';
import type { Outcome } from '../outcome.ts';
import type { Task } from '../task.ts';
import type { FsContext } from './context.ts';
import { Inode } from './inode.ts';
import { copyUp } from './mutate.ts';
import type { FsNode } from './node.ts';
import type { Watcher } from './notifier.ts';
import { anonymousStat, type FileStat } from './stat.ts';

/** As /proc/sys/fs/inotify says. */
export const INOTIFY_LIMITS = { events: 16_384, instances: 128, watches: 65_536 } as const;

const PAGE = 64;
/** Events have a place in a ring, by their number: the limit, IN_Q_OVERFLOW, and whole pages. */
const RING = INOTIFY_LIMITS.events + PAGE;
/** In the numbers of pages, those of the watches follow those of the events. */
const WATCH_PAGES = RING / PAGE;
const WD_MAX = 0x7fff_ffff;
/** A read gives no more at once. */
const READ_BYTES_MAX = 1_048_576;
/** Of the argument of inotify_add_watch, what a watch keeps. */
const KEPT = IN.events | IN.exclUnlink | IN.oneshot;

interface Event {
  readonly wd: number;
  readonly mask: number;
  readonly cookie: number;
  readonly name: string;
}

const isSame = (left: Event, right: Event): boolean =>
  left.mask === right.mask && left.wd === right.wd && left.name === right.name;

/** Bytes of the name with its NUL and padding; none without a name. */
const nameBytes = ({ name }: Event): number =>
  name === '' ? 0 : Math.ceil((name.length + 1) / INOTIFY_EVENT.sizeBytes) * 16;

const sizeOf = (event: Event): number => INOTIFY_EVENT.sizeBytes + nameBytes(event);

class Watch implements Watcher {
  readonly owner: Inotify;
  readonly wd: number;
  /** Null: a file of a generated tree, at `path`. */
  readonly inode: Inode | null;
  readonly path: string;
  mask: number;

  constructor(owner: Inotify, wd: number, inode: Inode | null, path: string, mask: number) {
    this.owner = owner;
    this.wd = wd;
    this.inode = inode;
    this.path = path;
    this.mask = mask;
  }

  get key(): Inode | string {
    return this.inode ?? this.path;
  }

  tell(mask: number, name: string, cookie: number): void {
    this.owner.tell(this, mask, name, cookie);
  }

  end(): void {
    this.owner.end(this);
  }
}

export class Inotify extends OpenFile {
  readonly kind = KIND.inotify;
  readonly #context: FsContext;
  readonly #watches = new Map<number, Watch>();
  readonly #byKey = new Map<Inode | string, Watch>();
  #lastWd = 0;
  /** By number modulo RING; those from `#first` up to before `#end` are queued. */
  readonly #ring: (Event | undefined)[] = [];
  #first = 0;
  #end = 0;
  #sizeBytes = 0;
  #hasOverflow = false;
  readonly #dirtyPages = new Set<number>();

  constructor(context: FsContext, objects: Objects, id?: ObjectId) {
    super(objects, id);
    this.#context = context;
    context.notifier.instanceCount += 1;
  }

  override describe(): string {
    return 'anon_inode:inotify';
  }

  override stat(): FileStat {
    return anonymousStat(this.id, 0o600);
  }

  /* --- watches --- */

  /** inotify_add_watch(2), the path having been walked: a watch descriptor or -errno. */
  add(node: FsNode, flags: number): number {
    const taken = copyUp(this.#context, node);
    if (typeof taken === 'number' && taken !== E.EPERM) return taken;
    const inode = typeof taken === 'number' ? null : taken;
    const path = inode === null ? node.path() : '';
    const known = this.#byKey.get(inode ?? path);
    if (known !== undefined) {
      if (flags & IN.maskCreate) return E.EEXIST;
      const kept = flags & IN.maskAdd ? known.mask : 0;
      known.mask = (kept | (flags & KEPT)) >>> 0;
      this.#watchChanged(known.wd);
      return known.wd;
    }
    if (this.#context.notifier.watchCount >= INOTIFY_LIMITS.watches) return E.ENOSPC;
    const watch = new Watch(this, this.#takeWd(), inode, path, (flags & KEPT) >>> 0);
    this.#insert(watch);
    this.#watchChanged(watch.wd);
    return watch.wd;
  }

  /** Upwards, and from 1 again when all were given. */
  #takeWd(): number {
    do this.#lastWd = (this.#lastWd % WD_MAX) + 1;
    while (this.#watches.has(this.#lastWd));
    return this.#lastWd;
  }

  #insert(watch: Watch): void {
    this.#watches.set(watch.wd, watch);
    this.#byKey.set(watch.key, watch);
    const { notifier } = this.#context;
    notifier.watchCount += 1;
    if (watch.inode !== null) notifier.add(watch.inode, watch);
  }

  #forget(watch: Watch): void {
    this.#watches.delete(watch.wd);
    this.#byKey.delete(watch.key);
    const { notifier } = this.#context;
    notifier.watchCount -= 1;
    if (watch.inode !== null) notifier.remove(watch.inode, watch);
    this.#watchChanged(watch.wd);
  }

  #watchChanged(wd: number): void {
    this.#dirtyPages.add(WATCH_PAGES + Math.floor(wd / PAGE));
    this.touch();
  }

  /** inotify_rm_watch(2). */
  remove(wd: number): number {
    const watch = this.#watches.get(wd);
    if (watch === undefined) return E.EINVAL;
    this.end(watch);
    return 0;
  }

  /** For watches: they are over. */
  end(watch: Watch): void {
    this.#forget(watch);
    this.#push({ wd: watch.wd, mask: IN.ignored, cookie: 0, name: '' });
  }

  /** For watches: an event that they want. */
  tell(watch: Watch, mask: number, name: string, cookie: number): void {
    this.#push({ wd: watch.wd, mask, cookie, name });
    if (watch.mask & IN.oneshot) this.end(watch);
  }

  /* --- the queue --- */

  get #count(): number {
    return this.#end - this.#first;
  }

  #at(number: number): Event {
    return present(this.#ring[number % RING], 'queued event');
  }

  #push(event: Event): void {
    if (this.#count >= INOTIFY_LIMITS.events) {
      if (this.#hasOverflow) return;
      this.#append({ wd: -1, mask: IN.overflow, cookie: 0, name: '' });
      return;
    }
    const isRepeated = this.#count > 0 && isSame(this.#at(this.#end - 1), event);
    if (!isRepeated || event.mask === IN.ignored) this.#append(event);
  }

  #append(event: Event): void {
    this.#insertEvent(this.#end, event);
    this.#end += 1;
    this.#eventChanged(this.#end - 1);
    this.queue.wake(POLL.in | POLL.rdnorm);
  }

  #insertEvent(number: number, event: Event): void {
    this.#ring[number % RING] = event;
    this.#sizeBytes += sizeOf(event);
    if (event.mask === IN.overflow) this.#hasOverflow = true;
  }

  #eventChanged(number: number): void {
    this.#dirtyPages.add(Math.floor((number % RING) / PAGE));
    this.touch();
  }

  #shift(): void {
    const event = this.#at(this.#first);
    this.#ring[this.#first % RING] = undefined;
    this.#sizeBytes -= sizeOf(event);
    if (event.mask === IN.overflow) this.#hasOverflow = false;
    this.#eventChanged(this.#first);
    this.#first += 1;
  }

  override read(count: number): Uint8Array | number {
    if (this.#count === 0) return E.EAGAIN;
    const room = Math.min(count, READ_BYTES_MAX);
    let sizeBytes = 0;
    let end = this.#first;
    while (end < this.#end && sizeBytes + sizeOf(this.#at(end)) <= room) {
      sizeBytes += sizeOf(this.#at(end));
      end += 1;
    }
    if (sizeBytes === 0) return E.EINVAL;
    const bytes = Buffer.alloc(sizeBytes);
    for (let at = 0; this.#first < end; this.#shift()) at += put(bytes, at, this.#at(this.#first));
    return bytes;
  }

  override poll(): number {
    return this.#count > 0 ? POLL.in | POLL.rdnorm : 0;
  }

  override ioctl(task: Task, args: Args): Outcome {
    if (args.uint(1) !== IOCTL.FIONREAD) return E.ENOTTY;
    task.memory.writeU32(args.pointer(2), this.#sizeBytes);
    return 0;
  }

  protected override close(): void {
    for (const watch of [...this.#watches.values()]) this.#forget(watch);
    this.#context.notifier.instanceCount -= 1;
  }

  /* --- saving --- */

  override save(encoder: Encoder): void {
    super.save(encoder);
    encoder.u32(this.#lastWd).u53(this.#first).u53(this.#end);
  }

  override load(decoder: Decoder): void {
    super.load(decoder);
    this.#lastWd = decoder.u32();
    this.#first = decoder.u53();
    this.#end = decoder.u53();
  }

  /** Page n is part n + 1. */
  override savePages(sink: RecordSink, scope: 'all' | 'changes'): void {
    if (scope === 'all') {
      for (let at = this.#first; at < this.#end; at += 1) this.#eventChanged(at);
      for (const wd of this.#watches.keys()) this.#watchChanged(wd);
    }
    const encoder = new Encoder(1024);
    for (const page of this.#dirtyPages) {
      encoder.reset();
      if (page < WATCH_PAGES) this.#encodeEvents(page, encoder);
      else this.#encodeWatches(page - WATCH_PAGES, encoder);
      if (encoder.view().length > 0) sink.put(this.id, page + 1, encoder.view());
      else if (scope === 'changes') sink.remove(this.id, page + 1);
    }
    this.#dirtyPages.clear();
  }

  #encodeEvents(page: number, encoder: Encoder): void {
    for (let slot = page * PAGE; slot < (page + 1) * PAGE; slot += 1) {
      const event = this.#ring[slot];
      if (event === undefined) continue;
      encoder.u32(slot).i32(event.wd).u32(event.mask).u32(event.cookie).string(event.name);
    }
  }

  #encodeWatches(page: number, encoder: Encoder): void {
    for (let wd = page * PAGE; wd < (page + 1) * PAGE; wd += 1) {
      const watch = this.#watches.get(wd);
      if (watch === undefined) continue;
      encoder
        .u32(wd)
        .u32(watch.inode?.id ?? 0)
        .string(watch.path)
        .u32(watch.mask);
    }
  }

  override loadPage(part: number, bytes: Uint8Array): void {
    const decoder = new Decoder(bytes);
    while (decoder.remaining > 0) {
      if (part - 1 < WATCH_PAGES) {
        const slot = decoder.u32();
        const [wd, mask, cookie] = [decoder.i32(), decoder.u32(), decoder.u32()];
        this.#insertEvent(slot, { wd, mask, cookie, name: decoder.string() });
      } else {
        const wd = decoder.u32();
        const inode = this.objects.find(decoder.u32(), Inode);
        this.#insert(new Watch(this, wd, inode, decoder.string(), decoder.u32()));
      }
    }
  }
}

/** Writes a struct inotify_event; returns its size. */
function put(bytes: Buffer, at: number, event: Event): number {
  bytes.writeInt32LE(event.wd, at + INOTIFY_EVENT.wd);
  bytes.writeUInt32LE(event.mask, at + INOTIFY_EVENT.mask);
  bytes.writeUInt32LE(event.cookie, at + INOTIFY_EVENT.cookie);
  bytes.writeUInt32LE(nameBytes(event), at + INOTIFY_EVENT.nameBytes);
  bytes.write(event.name, at + INOTIFY_EVENT.sizeBytes, 'latin1');
  return sizeOf(event);
}
