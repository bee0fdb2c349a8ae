/** The image of a program that takes the place of another (execve). Used by LinuxHost. */
import { present } from '../../base/assert.ts';
import type { Tid } from '../../base/ids.ts';
import type { GuestImage, ProcessContext } from '../../lvm/api.ts';

/**
 * `image` is the new program's. It goes on in the thread `caller` of `context` (stopped), with what
 * that has of signals.
 */
export function succeed(
  image: GuestImage,
  context: ProcessContext,
  caller: Tid,
  signalActions: ReadonlyMap<number, Uint8Array>,
): GuestImage {
  const copies = (signals: readonly Uint8Array[]) => signals.map((info) => Buffer.from(info));
  const thread = present(image.context.threads[0], 'the first thread');
  const before = present(
    context.threads.find((candidate) => candidate.thread === caller),
    'the calling thread',
  );
  const { signalMask } = before;
  const pendingSignals = copies(before.pendingSignals);
  return {
    ...image,
    context: {
      pendingSignals: copies(context.pendingSignals),
      threads: [{ ...thread, signalMask, pendingSignals }],
    },
    setup: { ...image.setup, signalActions },
  };
}
