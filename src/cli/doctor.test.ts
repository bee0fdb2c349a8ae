/** Tests of doctor with machines that it is told of, and with this one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TardigradeError } from '../base/errors.ts';
import type { KernelFeature } from '../lvm/features.ts';
import { type DoctorDeps, doctorText, examine, isAtLeast, requireFeatures } from './doctor.ts';

const good: DoctorDeps = {
  platform: 'linux',
  arch: 'x64',
  release: '6.18.1-generic',
  nodeVersion: '20.20.2',
  readText: (path) => (path.endsWith('max_user_namespaces') ? '1000\n' : null),
  canOpen: () => true,
  probe: async () => [feature('PAGEMAP_SCAN', true, true)],
};

function feature(name: string, ok: boolean, required: boolean): KernelFeature {
  return { name, ok, required, detail: 'detail', remedy: 'do something' };
}

const missing = async (change: Partial<DoctorDeps>): Promise<readonly string[]> => {
  const features = await examine({ ...good, ...change });
  return features.filter(({ ok }) => !ok).map(({ name }) => name);
};

test('a machine that has everything passes', async () => {
  assert.deepEqual(await missing({}), []);
  await requireFeatures(good);
  assert.match(doctorText(await examine(good)), /This machine can run guests\.\n$/);
});

test('each thing that is missing is found', async () => {
  assert.deepEqual(await missing({ arch: 'arm64' }), ['Linux on x86-64']);
  assert.deepEqual(await missing({ release: '6.6.30' }), ['kernel 6.7']);
  assert.deepEqual(await missing({ nodeVersion: '18.20.0' }), ['Node 20.19']);
  assert.deepEqual(await missing({ canOpen: () => false }), ['pagemap readable']);
  const scope = (value: string) => (path: string) => (path.includes('yama') ? value : '1000');
  assert.deepEqual(await missing({ readText: scope('1\n') }), []);
  assert.deepEqual(await missing({ readText: scope('2\n') }), ['ptrace of own children']);
  assert.deepEqual(await missing({ readText: () => null }), ['user namespaces']);
  assert.deepEqual(await missing({ probe: () => Promise.reject(new Error('no binary')) }), [
    'koffi',
  ]);
  const probe = async () => [feature('PAGEMAP_SCAN', false, true)];
  assert.deepEqual(await missing({ probe }), ['PAGEMAP_SCAN']);
});

test('only what is needed keeps a guest from starting, and the remedy is told', async () => {
  await requireFeatures({ ...good, readText: () => null });
  await assert.rejects(
    requireFeatures({ ...good, release: '5.10.0' }),
    (error) =>
      error instanceof TardigradeError &&
      error.code === 'kernel' &&
      /kernel 6.7 is missing \(5.10.0\); boot Linux 6.7 or newer .*doctor/.test(error.line),
  );
  const text = doctorText(await examine({ ...good, release: '5.10.0' }));
  assert.match(text, /MISSING {2}kernel 6.7 .*5.10.0\n +-> boot Linux/);
  assert.match(text, /can't run guests: 1 thing is missing/);
});

test('versions compare by number', () => {
  assert.equal(isAtLeast('6.10.0', [6, 7]), true);
  assert.equal(isAtLeast('6.7.0-rc1', [6, 7]), true);
  assert.equal(isAtLeast('7.0', [6, 7]), true);
  assert.equal(isAtLeast('5.19', [6, 7]), false);
});
