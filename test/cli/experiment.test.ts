// `vmxlab experiment` as its users start it: runs, stores, shards, failures, and what is said of
// wrong input.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bash, buildCommand, folderWith, vmxlab, vmxlabMany } from '../support/command-line.ts';

/** Writes ROUNDS to the console as letters, one exit each. */
const ROUNDS = [
  'bits 64',
  'mov ecx, ROUNDS',
  "again: mov al, 'a'",
  'out 0xe9, al',
  'dec ecx',
  'jnz again',
  'cli',
  'hlt',
  '',
].join('\n');

const DEFINITION = `
title: Rounds
scenario: { vms: [{ program: rounds.asm }] }
factors:
  rounds:
    few: { "vms[0].defines.ROUNDS": 2 }
    many: { "vms[0].defines.ROUNDS": 20 }
  vcpus: [1, 2]
seeds: 2
outputs:
  exits: sum(exits[IO_INSTRUCTION].count)
  each: $exits / count(vcpus[*].index)
compare:
  - { factor: rounds, from: few, to: many, output: each }
measured:
  - { cell: { rounds: few }, output: exits, value: 1.5, source: a guess }
`;

const FILES = {
  'rounds.asm': ROUNDS,
  'rounds.yaml': DEFINITION,
  'fails.yaml': `
scenario: { vms: [{ program: rounds.asm, defines: { ROUNDS: 100 } }] }
factors: { until: [1us, 1s] }
seeds: 1
outputs: { status: exitCode }
`,
  'wrong.yaml': `scenario: { vms: [{ program: rounds.asm, vcpu: 1 }] }
factors:
  many: { two: { vcpus: 99 }, one: { "vms[0].vcpus": x } }
outputs: { a: virtualNs }
`,
  'typo.yaml': `scenario: { vms: [{ program: rounds.asm }] }
outputs: { a: virtualNs }
figure: []
`,
};

let folder = '';

beforeAll(() => {
  buildCommand();
  folder = folderWith(FILES);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (...words: string[]) => vmxlab(folder, ['experiment', ...words]);

const results = (store: string) =>
  readdirSync(join(folder, store), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json.gz'))
    .sort();

describe('an experiment', () => {
  test('is run, reported, and not run again', async () => {
    const first = await run('rounds.yaml', '--store', 'once', '-o', 'out');
    expect(first.stderr).toBe('');
    expect(first.status).toBe(0);
    expect(first.stdout).toMatch(/few +2 +2 +4 ± 0 +1\.500 +2 ± 0/);
    const before = results('once');
    expect(before).toHaveLength(8);
    const second = await run('rounds.yaml', '--store', 'once');
    expect(second).toEqual(first);
    expect(results('once')).toEqual(before);
  });

  test('gives files for people and programs', () => {
    const markdown = readFileSync(join(folder, 'out/rounds.md'), 'utf8');
    expect(markdown).toContain('| many | 2 | 2 | 40 ± 0 |');
    expect(markdown).toContain('Measured: a guess.');
    const csv = readFileSync(join(folder, 'out/rounds.csv'), 'utf8').split('\r\n');
    expect(csv[0]).toBe('rounds,vcpus,seed,exits,each,problem');
    expect(csv[8]).toBe('many,2,2,40,20,');
    const document = JSON.parse(readFileSync(join(folder, 'out/rounds.json'), 'utf8'));
    expect(document.cells[3].outputs.exits).toMatchObject({ count: 2, mean: 40, sd: 0 });
    expect(document.runs).toHaveLength(8);
    expect(document.tables[1].rows[0].slice(0, 5)).toEqual([
      'each',
      'vcpus=1',
      'many / few',
      2,
      expect.closeTo(10, 9),
    ]);
  });

  test('is run again on other seeds only', async () => {
    await run('rounds.yaml', '--store', 'other', '--seeds', '1');
    expect(results('other')).toHaveLength(4);
    await run('rounds.yaml', '--store', 'other', '--seeds', '5,6', '--cell', 'vcpus=2');
    expect(results('other')).toHaveLength(8);
  });

  test('does not believe a damaged result', async () => {
    const [name = ''] = results('once');
    const path = join(folder, 'once', name);
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.subarray(0, bytes.length - 9));
    const again = await run('rounds.yaml', '--store', 'once');
    expect(again.stderr).toBe(`vmxlab: once/${name}: is damaged, and as good as not there\n`);
    expect(again.status).toBe(0);
    expect(readFileSync(path)).toEqual(bytes);
  });
});

test('--explain says where the time went, and what differs between two cells', async () => {
  const cell = ['rounds.yaml', '--explain', '--cell', 'rounds=many'];
  const { status, stdout } = await run(...cell);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^Time of vm$/m);
  expect(stdout).toMatch(/^ {2}use +rounds=many vcpus=1 +rounds=many vcpus=2 +difference$/m);
  const document = JSON.parse((await run(...cell, '--json')).stdout);
  expect(document.cells).toHaveLength(2);
  for (const { elapsed, threads } of document.cells) {
    for (const { uses, elapsed: own } of threads) {
      const parts = Object.values(uses as Record<string, number>);
      expect(parts.reduce((sum, part) => sum + part, 0)).toBe(own);
      expect(own).toBeGreaterThanOrEqual(elapsed);
    }
  }
});

test('--compare says what differs between two cells, whatever their factors', async () => {
  const names = ['rounds=many,vcpus=1', 'rounds=few,vcpus=2'];
  const { status, stdout } = await run('rounds.yaml', '--compare', ...names);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^ {2}use +rounds=many vcpus=1 +rounds=few vcpus=2 +difference$/m);
  const vague = await run('rounds.yaml', '--compare', 'rounds=many', 'rounds=few,vcpus=2');
  expect(vague.stderr).toBe(
    "vmxlab: --compare: 'rounds=many' is each of rounds=many vcpus=1; rounds=many vcpus=2\n",
  );
  expect(vague.status).toBe(2);
  const unknown = await run('rounds.yaml', '--compare', 'rounds=no', 'rounds=few,vcpus=2');
  expect(unknown.stderr).toMatch(/^vmxlab: --compare: 'rounds=no' is no cell; there are /);
  expect((await run('rounds.yaml', '--compare', 'rounds=many,vcpus=1')).status).toBe(2);
});

test('a claim about cells that were not chosen is not judged', async () => {
  const words = ['x4', '--quick', '--seeds', '1', '--cell', 'timer=host-timer', '--store', 'x4'];
  const { status, stdout } = await run(...words);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^---- the median .*: not judged, for there is no cell timer=preempt/m);
  expect(stdout).toMatch(/^pass every bin by the host timer /m);
  const { verdicts } = JSON.parse((await run(...words, '--json')).stdout);
  expect(verdicts.map(({ holds }: { holds: unknown }) => holds)).toEqual([null, null, true, true]);
  // Runs that are missing leave nothing to judge, and are what is wrong.
  const merged = await run('merge', 'x4', '--quick', '--seeds', '1', '--store', 'empty');
  expect(merged.status).toBe(18);
  const unjudged = /^---- .*: not judged, for timer=host-timer has no results$/gm;
  expect(merged.stdout.match(unjudged)).toHaveLength(4);
});

test('shards are merged, from one store or from several', async () => {
  const whole = await run('rounds.yaml', '--store', 'once');
  const lines = await bash(
    folder,
    'for i in 1 2 3; do vmxlab experiment rounds.yaml --shard $i/3 --store part$i; done; ' +
      'vmxlab experiment merge rounds.yaml part1 part2 --store whole >/dev/null; echo $?; ' +
      'vmxlab experiment merge rounds.yaml part3 --store whole',
  );
  expect(lines.stdout).toBe(
    [
      'rounds, shard 1 of 3: 3 runs, 0 of them before',
      'rounds, shard 2 of 3: 3 runs, 0 of them before',
      'rounds, shard 3 of 3: 2 runs, 0 of them before',
      '18',
      whole.stdout,
    ].join('\n'),
  );
  expect(results('whole')).toEqual(results('once'));
});

test('a failed run does not stop the others, and can be repeated', async () => {
  const { status, stdout, stderr } = await run('fails.yaml', '--store', 'fails');
  expect(status).toBe(18);
  expect(stdout).toContain('until=1us seed=1: limit: still running after 1us');
  expect(stdout).toMatch(/1s +1 +0/);
  const [, command = ''] =
    /^ {2}(vmxlab run .*json) {2}# fails: until=1us seed=1$/m.exec(stderr) ?? [];
  const repeated = await bash(folder, command);
  expect(repeated.status).toBe(4);
  expect(repeated.stdout).toContain('still running after 1us');
});

test('what is wrong is shown where it is written', async () => {
  const [wrong, typo, ...others] = await vmxlabMany(
    folder,
    [
      ['wrong.yaml'],
      ['typo.yaml'],
      ['nope'],
      ['nope.yaml'],
      [],
      ['rounds.yaml', 'more'],
      ['rounds.yaml', '--cell', 'round=few'],
      ['rounds.yaml', '--cell', 'rounds=none'],
      ['rounds.yaml', '--cell', 'rounds'],
      ['rounds.yaml', '--seeds', '0'],
      ['rounds.yaml', '--seeds', '1,1'],
      ['rounds.yaml', '--shard', '3/2'],
      ['rounds.yaml', '--jobs', '0'],
      ['merge'],
      ['merge', 'rounds.yaml', 'nowhere'],
    ].map((words) => ['experiment', ...words]),
  );
  expect(wrong?.stderr).toContain('wrong.yaml:1:');
  expect(wrong?.stderr).toContain("vms[0].vcpu: unknown key 'vcpu'; did you mean 'vcpus'?");
  expect(wrong?.stderr).toContain(
    'wrong.yaml:3:18: error: factors.many.two.vcpus: vms[0].vcpus: expected a whole number',
  );
  expect(wrong?.stderr).toContain(
    'wrong.yaml:3:38: error: factors.many.one.vms[0].vcpus: vms[0].vcpus: expected a whole number',
  );
  expect(typo?.stderr).toContain(
    "typo.yaml:3:1: error: figure: unknown key 'figure'; did you mean",
  );
  expect([wrong, typo, ...others].map((one) => one?.status)).toEqual(
    others.map(() => 2).concat(2, 2),
  );
  const first = (one: (typeof others)[number]) => one.stderr.split('\n')[0];
  expect(others.map(first)).toEqual([
    "vmxlab: there is no experiment 'nope'; 'vmxlab experiment --list' lists those that are " +
      'there; a definition is a .yaml file',
    'vmxlab: nope.yaml: no such file',
    'vmxlab: experiment needs a name or a file, or --list',
    "vmxlab: unexpected argument 'more'",
    "vmxlab: --cell: there is no factor 'round'; did you mean 'rounds'?",
    "vmxlab: --cell: there is no level 'none' of rounds in this study",
    "vmxlab: --cell: expected FACTOR=LEVEL, not 'rounds'",
    expect.stringMatching(/^vmxlab: --seeds: expected how many/),
    expect.stringMatching(/^vmxlab: --seeds: expected how many/),
    "vmxlab: --shard: expected a part such as 2/8, not '3/2'",
    'vmxlab: --jobs: expected a whole number from 1 on',
    'vmxlab: merge needs an experiment, and stores unless all shards share one',
    'vmxlab: nowhere: no such folder',
  ]);
});
