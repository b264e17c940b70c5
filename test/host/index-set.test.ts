// The set of those that take turns, against Set.

import { expect, test } from 'vitest';
import { IndexSet } from '../../src/host/index-set.ts';
import { Prng } from '../../src/sim/index.ts';

test.each([1, 31, 32, 33, 64, 100])('finds the next one of %i numbers', (size) => {
  const prng = new Prng(size);
  const set = new IndexSet(size);
  const peer = new Set<number>();
  for (let step = 0; step < 300; step++) {
    const index = prng.below(size);
    const isIn = prng.below(3) === 0;
    set.put(index, isIn);
    if (isIn) peer.add(index);
    else peer.delete(index);
    expect(set.count).toBe(peer.size);
    for (let from = 0; from <= size + 1; from++) {
      const behind = [...peer].filter((number) => number >= from);
      expect(set.next(from)).toBe(behind.length === 0 ? -1 : Math.min(...behind));
    }
  }
});
