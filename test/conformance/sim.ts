/**
 * Makes a SimHost fit for the conformance suite, bare or below interposers.
 */
import { SimHost } from '../../src/host/sim/sim-host.ts';
import type { Lvm } from '../../src/lvm/api.ts';
import { type HostUnderTest, type OutsidePeer, surroundings } from './bench.ts';

/** `wrap` puts interposers on the host. */
export function simUnderTest(wrap: (host: Lvm) => Lvm = (host) => host): HostUnderTest {
  const sim = new SimHost({
    root: surroundings.root,
    published: [surroundings.published],
    checksProgram: true,
  });
  return {
    lvm: wrap(sim),
    connect(port): OutsidePeer {
      const peer = sim.connect(port);
      return {
        send: (data) => {
          peer.send(data);
        },
        take: () => peer.received(),
        get isEnded() {
          return peer.isEnded;
        },
        get isReset() {
          return peer.isReset;
        },
        end: () => peer.end(),
        reset: () => peer.reset(),
      };
    },
    step: () => sim.settle(),
    pass: (durationNs) => sim.advance(durationNs),
    output: (stream) => Buffer.from(sim.output(stream)),
    input: (data) => {
      sim.input(data);
    },
    endInput: () => sim.endInput(),
    close: () => {},
  };
}
