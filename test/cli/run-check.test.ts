// `vmxlab run --check`: the verdict is that of `vmxlab check`, the run is the one without it, and
// wrong use is said so.

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bash, buildCommand, folderWith, vmxlab, vmxlabMany } from '../support/command-line.ts';

const SAYS_A = [
  'bits 64',
  "mov al, 'a'",
  'out 0xe9, al',
  'here:',
  'mov al, 10',
  'out 0xe9, al',
  'cli',
  'hlt',
  '',
].join('\n');

const FILES = {
  'good.asm': `; OUTPUT: {{^a$}}\n; PROPERTY: at least 1 guest_code(at=here)\n${SAYS_A}`,
  'bad.asm': `; PROPERTY: never guest_code(at=here)\n${SAYS_A}`,
  'two.asm': `; RUN: seed=5..6\n; RUN: name=TWO vcpus=2\n; STATE: vcpu 1 status halted\n${SAYS_A}`,
  'misplaced.asm': `; PROPERTY: never guest_code(at=hree)\n${SAYS_A}`,
  'malformed.asm': `; PROPERTY: newer kvm_exit\n${SAYS_A}`,
  'silent.asm': SAYS_A,
  'skipped.asm': `; SKIP: not today\n${SAYS_A}`,
  'bad.yaml': 'vms: [{ program: silent.asm }]\ncheck: |\n  PROPERTY: never kvm_exit(reason=HLT)\n',
};

let folder = '';

beforeAll(() => {
  buildCommand();
  folder = folderWith(FILES);
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a violation', () => {
  test('is shown as check shows it, and can be repeated as it says', async () => {
    const [checked, run] = await vmxlabMany(folder, [
      ['check', 'bad.asm', '--seed', '3'],
      ['run', '-q', '--check', 'bad.asm', '--seed', '3'],
    ]);
    const shown = checked.stdout.slice(0, checked.stdout.indexOf('  seed 3; again'));
    expect(shown).toContain('bad.asm:1:13: PROPERTY: guest_code(at=here) happened');
    expect(run.stdout).toBe(`a\n${shown}  seed 3; again: vmxlab run bad.asm --check --seed 3\n`);
    expect(run.status).toBe(18);
    const again = /again: (.*)/.exec(run.stdout)?.[1] ?? '';
    const repeated = await bash(folder, `${again} --quiet`);
    expect([repeated.status, repeated.stdout]).toEqual([18, run.stdout]);
  });

  test('of a scenario is found too, and is part of the report', async () => {
    const { status, stdout } = await vmxlab(folder, ['run', 'bad.yaml', '--check', '--json']);
    expect(status).toBe(18);
    expect(JSON.parse(stdout)).toMatchObject({
      status: 'halted',
      check: { status: 'fail', testCount: 2, failures: [{ line: 3, column: 13 }] },
    });
  });
});

test('what holds is said, and a configuration runs with its settings', async () => {
  const [good, first, two] = await vmxlabMany(folder, [
    ['run', 'good.asm', '--check'],
    ['run', 'two.asm', '--check'],
    ['run', 'two.asm', '--check', '--configuration', 'TWO', '--json'],
  ]);
  expect([good.status, good.stdout]).toEqual([0, expect.stringMatching(/^PASS good.asm \(3 t/m)]);
  expect([first.status, first.stdout]).toEqual([
    18,
    expect.stringContaining('seed 5; again: vmxlab run two.asm --check --seed 5\n'),
  ]);
  const { vcpus, check } = JSON.parse(two.stdout);
  expect([two.status, vcpus.length, check.status]).toEqual([0, 2, 'pass']);
});

test('who looks on changes neither the run nor its trace', async () => {
  await vmxlabMany(folder, [
    ['run', 'bad.asm', '-q', '--trace', 'plain.txt'],
    ['run', 'bad.asm', '-q', '--trace', 'checked.txt', '--check'],
  ]);
  const [plain, checked] = ['plain.txt', 'checked.txt'].map((name) =>
    readFileSync(join(folder, name), 'utf8'),
  );
  expect(plain).toContain('kvm_exit');
  expect(checked).toBe(plain);
});

const WRONG: readonly (readonly [words: string, message: string])[] = [
  ['silent.asm --check', 'silent.asm: says nothing of what it expects'],
  ['skipped.asm --check', 'skipped.asm: its expectations are skipped (not today)'],
  ['misplaced.asm --check', "misplaced.asm:1:13: error: no symbol 'hree'; did you mean 'here'?"],
  ['malformed.asm --check', 'malformed.asm:1:13: error: '],
  ['two.asm --check --configuration TOW', "no RUN line named 'TOW'; it has TWO"],
  ['two.asm --configuration TWO', '--configuration needs --check'],
  ['two.asm --check=yes', '--check takes no value'],
];

test('wrong use ends with 2, and what is wrong', async () => {
  const lines = WRONG.map(([words]) => ['run', ...words.split(' ')]);
  const all = await vmxlabMany(folder, lines);
  for (const [i, [, message]] of WRONG.entries()) {
    expect(all[i]).toEqual({ status: 2, stdout: '', stderr: expect.stringContaining(message) });
  }
});
