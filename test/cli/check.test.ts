// `vmxlab check` as its users start it: verdicts, formats, exit codes, updates, and what is said of
// wrong input.

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bash, buildCommand, type Finished, folderWith, vmxlab } from '../support/command-line.ts';

const SAYS_A = [
  'bits 64',
  "mov al, 'a'",
  'out 0xe9, al',
  'mov al, 10',
  'out 0xe9, al',
  'cli',
  'hlt',
  '',
].join('\n');

const GOOD = `; RUN: seed=1..2\n; RUN: name=TWO vcpus=2 pcpus=2\n; OUTPUT: {{^a}}\n${SAYS_A}`;
const BAD = `; OUTPUT: b\n; PROPERTY: never kvm_exit(reason=HLT)\n${SAYS_A}`;

const FILES = {
  'good.asm': GOOD,
  'bad.asm': BAD,
  'silent.asm': SAYS_A,
  'skipped.asm': `; SKIP: not today\n${SAYS_A}`,
  'known.asm': `; XFAIL: prints a\n; OUTPUT: b\n${SAYS_A}`,
  'better.asm': `; XFAIL: prints b\n; OUTPUT: a\n${SAYS_A}`,
  'malformed.asm': `; CHECK-NXT: x\n${SAYS_A}`,
  'setting.asm': `; RUN: vcpus=999\n${SAYS_A}`,
  'broken.asm': '; EXPECT: 0\nbits 64\nfoo\n',
  'golden.asm': `; GOLDEN: output\n;| old\n;| lines\n${SAYS_A}`,
  'two.yaml': [
    'vms:',
    '  - program: silent.asm',
    '  - program: silent.asm',
    'check: |',
    '  GOLDEN: output',
    '  | old',
    '  STATE: vm vm1 status halted',
    'limits: { time: 1s }',
    '',
  ].join('\n'),
};

let folder = '';
let all: Finished;

beforeAll(async () => {
  buildCommand();
  folder = folderWith(FILES);
  all = await bash(folder, 'rm guest-programs many.mjs 2>/dev/null; vmxlab check . --jobs 2');
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('a folder', () => {
  test('has a line for each configuration of each file', () => {
    const lines = all.stdout.split('\n').filter((line) => /^[A-Z]{4} /.test(line));
    expect(lines).toEqual([
      'FAIL bad.asm (3 tests, 2 unexpected failures)',
      'FAIL better.asm (2 tests, 1 unexpected passes)',
      'FAIL broken.asm (could not be run)',
      'FAIL golden.asm (2 tests, 1 unexpected failures)',
      'PASS good.asm run1 (4 tests)',
      'PASS good.asm TWO (2 tests)',
      'PASS known.asm (2 tests, 1 expected failures)',
      'FAIL malformed.asm (could not be run)',
      'FAIL setting.asm (could not be run)',
      'SKIP silent.asm (no expectations)',
      'SKIP skipped.asm (not today)',
      'FAIL two.yaml (3 tests, 1 unexpected failures)',
    ]);
    expect(all.stdout).toContain('\n3 passed, 7 failed, 2 skipped\n');
  });

  test('ends with 2 if something could not be read', () => {
    expect(all.status).toBe(2);
    expect(all.stdout).toContain(
      "malformed.asm:1:3: error: CHECK-NXT: unknown 'NXT'; did you mean",
    );
    expect(all.stdout).toContain(
      'setting.asm:1:8: error: vcpus: expected a whole number from 1 to',
    );
    expect(all.stdout).toContain("broken.asm:3:1: error: unknown instruction 'foo'");
  });
});

test('a failure shows what was expected, what was there, and how to see it again', async () => {
  const { status, stdout } = await vmxlab(folder, ['check', 'bad.asm', '--seed', '7']);
  expect(status).toBe(18);
  expect(stdout).toContain('bad.asm:1:3: OUTPUT: not found, in output\n      expected: b\n');
  expect(stdout).toMatch(
    /it was looked for from:\n {8}1 a\n {6}debug: vmxlab debug bad\.asm --seed 7/,
  );
  expect(stdout).toMatch(
    /PROPERTY: kvm_exit\(reason=HLT\) happened\n[^>]*\n {6}> vcpu0-1000 .* HLT/,
  );
  const again = /again: (.*)/.exec(stdout)?.[1] ?? '';
  const repeated = await bash(folder, again);
  expect([repeated.status, repeated.stdout]).toEqual([18, stdout]);
});

test('what is found at a moment is what a trace has there', async () => {
  const { stdout } = await vmxlab(folder, ['check', 'bad.asm']);
  const ns = Number(/never kvm_exit[\s\S]*?goto (\d+)ns/.exec(stdout)?.[1]);
  const line = 'vmxlab run -q bad.asm --trace t.dat >/dev/null; vmxlab trace report t.dat --ns';
  const trace = await bash(folder, line);
  const seconds = `0.${String(ns).padStart(9, '0')}`;
  expect(trace.stdout.split('\n').filter((text) => text.includes(seconds))).toEqual([
    expect.stringContaining('reason HLT'),
  ]);
});

test('one thread or several, the same text', async () => {
  const one = await vmxlab(folder, ['check', 'good.asm', 'bad.asm', '--jobs', '1']);
  const several = await vmxlab(folder, ['check', 'good.asm', 'bad.asm', '-j3']);
  expect(several).toEqual(one);
});

test('engine and skipping change nothing', async () => {
  const words = ['check', 'bad.asm', 'good.asm', '--format', 'json'];
  const plain = await vmxlab(folder, words);
  for (const given of [
    ['--engine', 'interpreter'],
    ['--skip', 'off'],
  ]) {
    const { stdout } = await vmxlab(folder, [...words, ...given]);
    expect(stdout.replaceAll(` ${given.join(' ')}`, '')).toBe(plain.stdout);
  }
});

describe('formats', () => {
  const paths = ['good.asm', 'bad.asm', 'known.asm', 'skipped.asm'];

  test('TAP', async () => {
    const { stdout } = await vmxlab(folder, ['check', ...paths, '--format', 'tap']);
    const points = stdout.split('\n').filter((line) => /^(not )?ok|^\d|^TAP/.test(line));
    expect(points).toEqual([
      'TAP version 13',
      '1..6',
      'ok 1 - good.asm run1 seed 1',
      'ok 2 - good.asm run1 seed 2',
      'ok 3 - good.asm TWO seed 1',
      'not ok 4 - bad.asm seed 1',
      'not ok 5 - known.asm seed 1 # TODO prints a',
      'ok 6 - skipped.asm # SKIP not today',
    ]);
  });

  test('JUnit', async () => {
    const { stdout } = await vmxlab(folder, ['check', ...paths, '--format', 'junit']);
    expect(stdout).toContain('<testsuites tests="6" failures="1" errors="0" skipped="2">');
    expect(stdout).toContain('<testcase classname="good.asm" name="TWO seed 1"/>');
    expect(stdout).toContain('<failure message="bad.asm:1:3: OUTPUT: not found, in output">');
    expect(stdout).toContain('&gt; vcpu0-1000');
  });

  test('JSON', async () => {
    const { stdout } = await vmxlab(folder, ['check', ...paths, '--format', 'json']);
    const document = JSON.parse(stdout);
    expect(document).toMatchObject({ schemaVersion: 1, passed: 4, failed: 1, skipped: 1 });
    expect(document.results[3].failures[0]).toMatchObject({
      line: 1,
      expected: 'b',
      debugCommand: expect.stringMatching(/^vmxlab debug bad\.asm --seed 1 --ex 'goto \d+ns'$/),
    });
  });
});

test('--update writes golden lines, in sources and in scenarios', async () => {
  const line = 'cp golden.asm g.asm; cp two.yaml t.yaml; vmxlab check g.asm t.yaml --update';
  const { status, stdout, stderr } = await bash(folder, line);
  expect([status, stdout]).toEqual([0, expect.stringContaining('2 passed, 0 failed')]);
  expect(stderr).toBe('updated g.asm\nupdated t.yaml\n');
  expect(readFileSync(join(folder, 'g.asm'), 'utf8')).toBe(`; GOLDEN: output\n;| a\n${SAYS_A}`);
  const yaml = FILES['two.yaml'].replace('  | old\n', '  | vm: a\n  | vm1: a\n');
  expect(readFileSync(join(folder, 't.yaml'), 'utf8')).toBe(yaml);
  expect((await vmxlab(folder, ['check', 'g.asm', 't.yaml'])).status).toBe(0);
});

describe('wrong usage', () => {
  test.each([
    [['check'], 'check needs files or folders'],
    [['check', 'silent.asm'], 'silent.asm: says nothing of what it expects'],
    [['check', 'nosuch.asm'], 'nosuch.asm: no such file'],
    [['check', 'good.asm', '--format', 'xml'], '--format: expected one of text, tap, junit, json'],
    [['check', 'good.asm', '--jobs', '0'], '--jobs: expected a number from 1, not 0'],
    [['check', 'good.asm', '--filter', 'zzz'], "--filter: no name contains 'zzz'"],
    [['check', 't.dat'], 't.dat: has no place for expectations'],
  ])('%s', async (words, message) => {
    const { status, stdout, stderr } = await vmxlab(folder, words);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
  });
});
