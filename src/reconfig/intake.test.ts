/** What a backup takes, refuses and truncates. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ballot, epoch, replicaId } from '../base/ids.ts';
import { Intake } from './intake.ts';

const primary = replicaId(1);
const other = replicaId(2);

function following(last: number): Intake {
  const intake = new Intake();
  intake.promise(ballot(1), primary, null);
  intake.begin(epoch(0), epoch(0));
  for (let next = 1; next <= last; next++) {
    assert.equal(intake.store(primary, ballot(1), epoch(next), epoch(0)), true);
  }
  return intake;
}

describe('intake', () => {
  it('takes deltas in order from its source in its ballot only', () => {
    const intake = following(2);
    assert.equal(intake.offer(primary, ballot(1), epoch(3)), 'store');
    assert.equal(intake.offer(primary, ballot(1), epoch(2)), 'duplicate');
    assert.equal(intake.offer(primary, ballot(1), epoch(4)), 'gap');
    assert.equal(intake.offer(other, ballot(1), epoch(3)), 'refuse');
    assert.equal(intake.offer(primary, ballot(2), epoch(3)), 'refuse');
  });

  it('takes nothing before its state is whole', () => {
    const intake = new Intake();
    intake.promise(ballot(1), primary, null);
    assert.equal(intake.offer(primary, ballot(1), epoch(1)), 'refuse');
  });

  it('drops a delta that completes after a newer promise', () => {
    const intake = following(2);
    assert.equal(intake.offer(primary, ballot(1), epoch(3)), 'store');
    intake.promise(ballot(2), other, epoch(2));
    assert.equal(intake.store(primary, ballot(1), epoch(3), epoch(2)), false);
    assert.equal(intake.last, 2);
  });

  it('keeps, but does not acknowledge, what a candidate does not have', () => {
    const intake = following(5);
    intake.promise(ballot(2), other, epoch(3));
    assert.equal(intake.last, 5);
    assert.equal(intake.acknowledgeable, 3);
    assert.equal(intake.offer(other, ballot(2), epoch(4)), 'gap');
    intake.truncate(epoch(3));
    intake.follow();
    assert.equal(intake.offer(other, ballot(2), epoch(4)), 'store');
    assert.equal(intake.acknowledgeable, 3);
  });

  it('applies what is chosen and here, and truncates neither', () => {
    const intake = following(4);
    assert.equal(intake.appliable, 0);
    intake.learnChosen(epoch(9));
    assert.equal(intake.appliable, 4);
    intake.applied(epoch(3));
    assert.throws(() => intake.applied(epoch(2)), /applied/);
    assert.throws(() => intake.applied(epoch(5)), /not chosen or not here/);
    assert.throws(() => intake.truncate(epoch(2)), /below the image/);
    assert.throws(() => intake.truncate(epoch(3)), /below the chosen/);
  });

  it('never goes back on a promise', () => {
    const intake = following(0);
    intake.promise(ballot(3), null, null);
    assert.throws(() => intake.promise(ballot(2), other, null), /promised/);
    assert.equal(intake.offer(primary, ballot(1), epoch(1)), 'refuse');
  });
});
