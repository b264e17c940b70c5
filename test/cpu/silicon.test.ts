// Every recorded case of a real processor, executed here: registers, defined flags, RIP, memory,
// and faults with error code and address must come out the same.

import Long from 'long';
import { beforeAll, describe, expect, test } from 'vitest';
import { decode, format } from '../../src/isa/index.ts';
import { SiliconBench, type SiliconCase, siliconCases, sliceLines } from '../support/silicon.ts';

/** What the table does not have yet. A line that goes from here is an instruction gained. */
const NOT_IMPLEMENTED: readonly string[] = [];

const SHOWN_FAILURES = 20;

describe('recorded silicon', () => {
  const { source, cases } = siliconCases();
  const different: string[] = [];
  const missing = new Map<string, number>();
  let same = 0;

  beforeAll(() => {
    const bench = new SiliconBench();
    for (const recorded of cases) {
      const verdict = bench.run(recorded);
      if (verdict.kind === 'same') same++;
      else if (verdict.kind === 'different') {
        different.push([nameOf(recorded), ...verdict.differences].join('\n    '));
      } else {
        const mnemonic = mnemonicOf(recorded);
        missing.set(mnemonic, (missing.get(mnemonic) ?? 0) + 1);
      }
    }
  });

  test(`no case of the ${source} comes out differently`, () => {
    const more = different.length - SHOWN_FAILURES;
    const shown = different.slice(0, SHOWN_FAILURES);
    expect(more > 0 ? [...shown, `and ${more} more`] : shown).toEqual([]);
  });

  test('what is not implemented is known', () => {
    expect([...missing.keys()].sort()).toEqual(NOT_IMPLEMENTED);
  });

  test('the rest was compared', () => {
    const skipped = [...missing.values()].reduce((sum, count) => sum + count, 0);
    expect(same).toBe(cases.length - skipped);
    expect(same / cases.length).toBeGreaterThan(0.85);
  });

  test('the slice in the repository comes from the recording, and knows all its mnemonics', () => {
    if (source === 'slice') return;
    const known = new Set(cases.map((recorded) => JSON.stringify(recorded)));
    const slice = sliceLines().filter((line) => line !== '');
    expect(slice.filter((line) => !known.has(line))).toEqual([]);
    const mnemonics = (list: readonly SiliconCase[]) => [...new Set(list.map(mnemonicOf))].sort();
    const sliced = slice.map((line) => JSON.parse(line) as SiliconCase);
    expect(mnemonics(sliced)).toEqual(mnemonics(cases));
  });
});

/** Class, disassembly and bytes of a case. */
function nameOf({ c, d, b }: SiliconCase): string {
  const code = Buffer.from(b, 'hex');
  const decoded = decode(code, 0, code.length, 64);
  const ours =
    decoded.kind === 'instruction' ? format(decoded.instruction, Long.ZERO) : decoded.kind;
  return `${c}: ${d ?? 'no instruction'} [${b}], here ${ours}`;
}

function mnemonicOf({ d = 'none' }: SiliconCase): string {
  return d.replace(/^(?:(?:lock|rep\w*) )+/, '').split(' ')[0];
}
