/** Tests of skeleton-host.ts: complete, and refusing in words that help. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TardigradeError } from '../../base/errors.ts';
import { callClasses } from '../../lvm/classes.ts';
import { SkeletonHost } from './skeleton-host.ts';

test('every call is refused by one line that names the call and the remedy', () => {
  const host = new SkeletonHost() as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const call of Object.keys(callClasses)) {
    assert.throws(
      () => host[call]?.(),
      (error) => {
        assert.ok(error instanceof TardigradeError);
        assert.match(error.line, new RegExp(`\\b${call} is not implemented; run tardigrade on`));
        return true;
      },
      call,
    );
  }
});
