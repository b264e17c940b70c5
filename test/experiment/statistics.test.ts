// Statistics against published tables and worked examples, and elementary functions against those
// of the language.

import { describe, expect, test } from 'vitest';
import { atan, exp, ln } from '../../src/experiment/elementary.ts';
import {
  compareDifferences,
  compareRatios,
  jainIndex,
  kendallTau,
  quantileOf,
  summarize,
  totalVariation,
  tQuantile,
} from '../../src/experiment/statistics.ts';

/** NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2: upper critical values. */
const T_TABLE = [
  [0.95, 1, 12.706],
  [0.95, 2, 4.303],
  [0.95, 3, 3.182],
  [0.95, 4, 2.776],
  [0.95, 9, 2.262],
  [0.95, 10, 2.228],
  [0.95, 19, 2.093],
  [0.95, 20, 2.086],
  [0.95, 29, 2.045],
  [0.95, 60, 2.0],
  [0.95, 100, 1.984],
  [0.9, 5, 2.015],
  [0.99, 1, 63.657],
  [0.99, 10, 3.169],
  [0.998, 30, 3.385],
] as const;

test.each(T_TABLE)('%s of t with %s degrees of freedom lies within %s', (part, degrees, t) => {
  expect(Math.abs(tQuantile(part, degrees) - t)).toBeLessThanOrEqual(0.00051);
});

test('many degrees of freedom come to the normal distribution', () => {
  expect(tQuantile(0.95, 100_000)).toBeCloseTo(1.95996, 3);
});

test('logarithm, exponential and arc tangent are those of the language, nearly', () => {
  const worst = { ln: 0, exp: 0, atan: 0 };
  const error = (ours: number, theirs: number) => Math.abs(ours - theirs) / Math.abs(theirs);
  for (let i = -2000; i <= 2000; i++) {
    const x = i / 7 + 0.01;
    worst.exp = Math.max(worst.exp, error(exp(x), Math.exp(x)));
    worst.atan = Math.max(worst.atan, error(atan(x / 20), Math.atan(x / 20)));
    const positive = Math.exp(x);
    worst.ln = Math.max(worst.ln, Math.abs(ln(positive) - Math.log(positive)));
  }
  expect(worst.exp).toBeLessThan(1e-13);
  expect(worst.atan).toBeLessThan(1e-14);
  expect(worst.ln).toBeLessThan(2e-13);
  expect([ln(1), exp(0), atan(0), ln(0), ln(-1)]).toEqual([0, 1, 0, Number.NaN, Number.NaN]);
  expect([exp(1000), exp(-1000), ln(5e-324)]).toEqual([Infinity, 0, Math.log(5e-324)]);
  expect(atan(-Infinity)).toBe(-Math.PI / 2);
});

describe('summaries', () => {
  test('mean, sd and interval', () => {
    const { mean, sd, halfWidth, count, min, max } = summarize([2, 4, 4, 4, 5, 5, 7, 9]);
    expect([mean, count, min, max]).toEqual([5, 8, 2, 9]);
    expect(sd).toBeCloseTo(Math.sqrt(32 / 7), 12);
    // t(0.975, 7) = 2.365 (the same table)
    expect(halfWidth).toBeCloseTo((2.3646 * Math.sqrt(32 / 7)) / Math.sqrt(8), 3);
  });

  test('of one value and of none', () => {
    const nothing = { sd: null, halfWidth: null };
    expect(summarize([3])).toEqual({ count: 1, mean: 3, min: 3, max: 3, ...nothing });
    expect(summarize([])).toEqual({ count: 0, mean: null, min: null, max: null, ...nothing });
  });
});

describe('paired comparisons', () => {
  test('of ratios are geometric', () => {
    const { effect, low, high, sign, count } = compareRatios([
      [1, 2],
      [10, 80],
    ]);
    expect([effect, count, sign]).toEqual([expect.closeTo(4, 12), 2, 0]);
    // Log ratios 1 and 3 in units of ln 2: mean 2, sd sqrt 2, t(0.975, 1) = 12.706.
    expect(Math.log2(low ?? 0)).toBeCloseTo(2 - 12.7062, 3);
    expect(Math.log2(high ?? 0)).toBeCloseTo(2 + 12.7062, 3);
  });

  test('say a sign if the interval excludes no effect', () => {
    const more = [1, 2, 3].map((x) => [x, 2 * x + 0.001 * x * x] as const);
    const less = more.map(([from, to]) => [to, from] as const);
    const signs = [more, less, [...more, ...less]].map((pairs) => compareRatios(pairs).sign);
    expect(signs).toEqual([1, -1, 0]);
    expect(compareDifferences([[1, 3]])).toEqual({
      count: 1,
      effect: 2,
      low: null,
      high: null,
      sign: 0,
    });
  });

  test('leave out what has no ratio', () => {
    expect(compareRatios([[0, 1]])).toMatchObject({ count: 0, effect: null });
  });
});

test("quantiles are R's and NumPy's", () => {
  // numpy.quantile([1, 2, 3, 4], [0.25, 0.5, 0.9]) and R's quantile(), type 7
  expect([0.25, 0.5, 0.9, 0, 1].map((part) => quantileOf([4, 1, 3, 2], part))).toEqual([
    1.75,
    2.5,
    expect.closeTo(3.7, 12),
    1,
    4,
  ]);
  expect(quantileOf([], 0.5)).toBeNaN();
});

test("Jain's index is the share of those who have as much as the rest", () => {
  // The property of section 2 of the paper: k of n with equal shares come to k / n.
  expect(jainIndex([5, 5, 5, 0, 0])).toBeCloseTo(0.6, 12);
  expect(jainIndex([7, 7])).toBe(1);
  // The example of its section 3: 50, 30 and 50 of 50, 10 and 10 each.
  expect(jainIndex([50 / 50, 30 / 10, 50 / 10])).toBeCloseTo(81 / 105, 12);
});

test("Kendall's tau-b", () => {
  // The example in the documentation of scipy.stats.kendalltau
  const [x, y] = [
    [12, 2, 1, 12, 2],
    [1, 4, 7, 1, 0],
  ];
  expect(kendallTau(x.map((a, i) => [a, y[i]]))).toBeCloseTo(-0.47140452079103173, 12);
});

test('total variation', () => {
  expect(totalVariation([1, 1], [10, 10])).toBe(0);
  expect(totalVariation([5], [0, 5])).toBe(1);
  expect(totalVariation([50, 50], [50, 25, 25])).toBeCloseTo(0.25, 12);
});
