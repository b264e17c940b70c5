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

function studyFor({ definition: document }: Experiment, set: Record<string, unknown> = {}): Study {
  const quick = { ...(document.quick as object), set };
  const checked = checkDefinition({ ...document, quick });
  if ('issues' in checked) throw new Error(JSON.stringify(checked.issues));
  const base = checked.definition.scenario as ScenarioDocument;
  const expanded = studyOf(checked.definition, base, { quick: true, seeds: [1], only: {} });
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
  // One seed has no interval, so that the claim is not shown; the number is there.
  expect(means.holds).toBe(false);
  expect(means.found).toMatch(/^\+1\.[456]/);
});
