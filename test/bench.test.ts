// The benchmarks are what they say: programs that assemble for both sizes, take exactly as many
// instructions as their table declares, give the same result by both engines, and the right one.

import { beforeAll, describe, expect, test } from 'vitest';
import { chart } from '../bench/chart.ts';
import { contendedCells } from '../bench/contended.ts';
import { COUNTERS, instructionsIn } from '../bench/counts.ts';
import { runMilliseconds, wayBack } from '../bench/debugging.ts';
import { imageOf } from '../bench/images.ts';
import type { Measurement } from '../bench/measure.ts';
import { optionsOf, UsageError } from '../bench/options.ts';
import { joined, type Results } from '../bench/results.ts';
import { figures, geometricMean, ratios } from '../bench/statistics.ts';
import { resultText } from '../bench/tables.ts';
import { type Size, sizesOf, WORKLOADS, type Workload } from '../bench/workloads.ts';
import { Machine } from '../src/machine/index.ts';
import { benchResult } from './support/bench-results.ts';
import { checkedScenario, compileEarly, runToEnd } from './support/guest-run.ts';

function run(workload: Workload, size: Size, rounds: number, engine: 'interpreter' | 'compiled') {
  const { processors, guests = 1 } = workload;
  const vms = Array.from({ length: guests }, () => ({ program: 'image', vcpus: processors }));
  const scenario = checkedScenario({
    ...{ engine, host: { pcpus: processors }, vms },
    limits: { time: '1s', instructions: 20_000_000 },
  });
  const programs = vms.map(() => imageOf(workload, size, rounds).bytes);
  const machine = compileEarly(new Machine(scenario, { programs }), 16);
  const { ending, report } = runToEnd(machine);
  const { instructions, stateHash, output } = report;
  return { status: ending.status, instructions, stateHash, output };
}

/** Enough for compiled code to run, few enough for the interpreter. */
function roundsOf({ kind, processors, guests = 1, instructionsPerRound }: Workload): number {
  if (kind === 'multi') return Math.ceil(50 / processors / guests);
  return instructionsPerRound === null || instructionsPerRound < 1000 ? 300 : 2;
}

const CASES = WORKLOADS.flatMap((workload) =>
  sizesOf(workload).map((size) => ({ workload, size })),
);

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
    ['a part of the document', ['alu', '--update'], 'needs --with for all the rest'],
    ['a flag', ['--slow'], "Unknown option '--slow'"],
  ])('refuses %s that there is not', (_what, words, message) => {
    expect(() => optionsOf(words, peers)).toThrow(UsageError);
    expect(() => optionsOf(words, peers)).toThrow(message);
  });
});

describe('counting instructions of this machine', () => {
  const [perf, valgrind] = COUNTERS;

  test.each([
    ['perf stat', perf, '1234567;;instructions:u;8012345;100.00;;\n', 1_234_567],
    ['perf stat, English', perf, 'x\n98;;instructions:u;1;100.00;1.2;insn per cycle\n', 98],
    ['perf stat in a guest', perf, '<not supported>;;instructions:u;0;100.00;;\n', null],
    ['valgrind', valgrind, '==7== \n==7== I   refs:      5,742,270,605\n', 5_742_270_605],
    ['valgrind, another locale', valgrind, '==7== I refs: 5.742.270\n', 5_742_270],
    ['neither', valgrind, 'valgrind: command not found\n', null],
  ])('reads what %s prints', (_what, counter, output, expected) => {
    expect(instructionsIn(counter, output)).toBe(expected);
  });

  test('is asked for by a flag', () => {
    expect(optionsOf(['alu', '--counts'], [])).toMatchObject({ counts: true });
    expect(optionsOf(['alu'], [])).toMatchObject({ counts: false });
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

test('the debugger is measured going back as far as is said', () => {
  const { instructions, ...times } = wayBack({ ahead: 4_000_000, back: 1_000_000 });
  // To an event between two that were seen on the way there.
  expect(instructions).toBeGreaterThan(900_000);
  expect(instructions).toBeLessThan(1_100_000);
  expect(Object.values(times).every((time) => time > 0)).toBe(true);
  expect(runMilliseconds(true, 20_000)).toBeGreaterThan(0);
  expect(runMilliseconds(false, 20_000)).toBeGreaterThan(0);
});

describe('results', () => {
  const measured = (workload: string, peer: string, rates: readonly number[]): Measurement => ({
    ...{ workload, size: 64, peer, rates, rounds: 10, startSeconds: 0.1 },
  });
  const results = (measurements: readonly Measurement[]): Results => {
    const peers = ['compiled', 'tcg'].map((name) => ({
      ...{ name, title: name, version: '1', isPresent: true },
    }));
    const around = { date: '2026-01-01', machine: 'test', node: 'v20', runs: 3, startUp: [] };
    return { ...around, peers, measurements };
  };

  test('say what holds, by what was measured in turn', () => {
    const text = resultText(
      results([
        measured('alu', 'compiled', [4e9, 2e9, 4e9]),
        measured('alu', 'tcg', [1e9, 2e9, 1e9]),
        measured('fib', 'compiled', [1e9, 1e9, 1e9]),
        measured('fib', 'tcg', [4e9, 4e9, 4e9]),
      ]),
    ).join('\n');
    expect(text).toContain('| alu | 4.00 (1.00 to 4.00) |');
    expect(text).toMatch(
      /geometric mean .* TCG.* \| at least 2 \| 1\.00 \| missed by a factor of 2\.00/,
    );
    expect(text).toMatch(/least ratio to QEMU TCG.* \| at least 0\.8 \| 0\.250 \| missed by/);
    expect(text).not.toContain('v86');
  });

  test('say what the debugger costs, and keep it when others are measured anew', () => {
    const one = (median: number) => ({ median, least: median, most: median });
    const debugging = {
      ...{ attached: one(1.2), firstMilliseconds: one(40), againMilliseconds: one(2000) },
    };
    const { debugging: kept } = joined(results([]), { ...results([]), debugging });
    expect(kept).toEqual(debugging);
    const text = resultText({ ...results([]), debugging }).join('\n');
    expect(text).toMatch(/debugger attached .* \| below 1\.05 \| 1\.20 \| missed by a factor/);
    expect(text).toMatch(/go back 10 million .* the first time \| below 1000 \| 40\.0 \| held/);
    expect(text).toMatch(/the same again \| below 1000 \| 2000 \| missed by a factor of 2\.00/);
  });

  test('of two contending guests are of the cells of x2', () => {
    const cells = contendedCells().map(({ levels, document }) => {
      const vms = document.vms as readonly { readonly vcpus: number }[];
      return [levels.lock, ...vms.map(({ vcpus }) => vcpus)];
    });
    expect(cells).toEqual([
      ['tas', 28, 28],
      ['pv-qspinlock', 28, 28],
    ]);
  });

  test('say what two contending guests cost, the dearest lock', () => {
    const one = (lock: string, median: number) => ({
      ...{ lock, secondsPerSecond: { median, least: median, most: median } },
      ...{ lockOperations: 276_000, executedInstructions: 21_300_000 },
      skippedCycles: { delays: 55.3e9, waits: 0.385e9, idle: 0 },
    });
    const contended = [one('tas', 0.75), one('pv-qspinlock', 1.5)];
    const kept = joined(results([]), { ...results([]), contended });
    const text = resultText(kept).join('\n');
    expect(text).toContain('| tas | 0.750 (0.750 to 0.750) | 0.276 | 21.3 | 55.3 | 0.385 | 0.00 |');
    expect(text).toMatch(
      /two contending guests.* \| below 1 \| 1\.50 \| missed by a factor of 1\.50/,
    );
  });

  test('are joined by whole workloads', () => {
    const earlier = results([
      measured('alu', 'compiled', [1]),
      measured('alu', 'tcg', [1]),
      measured('fib', 'tcg', [3]),
    ]);
    const { measurements } = joined(results([measured('alu', 'compiled', [2])]), earlier);
    expect(measurements.map(({ workload, peer, rates }) => [workload, peer, rates[0]])).toEqual([
      ['alu', 'compiled', 2],
      ['fib', 'tcg', 3],
    ]);
  });

  test('a chart has a bar for each and needs nothing from elsewhere', () => {
    const html = chart(
      results([measured('alu', 'compiled', [4e9]), measured('alu', 'tcg', [1e9])]),
    );
    expect(html.match(/<rect /g)).toHaveLength(2);
    expect(html).not.toMatch(/<script|https?:|<link/);
  });
});
