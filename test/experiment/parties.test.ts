// Two parties that compile on the same pCPUs, as a fluid: cases that are solved by hand.

import { describe, expect, test } from 'vitest';
import { compilesOfTwo, type Party } from '../../src/experiment/published/parties.ts';

const HOST = { pcpus: 10, rounds: 2, offset: 0, goesOn: true };

/** 5 s serial, and 100 pCPU-seconds. */
const PARTY: Party = { serial: 5, parallel: 100, aloneRate: 10, sharedRate: 5 };

const rounded = (seconds: readonly number[]) => seconds.map((one) => Math.round(1e6 * one) / 1e6);

describe('two parties', () => {
  test('who begins when the other one has stopped is alone', () => {
    const host = { ...HOST, offset: 1000, goesOn: false };
    expect(rounded(compilesOfTwo([PARTY, PARTY], host))).toEqual([15, 15]);
  });

  test('who keeps in step share the parallel part, and nothing of the serial one', () => {
    expect(rounded(compilesOfTwo([PARTY, PARTY], HOST))).toEqual([25, 25]);
  });

  test('a serial part beside a parallel one takes twice as long, and half a pCPU', () => {
    // The second begins after 5 s, as the first becomes parallel: 10 s of half a pCPU in which
    // the first does 95 of its 100; then both are parallel, for 1 s.
    const host = { ...HOST, rounds: 1, offset: 5, goesOn: false };
    const [first, second] = compilesOfTwo([PARTY, PARTY], host);
    expect(first).toBeCloseTo(5 + 10 + 1, 9);
    // It has done 5 by then, and the rest alone.
    expect(second).toBeCloseTo(10 + 1 + 9.5, 9);
  });

  test('who goes on keeps taking from the other one', () => {
    const slow = { ...PARTY, parallel: 1000 };
    const [, stopped] = compilesOfTwo([PARTY, slow], { ...HOST, goesOn: false });
    const [, loaded] = compilesOfTwo([PARTY, slow], HOST);
    expect(loaded).toBeGreaterThan(1.3 * stopped);
  });
});
