// The published experiments: that every cell is a scenario, that leaving out waits makes no
// difference to any of them, and the two laws on which their numbers stand. Their results are in
// docs/experiments; here only the shortest of them is run as a whole.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadDocument, NO_INPUT_OPTIONS } from '../../src/cli/program.ts';
import {
  checkDefinition,
  definitionSchema,
  type Experiment,
  experimentHtml,
  experimentMarkdown,
  experimentText,
  PUBLISHED,
  Results,
  type Run,
  reportOn,
  runOf,
  type Study,
  studyOf,
} from '../../src/experiment/index.ts';
import { compileSeconds, partsOf } from '../../src/experiment/published/compile.ts';
import { PARTS } from '../../src/experiment/published/x0-yield-lock.ts';
import { Machine, reportOf, type ScenarioDocument } from '../../src/machine/index.ts';

const ROOT = new URL('../..', import.meta.url).pathname;

function studyFor(
  { definition: document }: Experiment,
  set: Record<string, unknown> = {},
  only: Readonly<Record<string, readonly string[]>> = {},
): Study {
  const quick = { ...(document.quick as object), set };
  const checked = checkDefinition({ ...document, quick });
  if ('issues' in checked) throw new Error(JSON.stringify(checked.issues));
  const base = checked.definition.scenario as ScenarioDocument;
  const expanded = studyOf(checked.definition, base, { quick: true, seeds: [1], only });
  if ('issues' in expanded) throw new Error(JSON.stringify(expanded.issues));
  return expanded.study;
}

/** Definition files that come with vmxlab. */
const FILES = readdirSync(join(ROOT, 'examples/experiments'));

/** A definition file, with the programs of its scenario relative to the package. */
function readExperiment(name: string): Experiment {
  const text = readFileSync(join(ROOT, 'examples/experiments', name), 'utf8');
  const document = parse(text.replaceAll('../../guest-programs', 'guest-programs')) as object;
  return { definition: { ...document, name } };
}

const ALL = [...PUBLISHED, ...FILES.map(readExperiment)];

function machineOf(document: ScenarioDocument, changes: Record<string, unknown> = {}): Machine {
  const { scenario, programs, symbols } = loadDocument(
    document,
    ROOT,
    NO_INPUT_OPTIONS,
    ({ path, message }) => `${path.join('.')}: ${message}`,
  );
  return new Machine({ ...scenario, ...changes }, { programs, symbols });
}

describe.each(ALL.map((one) => [one.definition.name, one] as const))('%s', (_, one) => {
  test('has cells that are scenarios, and comes to the same with waits left out or not', () => {
    const { cells } = studyFor(one);
    for (const { document } of [cells[0], cells[cells.length - 1]]) {
      const hashes = [{ skip: 'on' }, { skip: 'off' }, { engine: 'interpreter' }].map((changes) => {
        const machine = machineOf(document, changes);
        // It also looks whether every cycle is accounted for.
        const begin = Math.max(...machine.scenario.vms.map(({ delay }) => delay.mostNs));
        machine.run(machine.host.frequency.toCycles(begin + 3_000_000));
        return machine.stateHash();
      });
      expect(new Set(hashes).size).toBe(1);
    }
  });
});

test('the schema for editors takes all of them, and no wrong key', () => {
  const takes = new Ajv2020({ strict: false }).compile(definitionSchema());
  for (const { definition } of ALL) {
    const plain = JSON.parse(JSON.stringify(definition)) as Record<string, unknown>;
    expect([definition.name, takes(plain)]).toEqual([definition.name, true]);
    expect(takes({ ...plain, sedes: 3 })).toBe(false);
    const { vms } = plain.scenario as { vms: readonly object[] };
    const wrong = [{ ...vms[0], vcpus: 'many' }];
    expect(takes({ ...plain, scenario: { vms: wrong } })).toBe(false);
  }
});

describe.each(PUBLISHED.map((one) => [one.definition.name, one] as const))('%s says', (_, one) => {
  /** Of each level alone (`--cell FACTOR=LEVEL`), the whole study first. */
  const chosen = (study: Study): Record<string, string[]>[] => [
    {},
    ...study.factors.flatMap(({ name, levels }) => levels.map((level) => ({ [name]: [level] }))),
  ];

  /** What every run of a study has come to: so much of each output, or nothing. */
  const resultsOf = (study: Study, seeds: readonly number[], value: number | null): Results => {
    const problem = value === null ? 'has not been run' : null;
    const numbers =
      value === null ? {} : Object.fromEntries(study.outputs.map(({ name }) => [name, value]));
    const runs = study.cells.flatMap((cell) =>
      seeds.map((seed): Run => {
        return { cell, seed, numbers, histograms: {}, problem, isMissing: value === null };
      }),
    );
    return new Results(study, runs);
  };

  test.each([
    ['missing', [1], null],
    ['of one seed', [1], 1],
    ['of two seeds', [1, 2], 1],
    ['that did nothing', [1, 2], 0],
  ] as const)('something of any of its cells, of runs %s', (_, seeds, value) => {
    for (const only of chosen(studyFor(one))) {
      const study = studyFor(one, {}, only);
      const report = reportOn(one, resultsOf(study, seeds, value));
      const pages = [experimentMarkdown(report, []), experimentHtml(report, [])];
      const text = [...experimentText(report), ...pages].join('\n');
      expect(text, JSON.stringify(only)).not.toMatch(/NaN|undefined|Infinity/);
      for (const { holds, found } of report.verdicts) {
        expect(found).not.toBe('');
        // Neither held nor missed, and why.
        expect(found.startsWith('not judged, for '), found).toBe(holds === null);
        if (value === null) expect(holds).toBe(null);
      }
    }
  });
});

test('a claim about cells that are left out is not judged, and the others are', () => {
  const [experiment] = PUBLISHED;
  const study = studyFor(experiment, {}, { pinning: ['A'] });
  const runs = study.cells.flatMap((cell) =>
    [1, 2, 3].map((seed): Run => {
      const rate = (cell.levels.lock === 'byte-yield' ? 4 : 3) + seed / 100;
      return { cell, seed, numbers: { rate }, histograms: {}, problem: null, isMissing: false };
    }),
  );
  const { verdicts } = reportOn(experiment, new Results(study, runs));
  const said = verdicts.map(({ claim, holds, found }) => [claim, holds, found] as const);
  expect(said).toContainEqual([
    'the yielding lock gains wherever pCPUs are contended',
    true,
    'in all 1 cells',
  ]);
  expect(said).toContainEqual([
    'it gains most at C-1x',
    null,
    'not judged, for there is no cell pinning=C overcommit=1x lock=ticket',
  ]);
});

describe('two parties in x2', () => {
  /** What x2 says of rates of the host and of guests, by parties and lock. */
  function verdictsOf(rates: Readonly<Record<string, readonly [host: number, guest: number]>>) {
    const experiment = PUBLISHED.find(({ definition }) => definition.name === 'x2') as Experiment;
    const study = studyFor(experiment);
    const runs = study.cells.flatMap((cell) =>
      [1, 2, 3].map((seed): Run => {
        const { parties, lock } = cell.levels;
        const [host_rate, guest_rate] = rates[`${parties} ${lock}`] ?? rates[parties] ?? [28, 28];
        // A little chance, the same for all cells.
        const numbers = { host_rate, guest_rate: guest_rate + seed / 100, second_rate: 14 };
        return { cell, seed, numbers, histograms: {}, problem: null, isMissing: false };
      }),
    );
    return reportOn(experiment, new Results(study, runs)).verdicts;
  }

  test('that take half of the machine each and no more', () => {
    const verdicts = verdictsOf({ 'host+guest': [14, 14] });
    // Nothing differs between locks, so that neither sign is shown.
    expect(verdicts.slice(0, 4).map(({ holds }) => holds)).toEqual([false, false, true, true]);
  });

  test('of which the guest loses with a paravirtual lock', () => {
    const rates = { 'host+guest tas': [14, 14], 'host+guest pv-qspinlock': [20, 8] } as const;
    const verdicts = verdictsOf(rates);
    expect(verdicts.slice(0, 4).map(({ holds }) => holds)).toEqual([true, true, true, true]);
    const worse = verdictsOf({ ...rates, 'host+guest pv-qspinlock': [8, 20] });
    expect(worse.slice(0, 2).map(({ holds }) => holds)).toEqual([false, false]);
    // Half of what there is gets lost.
    const lost = verdictsOf({ 'host+guest': [7, 7] });
    expect(lost[3].holds).toBe(false);
  });
});

describe('a compile', () => {
  // The specification of the experiment gives these, solved by hand.
  test('of 2010 has parts of 56, 27 and 169 s', () => {
    const { idle, serial, parallel } = PARTS;
    expect([idle, serial, parallel].map(Math.round)).toEqual([56, 27, 169]);
  });

  test('has the parts that explain three times', () => {
    const parts = { idle: 10, serial: 20, parallel: 30, pcpus: 4 };
    const at = (threadsPerPcpu: number, load: number) => {
      const seconds = compileSeconds(parts, threadsPerPcpu, 4 / load);
      return { seconds, threadsPerPcpu, load };
    };
    expect(at(2, 3).seconds).toBe(10 + 2 * 20 + 3 * 30);
    const found = partsOf([at(1, 1), at(3, 3), at(1, 2)], 4);
    expect(Object.values(found).map((value) => Math.round(1e6 * value) / 1e6)).toEqual([
      10, 20, 30, 4,
    ]);
    expect(() => partsOf([at(1, 1), at(2, 2), at(3, 3)], 4)).toThrow('do not tell');
  });
});

test('the timer paths of 2016 differ as was measured, from the sums of their costs', () => {
  const experiment = PUBLISHED.find(({ definition }) => definition.name === 'x4') as Experiment;
  const study = studyFor(experiment, { 'vms[0].parameters.loops': 400 });
  const runs = study.cells.map((cell) => {
    const machine = machineOf(cell.document);
    const ending = machine.run();
    if (ending === null) throw new Error('has not ended');
    return runOf(study, { cell, seed: 1 }, { kind: 'done', report: reportOf(machine, ending) });
  });
  const { verdicts } = reportOn(experiment, new Results(study, runs));
  const [median, means, bins, variation] = verdicts;
  expect([median.holds, bins.holds, variation.holds]).toEqual([true, true, true]);
  // One seed has no interval.
  expect([means.holds, means.found]).toEqual([null, 'not judged, for it takes two seeds']);
});
