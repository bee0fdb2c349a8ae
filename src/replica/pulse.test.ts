/** Tests of pulse.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TOKEN_BYTES } from '../replication/wire.ts';
import { Pulse } from './pulse.ts';

const token = Buffer.alloc(TOKEN_BYTES, 9);
const peers = [1, 2, 3].map((replica) => ({ replica, host: '127.0.0.1', port: 100 + replica }));

interface Sent {
  readonly datagram: Buffer;
  readonly port: number;
}

function bench(self: number, secret = token) {
  const sent: Sent[] = [];
  const heard: number[] = [];
  const clock = { nowMs: 0 };
  const pulse = new Pulse(
    {
      nowMs: () => clock.nowMs,
      send: (datagram, _host, port) => sent.push({ datagram, port }),
      heard: (replicas) => heard.push(...replicas),
    },
    { self, token: secret },
  );
  pulse.setPeers(peers);
  return { pulse, sent, heard, clock };
}

test('all others hear of it, each once a beat', () => {
  const one = bench(1);
  const two = bench(2);
  for (let beat = 0; beat < 3; beat += 1) one.pulse.beat();
  assert.deepEqual(
    one.sent.map(({ port }) => port),
    [102, 103, 102, 103, 102, 103],
  );
  for (const { datagram, port } of one.sent) if (port === 102) two.pulse.received(datagram);
  two.pulse.beat();
  two.pulse.beat();
  assert.deepEqual(two.heard, [1]);
});

test('what is not for it, or of another service, is nothing', () => {
  const one = bench(1);
  const stranger = bench(1, Buffer.alloc(TOKEN_BYTES, 8));
  const gone = bench(4);
  const two = bench(2);
  for (const { pulse } of [one, stranger, gone]) pulse.beat();
  const toThree = one.sent.find(({ port }) => port === 103) ?? assert.fail();
  const others = [...stranger.sent, ...gone.sent, toThree].map(({ datagram }) => datagram);
  const later = Buffer.from(one.sent[0]?.datagram ?? assert.fail());
  later.writeUInt16LE(2, 0);
  for (const datagram of [...others, later, Buffer.alloc(0), Buffer.alloc(70_000, 1)]) {
    two.pulse.received(datagram);
  }
  two.pulse.beat();
  assert.deepEqual(two.heard, []);
});

test('a sentry that hangs is not vouched for', () => {
  const { pulse, sent, clock } = bench(1);
  clock.nowMs = 9_000;
  pulse.beat();
  assert.equal(sent.length, 2);
  clock.nowMs = 11_000;
  pulse.beat();
  assert.equal(sent.length, 2);
  pulse.sentryLives();
  pulse.beat();
  assert.equal(sent.length, 4);
});
