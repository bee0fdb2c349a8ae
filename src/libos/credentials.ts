/**
 * Credentials: the ids of a process (credentials(7)). The guest begins as root of its own machine
 * and may become somebody else; the host never learns of it. Part of the process's record.
 */
import type { Decoder, Encoder } from '../base/codec.ts';

/** Real, effective, saved and file system id: of the user, or of the group. */
export class IdSet {
  real = 0;
  effective = 0;
  saved = 0;
  fs = 0;

  /** Whether a process without privilege may take this id. */
  has(id: number): boolean {
    return id === this.real || id === this.effective || id === this.saved;
  }

  /** Sets those that are given; the file system id follows the effective one. */
  set(real: number | null, effective: number | null, saved: number | null): void {
    this.real = real ?? this.real;
    this.effective = effective ?? this.effective;
    this.saved = saved ?? this.saved;
    this.fs = this.effective;
  }

  save(encoder: Encoder): void {
    encoder.u32(this.real).u32(this.effective).u32(this.saved).u32(this.fs);
  }

  load(decoder: Decoder): void {
    this.real = decoder.u32();
    this.effective = decoder.u32();
    this.saved = decoder.u32();
    this.fs = decoder.u32();
  }
}

export class Credentials {
  readonly user = new IdSet();
  readonly group = new IdSet();
  /** Supplementary groups, as setgroups(2) was given them. */
  groups: readonly number[] = [];

  /** CAP_SETUID, CAP_SETGID and the like go with the effective user. */
  get isPrivileged(): boolean {
    return this.user.effective === 0;
  }

  save(encoder: Encoder): void {
    this.user.save(encoder);
    this.group.save(encoder);
    encoder.u32(this.groups.length);
    for (const group of this.groups) encoder.u32(group);
  }

  load(decoder: Decoder): void {
    this.user.load(decoder);
    this.group.load(decoder);
    this.groups = Array.from({ length: decoder.u32() }, () => decoder.u32());
  }
}
