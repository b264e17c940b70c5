// The memory model and the search against lists of final states that are complete: each program
// reaches exactly those, with store buffers and without, whether orders are left out or not.

import { readFileSync } from 'node:fs';
import { brotliDecompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type LitmusTest, runLitmus } from '../litmus/litmus.ts';
import { absent, conformanceLines } from '../support/conformance.ts';

const CATALOGUE = 'litmus-x86/litmus.jsonl';

/** One in so many of the catalogue; `npm run litmus` takes them all. */
const STEP = 80;

const parse = (lines: readonly string[]) =>
  lines.flatMap((line) => (line === '' ? [] : [JSON.parse(line) as LitmusTest]));

const random = parse(
  brotliDecompressSync(readFileSync(new URL('litmus-random.jsonl.br', import.meta.url)))
    .toString()
    .split('\n'),
);

function wrongOnes(tests: readonly LitmusTest[]): string[] {
  return tests.flatMap((litmus) =>
    (['sc', 'tso'] as const).flatMap((model) => {
      const { difference } = runLitmus(litmus, model);
      return difference === null ? [] : [`${litmus.name} ${model}: ${difference}`];
    }),
  );
}

describe('litmus tests', () => {
  test('random programs with locked exchanges reach exactly the states listed', () => {
    expect(random.length).toBe(100);
    expect(wrongOnes(random.filter((_, i) => i % 4 === 0))).toEqual([]);
  });

  const lines = conformanceLines(CATALOGUE);
  test.skipIf(lines === null)(`the catalogue does (${absent(CATALOGUE)})`, () => {
    const some = parse(lines ?? []).filter((_, i) => i % STEP === 0);
    expect(some.length).toBeGreaterThan(10);
    expect(wrongOnes(some)).toEqual([]);
  });

  test('a list with a state more or less is noticed', () => {
    const [litmus] = random;
    const [first, ...rest] = litmus.tso_states;
    const more = { ...litmus, tso_states: [first, first.replace('=0;', '=7;'), ...rest] };
    expect(runLitmus(more, 'tso').difference).toMatch(/^missing \["0:rax=7/);
    const withTwo = random.find(({ tso_states: states }) => states.length > 1) as LitmusTest;
    const less = { ...withTwo, tso_states: withTwo.tso_states.slice(1) };
    expect(runLitmus(less, 'tso').difference).toMatch(/^missing \[\], extra \["/);
  });

  test('leaving out orders leaves out no final state, but transitions', () => {
    let saved = 0;
    for (const litmus of random.filter((_, i) => i % 10 === 1)) {
      for (const model of ['sc', 'tso'] as const) {
        const whole = runLitmus(litmus, model, false);
        const reduced = runLitmus(litmus, model);
        expect([...reduced.reached].sort()).toEqual([...whole.reached].sort());
        expect(reduced.transitions).toBeLessThanOrEqual(whole.transitions);
        saved += whole.transitions - reduced.transitions;
      }
    }
    expect(saved).toBeGreaterThan(0);
  });
});
