// A short, fixed part of `npm run engines`: random programs by both engines in lockstep.

import { expect, test } from 'vitest';
import { compareEngines } from './lockstep.ts';

const PROGRAMS = 500;

/** Seeds of programs that once did not: SUB, then RCR, then JL. */
const FOUND = [9242];

test('random programs do the same by both engines at every stop', () => {
  const differences: string[] = [];
  const sums = { instructions: 0, compiled: 0 };
  const seeds = Array.from({ length: PROGRAMS }, (_, i) => i + 1);
  for (const seed of [...FOUND, ...seeds]) {
    const { difference, instructions, compiled } = compareEngines(seed);
    if (difference !== null) differences.push(difference);
    sums.instructions += instructions;
    sums.compiled += compiled;
  }
  expect(differences.slice(0, 5)).toEqual([]);
  expect(sums.compiled / sums.instructions).toBeGreaterThan(0.3);
}, 300_000);
