// xoshiro128** and SplitMix32 written down again over BigInt, from their published definitions.

import { describe, expect, test } from 'vitest';
import { Prng, type PrngState } from '../../src/sim/index.ts';

const WORD = 0xffff_ffffn;

function rotl(x: bigint, count: bigint): bigint {
  return ((x << count) | (x >> (32n - count))) & WORD;
}

/** Blackman and Vigna, xoshiro128starstar.c: the result and the next state. */
function reference(s: readonly bigint[]): { result: bigint; next: bigint[] } {
  const [s0, s1, s2, s3] = s as [bigint, bigint, bigint, bigint];
  const result = (rotl((s1 * 5n) & WORD, 7n) * 9n) & WORD;
  const t = (s1 << 9n) & WORD;
  const a2 = s2 ^ s0;
  const a3 = s3 ^ s1;
  return { result, next: [s0 ^ a3, s1 ^ a2, a2 ^ t, rotl(a3, 11n)] };
}

function splitMix32(seed: bigint): bigint[] {
  let x = seed;
  return Array.from({ length: 4 }, () => {
    x = (x + 0x9e3779b9n) & WORD;
    let z = x ^ (x >> 16n);
    z = (z * 0x21f0aaadn) & WORD;
    z ^= z >> 15n;
    z = (z * 0x735a2d97n) & WORD;
    return z ^ (z >> 15n);
  });
}

describe('Prng', () => {
  test('gives the first words that other implementations of xoshiro128** give', () => {
    const prng = new Prng(0);
    prng.state = [1, 2, 3, 4];
    expect(Array.from({ length: 10 }, () => prng.next())).toEqual([
      ...[11520, 0, 5927040, 70819200, 2031721883],
      ...[1637235492, 1287239034, 3734860849, 3729100597, 4258142804],
    ]);
  });

  test.each([0, 1, 42, 0xdead_beef, 0xffff_ffff])('follows the definition from seed %s', (seed) => {
    const prng = new Prng(seed);
    let state = splitMix32(BigInt(seed));
    expect(prng.state.map(BigInt)).toEqual(state);
    for (let n = 0; n < 1000; n++) {
      const { result, next } = reference(state);
      expect(BigInt(prng.next())).toBe(result);
      state = next;
    }
    expect(prng.state.map(BigInt)).toEqual(state);
  });

  test('both halves of a seed count', () => {
    const first = (seed: number) => new Prng(seed).next();
    const seeds = [0, 1, 2, 3 * 2 ** 32, 2 ** 40, 2 ** 52 + 5, -1];
    expect(new Set(seeds.map(first)).size).toBe(seeds.length);
    expect(first(2 ** 32 + 7)).not.toBe(first(7));
  });

  test('a restored state continues the stream', () => {
    const prng = new Prng(7);
    for (let n = 0; n < 5; n++) prng.next();
    const saved = JSON.parse(JSON.stringify(prng.state)) as PrngState;
    const wanted = Array.from({ length: 20 }, () => prng.next());
    const other = new Prng(0);
    other.state = saved;
    expect(Array.from({ length: 20 }, () => other.next())).toEqual(wanted);
  });

  describe('below', () => {
    test.each([1, 2, 3, 10, 256, 1000])('stays below %s and reaches everything', (bound) => {
      const prng = new Prng(bound);
      const seen = new Set<number>();
      for (let n = 0; n < 20 * bound; n++) seen.add(prng.below(bound));
      expect([...seen].every((x) => Number.isInteger(x) && x >= 0 && x < bound)).toBe(true);
      expect(seen.size).toBe(bound);
    });

    test('rejects the words that would favour small results', () => {
      // 3 * 2^30 is reached by the first 3/4 of the words; the last quarter must not count.
      const bound = 3 * 2 ** 30;
      const prng = new Prng(5);
      const words = new Prng(5);
      for (let n = 0; n < 1000; n++) {
        let word = words.next();
        while (word >= bound) word = words.next();
        expect(prng.below(bound)).toBe(word);
      }
    });

    test('takes every word for a bound of 2^32', () => {
      const [prng, words] = [new Prng(6), new Prng(6)];
      for (let n = 0; n < 100; n++) expect(prng.below(2 ** 32)).toBe(words.next());
    });
  });
});
