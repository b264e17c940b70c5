// Lines of addresses: what a search through all of them finds, in whatever order they are told.

import Long from 'long';
import { expect, test } from 'vitest';
import { type SourceLine, SymbolMap } from '../../src/machine/index.ts';
import { Prng } from '../../src/sim/index.ts';

const HIGH = Long.fromString('ffffffff81000000', true, 16);

function linesFrom(prng: Prng, mayOverlap: boolean): readonly SourceLine[] {
  let at = 0;
  const lines = Array.from({ length: 200 }, (_, i): SourceLine => {
    const lengthBytes = prng.below(8);
    const address = HIGH.add(mayOverlap ? prng.below(700) : at);
    at += lengthBytes + prng.below(2);
    return { address, lengthBytes, file: 'lock.asm', line: i + 1, isCode: true };
  });
  return prng.below(2) === 0 ? lines : lines.toReversed();
}

test.each([
  ['that follow each other', false],
  ['of which some overlap', true],
])('the line of an address, among lines %s', (_, mayOverlap) => {
  for (let seed = 1; seed <= 10; seed++) {
    const lines = linesFrom(new Prng(seed), mayOverlap);
    const map = SymbolMap.of({ names: [], lines });
    for (let offset = -2; offset < 1000; offset++) {
      const address = HIGH.add(offset);
      const found = lines.find((line) => {
        const distance = address.sub(line.address).toNumber();
        return address.gte(line.address) && distance < line.lengthBytes;
      });
      const expected = found === undefined ? null : `${found.file}:${found.line}`;
      expect(map.sourceOf(address)).toBe(expected);
    }
  }
});
