// An experiment on a Slurm cluster: a job array, one task for each shard, and a job behind it that
// makes the report. docs/decisions/slurm-arrays.md says why.

import { spawnSync } from 'node:child_process';
import { mkdirSync, realpathSync } from 'node:fs';
import { isAbsolute, join, relative, sep } from 'node:path';
import type { ExperimentOptions } from './experiment-command.ts';
import { Failure } from './failure.ts';
import { asWriteFailure } from './files.ts';
import { shellLine } from './shell-words.ts';
import { VERSION } from './version.ts';

/** A script for sbatch, and options that are no part of it. */
interface BatchJob {
  readonly options: readonly string[];
  readonly script: string;
}

/** What is submitted. */
export interface Submission {
  /** The definition file or the name. */
  readonly what: string;
  /** For the names of jobs. */
  readonly name: string;
  readonly shards: number;
  readonly options: ExperimentOptions;
}

/** Submit, or show what would be submitted; gives the exit code. */
export function submitToSlurm(submission: Submission): number {
  const { options, shards } = submission;
  const array = arrayJob(submission);
  if (options.dryRun) {
    const merge = mergeJob(submission, 'ARRAY_JOB');
    for (const { options: words, script } of [array, merge]) {
      process.stdout.write(`${shellLine(['sbatch', ...words])} <<'END'\n${script}END\n`);
    }
    return 0;
  }
  const folder = logFolder(options);
  try {
    mkdirSync(folder, { recursive: true });
  } catch (thrown) {
    throw asWriteFailure(thrown, folder);
  }
  const arrayId = sbatch(array);
  const mergeId = sbatch(mergeJob(submission, arrayId));
  process.stdout.write(
    `job ${arrayId}: ${shards} shards\n` +
      `job ${mergeId}: the report, to ${reportFolder(options)} and ${folder}\n` +
      `squeue --jobs ${arrayId},${mergeId} shows how far it is\n`,
  );
  return 0;
}

function logFolder({ store }: ExperimentOptions): string {
  return join(store, 'slurm');
}

function reportFolder({ output }: ExperimentOptions): string {
  return output ?? 'reports';
}

/** A task may be started again: it goes on where it was. */
function arrayJob({ what, name, shards, options }: Submission): BatchJob {
  const shard = `"$SLURM_ARRAY_TASK_ID"/${shards}`;
  const own = [
    '--requeue',
    `--array=1-${shards}`,
    ...jobOptions(`vmxlab-${name}`, '%A_%a', options),
  ];
  const command = `${vmxlab([what, ...commonFlags(options)])} --shard ${shard}`;
  return { options: own, script: scriptOf(`${command} --jobs "\${SLURM_CPUS_PER_TASK:-1}"`) };
}

/** Whatever became of the shards: what is missing is said. */
function mergeJob({ what, name, options }: Submission, arrayId: string): BatchJob {
  const dependency = `--dependency=afterany:${arrayId}`;
  const own = [dependency, ...jobOptions(`vmxlab-${name}-merge`, '%j', options)];
  const words = ['merge', what, ...commonFlags(options), '-o', reportFolder(options)];
  return { options: own, script: scriptOf(vmxlab(words)) };
}

function jobOptions(name: string, log: string, options: ExperimentOptions): string[] {
  const output = join(logFolder(options), `${log}.out`);
  return [`--job-name=${name}`, `--output=${output}`, ...options.sbatch];
}

function commonFlags({ store, quick, seeds, cells }: ExperimentOptions): string[] {
  return [
    ...['--store', store],
    ...(quick ? ['--quick'] : []),
    ...(seeds === null ? [] : ['--seeds', seedText(seeds)]),
    ...cells.flatMap((cell) => ['--cell', cell]),
  ];
}

/** A list of one would be a count. */
function seedText(seeds: readonly number[]): string {
  return seeds.length === 1 ? `${seeds[0]}..${seeds[0]}` : seeds.join(',');
}

/** As this process was started, in words that hold on other nodes too. */
function vmxlab(words: readonly string[]): string {
  const own = commandFor(realpathSync(process.argv[1]), process.cwd());
  return shellLine([...own, 'experiment', ...words]);
}

/** What npx installs packages in that are in no project; it may be cleared, and is of one node. */
const NPX_CACHE = '_npx';

/**
 * How a script runs whatever has started the command itself: jobs begin in the folder that they
 * were submitted in.
 * @param script where the command really lies: npx starts it by a link in its cache
 */
export function commandFor(script: string, folder: string): readonly string[] {
  const inside = relative(folder, script);
  if (!isAbsolute(inside) && inside.split(sep)[0] !== '..') return ['node', inside];
  if (script.split(sep).includes(NPX_CACHE)) return ['npx', '--yes', `vmxlab@${VERSION}`];
  return ['node', script];
}

function scriptOf(command: string): string {
  return `#!/bin/sh\nexec ${command}\n`;
}

/** Hand a job to Slurm; gives its id. */
function sbatch({ options, script }: BatchJob): string {
  const { error, status, stdout, stderr } = spawnSync('sbatch', ['--parsable', ...options], {
    input: script,
    encoding: 'utf8',
  });
  if (error !== undefined) {
    throw new Failure(`sbatch cannot be started (${error.message}); --dry-run shows what it gets`);
  }
  const [, id] = /^(\d+)/.exec(stdout) ?? [];
  if (status === 0 && id !== undefined) return id;
  throw new Failure(['vmxlab: sbatch does not take the job:', ...stderr.trim().split('\n')]);
}
