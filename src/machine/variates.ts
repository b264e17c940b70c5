// Tables of random numbers for programs: durations with a mean of one, in fixed point, which a
// guest scales with one multiplication. Each table holds the quantiles of its distribution in an
// order that the seed decides: its mean is that of the distribution, whatever the seed.

import { Prng } from '../sim/index.ts';

/** Values in a table. */
export const VARIATE_COUNT = 4096;

/** The value 1. */
export const VARIATE_ONE = 2 ** 16;

/** A value is exponentially distributed with this mean, in so many of 100 cases. */
interface Part {
  readonly percent: number;
  readonly mean: number;
}

/** Distributions by the label of their table. */
export const VARIATES = {
  variates_exponential: [{ percent: 100, mean: 1 }],
  // Nine locks in ten are held for a short time, one for long: the mean is 1 again.
  variates_hold: [
    { percent: 90, mean: 0.5 },
    { percent: 10, mean: 5.5 },
  ],
} as const satisfies Readonly<Record<string, readonly Part[]>>;

export type VariateLabel = keyof typeof VARIATES;

/**
 * A table: 32-bit numbers, {@link VARIATE_ONE} for the mean.
 * @param index of the virtual machine: each has numbers of its own
 */
export function variateTable(label: VariateLabel, seed: number, index: number): Uint32Array {
  const table = Uint32Array.from(quantiles(VARIATES[label]));
  const prng = streamOf(seed, index, Object.keys(VARIATES).indexOf(label));
  for (let i = table.length - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    [table[i], table[j]] = [table[j], table[i]];
  }
  return table;
}

/** A stream for each table of each machine, which no other user of the seed has. */
function streamOf(seed: number, index: number, table: number): Prng {
  const source = new Prng(seed);
  const words = Array.from({ length: index + 1 }, () => source.next());
  // Beyond 32 bits, so that it differs from every seed that is a small number.
  return new Prng((table + 1) * 2 ** 32 + words[index]);
}

/** The values in the middle of equally likely intervals. */
function* quantiles(parts: readonly Part[]): Iterable<number> {
  let begin = 0;
  let percent = 0;
  for (const part of parts) {
    percent += part.percent;
    const end = Math.round((VARIATE_COUNT * percent) / 100);
    for (let i = begin; i < end; i++) {
      const probability = (i - begin + 0.5) / (end - begin);
      yield Math.round(-part.mean * VARIATE_ONE * logarithm(1 - probability));
    }
    begin = end;
  }
}

/** Terms after which nothing is left of the series below for numbers from 1 to 2. */
const TERMS = 20;

/**
 * The natural logarithm of a number from 0 to 1, without 0: that of JavaScript may differ from
 * engine to engine in the last bit. ln m = 2 artanh((m - 1) / (m + 1)).
 */
function logarithm(x: number): number {
  let mantissa = x;
  let exponent = 0;
  while (mantissa < 1) {
    mantissa *= 2;
    exponent--;
  }
  const z = (mantissa - 1) / (mantissa + 1);
  let power = z;
  let sum = 0;
  for (let i = 0; i < TERMS; i++) {
    sum += power / (2 * i + 1);
    power *= z * z;
  }
  return exponent * Math.LN2 + 2 * sum;
}
