// Definitions: how they are multiplied out, and what is said of wrong ones.

import { expect, test } from 'vitest';
import { checkDefinition } from '../../src/experiment/definition.ts';
import {
  labelOf,
  placeInDefinition,
  type Study,
  type StudyOptions,
  studyOf,
  WHOLE_STUDY,
} from '../../src/experiment/study.ts';
import { printPath } from '../../src/machine/index.ts';

const BASE = { vms: [{ program: 'a.asm' }, { program: 'b.asm' }], host: { pcpus: 2 } };
const OUTPUTS = { time: 'virtualNs' };

function expanded(document: object, options: Partial<StudyOptions> = {}) {
  const checked = checkDefinition({ scenario: 'a.yaml', outputs: OUTPUTS, ...document });
  if ('issues' in checked) return checked;
  return studyOf(checked.definition, BASE, { ...WHOLE_STUDY, ...options });
}

function issuesOf(document: object): string[] {
  const found = expanded(document);
  const issues = 'issues' in found ? found.issues : [];
  return issues.map(({ path, message }) => `${printPath(path)}: ${message}`);
}

function study(document: object, options: Partial<StudyOptions> = {}): Study {
  const found = expanded(document, options);
  if ('study' in found) return found.study;
  throw new Error(found.issues[0]?.message);
}

const FACTORS = {
  lock: { tas: {}, ticket: { 'vms[0].defines.LOCK': 'ticket', 'vms[1].program': 'c.asm' } },
  vcpus: [1, 4],
};

test('cells are all combinations, the last factor fastest', () => {
  const { cells } = study({ factors: FACTORS });
  expect(cells.map(({ levels }) => labelOf(levels))).toEqual([
    'lock=tas vcpus=1',
    'lock=tas vcpus=4',
    'lock=ticket vcpus=1',
    'lock=ticket vcpus=4',
  ]);
  // A flag holds for every machine.
  expect(cells[3].document).toEqual({
    host: { pcpus: 2 },
    vms: [
      { program: 'a.asm', defines: { LOCK: 'ticket' }, vcpus: 4 },
      { program: 'c.asm', vcpus: 4 },
    ],
  });
  expect(BASE.vms[0]).toEqual({ program: 'a.asm' });
});

test('without factors there is one cell', () => {
  const { cells } = study({});
  expect(cells.map(({ levels, document }) => [labelOf(levels), document])).toEqual([['all', BASE]]);
});

test('cells are left out by definition and by choice', () => {
  const left = (document: object, options = {}) =>
    study({ factors: FACTORS, ...document }, options).cells.map(({ levels }) => labelOf(levels));
  expect(left({ exclude: [{ lock: 'tas', vcpus: 4 }] })).toHaveLength(3);
  expect(left({ exclude: [{ lock: 'tas' }] })).toEqual([
    'lock=ticket vcpus=1',
    'lock=ticket vcpus=4',
  ]);
  expect(left({}, { only: { vcpus: ['4'] } })).toEqual(['lock=tas vcpus=4', 'lock=ticket vcpus=4']);
});

test('seeds are counted or listed, and may differ between cells', () => {
  const seeds = (document: object, options = {}) =>
    study({ factors: FACTORS, ...document }, options).cells.map((cell) => cell.seeds);
  expect(seeds({ seeds: 2 })[0]).toEqual([1, 2]);
  expect(seeds({ seeds: [9, 4] })[0]).toEqual([9, 4]);
  const others = [{ cell: { lock: 'ticket' }, seeds: 1 }];
  expect(seeds({ seeds: 2, seeds_of: others })).toEqual([[1, 2], [1, 2], [1], [1]]);
  expect(seeds({ seeds: 2 }, { seeds: [7] })[0]).toEqual([7]);
});

test('the quick form has fewer seeds and levels, and settings of its own', () => {
  const quick = { seeds: 1, set: { until: '1ms' }, factors: { vcpus: [4] } };
  const short = study({ factors: FACTORS, quick }, { quick: true });
  expect(short.cells.map(({ levels }) => labelOf(levels))).toEqual([
    'lock=tas vcpus=4',
    'lock=ticket vcpus=4',
  ]);
  expect(short.cells[0].seeds).toEqual([1]);
  expect(short.cells[0].document).toMatchObject({ limits: { time: '1ms' } });
  expect(study({ factors: FACTORS, quick }).cells).toHaveLength(4);
});

test('what is wrong in a scenario is found where the definition says it', () => {
  const { cells } = study({ factors: FACTORS });
  const place = (path: (string | number)[]) => printPath(placeInDefinition(cells[3], path));
  expect(place(['vms', 1, 'vcpus'])).toBe('factors.vcpus[1]');
  expect(place(['vms', 0, 'defines', 'LOCK'])).toBe('factors.lock.ticket.vms[0].defines.LOCK');
  expect(place(['host', 'pcpus'])).toBe('scenario.host.pcpus');
});

const THOUSAND = Array.from({ length: 1000 }, (_, i) => i);

test.each([
  ['no outputs', { outputs: {} }, ['outputs: missing; expected at least one, NAME: PATH']],
  ['no scenario', { scenario: undefined }, ['scenario: missing; expected text']],
  [
    'an unknown key',
    { seed: 5 },
    [expect.stringMatching(/^seed: unknown key 'seed'; did you mean 'seeds'\?/)],
  ],
  [
    'half an expression',
    { outputs: { time: 'virtualNs +' } },
    ["outputs.time: at character 12 of 'virtualNs +': expected a number, a path or a function"],
  ],
  [
    'an output that comes later',
    { outputs: { a: '$b', b: '1' } },
    ["outputs.a: there is no output before this one, of the kind number, 'b'; known: none"],
  ],
  [
    'a factor that is nothing',
    { factors: { vcpu: [1] } },
    ["factors.vcpu: 'vcpu': is no flag and no key of a scenario; did you mean 'vcpus'?"],
  ],
  [
    'a machine that is not there',
    { factors: { 'vms[5].vcpus': [1] } },
    ['factors.vms[5].vcpus[0]: there is no vms[5]; there are 2 entries'],
  ],
  ['a level twice', { factors: { vcpus: [2, 2] } }, ['factors.vcpus: has the level 2 twice']],
  ['no levels', { factors: { lock: {} } }, ['factors.lock: has no levels']],
  [
    'one level alone',
    { factors: { lock: 5 } },
    ['factors.lock: expected keys and values or a list, not a single value'],
  ],
  [
    'cells that are not there',
    { factors: FACTORS, exclude: [{ lck: 'tas' }, { lock: 'tass' }] },
    [
      "exclude[0].lck: there is no factor 'lck'; did you mean 'lock'?",
      "exclude[1].lock: there is no level of lock 'tass'; did you mean 'tas'?",
    ],
  ],
  [
    'a comparison with nothing',
    { factors: FACTORS, compare: [{ factor: 'lock', from: 'tas', to: 'mcs', output: 'tine' }] },
    [
      "compare[0].output: there is no output 'tine'; did you mean 'time'?",
      "compare[0].to: there is no level of lock 'mcs'; known: tas, ticket",
    ],
  ],
  [
    'a phase diagram of nothing',
    { figures: [{ kind: 'heat', output: 'time' }] },
    ['figures[0].kind: heat needs 2 factors'],
  ],
  [
    'too much',
    { factors: { vcpus: THOUSAND, 'host.pcpus': THOUSAND } },
    ['factors: make 1000000 cells; at most 100000'],
  ],
])('%s is a mistake', (_, document, messages) => {
  expect(issuesOf(document)).toEqual(messages);
});
