/**
 * Tracer: an interposer that writes down what passes: trapped calls with their answers in the
 * manner of strace and, if verbose, the calls of the LVM API. Keeps the last lines and gives each
 * to a sink. Must change nothing: it makes no call of its own below it.
 *
 *     [1] read(3, 0x10000010, 16) = 5       answered at once
 *     [1] read(3, 0x10000010, 16) ...       waits
 *     [1] ... read = -EAGAIN                answered later
 */
import { syscallName } from '../abi/syscalls.ts';
import type { GuestAddress, Handle, Tid } from '../base/ids.ts';
import type {
  ExitStatus,
  GuestImage,
  HeapArea,
  LaunchSpec,
  Lvm,
  MapSource,
  PageVisitor,
  RootEntry,
  RootStat,
  StreamAddress,
  TrappedCall,
} from '../lvm/api.ts';
import { callText, resultText } from './call-format.ts';
import { ForwardingLvm } from './forwarding.ts';

export interface TracerOptions {
  /** Gets each line, without its end. Must not throw. */
  readonly sink?: (line: string) => void;
  /** Also the calls of the LVM API. */
  readonly isVerbose?: boolean;
  /** Lines kept for `lines`. */
  readonly keptMax?: number;
}

const KEPT_MAX = 1_000;

/** `text` was not written yet: the answer may come at once. */
interface OpenCall {
  readonly name: string;
  text: string | null;
}

export class Tracer extends ForwardingLvm {
  readonly #sink: (line: string) => void;
  readonly #isVerbose: boolean;
  readonly #keptMax: number;
  readonly #kept: string[] = [];
  /** Where the oldest kept line is, once the ring is full. */
  #oldest = 0;
  /** Unanswered calls; at most one for each thread of the guest. */
  readonly #open = new Map<Tid, OpenCall>();

  constructor(inner: Lvm, options: TracerOptions = {}) {
    super(inner);
    this.#sink = options.sink ?? (() => {});
    this.#isVerbose = options.isVerbose ?? false;
    this.#keptMax = options.keptMax ?? KEPT_MAX;
  }

  /** The last lines, oldest first. */
  lines(): readonly string[] {
    return [...this.#kept.slice(this.#oldest), ...this.#kept.slice(0, this.#oldest)];
  }

  #write(line: string): void {
    if (this.#kept.length < this.#keptMax) this.#kept.push(line);
    else if (this.#keptMax > 0) {
      this.#kept[this.#oldest] = line;
      this.#oldest = (this.#oldest + 1) % this.#keptMax;
    }
    this.#sink(line);
  }

  #verbose(text: string): void {
    if (this.#isVerbose) this.#write(`    ${text}`);
  }

  #returned<T>(text: string, result: T): T {
    if (this.#isVerbose) {
      const shown = typeof result === 'number' ? resultText(result) : JSON.stringify(result);
      this.#write(`    ${text} = ${shown}`);
    }
    return result;
  }

  /* --- trapped calls -------------------------------------------------------------------------- */

  override trapped(call: TrappedCall): void {
    const { thread, number, args } = call;
    const open = { name: syscallName(number), text: callText(number, args) };
    this.#open.set(thread, open);
    // What the client does for the call is to stand below it.
    if (this.#isVerbose) this.#unfinished(thread, open);
    this.client.trapped(call);
    if (this.#open.get(thread) === open) this.#unfinished(thread, open);
  }

  #unfinished(thread: Tid, open: OpenCall): void {
    if (open.text === null) return;
    this.#write(`[${thread}] ${open.text} ...`);
    open.text = null;
  }

  #answered(thread: Tid, answer: string): void {
    const open = this.#open.get(thread);
    if (open === undefined) return;
    this.#open.delete(thread);
    this.#write(`[${thread}] ${open.text ?? `... ${open.name}`} = ${answer}`);
  }

  override withdrawn(thread: Tid): void {
    this.#answered(thread, 'withdrawn');
    this.client.withdrawn(thread);
  }

  override answer(thread: Tid, value: number): void {
    this.#answered(thread, resultText(value));
    this.inner.answer(thread, value);
  }

  override answerNative(thread: Tid): void {
    this.#answered(thread, 'native');
    this.inner.answerNative(thread);
  }

  override answerMap(thread: Tid, fd: number, source: MapSource): number {
    const result = this.inner.answerMap(thread, fd, source);
    // A failed one is answered with its error next.
    if (result >= 0) {
      const what = source.kind === 'root' ? `root file ${source.file}` : source.name;
      this.#answered(thread, `map of ${what}`);
    }
    return result;
  }

  override answerClone(thread: Tid, child: Tid, tidTargets: readonly GuestAddress[]): boolean {
    const isThere = this.inner.answerClone(thread, child, tidTargets);
    this.#answered(thread, isThere ? `thread ${child}` : 'no thread');
    return isThere;
  }

  override answerExec(
    thread: Tid,
    leader: Tid,
    spec: LaunchSpec,
    program: MapSource,
    actions: ReadonlyMap<number, Uint8Array>,
  ): HeapArea | number {
    const result = this.inner.answerExec(thread, leader, spec, program, actions);
    // A failed one is answered with its error next.
    if (typeof result !== 'number') this.#answered(thread, `program ${spec.program}`);
    return result;
  }

  /* --- life of the guest, signals ------------------------------------------------------------- */

  override answerSignal(
    thread: Tid,
    value: number,
    target: Tid | null,
    number: number,
    info: Uint8Array,
  ): void {
    this.#answered(thread, resultText(value));
    this.#write(`[${target ?? 'process'}] --- signal ${number} ---`);
    this.inner.answerSignal(thread, value, target, number, info);
  }

  override interrupted(thread: Tid, signal: number): number | null {
    const value = this.client.interrupted(thread, signal);
    this.#answered(thread, value === null ? 'withdrawn' : resultText(value));
    return value;
  }

  override signal(target: Tid | null, number: number, info: Uint8Array): number {
    const result = this.inner.signal(target, number, info);
    const failure = result < 0 ? ` ${resultText(result)}` : '';
    this.#write(`[${target ?? 'process'}] --- signal ${number} ---${failure}`);
    return result;
  }

  override exited(status: ExitStatus): void {
    this.#open.clear();
    const how =
      status.kind === 'exited' ? `exited with ${status.code}` : `killed by signal ${status.signal}`;
    this.#write(`+++ ${how} +++`);
    this.client.exited(status);
  }

  override report(event: string, detail: string): void {
    this.#write(`!!! ${event}: ${detail}`);
    this.inner.report(event, detail);
  }

  override launch(spec: LaunchSpec): number {
    return this.#returned(`launch(${JSON.stringify(spec.argv)})`, this.inner.launch(spec));
  }

  override launched(first: Tid, heap: HeapArea): void {
    this.#verbose(`launched ${first}`);
    this.client.launched(first, heap);
  }

  override instantiate(image: GuestImage): void {
    const { context, regions } = image;
    this.#verbose(`instantiate(${context.threads.length} threads, ${regions.length} regions)`);
    this.inner.instantiate(image);
  }

  override exit(status: ExitStatus): void {
    this.#verbose(`exit(${JSON.stringify(status)})`);
    this.inner.exit(status);
  }

  /* --- verbose: the rest of the LVM API ------------------------------------------------------- */

  override quiesce(): boolean {
    this.#verbose('quiesce()');
    return this.#returned('... quiesce', this.inner.quiesce());
  }

  override resume(): boolean {
    this.#verbose('resume()');
    return this.inner.resume();
  }

  override takeWrittenPages(visit: PageVisitor): void {
    if (!this.#isVerbose) {
      this.inner.takeWrittenPages(visit);
      return;
    }
    let pages = 0;
    this.inner.takeWrittenPages((start, count) => {
      pages += count;
      visit(start, count);
    });
    this.#verbose(`takeWrittenPages() = ${pages} pages`);
  }

  override memoryRead(address: GuestAddress, target: Uint8Array): number {
    const result = this.inner.memoryRead(address, target);
    if (!this.#isVerbose) return result;
    return this.#returned(`memoryRead(0x${address.toString(16)}, ${target.length})`, result);
  }

  override memoryWrite(address: GuestAddress, source: Uint8Array): number {
    const result = this.inner.memoryWrite(address, source);
    if (!this.#isVerbose) return result;
    return this.#returned(`memoryWrite(0x${address.toString(16)}, ${source.length})`, result);
  }

  override setAlarm(deadlineNs: number): void {
    if (this.#isVerbose) this.#verbose(`setAlarm(${deadlineNs})`);
    this.inner.setAlarm(deadlineNs);
  }

  override rootStat(path: string): RootStat | number {
    const result = this.inner.rootStat(path);
    if (!this.#isVerbose) return result;
    const shown = typeof result === 'number' ? result : `${result.type} ${result.sizeBytes}`;
    this.#returned(`rootStat(${path})`, shown);
    return result;
  }

  override rootReadlink(path: string): string | number {
    return this.#returned(`rootReadlink(${path})`, this.inner.rootReadlink(path));
  }

  override rootList(path: string): readonly RootEntry[] | number {
    const result = this.inner.rootList(path);
    this.#returned(`rootList(${path})`, typeof result === 'number' ? result : result.length);
    return result;
  }

  override rootOpen(path: string): Handle | number {
    return this.#returned(`rootOpen(${path})`, this.inner.rootOpen(path));
  }

  override rootRead(file: Handle, offset: number, target: Uint8Array): number {
    const result = this.inner.rootRead(file, offset, target);
    return this.#returned(`rootRead(${file}, ${offset}, ${target.length})`, result);
  }

  override rootClose(file: Handle): void {
    this.#verbose(`rootClose(${file})`);
    this.inner.rootClose(file);
  }

  override streamListen(port: number): Handle | number {
    return this.#returned(`streamListen(${port})`, this.inner.streamListen(port));
  }

  override streamAccept(
    listener: Handle,
  ): { stream: Handle; peer: StreamAddress; local: StreamAddress } | number {
    const result = this.inner.streamAccept(listener);
    this.#returned(
      `streamAccept(${listener})`,
      typeof result === 'number' ? result : result.stream,
    );
    return result;
  }

  override streamRead(stream: Handle, target: Uint8Array): number {
    const result = this.inner.streamRead(stream, target);
    return this.#isVerbose
      ? this.#returned(`streamRead(${stream}, ${target.length})`, result)
      : result;
  }

  override streamWrite(stream: Handle, source: Uint8Array): number {
    const result = this.inner.streamWrite(stream, source);
    return this.#isVerbose
      ? this.#returned(`streamWrite(${stream}, ${source.length})`, result)
      : result;
  }

  override streamShutdown(stream: Handle): void {
    this.#verbose(`streamShutdown(${stream})`);
    this.inner.streamShutdown(stream);
  }

  override streamClose(stream: Handle, reset: boolean): void {
    this.#verbose(`streamClose(${stream}${reset ? ', reset' : ''})`);
    this.inner.streamClose(stream, reset);
  }

  override consoleWrite(stream: 1 | 2, source: Uint8Array): number {
    const result = this.inner.consoleWrite(stream, source);
    return this.#returned(`consoleWrite(${stream}, ${source.length})`, result);
  }

  override consoleRead(target: Uint8Array): number {
    return this.#returned(`consoleRead(${target.length})`, this.inner.consoleRead(target));
  }

  override ready(target: Handle, events: number): void {
    this.#verbose(`ready ${target}: ${events}`);
    this.client.ready(target, events);
  }

  override alarm(): void {
    this.#verbose('alarm');
    this.client.alarm();
  }
}
