// What notes settle: configurations, seeds, endings, golden lines; and what is said of wrong ones.

import { describe, expect, test } from 'vitest';
import { readPlan, sheetOfSection, sheetOfSource } from '../../src/check/index.ts';

function planOf(...lines: readonly string[]) {
  const read = readPlan(sheetOfSource(lines.join('\n')));
  if ('problems' in read) throw new Error(JSON.stringify(read.problems));
  return read.plan;
}

function problemsOf(...lines: readonly string[]): string[] {
  const read = readPlan(sheetOfSource(lines.join('\n')));
  if ('plan' in read) return [];
  return read.problems.map(({ line, column, message }) => `${line}:${column}: ${message}`);
}

const words = (directives: readonly { word: string }[]) => directives.map(({ word }) => word);

describe('configurations', () => {
  test('without RUN there is one, with nothing of its own', () => {
    const { expectations } = planOf('hlt ; CHECK: HLT');
    expect(expectations).toHaveLength(1);
    expect(expectations[0].configuration).toMatchObject({ name: null, settings: [], seeds: [] });
    expect(words(expectations[0].directives)).toEqual(['CHECK']);
  });

  test('each RUN line is one, with settings, macros and seeds', () => {
    const { expectations } = planOf(
      '; RUN: vcpus=4 pcpus=2 seed=1..3,9',
      '# RUN: name=PV define=A=1 define=B append="a b"',
    );
    const [first, second] = expectations.map(({ configuration }) => configuration);
    expect(first.settings.map(({ setting, value }) => [setting.flag, value])).toEqual([
      ['vcpus', '4'],
      ['pcpus', '2'],
    ]);
    expect(first.seeds).toEqual([1, 2, 3, 9]);
    expect(second.name).toBe('PV');
    expect(second.defines).toEqual({ A: '1', B: '' });
    expect(second.settings.map(({ value }) => value)).toEqual(['a b']);
  });

  test('directives of a configuration hold for it alone', () => {
    const { expectations } = planOf(
      '; RUN: name=A',
      '; RUN: name=B',
      '; CHECK: both',
      '; CHECK-A-NEXT: one',
      '; EXPECT: 0',
      '; EXPECT-B: deadlock',
      '; XFAIL-B: it hangs',
    );
    expect(expectations.map(({ directives }) => words(directives))).toEqual([
      ['CHECK', 'CHECK-A-NEXT'],
      ['CHECK'],
    ]);
    expect(expectations.map(({ ending }) => ending?.text)).toEqual(['0', 'deadlock']);
    expect(expectations.map(({ expectedFailure }) => expectedFailure)).toEqual([null, 'it hangs']);
  });
});

test('golden lines follow their directive directly', () => {
  const { expectations } = planOf('; GOLDEN: output', ';| a', ';|', ';| c  ', 'hlt', ';| d');
  expect(expectations[0].goldens[0].lines).toEqual(['a', '', 'c']);
});

test('in a section there are no comment markers, and places are those of the file', () => {
  const text = 'RUN: vcpus=2\nGOLDEN: output\n| 1\n\n  CHECK: {{(}}';
  const read = readPlan(sheetOfSection(text, { line: 11, column: 3 }));
  expect(read).toEqual({
    problems: [{ line: 15, column: 14, message: 'invalid regular expression: Unterminated group' }],
  });
});

test('a section has nothing but directives, golden lines and comments', () => {
  const text = '# why\nOUTPUT 5\n| golden\noutput: 5\nfive';
  expect(readPlan(sheetOfSection(text, { line: 1, column: 3 }))).toEqual({
    problems: [
      { line: 2, column: 3, message: "expected ':' behind OUTPUT" },
      { line: 4, column: 3, message: "unknown directive 'output'; did you mean 'OUTPUT'?" },
      { line: 5, column: 3, message: "expected a directive such as OUTPUT: done, not 'five'" },
    ],
  });
});

test('ordinary comments are nothing', () => {
  const source = [
    '; Check: this',
    '; NOTE: that',
    '; see CHECK: x',
    'db "; CHECK-FOO: y"',
    '; RUNS',
  ];
  // The second and the last look like directives to a reader, not to the tool.
  expect(problemsOf(...source.slice(0, 3), source[4])).toEqual([]);
});

describe('mistakes', () => {
  test.each([
    ['; RUN: vcpu=2', "1:8: unknown setting 'vcpu'; did you mean 'vcpus'?"],
    ['; RUN: vcpus', '1:8: expected vcpus=VALUE'],
    ['; RUN: seed=3..1', '1:8: seed: 3..1 is empty'],
    ['; RUN: seed=x', "1:8: seed: expected numbers such as 1..8 or 1,5,9, not 'x'"],
    ['; RUN: seed=1..99999999', '1:8: seed: more than 10000 seeds'],
    ['; RUN: name=pv', "1:8: names of configurations are in capitals, such as PV, not 'pv'"],
    ['; RUN: name=A name=B', '1:15: name is given twice'],
    ['; RUN: vcpus=2 vcpus=3', '1:16: vcpus is given twice'],
    ['; RUN: seed=1 seed=2', '1:15: seed is given twice'],
    ['; RUN: define=A=1 define=B define=A', '1:28: define=A is given twice'],
    ['; RUN: parameter=a=1 parameter=b=1 parameter=a=2', '1:36: parameter=a is given twice'],
    ['; RUN: name=NEXT', "1:3: 'NEXT' is a suffix of directives, not a name"],
    ['; CHEK: x', "1:3: unknown directive 'CHEK'; did you mean 'CHECK'?"],
    ['; CHECK_NEXT: x', "1:3: unknown directive 'CHECK_NEXT'; did you mean 'CHECK-NEXT'?"],
    ['; CHECK-NXT: x', "1:3: CHECK-NXT: unknown 'NXT'; did you mean 'NEXT'?"],
    ['; CHECK-NEXT x', "1:3: expected ':' behind CHECK-NEXT"],
    ['hlt  ; OUTPUT-NOT-DAG: x', '1:8: OUTPUT-NOT-DAG: NOT cannot be combined with DAG'],
    ['; EXPECT: 256', /^1:11: expected an exit code, or one of exited, halted, .*, not '256'$/],
    ['; EXPECT: banana', /^1:11: expected an exit code/],
    ['; EXPECT-Q: 0', "1:3: EXPECT-Q: unknown configuration 'Q'; no RUN line gives a name"],
    ['; GOLDEN: outptu', "1:11: no stream 'outptu'; did you mean 'output'?"],
    ['; SKIP:', '1:3: SKIP needs a reason'],
    ['; PROPERTY: never kvm_exti', "1:19: no tracepoint 'kvm_exti'; did you mean 'kvm_exit'?"],
  ])('%s', (line, message) => {
    const [found, ...more] = problemsOf(line);
    expect(more).toEqual([]);
    if (typeof message === 'string') expect(found).toBe(message);
    else expect(found).toMatch(message);
  });

  test.each([
    ['; CHECK :reason', "1:3: expected ':' right behind CHECK, without a space"],
    ['; RUN : seed=1', "1:3: expected ':' right behind RUN, without a space"],
    ['; CHECK-NEXT{LITERAL} : x', "1:3: expected ':' right behind CHECK-NEXT, without a space"],
    ['; CHEKC: x', "1:3: unknown directive 'CHEKC'; did you mean 'CHECK'?"],
    ['; CHEK-BUG: x', "1:3: unknown directive 'CHEK-BUG'; did you mean 'CHECK-BUG'?"],
    ['; CHECKNOT: x', "1:3: unknown directive 'CHECKNOT'; did you mean 'CHECK-NOT'?"],
    ['; check-next: x', "1:3: unknown directive 'check-next'; did you mean 'CHECK-NEXT'?"],
    ['; Output-Not: x', "1:3: unknown directive 'Output-Not'; did you mean 'OUTPUT-NOT'?"],
    ['; OUTPTU-COUNT-3: x', /did you mean 'OUTPUT-COUNT-3'\?$/],
    [
      'nop // x # check-count-2: x',
      "1:12: unknown directive 'check-count-2'; did you mean \
'CHECK-COUNT-2'?",
    ],
  ])('what can be nothing but a directive: %s', (line, message) => {
    const [found, ...more] = problemsOf(line);
    expect(more).toEqual([]);
    if (typeof message === 'string') expect(found).toBe(message);
    else expect(found).toMatch(message);
  });

  test.each([
    ['check: x', 'CHECK'],
    ['Check: x', 'CHECK'],
    ['output : x', 'OUTPUT'],
    ['OUTPTU: x', 'OUTPUT'],
    ['expect: 6', 'EXPECT'],
    ['EXPET-BUG: 6', 'EXPECT-BUG'],
    ['XFIAL: because', 'XFAIL'],
    ['PROPERYT: never kvm_exit', 'PROPERTY'],
    ['GOLDN: output', 'GOLDEN'],
    ['state_not: rax', 'STATE-NOT'],
  ])('what may be prose is one beside directives alone: %s', (text, meant) => {
    const word = text.split(/\s?:/)[0];
    expect(problemsOf(`; ${text}`)).toEqual([]);
    expect(problemsOf('; RUN: seed=1', `; ${text}`)).toEqual([
      `2:3: unknown directive '${word}'; did you mean '${meant}'?`,
    ]);
  });

  test('a colon that is missing is one beside directives', () => {
    expect(problemsOf('; CHECK reason HLT')).toEqual([]);
    expect(problemsOf('; EXPECT: 0', '; CHECK reason HLT')).toEqual([
      "2:3: expected ':' behind CHECK",
    ]);
  });

  test('other comments are none even there', () => {
    const prose = ['run-time: 5', 'ICR: the high half', 'Test-and-set:', 'states: two', 'checked'];
    expect(problemsOf('; EXPECT: 0', ...prose.map((text) => `; ${text}`))).toEqual([]);
  });

  test('RUN is of no configuration', () => {
    expect(problemsOf('; RUN: name=PV', '; RUN-PV: seed=2')).toEqual([
      '2:3: RUN-PV: expected RUN: name=PV',
    ]);
  });

  test('all are told at once, each once', () => {
    const lines = ['; RUN: name=A', '; RUN: name=A', '; CHECK-NXT: x', '; OUTPUT-NEXT: y'];
    expect(problemsOf(...lines).map((text) => text.split(':')[0])).toEqual(['2', '3', '4']);
  });
});
