// Figures from results: which cells a tornado compares, and under which names.

import { expect, test } from 'vitest';
import { checkDefinition } from '../../src/experiment/definition.ts';
import { figuresOf } from '../../src/experiment/figures-of-study.ts';
import { Results, runOf } from '../../src/experiment/results.ts';
import { studyOf } from '../../src/experiment/study.ts';
import type { RunReport } from '../../src/machine/index.ts';

const TIMES: Readonly<Record<string, number>> = {
  'as it is': 100,
  'VM exit x0.5': 95,
  'VM exit x2': 112,
  'context switch x0.5': 80,
  'context switch x2': 140,
};

const LEVELS = Object.fromEntries(Object.keys(TIMES).map((name) => [name, {}]));

function figuresOfRequest(request: object) {
  const checked = checkDefinition({
    scenario: { vms: [{ program: 'a.asm' }] },
    factors: { cost: LEVELS, hogs: [0, 1] },
    seeds: 1,
    outputs: { time: 'virtualNs' },
    figures: [{ kind: 'tornado', output: 'time', base: { cost: 'as it is' }, ...request }],
  });
  if ('issues' in checked) throw new Error(checked.issues[0].message);
  const expanded = studyOf(checked.definition, {});
  if ('issues' in expanded) throw new Error(expanded.issues[0].message);
  const { study } = expanded;
  const runs = study.cells.map((cell) => {
    const virtualNs = TIMES[cell.levels.cost] + Number(cell.levels.hogs);
    const report = { status: 'halted', virtualNs, vms: [] } as unknown as RunReport;
    return runOf(study, { cell, seed: 1 }, { kind: 'done', report });
  });
  return figuresOf(new Results(study, runs));
}

test('a tornado of one factor has a row for each thing that its levels name', () => {
  const [figure] = figuresOfRequest({ x: 'cost' });
  expect(figure).toMatchObject({
    base: 100,
    rows: [
      {
        name: 'context switch',
        ends: [
          { label: 'x0.5', value: 80 },
          { label: 'x2', value: 140 },
        ],
      },
      {
        name: 'VM exit',
        ends: [
          { label: 'x0.5', value: 95 },
          { label: 'x2', value: 112 },
        ],
      },
    ],
  });
});

test('without one it has a row for each factor', () => {
  const [figure] = figuresOfRequest({ base: { cost: 'VM exit x2' } });
  expect(figure).toMatchObject({
    base: 112,
    rows: [
      { name: 'cost', ends: [{ value: 100 }, { value: 95 }, { value: 80 }, { value: 140 }] },
      { name: 'hogs', ends: [{ label: '1', value: 113 }] },
    ],
  });
});
