// Conversions against exact arithmetic, chiefly around the values at which they step.

import { describe, expect, test } from 'vitest';
import { Frequency, Prng } from '../../src/sim/index.ts';

const NS_PER_MS = 1_000_000n;

const exactNs = (cycles: number, khz: number) => (BigInt(cycles) * NS_PER_MS) / BigInt(khz);
const exactCycles = (ns: number, khz: number) => (BigInt(ns) * BigInt(khz)) / NS_PER_MS;

/** Round numbers, odd ones, and one cycle a millisecond. */
const KHZ = [1, 7, 1000, 999_999, 1_000_000, 1_000_001, 2_600_000, 2_893_200, 5_999_993];

/** Numbers up to a limit, more of them around multiples of a step. */
function* samples(limit: number, step: number, prng: Prng): Generator<number> {
  yield* [0, 1, 2, step - 1, step, step + 1, limit - 1, limit].filter((x) => x >= 0 && x <= limit);
  for (let n = 0; n < 300; n++) {
    const scale = 2 ** -prng.below(50);
    const any = Math.floor(limit * scale * (prng.next() / 2 ** 32));
    yield any;
    const multiple = Math.floor(any / step) * step;
    yield* [multiple, multiple + 1, Math.max(multiple - 1, 0)];
  }
}

/** Results must stay exact themselves. */
const largest = (factor: number) =>
  Math.floor(Number.MAX_SAFE_INTEGER / Math.max(1, factor)) - 10_000_000;

describe.each(KHZ)('%s kHz', (khz) => {
  const frequency = new Frequency(khz);
  const prng = new Prng(khz);

  test('toNs rounds down', () => {
    for (const cycles of samples(largest(1_000_000 / khz), khz, prng)) {
      expect(BigInt(frequency.toNs(cycles)), `${cycles}`).toBe(exactNs(cycles, khz));
    }
  });

  test('toCycles rounds down', () => {
    for (const ns of samples(largest(khz / 1_000_000), 1_000_000, prng)) {
      expect(BigInt(frequency.toCycles(ns)), `${ns}`).toBe(exactCycles(ns, khz));
    }
  });

  test('firstCycleAt is the first, and its predecessor is too early', () => {
    const limit = Math.min(largest(khz / 1_000_000), largest(1_000_000 / khz));
    for (const ns of samples(limit, 1_000_000, prng)) {
      const first = frequency.firstCycleAt(ns);
      expect(exactNs(first, khz) >= BigInt(ns), `${ns}`).toBe(true);
      if (first > 0) expect(exactNs(first - 1, khz) < BigInt(ns), `${ns}`).toBe(true);
    }
  });
});
