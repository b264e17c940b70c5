// The rules of co-scheduling on plain numbers: who is behind whom, where too much begins, and who
// gets which pCPU. Expectations are worked out by hand; the threshold is 100 throughout.

import { describe, expect, test } from 'vitest';
import {
  assignPlaces,
  fallBehind,
  isSkewed,
  type SkewMember,
  tooFarAhead,
  withoutSleptLead,
} from '../../src/host/skew.ts';

const THRESHOLD = 100;

/** `12` runs or waits, `z12` sleeps, `h12` is held; 12 behind the one that is furthest. */
function membersOf(text: string): SkewMember[] {
  return text.split(' ').map((word) => ({
    behind: Number(word.replace(/^\D/, '')),
    isAsleep: word.startsWith('z'),
    isHeld: word.startsWith('h'),
  }));
}

test.each([
  ['nobody waited', [0, 5], [0, 0], [0, 5]],
  ['one waited', [0, 0], [0, 7], [0, 7]],
  ['all waited for as long', [0, 5, 9], [4, 4, 4], [0, 5, 9]],
  ['the furthest waited, and one of the others is it now', [0, 5, 9], [7, 0, 0], [2, 0, 4]],
  ['a clock that is a turn behind', [0, 5], [0, -2], [0, 3]],
  ['one alone', [0], [50], [0]],
])('%s', (_, behind, waited, result) => {
  expect(fallBehind(behind, waited)).toEqual(result);
});

test.each([
  [[0, 99], false],
  [[0, 100], false],
  [[0, 101], true],
  [[0, 0, 101, 50], true],
  [[0], false],
])('strict: %j is skewed: %j', (behind, skewed) => {
  expect(isSkewed(behind, THRESHOLD)).toBe(skewed);
});

describe('relaxed', () => {
  test.each([
    ['all side by side', '0 0 0', '...'],
    ['at the threshold', '0 100', '..'],
    ['past it', '0 101', 'h.'],
    ['the one in the middle is not', '0 50 120', 'h..'],
    ['two are', '0 10 120', 'hh.'],
    ['who is held stays so past half of it', 'h0 51', 'h.'],
    ['and no longer at half of it', 'h0 50', '..'],
    ['others do not wait for half of it', 'h0 0 60', 'h..'],
    ['who sleeps is not held', 'z0 500', '..'],
    ['behind who sleeps others are', '0 z101', 'h.'],
    ['one alone never', '0', '.'],
  ])('%s: %s', (_, members, held) => {
    const expected = [...held].map((letter) => letter === 'h');
    expect(tooFarAhead(membersOf(members), THRESHOLD)).toEqual(expected);
  });

  test.each([
    ['nobody sleeps', '0 500', [0, 500]],
    ['the last one sleeps', '0 z500', [0, 500]],
    ['no further than the threshold', 'z0 100', [0, 100]],
    ['a long sleep', 'z0 500', [0, 100]],
    ['beside one who did not', '0 z0 500', [0, 400, 500]],
    ['two at different times', 'z0 z450 500', [0, 50, 100]],
  ])('sleep: %s: %s', (_, members, behind) => {
    expect(withoutSleptLead(membersOf(members), THRESHOLD)).toEqual(behind);
  });
});

test.each([
  ['everybody as they wish', [[0], [1], [2]], [0, 1, 2]],
  ['nobody', [], []],
  ['the first makes way, as it can', [[0, 1], [0]], [1, 0]],
  ['all move on', [[0, 1], [1, 2], [2, 3], [0]], [1, 2, 3, 0]],
  ['two for one place', [[0], [0]], null],
  [
    'three for two',
    [
      [0, 1],
      [1, 0],
      [0, 1],
    ],
    null,
  ],
  ['one without any', [[0], []], null],
])('places: %s', (_, wishes, places) => {
  expect(assignPlaces(wishes)).toEqual(places);
});
