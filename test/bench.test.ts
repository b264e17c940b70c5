// The benchmarks are what they say: programs that assemble for both sizes, take exactly as many
// instructions as their table declares, give the same result by both engines, and the right one.

import { beforeAll, describe, expect, test } from 'vitest';
import { imageOf } from '../bench/images.ts';
import { optionsOf, UsageError } from '../bench/options.ts';
import { figures, geometricMean, ratios } from '../bench/statistics.ts';
import { SIZES, type Size, WORKLOADS, type Workload } from '../bench/workloads.ts';
import { Machine } from '../src/machine/index.ts';
import { benchResult } from './support/bench-results.ts';
import { checkedScenario, runToEnd } from './support/guest-run.ts';

function run(workload: Workload, size: Size, rounds: number, engine: 'interpreter' | 'compiled') {
  const { processors } = workload;
  const scenario = checkedScenario({
    engine,
    host: { pcpus: processors },
    vms: [{ program: 'image', vcpus: processors }],
    limits: { time: '1s', instructions: 20_000_000 },
  });
  const programs = [imageOf(workload, size, rounds).bytes];
  const { ending, report } = runToEnd(new Machine(scenario, { programs }));
  const { instructions, stateHash, output } = report;
  return { status: ending.status, instructions, stateHash, output };
}

/** Enough for compiled code to run, few enough for the interpreter. */
function roundsOf({ kind, processors, instructionsPerRound }: Workload): number {
  if (kind === 'multi') return Math.ceil(50 / processors);
  return instructionsPerRound === null || instructionsPerRound < 1000 ? 300 : 2;
}

const CASES = SIZES.flatMap((size) => WORKLOADS.map((workload) => ({ workload, size })));

describe.each(CASES)('$workload.name, $size bits', ({ workload, size }) => {
  const rounds = roundsOf(workload);
  let interpreted: ReturnType<typeof run>;

  beforeAll(() => {
    interpreted = run(workload, size, rounds, 'interpreter');
  });

  test('has the right result', () => {
    expect(interpreted).toMatchObject({
      status: 'exited',
      output: `${benchResult(workload, size, rounds).toString(16).padStart(8, '0')}\n`,
    });
  });

  test('takes the declared number of instructions', () => {
    const declared = workload.instructionsPerRound;
    if (declared === null) return;
    const once = run(workload, size, 1, 'interpreter');
    expect(interpreted.instructions - once.instructions).toBe((rounds - 1) * declared);
  });

  test('does the same compiled', () => {
    expect(run(workload, size, rounds, 'compiled')).toEqual(interpreted);
  });
});

describe('the command line of the benchmarks', () => {
  const peers = ['compiled', 'tcg'];

  test('takes everything if nothing is named', () => {
    const options = optionsOf([], peers);
    expect(options.workloads).toEqual(WORKLOADS);
    expect(options).toMatchObject({ sizes: [32, 64], peers: null, runs: 5 });
  });

  test.each([
    ['a workload', ['crx'], "unknown workload 'crx'; did you mean 'crc'?"],
    ['a peer', ['--peers', 'compiled,tgc'], "unknown peer 'tgc'; did you mean 'tcg'?"],
    ['bits', ['--bits', '16'], "--bits: expected 32 or 64, not '16'"],
    ['runs', ['--runs', '1.5'], "--runs: expected a whole number from 1, not '1.5'"],
    ['seconds', ['--seconds', '0'], "--seconds: expected a number above 0, not '0'"],
    ['a part of the document', ['alu', '--update'], '--update is for a run of everything'],
    ['a flag', ['--slow'], "Unknown option '--slow'"],
  ])('refuses %s that there is not', (_what, words, message) => {
    expect(() => optionsOf(words, peers)).toThrow(UsageError);
    expect(() => optionsOf(words, peers)).toThrow(message);
  });
});

test('figures are the median and the extremes', () => {
  expect(figures([3, 1, 2])).toEqual({ median: 2, least: 1, most: 3 });
  expect(figures([4, 1, 2, 3])).toEqual({ median: 2.5, least: 1, most: 4 });
  expect(() => figures([])).toThrow(RangeError);
  // Each with what was measured beside it: not the quotient of the medians.
  expect(ratios([10, 30, 20], [10, 10, 20])).toEqual({ median: 1, least: 1, most: 3 });
  expect(geometricMean([2, 8])).toBeCloseTo(4, 12);
});
