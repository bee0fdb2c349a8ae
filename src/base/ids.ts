/**
 * The project's identifiers, each a type of its own so that one can't be given for another.
 * Imported everywhere; imports nothing.
 */

type Brand<T, Name extends string> = T & { readonly __brand: Name };

/** One incarnation of a replica; never reused within a service. Positive integer. */
export type ReplicaId = Brand<number, 'ReplicaId'>;
/** Orders configurations (Vertical Paxos). Positive integer. */
export type Ballot = Brand<number, 'Ballot'>;
/** Number of a checkpoint: the epoch that it ends. 0 is "no checkpoint yet". */
export type Epoch = Brand<number, 'Epoch'>;
/** An address in the guest's memory: below 2^47, so exact as a number. */
export type GuestAddress = Brand<number, 'GuestAddress'>;
/** A process id that the guest sees; never a host's. */
export type Pid = Brand<number, 'Pid'>;
/** A thread id that the guest sees; never a host's. */
export type Tid = Brand<number, 'Tid'>;
/** A handle of the LVM API: the checkpointer's or the host's name for a thing outside. */
export type Handle = Brand<number, 'Handle'>;
/** Identifies a kernel object of the library OS for as long as the guest lives. */
export type ObjectId = Brand<number, 'ObjectId'>;

export const replicaId = (value: number): ReplicaId => value as ReplicaId;
export const ballot = (value: number): Ballot => value as Ballot;
export const epoch = (value: number): Epoch => value as Epoch;
export const guestAddress = (value: number): GuestAddress => value as GuestAddress;
export const pid = (value: number): Pid => value as Pid;
export const tid = (value: number): Tid => value as Tid;
export const handle = (value: number): Handle => value as Handle;
export const objectId = (value: number): ObjectId => value as ObjectId;
