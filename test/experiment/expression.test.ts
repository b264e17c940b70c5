// What outputs are: values of expressions on a report, and what is said of wrong ones.

import { describe, expect, test } from 'vitest';
import {
  evaluate,
  evaluateHistogram,
  NoValue,
  parseExpression,
} from '../../src/experiment/expression.ts';

const REPORT = {
  virtualNs: 2_000_000,
  status: 'halted',
  exits: [
    { name: 'HLT', count: 3 },
    { name: 'VMCALL', count: 4 },
  ],
  vcpus: [
    { times: { guestNs: 10, hostNs: 2 }, isGood: true },
    { times: { guestNs: 30, hostNs: 0 }, isGood: false },
  ],
  vms: [
    {
      results: { jobs: [5, 7, '18446744073709551615'], 'odd name': [9] },
      histograms: { latency: [0, 3, 0, 1] },
      output: '# bins\n000002 000005\n7 1\n',
    },
  ],
};

const NAMES = { report: REPORT, outputs: { time: 8 } };

function resultOf(text: string): number | string {
  const parsed = parseExpression(text);
  if ('problem' in parsed) return `${parsed.problem.offset}: ${parsed.problem.message}`;
  try {
    return evaluate(parsed.expression, NAMES);
  } catch (thrown) {
    if (thrown instanceof NoValue) return thrown.message;
    throw thrown;
  }
}

test.each([
  ['1 + 2 * 3 - 4 / 2', 5],
  ['2 - 3 - 4', -5],
  ['-(1 + 1) * .5e1', -10],
  ['virtualNs / 1e6', 2],
  ['vcpus[1].times.guestNs', 30],
  ['sum(vcpus[*].times.guestNs)', 40],
  ['mean(vcpus[*].times[guestNs])', 20],
  ['max(vcpus[*].times.guestNs, 99)', 99],
  ['min(exits[*].count)', 3],
  ['sum(exits[HLT].count)', 3],
  ['sum(exits[CPUID].count)', 0],
  ['exits[VMCALL].count * 2', 8],
  ['count(vcpus[*].isGood)', 2],
  ['mean(vcpus[*].isGood)', 0.5],
  ['quantile(vcpus[*].times.guestNs, 0.5)', 20],
  ['jain(vcpus[*].times.guestNs)', 0.8],
  ['sum(vms[0].results.jobs)', 2 ** 64 + 11],
  ['vms[0].results[odd name]', 9],
  ['histogram_total(vms[0].histograms.latency)', 4],
  ['histogram_mean(vms[0].histograms.latency)', 1.5],
  ['histogram_quantile(vms[0].output, 0.5)', 2],
  ['$time / 2', 4],
] as const)('%s is %s', (text, value) => {
  expect(resultOf(text)).toBe(value);
});

describe('what is wrong', () => {
  test.each([
    ['', '0: expected a number, a path or a function'],
    ['1 +', '3: expected a number, a path or a function'],
    ['1 2', "2: expected an operator or the end, not '2'"],
    ['(1', "2: expected ')'"],
    ['sun(exits)', "0: unknown function 'sun'; did you mean 'sum'?"],
    ['quantile(exits)', '0: quantile takes two arguments, the second a part'],
    ['vcpus[', "5: expected a name behind '.', or something and ']' behind '['"],
    ['vcpus[].x', '6: expected an index, a name or * in the brackets'],
    [`${'-'.repeat(200)}1`, '100: is nested too deeply'],
    ['virtualNS', "virtualNS: there is no 'virtualNS'; did you mean 'virtualNs'?"],
    ['vcpus[2].times', 'vcpus[2].times: there is no [2], only 2 of them'],
    ['vcpus.times', "vcpus.times: 'times' stands behind a list; [*] takes all of it"],
    [
      'vcpus[*].times.guestNs',
      'vcpus[*].times.guestNs has 2 values; sum(...), mean(...) and others make one of them',
    ],
    ['status', 'status is text, not a number'],
    ['vms[0].results', 'vms[0].results is a set of keys, not a number'],
    ['status.x', 'status.x goes on behind text'],
    ['1 / 0', 'is a division by zero'],
    ['mean(exits[CPUID].count)', 'is 0 / 0, or of no values'],
  ])('with %s', (text, message) => {
    expect(resultOf(text)).toBe(message);
  });

  test('no name reaches what objects inherit', () => {
    expect(resultOf('constructor')).toMatch(/there is no 'constructor'/);
    expect(resultOf('vms[0].__proto__.x')).toMatch(/there is no '__proto__'/);
  });
});

test('histograms are lists of counts, or lines VALUE COUNT', () => {
  const histogram = (text: string) => {
    const parsed = parseExpression(text);
    if ('problem' in parsed) throw new Error(parsed.problem.message);
    return evaluateHistogram(parsed.expression, NAMES);
  };
  expect(histogram('vms[0].histograms.latency')).toEqual([
    [1, 3],
    [3, 1],
  ]);
  expect(histogram('vms[0].output')).toEqual([
    [2, 5],
    [7, 1],
  ]);
});
