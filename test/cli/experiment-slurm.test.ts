// `vmxlab experiment submit`, on a real Slurm of one node.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandFor } from '../../src/cli/experiment-slurm.ts';
import { buildCommand, folderWith, MAIN, vmxlab } from '../support/command-line.ts';
import { type Cluster, missingSlurm, startSlurm } from '../support/slurm.ts';

const FILES = {
  'rounds.asm': 'bits 64\nmov ecx, ROUNDS\nagain: out 0x80, al\ndec ecx\njnz again\ncli\nhlt\n',
  'rounds.yaml': `
scenario: { vms: [{ program: rounds.asm }] }
factors:
  rounds: { few: { "vms[0].defines.ROUNDS": 5 }, many: { "vms[0].defines.ROUNDS": 50 } }
seeds: 3
outputs: { time: virtualNs }
`,
};

let folder = '';

beforeAll(() => {
  buildCommand();
  folder = folderWith(FILES);
}, 180_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const submit = (words: readonly string[], env = {}) =>
  vmxlab(folder, ['experiment', 'submit', ...words], { env });

test('a dry run shows what sbatch would get', async () => {
  const words = ['rounds.yaml', '--shards', '4', '--sbatch=--partition=long', '--seeds', '7..9'];
  const { status, stdout } = await submit([
    ...words,
    '--quick',
    '--store',
    'my store',
    '--dry-run',
  ]);
  expect(status).toBe(0);
  expect(stdout).toContain('--array=1-4');
  expect(stdout.match(/--partition=long/g)).toHaveLength(2);
  const run = "experiment rounds.yaml --store 'my store' --quick --seeds 7,8,9";
  expect(stdout).toContain(`${run} --shard "$SLURM_ARRAY_TASK_ID"/4`);
  expect(stdout).toContain("experiment merge rounds.yaml --store 'my store' --quick --seeds 7,8,9");
}, 30_000);

test('scripts name the command by words that hold on other nodes', () => {
  expect(commandFor('/srv/lab/dist/cli/launch.js', '/srv/lab')).toEqual([
    'node',
    'dist/cli/launch.js',
  ]);
  const cached = commandFor('/srv/.npm/_npx/1f/node_modules/vmxlab/launch.js', '/lab');
  expect(cached).toEqual(['npx', '--yes', expect.stringMatching(/^vmxlab@\d/)]);
  expect(commandFor('/opt/vmxlab/launch.js', '/srv/lab')).toEqual([
    'node',
    '/opt/vmxlab/launch.js',
  ]);
  // By a link, as npx does it inside a clone: where it leads counts.
  const linked = join(folder, 'linked.js');
  symlinkSync(MAIN, linked);
  const words = [linked, 'experiment', 'submit', 'rounds.yaml', '--shards', '2', '--dry-run'];
  const stdout = execFileSync(process.execPath, words, { cwd: folder, encoding: 'utf8' });
  expect(stdout).toContain(`exec node ${realpathSync(MAIN)} experiment rounds.yaml`);
  expect(stdout).not.toContain('linked.js');
}, 30_000);

test('what is wrong is said before anything is submitted', async () => {
  const outcomes = await Promise.all([
    submit(['rounds.yaml', '--shards', '7']),
    submit(['rounds.yaml', '--shards', '0']),
    submit(['rounds.yaml'], { PATH: '/nowhere' }),
    submit([]),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual([2, 2, 2, 2]);
  expect(outcomes.map(({ stderr }) => stderr)).toEqual([
    'vmxlab: --shards: there are only 6 runs\n',
    'vmxlab: --shards: expected a whole number from 1 on\n',
    'vmxlab: sbatch cannot be started (spawnSync sbatch ENOENT); --dry-run shows what it gets\n',
    'vmxlab: submit needs an experiment\n',
  ]);
}, 30_000);

const why = missingSlurm();

describe.skipIf(why !== null)(`on a cluster${why === null ? '' : ` (skipped: ${why})`}`, () => {
  // Daemons ask more of a machine than packages, such as names of hosts that lead somewhere: where
  // they do not start that is said, and nothing is known of vmxlab.
  let slurm: Cluster | string = '';
  let slurmFolder = '';

  beforeAll(async () => {
    slurmFolder = mkdtempSync(join(tmpdir(), 'vmxlab-slurm-'));
    slurm = await startSlurm(slurmFolder).catch(String);
    if (typeof slurm === 'string') console.log(`jobs are not submitted: ${slurm}`);
  }, 120_000);

  afterAll(async () => {
    if (typeof slurm !== 'string') await slurm.stop();
    rmSync(slurmFolder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }, 60_000);

  test('shards and report are jobs, and say what one process says', async ({ skip }) => {
    if (typeof slurm === 'string') return skip(slurm);
    const { status, stdout, stderr } = await submit(['rounds.yaml', '--shards', '3'], slurm.env);
    expect([status, stderr]).toEqual([0, '']);
    const [, array, merge] = /^job (\d+): 3 shards\njob (\d+): the report/.exec(stdout) ?? [];
    await slurm.idle();
    const log = (name: string) =>
      readFileSync(join(folder, '.vmxlab/results/slurm', `${name}.out`), 'utf8');
    for (const task of [1, 2, 3]) {
      expect(log(`${array}_${task}`)).toBe(
        `rounds, shard ${task} of 3: 2 runs, 0 of them before\n`,
      );
    }
    const here = await vmxlab(folder, ['experiment', 'rounds.yaml', '--store', 'here']);
    expect(log(String(merge))).toBe(here.stdout);
    expect(readFileSync(join(folder, 'reports/rounds.md'), 'utf8')).toContain('| few | 3 |');
  }, 180_000);

  test('what Slurm refuses is passed on', async ({ skip }) => {
    if (typeof slurm === 'string') return skip(slurm);
    const words = ['rounds.yaml', '--sbatch=--partition=nowhere'];
    const { status, stderr } = await submit(words, slurm.env);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^vmxlab: sbatch does not take the job:\nsbatch: .*partition/);
  }, 60_000);
});
