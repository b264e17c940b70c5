// What is said about samples: means with intervals, paired comparisons, fairness, agreement of
// orders and of distributions. Everything that experiments report is computed here.

import { atan, exp, ln } from './elementary.ts';

/** A sample in short. */
export interface Summary {
  readonly count: number;
  /** Null without values. */
  readonly mean: number | null;
  /** Of the sample (n - 1); null below two values. */
  readonly sd: number | null;
  /** Half the width of the 95 % t interval of the mean; null below two values. */
  readonly halfWidth: number | null;
  readonly min: number | null;
  readonly max: number | null;
}

/** Confidence of every interval. */
export const CONFIDENCE = 0.95;

export function summarize(values: readonly number[]): Summary {
  const count = values.length;
  if (count === 0) {
    return { count, mean: null, sd: null, halfWidth: null, min: null, max: null };
  }
  const mean = meanOf(values);
  const sd = count < 2 ? null : Math.sqrt(sumOf(values.map((x) => (x - mean) ** 2)) / (count - 1));
  const halfWidth = sd === null ? null : (tQuantile(CONFIDENCE, count - 1) * sd) / Math.sqrt(count);
  return { count, mean, sd, halfWidth, min: Math.min(...values), max: Math.max(...values) };
}

export function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** NaN without values. */
export function meanOf(values: readonly number[]): number {
  return sumOf(values) / values.length;
}

/** Two variants on the same seeds. */
export interface Paired {
  /** Pairs that could be compared. */
  readonly count: number;
  /** To / from (geometric mean), or to - from; null without pairs. */
  readonly effect: number | null;
  /** The 95 % interval of that; null below two pairs. */
  readonly low: number | null;
  readonly high: number | null;
  /** What the interval says: 1 if it lies above no effect, -1 below, 0 if it includes it. */
  readonly sign: -1 | 0 | 1;
}

/** Pairs are (from, to); those of a ratio whose values are not both positive do not count. */
export function compareRatios(pairs: readonly (readonly [number, number])[]): Paired {
  const usable = pairs.filter(([from, to]) => from > 0 && to > 0);
  return paired(
    usable.map(([from, to]) => ln(to / from)),
    exp,
  );
}

export function compareDifferences(pairs: readonly (readonly [number, number])[]): Paired {
  return paired(
    pairs.map(([from, to]) => to - from),
    (difference) => difference,
  );
}

function paired(effects: readonly number[], scale: (effect: number) => number): Paired {
  const { count, mean, halfWidth } = summarize(effects);
  if (mean === null) return { count, effect: null, low: null, high: null, sign: 0 };
  if (halfWidth === null) return { count, effect: scale(mean), low: null, high: null, sign: 0 };
  const [low, high] = [mean - halfWidth, mean + halfWidth];
  const sign = low > 0 ? 1 : high < 0 ? -1 : 0;
  return { count, effect: scale(mean), low: scale(low), high: scale(high), sign };
}

/**
 * The t below whose absolute value so much of Student's distribution lies. Exact but for rounding:
 * the distribution function for whole degrees of freedom is a finite sum (Abramowitz and Stegun,
 * 26.7.3 and 26.7.4), which is inverted by bisection.
 */
export function tQuantile(confidence: number, degrees: number): number {
  let low = 0;
  let high = 1;
  while (withinT(high, degrees) < confidence) high *= 2;
  for (let step = 0; step < 80; step++) {
    const middle = (low + high) / 2;
    if (withinT(middle, degrees) < confidence) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Probability that Student's t lies between -t and t. */
export function withinT(t: number, degrees: number): number {
  const sine = t / Math.sqrt(degrees + t * t);
  const cosineSquare = degrees / (degrees + t * t);
  const isOdd = degrees % 2 === 1;
  let sum = 0;
  let term = isOdd ? Math.sqrt(cosineSquare) : 1;
  for (let k = isOdd ? 1 : 0; k <= degrees - 2; k += 2) {
    sum += term;
    term *= ((k + 1) / (k + 2)) * cosineSquare;
  }
  if (!isOdd) return sine * sum;
  return (2 / Math.PI) * (atan(t / Math.sqrt(degrees)) + sine * sum);
}

/**
 * The value below which such a part of the sample lies, between neighbours by straight lines (type
 * 7 of Hyndman and Fan: what R and NumPy do by default). NaN without values.
 */
export function quantileOf(values: readonly number[], part: number): number {
  const ordered = [...values].sort((a, b) => a - b);
  const place = (ordered.length - 1) * part;
  const below = ordered[Math.floor(place)] ?? Number.NaN;
  const above = ordered[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place - Math.floor(place));
}

/**
 * Jain's fairness index: 1 if all have the same, 1 / n if one has everything (Jain, Chiu and Hawe,
 * 1984). NaN if nobody has anything.
 */
export function jainIndex(shares: readonly number[]): number {
  return sumOf(shares) ** 2 / (shares.length * sumOf(shares.map((share) => share ** 2)));
}

/**
 * Kendall's tau-b: how far two orders of the same things agree, from -1 to 1; ties are taken into
 * account (Kendall, 1945). NaN if all of one side are equal.
 */
export function kendallTau(pairs: readonly (readonly [number, number])[]): number {
  let agreeing = 0;
  let tiedLeft = 0;
  let tiedRight = 0;
  for (const [i, [a, b]] of pairs.entries()) {
    for (const [c, d] of pairs.slice(i + 1)) {
      agreeing += Math.sign(a - c) * Math.sign(b - d);
      if (a === c) tiedLeft++;
      if (b === d) tiedRight++;
    }
  }
  const all = (pairs.length * (pairs.length - 1)) / 2;
  return agreeing / Math.sqrt((all - tiedLeft) * (all - tiedRight));
}

/** Half the sum of the differences of two distributions over the same bins: 0 to 1. */
export function totalVariation(a: readonly number[], b: readonly number[]): number {
  const [allA, allB] = [sumOf(a), sumOf(b)];
  const bins = Math.max(a.length, b.length);
  let sum = 0;
  for (let bin = 0; bin < bins; bin++) {
    sum += Math.abs((a[bin] ?? 0) / allA - (b[bin] ?? 0) / allB);
  }
  return sum / 2;
}
