// What settles how a file is checked (RUN, EXPECT, PROPERTY, GOLDEN, XFAIL, SKIP, EXPLORE): for
// each word cases that hold, cases that must fail, and cases that are refused, on real runs.

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SETTLING } from '../../src/check/directive-words.ts';
import { runCheckJob } from '../../src/cli/check-job.ts';
import { readCheckedFile } from '../../src/cli/check-plan.ts';
import { folderWith } from '../support/command-line.ts';

/** Each vCPU prints a letter and halts; the first one is done before the others are looked at. */
const PROGRAM = [
  'bits 64',
  '%ifndef LETTER',
  '%define LETTER 97',
  '%endif',
  'mov al, LETTER',
  'out 0xe9, al',
  'mov al, 10',
  'out 0xe9, al',
  'cli',
  'hlt',
  '',
].join('\n');

const ASSEMBLY = { defines: {}, includes: [], syntax: undefined, linked: [] };

/** Of each run in order; one word if nothing was run. */
type Outcome = 'pass' | 'fail' | 'xfail' | 'xpass' | 'skip' | 'malformed';

type Case = readonly [directives: readonly string[], ...outcomes: readonly Outcome[]];

const A_AND_B = ['RUN: name=A', 'RUN: name=B'];

const CASES: Readonly<Record<string, readonly Case[]>> = {
  RUN: [
    [['RUN: vcpus=2 pcpus=2', 'STATE: vcpu 1 exits HLT 1'], 'pass'],
    [['RUN: vcpus=1', 'STATE: vcpu 1 exits HLT 1'], 'fail'],
    [['RUN: define=LETTER=98', 'OUTPUT: {{^b$}}'], 'pass'],
    [['RUN: define=LETTER=98', 'OUTPUT: {{^a$}}'], 'fail'],
    [['RUN: seed=1..2', 'OUTPUT: b'], 'fail', 'fail'],
    [['RUN: seed=3,9', 'OUTPUT: a', 'STATE: status halted'], 'pass', 'pass'],
    [[...A_AND_B, 'OUTPUT-B: b'], 'pass', 'fail'],
    [['RUN: vcpu=2', 'OUTPUT: a'], 'malformed'],
    [[...A_AND_B, 'RUN: name=A', 'OUTPUT: a'], 'malformed'],
  ],
  EXPECT: [
    [['EXPECT: 0'], 'pass'],
    [['EXPECT: halted'], 'pass'],
    [['EXPECT: 6'], 'fail'],
    [['EXPECT: tripleFault'], 'fail'],
    [['RUN: max-instructions=3', 'EXPECT: 0'], 'fail'],
    [['RUN: max-instructions=3', 'EXPECT: limit'], 'pass'],
    [[...A_AND_B, 'EXPECT: 6', 'EXPECT-A: 0'], 'pass', 'fail'],
    [[...A_AND_B, 'EXPECT-A: 6', 'EXPECT: 0'], 'fail', 'pass'],
    [['EXPECT: 0', 'EXPECT: 0'], 'malformed'],
    [[...A_AND_B, 'EXPECT-A: 0', 'EXPECT-A: 6'], 'malformed'],
    [['EXPECT: 256'], 'malformed'],
  ],
  PROPERTY: [
    [['PROPERTY: never kvm_exit(reason=CPUID)'], 'pass'],
    [['PROPERTY: never kvm_exit(reason=HLT)'], 'fail'],
    [['PROPERTY: always kvm_exit has (vcpu=0)'], 'pass'],
    [['PROPERTY: always kvm_exit has (reason=HLT)'], 'fail'],
    [['PROPERTY: every kvm_exit(reason=HLT) is preceded by kvm_pio(value=97)'], 'pass'],
    [['PROPERTY: every kvm_exit(reason=HLT) is preceded by kvm_pio(value=98)'], 'fail'],
    [['PROPERTY: every kvm_pio(value=97) is followed by kvm_pio(value=10)'], 'pass'],
    [['PROPERTY: every kvm_pio(value=10) is followed by kvm_pio(value=97)'], 'fail'],
    [['PROPERTY: every kvm_pio(value=97) is followed by kvm_pio(value=10) within 1ns'], 'fail'],
    [['PROPERTY: at most 2 kvm_pio'], 'pass'],
    [['PROPERTY: at most 1 kvm_pio'], 'fail'],
    [['PROPERTY: at least 3 kvm_pio'], 'fail'],
    [['PROPERTY: finally vcpu 0 exits HLT = 1'], 'pass'],
    [['PROPERTY: finally vcpu 0 exits HLT = 2'], 'fail'],
    [['PROPERTY: never kvm_exti'], 'malformed'],
    [['PROPERTY: never'], 'malformed'],
  ],
  GOLDEN: [
    [['GOLDEN: output', '| a'], 'pass'],
    [['GOLDEN: output', '| b'], 'fail'],
    [['GOLDEN: output', '| a', '| a'], 'fail'],
    [['GOLDEN: output'], 'fail'],
    [['GOLDEN: outptu', '| a'], 'malformed'],
  ],
  XFAIL: [
    [['XFAIL: prints a', 'OUTPUT: b'], 'xfail'],
    [['XFAIL: prints b', 'OUTPUT: a'], 'xpass'],
    [['XFAIL: ends well', 'EXPECT: 6'], 'xfail'],
    [[...A_AND_B, 'XFAIL-A: prints a', 'OUTPUT: b'], 'xfail', 'fail'],
    [['XFAIL:', 'OUTPUT: b'], 'malformed'],
    [['XFAIL: one reason', 'XFAIL: another', 'OUTPUT: b'], 'malformed'],
  ],
  SKIP: [
    [['SKIP: not today', 'OUTPUT: b'], 'skip'],
    [[...A_AND_B, 'SKIP-A: not today', 'OUTPUT: b'], 'skip', 'fail'],
    [['SKIP:', 'OUTPUT: b'], 'malformed'],
  ],
  EXPLORE: [
    [['EXPLORE: livelock --store-buffers', 'OUTPUT: b'], 'fail'],
    [['EXPLORE:', 'OUTPUT: a'], 'malformed'],
    [['EXPLORE: --store-buffers', 'OUTPUT: a'], 'malformed'],
    [['EXPLOER: livelock'], 'malformed'],
    [['EXPLORE livelock', 'OUTPUT: a'], 'malformed'],
  ],
};

let folder = '';

beforeAll(() => {
  folder = folderWith({});
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function outcomesOf(directives: readonly string[]): Outcome[] {
  const path = join(folder, 'guest.asm');
  const comments = directives.map((text) => (text.startsWith('|') ? `;${text}` : `; ${text}`));
  writeFileSync(path, [...comments, PROGRAM].join('\n'));
  const { plan } = readCheckedFile(path);
  if (plan === null) return ['malformed'];
  return plan.expectations.flatMap(({ configuration, skip, expectedFailure }, index) => {
    if (skip !== null) return ['skip'];
    const seeds = configuration.seeds.length === 0 ? [null] : configuration.seeds;
    return seeds.map((seed): Outcome => {
      const outcome = runCheckJob({ path, index, seed, flags: [], assembly: ASSEMBLY });
      if (outcome.kind === 'error') throw new Error(outcome.lines.join('\n'));
      const { holds } = outcome.verdict;
      if (expectedFailure === null) return holds ? 'pass' : 'fail';
      return holds ? 'xpass' : 'xfail';
    });
  });
}

describe.each(Object.entries(CASES))('%s', (word, cases) => {
  const named = cases.map(([directives, ...outcomes]) => ({ directives, outcomes }));

  test.each(named)('$directives: $outcomes', ({ directives, outcomes }) => {
    expect(outcomesOf(directives)).toEqual(outcomes);
  });

  test('has a case that must fail, or is refused', () => {
    const isBad = (outcome: Outcome) => ['fail', 'xpass', 'malformed'].includes(outcome);
    const bad = cases.filter(([, ...outcomes]) => outcomes.some(isBad));
    expect(bad.length, word).toBeGreaterThan(0);
  });
});

test('each word has cases', () => {
  expect(Object.keys(CASES).toSorted()).toEqual([...SETTLING].toSorted());
});

test('a second EXPECT is told with the line of the first', () => {
  const path = join(folder, 'twice.asm');
  writeFileSync(path, `; EXPECT: 0\n; OUTPUT: a\n; EXPECT: 6\n${PROGRAM}`);
  const { problems } = readCheckedFile(path);
  expect(problems.join('\n')).toContain(
    'twice.asm:3:3: error: a second EXPECT; line 1 has one already',
  );
});
