// Weights, virtual run time and slices, bit by bit: the vectors of kvm-host.md 8.1, and an
// independent BigInt version of __calc_delta on numbers of all sizes.

import { describe, expect, test } from 'vitest';
import { fairTunables, shareOfPeriod, virtualRuntime, weightOfNice } from '../../src/host/index.ts';
import { Prng } from '../../src/sim/index.ts';
import * as reference from '../support/cfs-reference.ts';

describe('weights', () => {
  test('are those of sched_prio_to_weight', () => {
    expect(reference.NICE_LEVELS.map(weightOfNice)).toEqual(reference.WEIGHTS);
  });

  test.each([-21, 20, 0.5, Number.NaN])('are not defined for nice %d', (nice) => {
    expect(() => weightOfNice(nice)).toThrow(RangeError);
  });
});

describe('virtual run time', () => {
  test.each([
    [-20, 11536],
    [-10, 107247],
    [-5, 328099],
    [-1, 801879],
    [0, 1000000],
    [1, 1248780],
    [5, 3056716],
    [10, 9309090],
    [19, 68266666],
  ])('of 1,000,000 ns at nice %i is %i', (nice, expected) => {
    expect(virtualRuntime(1_000_000, nice)).toBe(expected);
  });

  test('agrees with __calc_delta at every nice level, for deltas up to an hour', () => {
    const prng = new Prng(1);
    for (const nice of reference.NICE_LEVELS) {
      const deltas = [0, 1, 2, 999, 1_000_000, 4_000_000, 2 ** 32 - 1, 2 ** 32, 3600e9];
      for (let i = 0; i < 50; i++) deltas.push(prng.below(2 ** (1 + prng.below(32))));
      for (const delta of deltas) {
        const found = { nice, delta, vruntime: virtualRuntime(delta, nice) };
        expect(found).toEqual({ nice, delta, vruntime: reference.vruntime(delta, nice) });
      }
    }
  });
});

describe('shares of a period', () => {
  test.each([
    [2, 8_999_995],
    [3, 5_999_998],
  ])('of 18 ms for %i equal threads are %i ns each', (count, expected) => {
    expect(shareOfPeriod(18_000_000, 1024, 1024 * count)).toBe(expected);
  });

  test('agree with __calc_delta for random queues', () => {
    const prng = new Prng(2);
    const tunables = { ...fairTunables(4, 250), minGranularityNs: 0 };
    for (let i = 0; i < 500; i++) {
      const all = Array.from({ length: 1 + prng.below(8) }, () => prng.below(40) - 20);
      const load = all.reduce((sum, nice) => sum + reference.weight(nice), 0);
      const [nice] = all;
      const share = shareOfPeriod(tunables.latencyNs, weightOfNice(nice), load);
      expect({ all, share }).toEqual({ all, share: reference.slice(nice, all, tunables) });
    }
  });
});

describe('tunables', () => {
  // kvm-host.md 8.2, in ms: latency, minimal granularity, wake-up granularity.
  test.each([
    [1, 6, 0.75, 1],
    [2, 12, 1.5, 2],
    [3, 12, 1.5, 2],
    [4, 18, 2.25, 3],
    [7, 18, 2.25, 3],
    [8, 24, 3, 4],
    [28, 24, 3, 4],
    [256, 24, 3, 4],
  ])('on %i pCPUs: %d, %d and %d ms', (pcpus, latency, granularity, wakeup) => {
    expect(fairTunables(pcpus, 250)).toEqual({
      latencyNs: latency * 1e6,
      minGranularityNs: granularity * 1e6,
      wakeupGranularityNs: wakeup * 1e6,
      nrLatency: 8,
      hasSkipBuddy: true,
      tickNs: 4_000_000,
    });
  });
});
