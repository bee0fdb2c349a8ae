/**
 * Serves the scripts of test/guests/calls.c with the library OS: the same words, the same output.
 */
import { LibosGuest } from './guest.ts';

const SLOTS = 16;
const DOMAINS: Readonly<Record<string, number>> = { i4: 2, i6: 10, un: 1 };
const TYPES: Readonly<Record<string, number>> = { st: 1, dg: 2, sq: 5 };
const NONBLOCK = 0o4000;
const NOSIGNAL = 0x4000;
const SIZES = { address: 256, control: 256, header: 64 };

function digest(bytes: Uint8Array): number {
  let hash = 2_166_136_261;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 16_777_619) >>> 0;
  return hash;
}

export class ScriptRunner {
  #guest = new LibosGuest();
  #slots: number[] = new Array(SLOTS).fill(-1);
  #counter = 0;
  #output: string[] = [];

  /** The output of a script; with `restoresAt` it is saved, and loaded anew, before those lines. */
  run(lines: readonly string[], restoresAt: ReadonlySet<number> = new Set()): string[] {
    this.#guest = new LibosGuest();
    this.#slots = new Array(SLOTS).fill(-1);
    this.#counter = 0;
    this.#output = [];
    for (const [index, line] of lines.entries()) {
      if (restoresAt.has(index)) this.#guest.restore();
      this.#step(line.split(' '));
    }
    return this.#output;
  }

  #memory(at: number): number {
    return this.#guest.area() + at;
  }

  /** Where data stands: behind addresses, control data and headers. */
  get #data(): number {
    return this.#memory(4096);
  }

  #fd(index: number): number {
    return this.#slots[index] ?? -1;
  }

  #put(index: number, fd: number): void {
    const old = this.#fd(index);
    if (old >= 0) this.#guest.call('close', old);
    this.#slots[index] = fd;
  }

  #say(name: string, value: number): void {
    this.#output.push(`${name} ${value}`);
  }

  #fill(count: number): void {
    const bytes = Buffer.alloc(count);
    for (let i = 0; i < count; i += 1) {
      bytes[i] = (Math.imul(this.#counter, 7) >>> 2) & 0xff;
      this.#counter += 1;
    }
    this.#guest.sim.guest.poke(this.#data, bytes);
  }

  #i32(at: number): number {
    return this.#guest.sim.guest.peekI32(this.#memory(at));
  }

  #poke32(at: number, ...values: number[]): void {
    const bytes = Buffer.alloc(values.length * 4);
    values.forEach((value, index) => {
      bytes.writeInt32LE(value | 0, index * 4);
    });
    this.#guest.sim.guest.poke(this.#memory(at), bytes);
  }

  #made(name: string, index: number, fd: number): void {
    this.#put(index, Math.max(fd, -1));
    this.#say(name, Math.min(fd, 0));
  }

  #step(words: readonly string[]): void {
    const [name = ''] = words;
    const [a = 0, b = 0, c = 0, d = 0] = words.slice(1).map(Number);
    const guest = this.#guest;
    switch (name) {
      case 'sock': {
        const type = (TYPES[words[3] ?? ''] ?? 0) | NONBLOCK;
        this.#made('sock', a, guest.call('socket', DOMAINS[words[2] ?? ''] ?? 0, type, 0));
        return;
      }
      case 'pair': {
        const type = (TYPES[words[3] ?? ''] ?? 0) | NONBLOCK;
        this.#two('pair', a, b, guest.call('socketpair', 1, type, 0, this.#memory(0)));
        return;
      }
      case 'pipe':
        this.#two('pipe', a, b, guest.call('pipe2', this.#memory(0), NONBLOCK));
        return;
      case 'eventfd':
        this.#made('eventfd', a, guest.call('eventfd2', b, NONBLOCK | (c === 0 ? 0 : 1)));
        return;
      case 'epoll':
        this.#made('epoll', a, guest.call('epoll_create1', 0));
        return;
      case 'dup':
      case 'accept':
        this.#another(name, a, b);
        return;
      case 'close':
        this.#say('close', guest.call('close', this.#fd(a)));
        this.#slots[a] = -1;
        return;
      default:
        this.#use(name, a, b, c, d, words);
    }
  }

  #two(name: string, one: number, other: number, failed: number): void {
    const fds = failed < 0 ? [-1, -1] : [this.#i32(0), this.#i32(4)];
    this.#put(one, fds[0] ?? -1);
    this.#put(other, fds[1] ?? -1);
    this.#say(name, failed);
  }

  #another(name: 'dup' | 'accept', into: number, from: number): void {
    const guest = this.#guest;
    const fd =
      name === 'dup'
        ? guest.call('dup', this.#fd(from))
        : guest.call('accept4', this.#fd(from), 0, 0, NONBLOCK);
    this.#say(name, Math.min(fd, 0));
    if (fd >= 0) this.#put(into, fd);
  }

  #use(name: string, a: number, b: number, c: number, d: number, words: readonly string[]): void {
    const guest = this.#guest;
    const fd = this.#fd(a);
    switch (name) {
      case 'bind':
        this.#bind(fd, b);
        return;
      case 'listen':
        this.#say(name, guest.call('listen', fd, b));
        return;
      case 'connect': {
        const length = this.#addressOf(b);
        if (length < 0) this.#say(name, length);
        else this.#say(name, guest.call('connect', fd, this.#memory(0), length));
        return;
      }
      case 'send':
        this.#fill(b);
        this.#say(name, guest.call('sendto', fd, this.#data, b, c | NOSIGNAL, 0, 0));
        return;
      case 'sendto':
        this.#sendto(fd, b, c);
        return;
      case 'recv':
        guest.sim.guest.poke(this.#data, Buffer.alloc(b));
        this.#read(name, b, guest.call('recvfrom', fd, this.#data, b, c, 0, 0));
        return;
      case 'read':
        guest.sim.guest.poke(this.#data, Buffer.alloc(b));
        this.#read(name, b, guest.call('read', fd, this.#data, b));
        return;
      case 'write':
        this.#fill(b);
        this.#say(name, guest.call('write', fd, this.#data, b));
        return;
      case 'sendfd':
        this.#sendfd(fd, this.#fd(b), c);
        return;
      case 'recvfd':
        this.#recvfd(a, this.#fd(b), c);
        return;
      case 'evwrite': {
        const bytes = Buffer.alloc(8);
        bytes.writeBigUInt64LE(BigInt(words[2] ?? 0));
        guest.sim.guest.poke(this.#memory(0), bytes);
        this.#say(name, guest.call('write', fd, this.#memory(0), 8));
        return;
      }
      case 'shutdown':
        this.#say(name, guest.call('shutdown', fd, b));
        return;
      case 'ctl':
        this.#poke32(0, Number.parseInt(words[4] ?? '0', 16), b, 0);
        this.#say(name, guest.call('epoll_ctl', fd, c, this.#fd(b), this.#memory(0)));
        return;
      case 'resize':
        this.#say(name, guest.call('fcntl', fd, 1031, b));
        return;
      default:
        this.#look(name, fd, b, d);
    }
  }

  #look(name: string, fd: number, b: number, _d: number): void {
    const guest = this.#guest;
    switch (name) {
      case 'wait': {
        const count = guest.call('epoll_wait', fd, this.#memory(0), b, 0);
        const events = Array.from({ length: Math.max(count, 0) }, (_, index) => ({
          slot: this.#i32(index * 12 + 4),
          bits: this.#i32(index * 12) >>> 0,
        }));
        events.sort((one, other) => one.slot - other.slot || one.bits - other.bits);
        const shown = events.map(({ slot, bits }) => ` ${slot}:${bits.toString(16)}`);
        this.#output.push(`wait ${count}${shown.join('')}`);
        return;
      }
      case 'poll': {
        this.#poke32(0, fd, 0x7fdf);
        const ready = guest.call('poll', this.#memory(0), 1, 0);
        this.#output.push(`poll ${ready} ${(this.#i32(4) >>> 16).toString(16)}`);
        return;
      }
      case 'error': {
        this.#poke32(0, 0, 4);
        const failed = guest.call('getsockopt', fd, 1, 4, this.#memory(0), this.#memory(4));
        this.#say(name, failed < 0 ? failed : this.#i32(0));
        return;
      }
      case 'nread': {
        const failed = guest.call('ioctl', fd, 0x541b, this.#memory(0));
        this.#say(name, failed < 0 ? failed : this.#i32(0));
        return;
      }
      default:
        throw new Error(`no such word: ${name}`);
    }
  }

  #read(name: string, wanted: number, got: number): void {
    if (got <= 0) {
      this.#say(name, got);
      return;
    }
    const bytes = this.#guest.sim.guest.peek(this.#data, Math.min(got, wanted));
    this.#output.push(`${name} ${got} ${digest(bytes)}`);
  }

  /** Puts the address of a slot's socket into memory: its length, or -errno. */
  #addressOf(index: number): number {
    this.#poke32(SIZES.address, 128);
    const [address, length] = [this.#memory(0), this.#memory(SIZES.address)];
    const failed = this.#guest.call('getsockname', this.#fd(index), address, length);
    return failed < 0 ? failed : this.#i32(SIZES.address);
  }

  #bind(fd: number, name: number): void {
    this.#poke32(0, 0, 4);
    const guest = this.#guest;
    const failed = guest.call('getsockopt', fd, 1, 39, this.#memory(0), this.#memory(4));
    const domain = failed < 0 ? 1 : this.#i32(0);
    let address: Buffer;
    if (domain === 2) address = Buffer.from([2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    else if (domain === 10) {
      address = Buffer.alloc(28);
      address[0] = 10;
      address[23] = 1;
    } else address = Buffer.from(`\x01\0\0tg-00000000-00000000-${name}`, 'latin1');
    guest.sim.guest.poke(this.#memory(0), address);
    this.#say('bind', guest.call('bind', fd, this.#memory(0), address.length));
  }

  #sendto(fd: number, target: number, count: number): void {
    const length = this.#addressOf(target);
    if (length < 0) {
      this.#say('sendto', length);
      return;
    }
    this.#fill(count);
    const [data, address] = [this.#data, this.#memory(0)];
    this.#say('sendto', this.#guest.call('sendto', fd, data, count, NOSIGNAL, address, length));
  }

  /** A msghdr at 1024 with one buffer and 24 bytes of control data at 2048. */
  #header(count: number): number {
    const bytes = Buffer.alloc(80);
    bytes.writeBigUInt64LE(BigInt(this.#memory(1024 + 64)), 16);
    bytes.writeBigUInt64LE(1n, 24);
    bytes.writeBigUInt64LE(BigInt(this.#memory(2048)), 32);
    bytes.writeBigUInt64LE(24n, 40);
    bytes.writeBigUInt64LE(BigInt(this.#data), 64);
    bytes.writeBigUInt64LE(BigInt(count), 72);
    this.#guest.sim.guest.poke(this.#memory(1024), bytes);
    return this.#memory(1024);
  }

  #sendfd(through: number, sent: number, count: number): void {
    const header = this.#header(count);
    this.#poke32(2048, 20, 0, 1, 1, sent, 0);
    this.#fill(count);
    this.#say('sendfd', this.#guest.call('sendmsg', through, header, NOSIGNAL));
  }

  #recvfd(into: number, through: number, count: number): void {
    const got = this.#guest.call('recvmsg', through, this.#header(count), 0);
    if (got < 0) {
      this.#say('recvfd', got);
      return;
    }
    const hasControl = this.#i32(1024 + 40) > 0;
    const fd = hasControl && this.#i32(2048 + 12) === 1 ? this.#i32(2048 + 16) : -1;
    if (fd >= 0) this.#put(into, fd);
    const bytes = this.#guest.sim.guest.peek(this.#data, got);
    const flags = this.#i32(1024 + 48) & 0x28;
    this.#output.push(`recvfd ${got} ${digest(bytes)} ${fd >= 0 ? 'fd' : 'none'} ${flags}`);
  }
}
