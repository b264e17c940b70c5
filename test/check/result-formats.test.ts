// TAP and JUnit as programs that we did not write read them: Perl's TAP::Parser and `prove`, and
// the XML reader of Python's library (Debian packages perl and python3).

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type CheckResult, isBad, junitText, tapText } from '../../src/check/index.ts';
import { missing } from '../support/outside-tools.ts';

const NASTY = 'a<b> & "c" \'d\' # e \\ \u0007 \ud800 \u{1f600} ]]> ...';

function result(path: string, status: CheckResult['status'], reason: string[] = []): CheckResult {
  const failure = {
    line: 3,
    column: 9,
    stream: null,
    golden: null,
    message: 'CHECK: not found',
    expected: NASTY,
    heading: 'it was looked for from',
    lines: [
      { number: 1, text: 'not ok 7 - what a guest printed', isMarked: true },
      { number: 2, text: '  ...', isMarked: false },
      { number: 3, text: 'ok 8', isMarked: false },
    ],
    timeNs: 5,
  };
  return {
    path,
    configuration: 'PV',
    seed: status === 'skip' ? null : 4,
    status,
    testCount: 2,
    failures: status === 'fail' ? [failure] : [],
    reason,
    repeatCommand: `vmxlab check '${path}' --seed 4`,
    debugCommand: (ns) => `vmxlab debug '${path}' --ex 'goto ${ns}ns'`,
  };
}

const GOOD = [
  result('good.asm', 'pass'),
  result('a # b \\.asm', 'pass'),
  result('known.asm', 'xfail', ['prints a # b']),
  result('skipped.asm', 'skip', ['not <today>']),
];
const BAD = [
  result(NASTY, 'fail'),
  result('better.asm', 'xpass', ['prints b']),
  result('broken.asm', 'error', ["broken.asm:3:1: error: unknown '<foo>'", '...', 'ok 9']),
];

const noProve = missing('prove');
const noPython = missing('python3');
if (noProve !== null) console.log(`TAP is not read back: ${noProve}`);
if (noPython !== null) console.log(`JUnit is not read back: ${noPython}`);

/** Status and output of a program that is given an input. */
function told(command: string, words: readonly string[], input: string) {
  const { status, stdout, stderr } = spawnSync(command, words, { input, encoding: 'utf8' });
  return { status, text: stdout, complaints: stderr };
}

describe.skipIf(noProve !== null)('TAP', () => {
  /** For each point: number, is it ok, is that as planned, directive; then mistakes. */
  const READER = [
    'use TAP::Parser; local $/; binmode STDOUT, ":raw";',
    'my $parser = TAP::Parser->new({ tap => <STDIN> });',
    'while (my $r = $parser->next) {',
    '  next unless $r->is_test;',
    '  printf "%d %s %s %s|%s|%s\\n", $r->number, $r->is_actual_ok ? "ok" : "not",',
    '    $r->is_ok ? "good" : "bad", $r->directive, $r->explanation, $r->description;',
    '}',
    'print "error: $_\\n" for $parser->parse_errors;',
    'printf "planned %d, version %d\\n", $parser->tests_planned, $parser->version;',
  ].join('\n');

  test('says to TAP::Parser what there is', () => {
    const { text, complaints } = told('perl', ['-e', READER], tapText([...GOOD, ...BAD]));
    expect(complaints).toBe('');
    const lines = text.trimEnd().split('\n');
    expect(lines.map((line) => line.split('|').slice(0, 2).join('|'))).toEqual([
      '1 ok good |',
      '2 ok good |',
      '3 not good TODO|prints a # b',
      '4 ok good SKIP|not <today>',
      '5 not bad |',
      '6 not bad |',
      '7 not bad |',
      'planned 7, version 13',
    ]);
    expect(lines[0].split('|')[2]).toBe('- good.asm PV seed 4');
    expect(lines[1].split('|')[2]).toMatch(/a \\?# b .*\.asm PV seed 4$/);
  });

  test.each([
    ['all is well', GOOD],
    ['something is not', [...GOOD, BAD[0]]],
    ['one that is known to fail does not', [...GOOD, BAD[1]]],
    ['one could not be run', [...GOOD, BAD[2]]],
  ])('prove says what we say if %s', (_name, results) => {
    const folder = mkdtempSync(join(tmpdir(), 'vmxlab-tap-'));
    const file = join(folder, 'results.tap');
    writeFileSync(file, tapText(results));
    const { status, text } = told('prove', ['-e', 'cat', file], '');
    rmSync(folder, { recursive: true });
    expect(text).toContain(`Tests=${results.length},`);
    expect(text).not.toContain('Parse errors');
    expect(status === 0).toBe(!results.some(isBad));
  });
});

describe.skipIf(noPython !== null)('JUnit', () => {
  const READER = [
    'import json, sys, xml.etree.ElementTree as tree',
    'root = tree.fromstring(sys.stdin.buffer.read())',
    'def told(e): return [e.tag, dict(e.attrib), e.text or "", [told(c) for c in e]]',
    'print(json.dumps(told(root)))',
  ].join('\n');

  type Element = readonly [string, Record<string, string>, string, readonly Element[]];

  test('is XML with the results and their numbers', () => {
    const input = junitText([...GOOD, ...BAD]);
    const { text, complaints } = told('python3', ['-c', READER], input);
    expect(complaints).toBe('');
    const [tag, counts, , suites]: Element = JSON.parse(text);
    expect([tag, counts]).toEqual([
      'testsuites',
      { tests: '7', failures: '2', errors: '1', skipped: '2' },
    ]);
    const cases = suites.flatMap(([, , , inner]) => inner);
    expect(cases.map(([, , , [outcome]]) => outcome?.[0] ?? 'passed')).toEqual([
      ...['passed', 'passed', 'skipped', 'skipped', 'failure', 'failure', 'error'],
    ]);
    for (const [, given, , inner] of suites) expect(given.tests).toBe(String(inner.length));
    // What XML cannot hold is replaced; everything else comes back.
    const kept = NASTY.replace('\u0007', '\ufffd').replace('\ud800', '\ufffd');
    const [, attributes, , [[, failure, body]]] = cases[4];
    expect(attributes).toEqual({ classname: kept, name: 'PV seed 4' });
    expect(failure.message).toBe(`${kept}:3:9: CHECK: not found`);
    expect(body).toContain(`expected: ${kept}\n`);
    expect(body).toContain('> 1 not ok 7 - what a guest printed\n');
  });
});
