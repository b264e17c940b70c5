// A short, fixed part of `npm run engines`: random programs by both engines in lockstep.

import { expect, test } from 'vitest';
import { compareEngines } from './lockstep.ts';

const PROGRAMS = 500;

test('random programs do the same by both engines at every stop', () => {
  const differences: string[] = [];
  const sums = { instructions: 0, compiled: 0, skipped: 0 };
  for (let seed = 1; seed <= PROGRAMS; seed++) {
    const { difference, instructions, compiled, skipped } = compareEngines(seed);
    if (difference !== null) differences.push(difference);
    sums.instructions += instructions;
    sums.compiled += compiled;
    sums.skipped += skipped;
  }
  expect(differences.slice(0, 5)).toEqual([]);
  expect(sums.compiled / sums.instructions).toBeGreaterThan(0.3);
  expect(sums.skipped).toBeGreaterThan(1000);
}, 300_000);

/** Programs that once found something. */
test.each([400_237])('program %d does the same by both engines', (seed) => {
  expect(compareEngines(seed).difference).toBeNull();
});
